//! The transparency log's arithmetic and texts: RFC 6962 trees and proofs, C2SP tiles, notes, checkpoints,
//! cosignatures and policies.
//!
//! The crate is pure: no clock, no input or output, no randomness, no `std`. Bytes from outside are refused with an
//! error and never panic. A value that verified has its own type or came back from a function named `verify…`; nothing
//! else here has been checked against anything.
//!
//! Sources: RFC 6962 §2.1, RFC 9162 §2.1, and <https://c2sp.org> (tlog-tiles, signed-note, tlog-checkpoint,
//! tlog-cosignature, tlog-witness, tlog-proof, tlog-policy).

#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), deny(clippy::as_conversions, clippy::unwrap_used))]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop at that line"))]

extern crate alloc;

// The tree.
pub mod edge;
pub mod entry_bundle;
pub mod hash;
pub mod proof;
pub mod recompute;
pub mod size;
pub mod subtree;
pub mod tile;
pub mod tree;

// The texts.
pub mod checkpoint;
pub mod cosignature;
pub mod fork;
pub mod gossip;
pub mod log_list;
pub mod note;
pub mod policy;
pub mod tlog_proof;
pub mod witness_wire;

#[cfg(test)]
mod sample_tree;
