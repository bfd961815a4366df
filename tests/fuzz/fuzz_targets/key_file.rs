//! Key files: their clear part. (Opening one takes milliseconds of stretching, and no stranger writes one.)
#![no_main]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use countermark_fuzz::folder;
use countermark_keys::KeyFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = folder("keys").join("log.key");
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    if let Ok(info) = KeyFile::public(&path) {
        assert!(str::from_utf8(bytes).unwrap().contains(&info.public_key));
    }
});
