//! What the tests of this crate share: keys from small numbers, a whole authority in memory, ports that are in memory,
//! and ports that fail on demand.

pub(crate) mod audit;
pub(crate) mod faulty;
pub(crate) mod keys;
pub(crate) mod objects;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod raw_log;
pub(crate) mod witnesses;
pub(crate) mod world;

pub(crate) use keys::{Broken, TestSigner, Unplugged};
pub(crate) use ports::{MemoryRegister, TestClock};
pub(crate) use witnesses::{Manner, SimulatedWitnesses};
pub(crate) use world::{NOW, World, at};
