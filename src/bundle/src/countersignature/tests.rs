//! A countersignature is over one exact tuple, and there must be as many as the operator asks for.

use super::*;
use crate::key::KeyAlgorithm;
use crate::testing::*;
use std::vec;

const CERTIFICATE_SIGNATURE: [u8; 64] = [7; 64];

fn tuple(origin: &Origin) -> Countersigned<'_> {
    Countersigned {
        origin,
        epoch: Epoch::FIRST,
        statement: Digest::of(b"statement"),
        leaf_index: index(1),
        certificate_signature: &CERTIFICATE_SIGNATURE,
    }
}

fn countersign(signer: &TestSigner, tuple: &Countersigned<'_>) -> Countersignature {
    Countersignature { key_id: signer.public().key_id(), signature: signer.sign(&to_sign::countersignature(tuple)) }
}

/// Two signers, in the order of their key identities.
fn two() -> [TestSigner; 2] {
    let mut two = [p384_signer(3), p384_signer(9)];
    two.sort_by_key(|signer| signer.public().key_id());
    two
}

fn check(countersignatures: &[Countersignature], threshold: u64) -> Result<(), CountersignatureError> {
    let keys = two().map(|signer| signer.public().clone());
    verify(&tuple(&origin()), countersignatures, &keys, threshold)
}

#[test]
fn as_many_keys_must_countersign_as_the_threshold_says() {
    let [a, b] = two().map(|signer| countersign(&signer, &tuple(&origin())));
    let too_few = |found, needed| Err(CountersignatureError::Threshold { found, needed });
    assert_eq!(check(&[], 1), too_few(0, 1));
    assert_eq!(check(std::slice::from_ref(&a), 1), Ok(()));
    assert_eq!(check(std::slice::from_ref(&a), 2), too_few(1, 2));
    assert_eq!(check(&[a.clone(), b.clone()], 2), Ok(()));
    assert_eq!(check(&[a.clone(), b.clone()], 3), too_few(2, 3));
    // One key twice is not two keys, and the order is fixed.
    assert_eq!(check(&[a.clone(), a.clone()], 2), Err(CountersignatureError::Order));
    assert_eq!(check(&[b, a], 2), Err(CountersignatureError::Order));
}

#[test]
fn one_bad_countersignature_spoils_the_rest() {
    let [a, b] = two().map(|signer| countersign(&signer, &tuple(&origin())));
    let bad = |key_id, source| Err(CountersignatureError::Signature { key_id, source });
    let mut broken = b.clone();
    broken.signature[95] ^= 1;
    assert_eq!(check(&[a.clone(), broken], 1), bad(b.key_id, SignatureError::Invalid));
    // The other key's signature under this key's name.
    let swapped = Countersignature { key_id: a.key_id, signature: b.signature.clone() };
    assert_eq!(check(&[swapped, b.clone()], 1), bad(a.key_id, SignatureError::Invalid));
    let stranger = countersign(&p384_signer(10), &tuple(&origin()));
    assert_eq!(
        check(std::slice::from_ref(&stranger), 1),
        Err(CountersignatureError::UnknownKey { found: stranger.key_id })
    );
    let ed25519 = ed25519_signer(3);
    let one = countersign(&ed25519, &tuple(&origin()));
    assert_eq!(
        verify(&tuple(&origin()), std::slice::from_ref(&one), &[ed25519.public().clone()], 1),
        bad(one.key_id, SignatureError::Algorithm { algorithm: KeyAlgorithm::Ed25519 })
    );
}

#[test]
fn every_part_of_the_tuple_is_covered() {
    let (ours, other_origin) = (origin(), Origin::new("log.example/other").unwrap());
    let good = tuple(&ours);
    let others = [
        Countersigned { origin: &other_origin, ..good },
        Countersigned { epoch: Epoch::new(2).unwrap(), ..good },
        Countersigned { statement: Digest::of(b"other"), ..good },
        Countersigned { leaf_index: index(2), ..good },
        Countersigned { certificate_signature: &[8; 64], ..good },
    ];
    let [signer, _] = two();
    assert_eq!(check(&[countersign(&signer, &good)], 1), Ok(()));
    for other in others {
        let error = check(&[countersign(&signer, &other)], 1);
        assert!(matches!(error, Err(CountersignatureError::Signature { .. })), "{other:?}: {error:?}");
    }
}

#[test]
fn either_form_of_s_is_accepted_and_every_other_byte_is_refused() {
    let [signer, _] = two();
    let good = countersign(&signer, &tuple(&origin()));
    let other_s = Countersignature { signature: with_other_s(&good.signature), ..good.clone() };
    assert_ne!(good.signature, other_s.signature);
    assert_eq!(check(&[other_s], 1), Ok(()));
    for byte in 0..good.signature.len() {
        let mut bad = good.clone();
        bad.signature[byte] ^= 1;
        assert!(check(&[bad], 1).is_err(), "byte {byte}");
    }
    for bad in [vec![], good.signature[..95].to_vec(), [good.signature.as_slice(), &[0]].concat(), vec![0; 96]] {
        let bad = Countersignature { signature: bad, ..good.clone() };
        assert!(check(&[bad], 1).is_err());
    }
}
