//! What the tests of this crate build worlds from: keys from seeds, and a whole log in memory.

mod keys;
mod world;
pub(crate) use keys::*;
pub(crate) use world::*;
