//! Files of this crate that tests compare with, and changes to documents as text.

use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

/// Set to write the compared files anew. Changing one is changing a format.
pub const WRITE_GOLDEN: &str = "COUNTERMARK_WRITE_GOLDEN";

/// Compares with a file below the crate's folder, byte for byte. A missing file fails.
pub fn check_golden(path: &str, actual: &[u8]) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os(WRITE_GOLDEN).is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, actual).unwrap();
    }
    let expected =
        std::fs::read(&file).unwrap_or_else(|error| panic!("{path}: {error}; set {WRITE_GOLDEN} to make it"));
    let text = String::from_utf8_lossy;
    assert_eq!(text(actual), text(&expected), "{path} is another; set {WRITE_GOLDEN} only to change the format");
    assert_eq!(actual, expected, "{path}");
}

/// The document with the first place of a text replaced; it must be there.
pub fn replaced(document: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(document.to_vec()).unwrap();
    assert!(text.contains(from), "no {from:?} in {text}");
    text.replacen(from, to, 1).into_bytes()
}

/// The document as a tree, changed, and written again in compact form.
pub fn edited(document: &[u8], edit: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut tree = serde_json::from_slice(document).unwrap();
    edit(&mut tree);
    serde_json::to_vec(&tree).unwrap()
}
