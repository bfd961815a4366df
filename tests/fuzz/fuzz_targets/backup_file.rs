//! Encrypted files: of a stranger's bytes nothing is decrypted.
#![no_main]

use countermark_client::backup::{BackupKey, file};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fuzz_target!(|bytes: &[u8]| {
    let key = BackupKey::from_bytes(Zeroizing::new([8; 32]));
    let mut plain = Vec::new();
    if file::decrypt(bytes, &mut plain, &key, &mut |_| {}).is_ok() {
        // The seed is a file of ours; age binds header and chunks, so that nothing else is taken.
        assert_eq!(plain, b"a backup\n");
    }
    let mut sealed = Vec::new();
    file::encrypt(bytes, &mut sealed, &key, &mut |_| {}).unwrap();
    let mut opened = Vec::new();
    file::decrypt(sealed.as_slice(), &mut opened, &key, &mut |_| {}).unwrap();
    assert_eq!(opened, bytes);
});
