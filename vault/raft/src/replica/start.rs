//! Starting a replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use countermark_bundle::identity::Name;
use countermark_vault_core::machine::SnapshotError;
use openraft::error::{InitializeError, RaftError};
use openraft::{Config, EmptyNode, SnapshotPolicy};
use tokio::sync::mpsc;

use super::Replica;
use super::core::Core;
use super::proposer::{JOBS_WAITING_MAX, Proposer};
use crate::clock::{Clock, Clocks};
use crate::link::Links;
use crate::log_store::LogStore;
use crate::member_number::MemberNumber;
use crate::peers::Peers;
use crate::raft_types::Raft;
use crate::state_machine::{LoadError, StateMachine};
use crate::storage::{Storage, StorageFault};
use crate::timing::Timing;

/// What a replica is started with.
pub struct ReplicaSettings {
    /// This member.
    pub own: MemberNumber,
    /// All members, this one included. The same on every member, and the same at every start.
    pub members: BTreeMap<MemberNumber, Name>,
    /// How fast it notices, waits and tidies up.
    pub timing: Timing,
    /// This member's clock.
    pub clock: Arc<dyn Clock>,
}

/// Why a replica was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The members do not contain this one.
    #[error("member {own} is not among the members")]
    NotAMember {
        /// This member.
        own: MemberNumber,
    },
    /// The log belongs to a fleet of other members.
    #[error("the log was begun with other members than these")]
    OtherMembers {
        /// The members of the log.
        expected: BTreeSet<MemberNumber>,
        /// The members of the settings.
        found: BTreeSet<MemberNumber>,
    },
    /// The times contradict each other.
    #[error("the timing is contradictory")]
    Timing(#[source] openraft::ConfigError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageFault),
    /// The snapshot in the storage is of another version.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Entries are missing between the snapshot and the log. Nothing that this member does leaves such a storage.
    #[error("entries are missing between the snapshot and the log")]
    Gap,
    /// openraft stopped while it was started; the storage failed.
    #[error("the replica stopped while it was started")]
    Stopped(#[source] openraft::error::Fatal<MemberNumber>),
}

impl Replica {
    /// Starts a member: loads what it had applied, and takes part from then on.
    ///
    /// The first start of a fleet begins the log, on whichever members come first: they begin it with the same entry.
    pub async fn start(
        settings: ReplicaSettings,
        storage: Storage,
        peers: Arc<impl Peers>,
    ) -> Result<Self, StartError> {
        let ReplicaSettings { own, members, timing, clock } = settings;
        let place = members.keys().position(|member| *member == own).ok_or(StartError::NotAMember { own })?;
        let config = raft_config(&timing, place).validate().map_err(StartError::Timing)?;
        let storage = Arc::new(storage);
        let machine = StateMachine::load(Arc::clone(&storage)).map_err(|error| match error {
            LoadError::Storage(fault) => StartError::Storage(fault),
            LoadError::Snapshot(error) => StartError::Snapshot(error),
            LoadError::Gap => StartError::Gap,
        })?;
        let log = LogStore::new(Arc::clone(&storage), own);
        let clocks = Arc::new(Clocks::new(clock, members.len(), timing.reading_age_max));
        let links = Links { peers, clocks: Arc::clone(&clocks), timing };
        let raft = Raft::new(own, Arc::new(config), links.clone(), log.clone(), machine.clone())
            .await
            .map_err(StartError::Stopped)?;
        if let Err(error) = begin(&raft, &members).await {
            // What it answered until here, it answered as a member of its own log.
            let _ = raft.shutdown().await;
            return Err(error);
        }
        let core = Arc::new(Core { own, timing, raft, storage, log, machine, clocks, links });
        let (jobs, waiting_jobs) = mpsc::channel(JOBS_WAITING_MAX);
        let proposer = tokio::spawn(Proposer::new(Arc::clone(&core), waiting_jobs).run());
        Ok(Self { core, members: Arc::new(members), jobs, proposer: Arc::new(Mutex::new(Some(proposer))) })
    }
}

/// Begins the log if it is empty; otherwise compares its members.
async fn begin(raft: &Raft, members: &BTreeMap<MemberNumber, Name>) -> Result<(), StartError> {
    let found: BTreeSet<MemberNumber> = members.keys().copied().collect();
    match raft.initialize(found.clone()).await {
        // "Not allowed" is a log that was begun already, by this member before or by another one just now.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_) | InitializeError::NotInMembers(_))) => {}
        Err(RaftError::Fatal(fatal)) => return Err(StartError::Stopped(fatal)),
    }
    let voters = |state: &openraft::RaftState<MemberNumber, EmptyNode, _>| {
        state.membership_state.effective().membership().voter_ids().collect::<BTreeSet<_>>()
    };
    let expected = raft.with_raft_state(voters).await.map_err(StartError::Stopped)?;
    // A vote may have come before the first entry: then the log is empty, and its members come with the first entry.
    if expected.is_empty() || expected == found { Ok(()) } else { Err(StartError::OtherMembers { expected, found }) }
}

fn raft_config(timing: &Timing, place: usize) -> Config {
    let milliseconds = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let steps = u32::try_from(place).unwrap_or(u32::MAX);
    // One millisecond wide: openraft draws from the window once, so that a width would only move the members' windows
    // into each other.
    let election_timeout =
        milliseconds(timing.election_timeout.saturating_add(timing.election_step.saturating_mul(steps)));
    Config {
        cluster_name: "vault".to_owned(),
        heartbeat_interval: milliseconds(timing.heartbeat),
        election_timeout_min: election_timeout,
        election_timeout_max: election_timeout.saturating_add(1),
        install_snapshot_timeout: milliseconds(timing.snapshot_timeout),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(timing.snapshot_entries),
        max_in_snapshot_log_to_keep: timing.kept_entries,
        // Each purge is a durable transaction of its own.
        purge_batch_size: timing.kept_entries.max(1),
        // Further behind than a snapshot is old: the snapshot is less to send.
        replication_lag_threshold: timing.snapshot_entries.saturating_add(timing.kept_entries),
        ..Config::default()
    }
}
