//! The reference file: one encoding, and nothing of it is believed that was changed.

use super::*;

fn example() -> UntrustedReference {
    UntrustedReference {
        role: Role::Witness,
        public_key: vec![0xab; 32],
        module: "/usr/lib/softhsm/libsofthsm2.so".into(),
        token: TokenName { label: Some("token-1".into()), serial: Some("0123456789abcdef".into()) },
        key_label: KeyLabel("witness-1".into()),
        key_id: [0x5c; 16],
        pin: PinSource::PassphraseFile,
    }
}

#[test]
fn a_reference_reads_back_as_it_was_written() {
    let both = example();
    let label = UntrustedReference { token: TokenName { serial: None, ..both.token.clone() }, ..both.clone() };
    let serial = UntrustedReference { token: TokenName { label: None, ..both.token.clone() }, ..both.clone() };
    let pin = UntrustedReference { pin: PinSource::File("/run/pin".into()), ..both.clone() };
    for reference in [both, label, serial, pin] {
        assert!(UntrustedReference::is_meant(&reference.encode()));
        assert_eq!(UntrustedReference::parse(&reference.encode()), Ok(reference));
    }
}

#[test]
fn a_reference_in_another_encoding_is_refused() {
    let text = String::from_utf8(example().encode()).unwrap();
    let key = "ab".repeat(32);
    for other in [
        text.trim_end().to_owned(),
        format!("{text}\n"),
        text.replace("\",\"", "\", \""),
        text.replace("pkcs11-key/v1", "pkcs11-key/v2"),
        text.replace("\"witness\"", "\"king\""),
        text.replace("ed25519", "rsa"),
        text.replace(&key, &key.to_uppercase()),
        text.replace(&key, &key[2..]),
        text.replace("5c5c", "5C5C"),
        text.replace("/usr/lib", "usr/lib"),
        text.replace("token-1", "token-1 "),
        text.replace("token-1", "a label of more than 32 bytes, surely"),
        text.replace("0123456789abcdef", "0123456789abcdef0"),
        text.replace("witness-1", "witness/1"),
        text.replace("passphrase-file", "1234"),
        text.replace("\"role\":", "\"more\":\"\",\"role\":"),
        text.replace("\"role\":", "\"role\":\"witness\",\"role\":"),
        text.replace("\"token_label\":\"token-1\",\"token_serial\":\"0123456789abcdef\",", ""),
        text.replace("\"token_label\":\"token-1\"", "\"token_label\":null"),
    ] {
        assert_ne!(other, text);
        assert_eq!(UntrustedReference::parse(other.as_bytes()), Err(Damage::Reference), "{other}");
    }
}

#[test]
fn a_reference_to_what_tokens_do_not_hold_is_refused_by_its_algorithm() {
    let text = String::from_utf8(example().encode()).unwrap();
    let algorithm = text.replace("ed25519", "ecdsa-p384");
    let expected = Damage::Algorithm { role: Role::Witness, found: Algorithm::EcdsaP384 };
    assert_eq!(UntrustedReference::parse(algorithm.as_bytes()), Err(expected));
    let session = UntrustedReference { role: Role::VaultSession, ..example() };
    let expected = Damage::NotInToken { algorithm: Algorithm::X25519 };
    assert_eq!(UntrustedReference::parse(&session.encode()), Err(expected));
}
