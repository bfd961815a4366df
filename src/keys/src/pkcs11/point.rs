//! Public keys as tokens say them, and signatures as we believe them.

use p384::ecdsa;
use p384::ecdsa::signature::Verifier as _;

use super::TokenError;
use crate::role::Algorithm;

/// The tag of a DER OCTET STRING.
const OCTET_STRING: u8 = 0x04;

/// The public key in a CKA_EC_POINT, in our encoding.
///
/// SPEC: PKCS #11 3.1 §6.3.3 has it in a DER OCTET STRING; for Edwards keys, and in older tokens for all, it stands as it is.
pub(super) fn from_ec_point(algorithm: Algorithm, point: &[u8]) -> Option<Vec<u8>> {
    let bytes = algorithm.public_key_bytes();
    let raw = match point {
        // A P-384 point begins with 0x04 too, but then the length tells.
        [OCTET_STRING, length, raw @ ..] if usize::from(*length) == bytes && raw.len() == bytes => raw,
        raw if raw.len() == bytes => raw,
        _ => return None,
    };
    Some(raw.to_vec())
}

/// The signature in the encoding of [`Signer::sign`](crate::Signer::sign), if it verifies under `public_key`.
pub(super) fn admit_signature(
    algorithm: Algorithm,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>, TokenError> {
    match algorithm {
        Algorithm::Ed25519 => {
            let key: &[u8; 32] = public_key.try_into().map_err(|_length| TokenError::PublicKey)?;
            let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_no_point| TokenError::PublicKey)?;
            let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_length| TokenError::Signature)?;
            key.verify_strict(message, &signature).map_err(|_refused| TokenError::Signature)?;
            Ok(signature.to_bytes().to_vec())
        }
        Algorithm::EcdsaP384 => {
            let key = ecdsa::VerifyingKey::from_sec1_bytes(public_key).map_err(|_no_point| TokenError::PublicKey)?;
            let signature = ecdsa::Signature::from_slice(signature).map_err(|_range| TokenError::Signature)?;
            // A token leaves s as it falls; ours is the low one.
            let signature = signature.normalize_s();
            key.verify(message, &signature).map_err(|_refused| TokenError::Signature)?;
            Ok(signature.to_bytes().to_vec())
        }
        // No reference is of one of them.
        Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => Err(TokenError::Signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs with a key in memory; `high` leaves s of P-384 the high one, as a token may.
    fn signed(algorithm: Algorithm, message: &[u8], high: bool) -> (Vec<u8>, Vec<u8>) {
        use ed25519_dalek::Signer as _;
        if algorithm == Algorithm::Ed25519 {
            let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
            return (key.verifying_key().as_bytes().to_vec(), key.sign(message).to_bytes().to_vec());
        }
        let key = ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
        let signature: ecdsa::Signature = key.sign(message);
        let low = signature.normalize_s();
        let (r, s) = low.split_scalars();
        let signature =
            if high { ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap() } else { low };
        (key.verifying_key().to_sec1_point(false).as_bytes().to_vec(), signature.to_bytes().to_vec())
    }

    #[test]
    fn a_signature_is_believed_only_if_it_verifies_and_leaves_with_a_low_s() {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP384] {
            let (key, low) = signed(algorithm, b"message", false);
            let (_key, given) = signed(algorithm, b"message", true);
            assert_eq!(admit_signature(algorithm, &key, b"message", &given), Ok(low.clone()));
            for index in 0..low.len() {
                let mut changed = low.clone();
                changed[index] ^= 1;
                let refused = admit_signature(algorithm, &key, b"message", &changed);
                assert_eq!(refused, Err(TokenError::Signature), "{algorithm} byte {index}");
            }
            assert_eq!(admit_signature(algorithm, &key, b"massage", &low), Err(TokenError::Signature));
            assert_eq!(admit_signature(algorithm, &key, b"message", &low[1..]), Err(TokenError::Signature));
            assert_eq!(admit_signature(algorithm, &key[1..], b"message", &low), Err(TokenError::PublicKey));
        }
    }

    #[test]
    fn a_point_is_read_wrapped_and_as_it_is_and_nothing_else_is() {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP384] {
            let bytes = algorithm.public_key_bytes();
            // Every byte 0x04, so that raw bytes look like the head of a wrapping.
            let raw = vec![OCTET_STRING; bytes];
            let wrapped = [&[OCTET_STRING, u8::try_from(bytes).unwrap()], raw.as_slice()].concat();
            assert_eq!(from_ec_point(algorithm, &raw), Some(raw.clone()), "{algorithm}");
            assert_eq!(from_ec_point(algorithm, &wrapped), Some(raw.clone()), "{algorithm}");
            for bad in [&wrapped[1..], &wrapped[..wrapped.len() - 1], &[wrapped.as_slice(), &[0]].concat(), &[]] {
                assert_eq!(from_ec_point(algorithm, bad), None, "{algorithm} {} bytes", bad.len());
            }
        }
    }
}
