//! The vault's machine, replicated: members of a fleet agree by Raft (openraft) on one log of commands, keep it sealed
//! on their disks, and apply it to the machine of `countermark_vault_core`.
//!
//! It is not the node: it opens no socket and reads no configuration. Who carries bytes between members ([`Peers`]),
//! what tells the time ([`Clock`]) and where bytes are kept (`redb::StorageBackend`) are arguments.
//!
//! * [`Storage`]: the log, the vote and the snapshot of one member, in one database.
//! * [`Replica`]: one member, running: it commits commands, answers its peers and shows the applied state.
//! * [`CounterFile`]: the monotonic counter of a member without better hardware.
//!
//! Invariants:
//! * what was acknowledged is on the disks of a majority, synced, before the acknowledgement;
//! * a member never speaks from an older copy of its disk: every durable transaction carries a generation that a
//!   counter outside of the disk confirms, and a member whose disk and counter differ does not start;
//! * after a storage fault a member stops: what is on the disk then is known only after it was read again;
//! * the fleet's time is never ahead of the clocks of every honest member, as long as those are a majority;
//! * a command that was answered with [`CommitError::NoMajority`] is not done and never will be.
//!
//! ```text
//! replica -> proposer (group commit, deadlines) -> openraft -> log_store, state_machine -> storage -> redb, device
//!         -> answer (peers' calls)              ->          -> link -> peers
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod blocking;
mod clock;
mod counter_file;
mod link;
mod log_store;
mod member_number;
mod peers;
mod raft_types;
mod replica;
mod state_machine;
mod storage;
mod timing;

pub use clock::Clock;
pub use counter_file::{CounterFile, CounterFileError};
pub use member_number::MemberNumber;
pub use peers::{PeerUnreachable, Peers};
pub use replica::{CommitError, Replica, ReplicaSettings, ReplicaStatus, Role, StartError};
pub use storage::{OpenError, Storage, StorageFault, StoragePart, file_backend};
pub use timing::Timing;

/// What the simulation has in a device's and a disk's place, for the unit tests too.
#[cfg(test)]
#[path = "../tests/simulation"]
mod simulated {
    #[expect(dead_code, reason = "the simulation uses the rest")]
    pub mod device;
    #[expect(dead_code, reason = "the simulation uses the rest")]
    pub mod disk;
    #[expect(dead_code, reason = "the simulation uses the rest")]
    pub mod random;
}
