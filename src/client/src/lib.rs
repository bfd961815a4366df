//! What an app developer or an auditor links.
//!
//! An **app** calls [`verify::fetch_and_verify`], or [`verify::verify_bundle_offline`] with a bundle that a vault member
//! stapled to its answer, and uses nothing that did not come out of one of the two:
//!
//! ```no_run
//! use countermark_bundle::{identity::Timestamp, trust::TrustFile};
//! use countermark_client::{fetch::{LogReader, Timeouts}, floor_store::FloorFile, verify::fetch_and_verify};
//!
//! # async fn recover(pinned: &[u8], now: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
//! let trust = TrustFile::parse(pinned)?;
//! let log = LogReader::new("https://log.example", &trust.namespace(), Timeouts::default())?;
//! let floor = FloorFile::new("floor.json".as_ref());
//! let bundle = fetch_and_verify(&log, &trust, &floor, now, &mut |step| println!("{step:?}")).await?;
//! for fleet in bundle.serving_fleets() {
//!     println!("sessions to {} are safe until {}", fleet.fleet_id, bundle.stale_at());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With that bundle it registers and recovers a user's backup key ([`backup::Vault`]) and encrypts the backup
//! ([`backup::file`]): `examples/recover.rs` is a whole recovery.
//!
//! An **auditor** replays a log with [`audit::audit`], checks receipts with [`receipt`], and asks for proofs with
//! [`proofs`] (from the log's service, verified here) or [`tree`] (made here, from tiles that were authenticated).
//!
//! What is believed is decided by `countermark-bundle` and `countermark-tlog`; this crate adds the network, the client's
//! memory and the order of the two. It is not a service, holds no private key and signs nothing.
//!
//! Invariants: whatever comes from outside is bounded and verified before use; a bundle is handed out only after its
//! floor is durable; "could not be checked" is an error of its own and never a success. Every error has an
//! [`ExitClass`](countermark_bundle::ExitClass).
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop at that line"))]

pub mod audit;
pub mod backup;
pub mod fetch;
pub mod floor_store;
pub mod fsck;
pub mod head;
pub mod proofs;
pub mod receipt;
pub mod tree;
pub mod verify;

#[cfg(test)]
mod testing;
