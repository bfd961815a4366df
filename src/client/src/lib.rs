#![cfg_attr(not(test), deny(clippy::unwrap_used))]
#![cfg_attr(test, allow(clippy::unwrap_used))]
//! What an app or an auditor links: fetch, verify, replay.
pub mod audit;
pub mod fetch;
pub mod floor_store;
pub mod head;
pub mod proofs;
pub mod receipt;
pub mod tree;
pub mod verify;

#[cfg(test)]
mod testing;
