//! What the tests of this crate build from: keys from seeds, a whole log in memory, and its HTTP service with faults.

mod keys;
mod server;
mod tile_log;
mod world;

pub(crate) use keys::*;
pub(crate) use server::*;
pub(crate) use tile_log::*;
pub(crate) use world::*;
