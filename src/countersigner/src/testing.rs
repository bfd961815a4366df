//! What the tests stand on: keys from small numbers, a dishonest log over a real tree, a ledger that fails on demand, a
//! clock that stands still.

mod keys;
mod ledger;
mod log;
mod world;

pub(crate) use keys::{Signatures, TestSigner};
pub(crate) use ledger::{Fault, FaultyLedger, LedgerCall};
pub(crate) use log::{Answer, FakeLog, authority_change, certified, revocation};
pub(crate) use world::*;
