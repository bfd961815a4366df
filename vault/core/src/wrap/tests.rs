//! A wrap opens for its secret and its place, and for nothing else.

use alloc::format;

use super::*;
use crate::opaque::testing::{FAULT, FailsAfter, Seeded};
use crate::testing::{name, origin};

const SECRET: [u8; 64] = [9; 64];

fn place() -> WrapContext {
    WrapContext { origin: origin(), fleet_id: name("fleet-1"), account: AccountId::from([1; 32]) }
}

fn key() -> BackupKey {
    BackupKey::generate(&mut Seeded(1)).unwrap()
}

fn wrapped() -> Wrap {
    wrap(WrapKind::VaultPassword, &SECRET, &key(), &place(), &mut Seeded(2)).unwrap()
}

#[test]
fn a_wrap_opens_to_the_key_that_was_wrapped() {
    for kind in [WrapKind::VaultPassword, WrapKind::DigitKey, WrapKind::Passkey] {
        let wrap = wrap(kind, &SECRET, &key(), &place(), &mut Seeded(3)).unwrap();
        assert_eq!(wrap.ciphertext.len(), WRAP_CIPHERTEXT_BYTES);
        assert_eq!((wrap.kind, wrap.commitment), (kind, key().commitment()));
        assert_eq!(unwrap(&wrap, &SECRET, &place()), Ok(key()));
    }
}

#[test]
fn the_bytes_of_a_wrap_and_of_a_commitment_are_fixed() {
    let key = BackupKey::from_bytes(Zeroizing::new([5; 32]));
    let wrap = wrap(WrapKind::VaultPassword, &SECRET, &key, &place(), &mut Seeded(4)).unwrap();
    assert_eq!(hex::encode(wrap.commitment), "a1f1037692ce7bdc47b1671d4e2743ac028e21a8205b82581864a89219ce5c7b");
    assert_eq!(
        hex::encode(wrap.ciphertext),
        "5b24bb843c1e739257a4bb0ee661100622ac60609e6aa8ee74ab0124211e95b48cc989028844270d565ee85031a2cb7a1374fd572d2121f47b4e9b4614af9d3f4cd0ae7d0878098b"
    );
}

#[test]
fn a_wrap_with_any_byte_changed_or_of_another_length_is_refused() {
    let wrap = wrapped();
    for at in 0..WRAP_CIPHERTEXT_BYTES {
        let mut changed = wrap.clone();
        changed.ciphertext[at] ^= 1;
        assert_eq!(unwrap(&changed, &SECRET, &place()), Err(UnwrapError::NotOurs), "ciphertext byte {at}");
    }
    for at in 0..32 {
        let mut changed = wrap.clone();
        changed.commitment[at] ^= 1;
        assert_eq!(unwrap(&changed, &SECRET, &place()), Err(UnwrapError::NotOurs), "commitment byte {at}");
    }
    for length in [0, NONCE_BYTES, WRAP_CIPHERTEXT_BYTES - 1, WRAP_CIPHERTEXT_BYTES + 1] {
        let mut changed = wrap.clone();
        changed.ciphertext.resize(length, 0);
        assert_eq!(unwrap(&changed, &SECRET, &place()), Err(UnwrapError::Malformed), "{length} bytes");
    }
}

#[test]
fn a_wrap_of_another_account_fleet_log_kind_or_secret_is_refused() {
    let places = [
        WrapContext { account: AccountId::from([2; 32]), ..place() },
        WrapContext { fleet_id: name("fleet-2"), ..place() },
        WrapContext { origin: Origin::new("log.example/other").unwrap(), ..place() },
    ];
    for other in places {
        assert_eq!(unwrap(&wrapped(), &SECRET, &other), Err(UnwrapError::NotOurs));
    }
    for kind in [WrapKind::DigitKey, WrapKind::Passkey] {
        assert_eq!(unwrap(&Wrap { kind, ..wrapped() }, &SECRET, &place()), Err(UnwrapError::NotOurs));
    }
    assert_eq!(unwrap(&wrapped(), &[8; 64], &place()), Err(UnwrapError::NotOurs));
}

#[test]
fn a_key_that_does_not_have_its_commitment_is_refused() {
    // Made by who knows the secret, or found for a ciphertext that opens under two secrets.
    let commitment = [7; 32];
    let aad = associated_data(WrapKind::VaultPassword, &place(), &commitment);
    let nonce = [1; NONCE_BYTES];
    let payload = Payload { msg: &[5; KEY_BYTES], aad: &aad };
    let sealed = cipher(WrapKind::VaultPassword, &SECRET).encrypt(XNonce::from_slice(&nonce), payload).unwrap();
    let ciphertext = [nonce.as_slice(), &sealed].concat();
    let wrap = Wrap { kind: WrapKind::VaultPassword, commitment, ciphertext };
    assert_eq!(unwrap(&wrap, &SECRET, &place()), Err(UnwrapError::OtherKey));
}

#[test]
fn a_key_is_not_wrapped_under_a_short_secret_or_with_a_broken_device() {
    let attempt =
        |secret: &[u8], draws| wrap(WrapKind::DigitKey, secret, &key(), &place(), &mut FailsAfter(draws)).map(|_| ());
    assert_eq!(attempt(&[1; 31], 1), Err(WrapError::WeakSecret));
    assert_eq!(attempt(&[1; 32], 0), Err(WrapError::Device(FAULT)));
    assert_eq!(attempt(&[1; 32], 1), Ok(()));
    assert_eq!(BackupKey::generate(&mut FailsAfter(0)), Err(FAULT));
}

#[test]
fn keys_are_made_fresh_and_printed_redacted() {
    let rng = &mut Seeded(5);
    assert_ne!(BackupKey::generate(rng).unwrap(), BackupKey::generate(rng).unwrap());
    assert_eq!(format!("{:?}", key()), "BackupKey(…)");
}
