//! What the tests of several crates share: where the repository is, and servers of a test's own, PostgreSQL and S3.
#![forbid(unsafe_code)]

pub mod postgres;
pub mod s3_server;

use std::path::{Path, PathBuf};

/// The root of the repository.
///
/// # Panics
/// Never: this crate stands in a folder of it.
#[must_use]
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ stands in the repository's root").to_path_buf()
}
