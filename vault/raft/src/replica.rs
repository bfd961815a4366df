//! One member of the replicated machine, running.

mod answer;
mod core;
mod job;
mod proposer;
mod start;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use countermark_bundle::identity::Name;
use countermark_vault_core::machine::{Command, Machine, Response};
use openraft::ServerState;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

pub use start::{ReplicaSettings, StartError};
pub use status::{ReplicaStatus, Role};

use self::core::Core;
use crate::member_number::MemberNumber;
use job::{Job, Origin, Outcome};

/// One member. Clones are the same member.
#[derive(Clone)]
pub struct Replica {
    core: Arc<Core>,
    members: Arc<BTreeMap<MemberNumber, Name>>,
    jobs: mpsc::Sender<Job>,
    proposer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Why a command was not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Not done, and never will be: within the deadline there was no leader with a majority to take the command.
    #[error("no majority of the members took the command")]
    NoMajority,
    /// The command was on its way when the deadline passed or the leader was lost. It may be done, now or later:
    /// whoever asked takes it for done where that is the safe side.
    #[error("it is not known whether the command is done")]
    Unknown,
}

impl Replica {
    /// Commits a command and gives the machine's answer, or says at the deadline at the latest what is known.
    ///
    /// With the answer the command is on the disks of a majority, and this member or the leader has applied it.
    /// Dropping the future neither undoes nor stops the command.
    pub async fn commit(&self, command: Command, deadline: Instant) -> Result<Response, CommitError> {
        match self.submit(vec![command], Origin::Own, deadline).await {
            Outcome::Committed(responses) => responses.into_iter().next().ok_or(CommitError::Unknown),
            Outcome::NotDone => Err(CommitError::NoMajority),
            Outcome::Unknown => Err(CommitError::Unknown),
        }
    }

    /// Looks at this member's applied state.
    ///
    /// It may lag behind what the fleet has committed, for as long as this member is cut off from it even by much. What
    /// must be true now is asked for with [`Replica::commit`]. Nothing is applied meanwhile: `read` is to be short.
    pub fn read<T>(&self, read: impl FnOnce(&Machine) -> T) -> T {
        self.core.machine.read(|applied| read(&applied.machine))
    }

    /// How this member is.
    #[must_use]
    pub fn status(&self) -> ReplicaStatus {
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        let applied = self.core.machine.read(|applied| applied.last.map(|last| last.index));
        let length = |index: Option<u64>| index.map_or(0, |index| index.saturating_add(1));
        let running = metrics.running_state.is_ok() && !self.core.storage.is_stopped();
        let role = match metrics.state {
            _ if !running => Role::Stopped,
            ServerState::Leader => Role::Leader,
            ServerState::Candidate => Role::Candidate,
            ServerState::Follower | ServerState::Learner => Role::Follower,
            ServerState::Shutdown => Role::Stopped,
        };
        ReplicaStatus {
            role,
            term: metrics.current_term,
            leader: metrics.current_leader.filter(|_| running),
            last_applied: applied,
            commit_lag: length(metrics.last_log_index).saturating_sub(length(applied)),
            members: (*self.members).clone(),
        }
    }

    /// Waits until the replica has stopped: after [`Replica::shutdown`], or because its storage failed. Then only a new
    /// process, which reads the storage again, can go on.
    pub async fn stopped(&self) {
        let mut metrics = self.core.raft.metrics();
        // An error means that openraft is gone altogether.
        let _ = metrics.wait_for(|metrics| metrics.running_state.is_err()).await;
    }

    /// Stops taking part. Commands on their way end as [`CommitError::Unknown`], waiting ones as
    /// [`CommitError::NoMajority`].
    pub async fn shutdown(&self) {
        let proposer = self.proposer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(proposer) = proposer {
            proposer.abort();
            // It was aborted: that is the error.
            let _ = proposer.await;
        }
        if let Err(error) = self.core.raft.shutdown().await {
            tracing::error!(%error, "the replica panicked");
        }
    }

    async fn submit(&self, commands: Vec<Command>, origin: Origin, deadline: Instant) -> Outcome {
        let (job, waiting) = Job::new(commands, origin, deadline);
        match timeout_at(deadline, self.jobs.send(job)).await {
            Ok(Ok(())) => waiting.outcome().await,
            // The queue was full until the deadline, or the replica has stopped.
            Ok(Err(_)) | Err(_) => Outcome::NotDone,
        }
    }
}
