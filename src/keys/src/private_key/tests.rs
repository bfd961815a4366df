use super::*;
use crate::randomness::tests::Empty;
use getrandom::SysRng;
use p384::ecdsa::signature::Verifier as _;

/// RFC 6979 §A.2.6: the private key of the P-384 examples.
const RFC6979_SCALAR: &str = "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d8\
                              96d5724e4c70a825f872c9ea60d2edf5";

fn generate(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::generate(algorithm, &mut SysRng).unwrap()
}

fn signer(algorithm: Algorithm) -> Box<dyn Signer> {
    let role = Role::ALL.into_iter().find(|role| role.algorithm() == algorithm);
    generate(algorithm).into_signer(role.unwrap()).unwrap()
}

#[test]
fn ed25519_signatures_verify_strictly_and_only_over_their_message() {
    let signer = signer(Algorithm::Ed25519);
    let public_key = signer.public_key().try_into().unwrap();
    let verifier = ed25519_dalek::VerifyingKey::from_bytes(public_key).unwrap();
    for length in [0, 1, 64, 4096] {
        let message = vec![7; length];
        let signature = signer.sign(&message).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
        verifier.verify_strict(&message, &signature).unwrap();
        assert!(verifier.verify_strict(b"another", &signature).is_err());
    }
}

#[test]
fn p384_signatures_verify_are_deterministic_and_have_low_s_over_200_messages() {
    let signer = signer(Algorithm::EcdsaP384);
    assert_eq!(signer.public_key().len(), 97);
    let verifier = ecdsa::VerifyingKey::from_sec1_bytes(signer.public_key()).unwrap();
    for number in 0..200_u32 {
        let message = number.to_be_bytes();
        let bytes = signer.sign(&message).unwrap();
        assert_eq!(bytes.len(), 96);
        assert_eq!(signer.sign(&message).unwrap(), bytes);
        let signature = ecdsa::Signature::from_slice(&bytes).unwrap();
        assert_eq!(signature.normalize_s(), signature, "high s over {number}");
        verifier.verify(&message, &signature).unwrap();
        assert!(verifier.verify(b"another", &signature).is_err());
    }
}

#[test]
fn p384_signatures_are_those_of_rfc_6979_up_to_the_sign_of_s() {
    // SPEC: RFC 6979 §A.2.6, SHA-384; both have a high s there.
    let cases = [
        (
            "sample",
            "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46\
             99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
        ),
        (
            "test",
            "8203b63d3c853e8d77227fb377bcf7b7b772e97892a80f36ab775d509d7a5feb0542a7f0812998da8f1dd3ca3cf023db\
             ddd0760448d42d8a43af45af836fce4de8be06b485e9b61b827c2f13173923e06a739f040649a667bf3b828246baa5a5",
        ),
    ];
    let key = PrivateKey::from_hex(Algorithm::EcdsaP384, RFC6979_SCALAR).unwrap();
    let signer = key.into_signer(Role::Operator).unwrap();
    for (message, expect) in cases {
        let published = ecdsa::Signature::from_slice(&hex::decode(expect).unwrap()).unwrap();
        let expect = published.normalize_s();
        assert_ne!(expect, published);
        let found = signer.sign(message.as_bytes()).unwrap();
        assert_eq!(found, expect.to_bytes().to_vec(), "{message}");
    }
}

#[test]
fn ed25519_and_x25519_keys_are_those_of_their_rfcs() {
    // SPEC: RFC 8032 §7.1 test 1, RFC 7748 §6.1 (Alice).
    let cases = [
        (
            Algorithm::Ed25519,
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            Algorithm::X25519,
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        ),
    ];
    for (algorithm, secret, public_key) in cases {
        let key = PrivateKey::from_hex(algorithm, secret).unwrap();
        assert_eq!(*key.to_hex(), secret);
        assert_eq!(hex::encode(key.public_key()), public_key);
    }
}

#[test]
fn both_sides_of_an_agreement_get_one_secret() {
    let [ours, theirs] = [Algorithm::X25519; 2].map(|x| generate(x).into_agreement().unwrap());
    let one = ours.diffie_hellman(&theirs.public_key()).unwrap();
    let two = theirs.diffie_hellman(&ours.public_key()).unwrap();
    assert_eq!(one.as_bytes(), two.as_bytes());
    assert_ne!(one.as_bytes(), &[0; 32]);
}

#[test]
fn a_peer_of_low_order_is_refused() {
    let ours = generate(Algorithm::X25519).into_agreement().unwrap();
    let one = std::array::from_fn(|index| u8::from(index == 0));
    let mut order_eight = [0; 32];
    hex::decode_to_slice("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", &mut order_eight).unwrap();
    for peer in [[0; 32], one, order_eight] {
        let refused = ours.diffie_hellman(&peer).unwrap_err();
        assert_eq!(refused, AgreementError::NonContributory, "{peer:02x?}");
    }
}

#[test]
fn a_secret_that_is_no_key_is_refused() {
    let order = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
                 581a0db248b0a77aecec196accc52973";
    let zero = "0".repeat(96);
    let upper = "AB".repeat(32);
    for (algorithm, secret) in [
        (Algorithm::EcdsaP384, order),
        (Algorithm::EcdsaP384, zero.as_str()),
        (Algorithm::EcdsaP384, &zero[..64]),
        (Algorithm::Ed25519, ""),
        (Algorithm::Ed25519, &zero),
        (Algorithm::Ed25519, &upper),
        (Algorithm::X25519, "xy"),
        (Algorithm::XChaCha20Poly1305, &upper),
        (Algorithm::XChaCha20Poly1305, &zero),
    ] {
        assert!(PrivateKey::from_hex(algorithm, secret).is_none(), "{algorithm} {secret}");
    }
}

#[test]
fn no_key_is_made_without_randomness() {
    for algorithm in Algorithm::ALL {
        let refused = PrivateKey::generate(algorithm, &mut Empty).unwrap_err();
        assert_eq!(refused, RandomnessError::Unavailable);
    }
}

#[test]
fn a_key_does_only_what_its_algorithm_is_for() {
    let signs = [Algorithm::Ed25519, Algorithm::EcdsaP384];
    assert!(signs.map(generate).map(PrivateKey::into_agreement).iter().all(Option::is_none));
    assert!(signs.map(generate).map(PrivateKey::into_sealing).iter().all(Option::is_none));
    assert!(generate(Algorithm::X25519).into_signer(Role::Log).is_none());
    assert!(generate(Algorithm::X25519).into_sealing().is_none());
    assert!(generate(Algorithm::XChaCha20Poly1305).into_signer(Role::Log).is_none());
    assert!(generate(Algorithm::XChaCha20Poly1305).into_agreement().is_none());
}

#[test]
fn debug_output_does_not_contain_the_secret() {
    for algorithm in Algorithm::ALL {
        let key = generate(algorithm);
        let secret = key.to_hex();
        let copy = PrivateKey::from_hex(algorithm, &secret).unwrap();
        let holder = match algorithm {
            Algorithm::X25519 => format!("{:?}", copy.into_agreement().unwrap()),
            Algorithm::XChaCha20Poly1305 => format!("{:?}", copy.into_sealing().unwrap()),
            Algorithm::Ed25519 | Algorithm::EcdsaP384 | Algorithm::MlDsa44 => {
                format!("{:?}", copy.into_signer(Role::Log).unwrap())
            }
        };
        let printed = format!("{key:?} {holder}");
        assert!(printed.contains("redacted"));
        assert!(!printed.contains(&secret[..8]), "{printed}");
    }
}
