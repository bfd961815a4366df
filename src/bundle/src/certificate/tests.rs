//! The certificate is plexi's signature: what plexi signed verifies here, and what we sign is what plexi would.

use super::*;
use crate::testing::*;
use ed25519_dalek::Signer as _;
use serde::Deserialize;
use std::path::PathBuf;
use std::string::String;
use std::vec;

/// One signature of `plexi`'s own test vectors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlexiSignature {
    signing_key: String,
    verifying_key: String,
    key_id: u8,
    namespace: String,
    timestamp: u64,
    epoch: u64,
    digest: String,
    signature: String,
    ciphersuite: u32,
}

impl PlexiSignature {
    fn namespace(&self) -> Namespace {
        Namespace::parse(&self.namespace).unwrap()
    }

    fn key(&self) -> PublicKey {
        PublicKey::ed25519(&hex::decode(&self.verifying_key).unwrap()).unwrap()
    }

    fn message(&self) -> Vec<u8> {
        let (epoch, digest) = (Epoch::new(self.epoch).unwrap(), Digest::from_hex(&self.digest).unwrap());
        CertificateMessage { namespace: &self.namespace(), timestamp_ms: self.timestamp, epoch, digest }.encode()
    }

    /// As one of our certificates.
    fn verify(&self) -> Result<(), CertificateError> {
        let (key, signature) = (self.key(), hex::decode(&self.signature).unwrap());
        let certificate = Certificate { timestamp_ms: self.timestamp, key_id: key.key_id(), signature };
        let digest = Digest::from_hex(&self.digest).unwrap();
        certificate.verify(&[key], &self.namespace(), Epoch::new(self.epoch).unwrap(), digest)
    }
}

/// The vectors of one ciphersuite. A missing file fails, and so does a file without any.
fn plexi(ciphersuite: u32) -> Vec<PlexiSignature> {
    let file = "../../tests/vectors/external/plexi/signatures.json";
    let bytes = std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
    let mut vectors: Vec<PlexiSignature> = serde_json::from_slice(&bytes).unwrap();
    vectors.retain(|vector| vector.ciphersuite == ciphersuite);
    assert!(!vectors.is_empty(), "{file} has no vector of ciphersuite {ciphersuite}");
    vectors
}

#[test]
fn a_protobuf_signature_of_plexi_verifies_as_a_certificate() {
    for vector in plexi(CIPHERSUITE) {
        let signature = hex::decode(&vector.signature).unwrap();
        assert_eq!(vector.key().verify_ed25519(&vector.message(), &signature), Ok(()));
        assert_eq!(vector.verify(), Ok(()));
    }
}

#[test]
fn our_signature_over_our_encoding_is_that_of_plexi_byte_for_byte() {
    for vector in plexi(CIPHERSUITE) {
        let secret: [u8; 32] = hex::decode(&vector.signing_key).unwrap().try_into().unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&secret);
        assert_eq!(hex::encode(key.verifying_key().as_bytes()), vector.verifying_key);
        assert_eq!(hex::encode(key.sign(&vector.message()).to_bytes()), vector.signature);
    }
}

#[test]
fn a_bincode_signature_of_plexi_is_no_certificate() {
    for vector in plexi(0x0002) {
        assert_eq!(vector.verify(), Err(CertificateError::Signature(SignatureError::Invalid)));
    }
}

#[test]
fn the_key_id_of_plexi_is_the_last_byte_of_the_key() {
    for vector in plexi(1).into_iter().chain(plexi(2)) {
        assert_eq!(vector.key().bytes().last(), Some(&vector.key_id));
    }
}

#[test]
fn a_varint_is_seven_bits_at_a_time_lowest_first() {
    let check = |value: u64, expected: &[u8]| {
        let mut out = vec![];
        varint(&mut out, value);
        assert_eq!(out, expected, "{value}");
    };
    check(0, &[0]);
    check(127, &[0x7f]);
    check(128, &[0x80, 0x01]);
    // The example of the protobuf documentation.
    check(150, &[0x96, 0x01]);
    check(16_383, &[0xff, 0x7f]);
    check(16_384, &[0x80, 0x80, 0x01]);
    check(crate::json::INTEGER_MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    check(u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
}

#[test]
fn the_message_has_every_field_once_in_ascending_order() {
    let check = |epoch: u64, epoch_field: &[u8]| {
        let namespace = Namespace::parse("ns").unwrap();
        let (epoch, digest) = (Epoch::new(epoch).unwrap(), Digest([0xd1; 32]));
        let message = CertificateMessage { namespace: &namespace, timestamp_ms: 0, epoch, digest }.encode();
        let head = [0x08, 0x01, 0x12, 2, b'n', b's', 0x18, 0x00];
        assert_eq!(message, [&head, epoch_field, &[0x2a, 32], &[0xd1; 32]].concat(), "{epoch}");
    };
    check(1, &[0x22, 2, 0x08, 1]);
    check(127, &[0x22, 2, 0x08, 0x7f]);
    check(128, &[0x22, 3, 0x08, 0x80, 0x01]);
    check(crate::json::INTEGER_MAX, &[0x22, 9, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
}

#[test]
fn a_certificate_is_for_exactly_one_namespace_time_epoch_and_digest() {
    let world = World::new();
    let keys = [world.certificate.public().clone(), ed25519_signer(99).public().clone()];
    let digest = Digest::of(b"statement");
    let good = world.certificate(7, digest, 1_795_219_200_123);
    let verify = |certificate: &Certificate, namespace: &str, epoch: u64, digest: Digest| {
        certificate.verify(&keys, &Namespace::parse(namespace).unwrap(), Epoch::new(epoch).unwrap(), digest)
    };
    let refused = Err(CertificateError::Signature(SignatureError::Invalid));
    assert_eq!(verify(&good, "backup", 7, digest), Ok(()));
    assert_eq!(verify(&good, "backups", 7, digest), refused);
    assert_eq!(verify(&good, "backup", 8, digest), refused);
    assert_eq!(verify(&good, "backup", 7, Digest::of(b"other")), refused);
    let with = |change: &dyn Fn(&mut Certificate)| {
        let mut changed = good.clone();
        change(&mut changed);
        verify(&changed, "backup", 7, digest)
    };
    assert_eq!(with(&|certificate| certificate.timestamp_ms += 1), refused);
    assert_eq!(with(&|certificate| certificate.key_id = keys[1].key_id()), refused);
    assert_eq!(with(&|certificate| certificate.signature.truncate(63)), refused);
    let stranger = ed25519_signer(98).public().key_id();
    assert_eq!(
        with(&|certificate| certificate.key_id = stranger),
        Err(CertificateError::UnknownKey { found: stranger })
    );
    for byte in 0..good.signature.len() {
        assert_eq!(with(&|certificate| certificate.signature[byte] ^= 1), refused, "byte {byte}");
    }
}

#[test]
fn the_time_of_a_certificate_is_whole_seconds_and_never_past_the_last_one() {
    let time = |timestamp_ms| {
        let key_id = ed25519_signer(1).public().key_id();
        Certificate { timestamp_ms, key_id, signature: vec![] }.time().unix()
    };
    assert_eq!(time(0), 0);
    assert_eq!(time(NOW * 1000 + 999), NOW);
    assert_eq!(time(crate::json::INTEGER_MAX), 253_402_300_799);
}
