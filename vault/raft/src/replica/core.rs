//! What a replica's parts share.

use std::sync::Arc;

use countermark_vault_core::machine::ReplicatedTime;
use openraft::ServerState;

use crate::clock::Clocks;
use crate::link::Links;
use crate::log_store::LogStore;
use crate::member_number::MemberNumber;
use crate::raft_types::Raft;
use crate::state_machine::StateMachine;
use crate::storage::Storage;
use crate::timing::Timing;

/// The shared parts of one replica.
pub(super) struct Core {
    pub(super) own: MemberNumber,
    pub(super) timing: Timing,
    pub(super) raft: Raft,
    pub(super) storage: Arc<Storage>,
    pub(super) log: LogStore,
    pub(super) machine: StateMachine,
    pub(super) clocks: Arc<Clocks>,
    pub(super) links: Links,
}

/// Who can put commands into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    /// This member, as far as it knows.
    Own,
    /// Another member, as far as this one knows.
    Other(MemberNumber),
    /// Nobody that this member knows of.
    Nobody,
    /// This replica has stopped.
    Stopped,
}

impl Core {
    /// Who can put commands into the log, as far as this member knows.
    pub(super) fn leader(&self) -> Leader {
        let servers = self.raft.server_metrics();
        let server = servers.borrow();
        if self.storage.is_stopped() || self.raft.metrics().borrow().running_state.is_err() {
            return Leader::Stopped;
        }
        match server.current_leader {
            Some(leader) if leader != self.own => Leader::Other(leader),
            Some(_) if server.state == ServerState::Leader => Leader::Own,
            Some(_) | None => Leader::Nobody,
        }
    }

    /// Whether the machine waits for this time.
    pub(super) fn is_due(&self, now: ReplicatedTime) -> bool {
        self.machine.read(|applied| applied.machine.next_due().is_some_and(|due| due <= now))
    }
}
