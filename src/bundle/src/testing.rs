//! What the tests of this crate build worlds from: keys from seeds, a whole log in memory, and the files that what is
//! built is compared with.

#![expect(missing_docs, reason = "test kit: the names say it")]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::as_conversions,
    reason = "test kit: a test fails by panicking; which of these it meets depends on who builds it"
)]

mod golden;
mod keys;
mod world;
pub use golden::*;
pub use keys::*;
pub use world::*;
