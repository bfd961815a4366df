//! What the tests of this crate build worlds from: keys from seeds, a whole log in memory, and the files that what is
//! built is compared with.

mod golden;
mod keys;
mod world;
pub(crate) use golden::*;
pub(crate) use keys::*;
pub(crate) use world::*;
