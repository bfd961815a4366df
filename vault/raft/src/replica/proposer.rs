//! The one task of a member that puts commands into the log: group commit, forwarding to the leader, the fleet's time.
//!
//! One group is on its way at a time. What arrives meanwhile is the next group: the more is asked for, the larger the
//! groups are, and the cost of syncing a majority's disks is shared.

use std::sync::Arc;
use std::time::Duration;

use countermark_vault_core::machine::{BATCH_COMMANDS_MAX, Batch, Command, Response};
use openraft::error::ClientWriteError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::core::{Core, Leader};
use super::job::{Job, Origin, Outcome};
use crate::link::CallError;
use crate::member_number::MemberNumber;
use crate::peers::PeerUnreachable;
use crate::peers::message::{AnswerContent, ForwardOutcome, PeerRequest};
use crate::raft_types::ServerMetrics;

/// The most jobs that wait for the proposer. Whoever comes then waits outside, until its deadline.
pub(super) const JOBS_WAITING_MAX: usize = 4096;

/// How long the proposer waits for an entry that nobody asked for.
const TICK_WAIT: Duration = Duration::from_secs(1);

/// The proposer's state.
pub(super) struct Proposer {
    core: Arc<Core>,
    jobs: mpsc::Receiver<Job>,
    /// A job that did not fit into the last group.
    carried: Option<Job>,
    next_tick: Instant,
}

/// What became of one entry.
enum Write {
    Committed(Vec<Response>),
    NotDone,
    Unknown,
}

/// What one try to commit a group came to.
enum Try {
    /// Everybody in the group was answered.
    Over,
    /// Nothing was done, and it may be tried again when something changed.
    Again(Vec<Job>),
}

impl Proposer {
    /// A proposer of the jobs that come out of `jobs`.
    pub(super) fn new(core: Arc<Core>, jobs: mpsc::Receiver<Job>) -> Self {
        let next_tick = Instant::now() + core.timing.tick;
        Self { core, jobs, carried: None, next_tick }
    }

    /// Works until the replica is shut down.
    pub(super) async fn run(mut self) {
        while let Some(group) = self.next_group().await {
            self.deliver(group).await;
        }
    }

    /// Waits for jobs and takes those that are there, up to a full batch. An empty group is a tick.
    async fn next_group(&mut self) -> Option<Vec<Job>> {
        let carried = self.carried.take();
        let first = if let Some(job) = carried {
            job
        } else {
            tokio::select! {
                biased;
                job = self.jobs.recv() => job?,
                () = sleep_until(self.next_tick) => {
                    self.next_tick = Instant::now() + self.core.timing.tick;
                    return Some(Vec::new());
                }
            }
        };
        let mut commands = first.commands.len();
        let mut group = vec![first];
        while let Ok(job) = self.jobs.try_recv() {
            commands = commands.saturating_add(job.commands.len());
            if commands > BATCH_COMMANDS_MAX {
                self.carried = Some(job);
                break;
            }
            group.push(job);
        }
        Some(group)
    }

    async fn deliver(&self, mut group: Vec<Job>) {
        if group.is_empty() {
            return self.tick().await;
        }
        let mut servers = self.core.raft.server_metrics();
        loop {
            servers.mark_unchanged();
            group.retain(|job| !job.is_over());
            if group.is_empty() {
                return;
            }
            let tried = match self.core.leader() {
                Leader::Own => self.propose(group).await,
                Leader::Other(leader) => self.forward(leader, refuse_forwarded(group)).await,
                Leader::Nobody => Try::Again(refuse_forwarded(group)),
                Leader::Stopped => answer_all(group, || Outcome::NotDone),
            };
            match tried {
                Try::Over => return,
                Try::Again(rest) => group = rest,
            }
            self.wait_for_change(&group, &mut servers).await;
        }
    }

    /// Waits until another try may do better: another leader, another clock; or nobody waits any more.
    async fn wait_for_change(&self, group: &[Job], servers: &mut watch::Receiver<ServerMetrics>) {
        let Some(deadline) = last_deadline(group) else { return };
        // Not every change that matters is announced.
        let deadline = deadline.min(Instant::now() + self.core.timing.heartbeat);
        tokio::select! {
            biased;
            _ = servers.changed() => {}
            () = self.core.clocks.changed() => {}
            () = sleep_until(deadline) => {}
        }
    }

    /// As the leader: one entry with all commands of the group.
    async fn propose(&self, group: Vec<Job>) -> Try {
        let Some(now) = self.core.clocks.median() else { return Try::Again(group) };
        let Some(deadline) = last_deadline(&group) else { return Try::Over };
        let launched: Vec<Job> = group.into_iter().filter(Job::launch).collect();
        let mut commands: Vec<Command> = launched.iter().flat_map(|job| job.commands.iter().cloned()).collect();
        if commands.is_empty() {
            return Try::Over;
        }
        // A fleet that is never idle must not put off what is due.
        if commands.len() < BATCH_COMMANDS_MAX && self.core.is_due(now) {
            commands.push(Command::Tick);
        }
        match self.write(Batch { now, commands }, deadline).await {
            Write::Committed(responses) => distribute(launched, responses),
            Write::NotDone => take_back(launched),
            Write::Unknown => answer_all(launched, || Outcome::Unknown),
        }
    }

    /// As the leader, without commands: the time, if something is due.
    async fn tick(&self) {
        if self.core.leader() != Leader::Own {
            return;
        }
        let Some(now) = self.core.clocks.median().filter(|now| self.core.is_due(*now)) else { return };
        // Whatever becomes of it, it is tried again while something is due.
        let deadline = Instant::now() + TICK_WAIT;
        let _ = self.write(Batch { now, commands: vec![Command::Tick] }, deadline).await;
    }

    async fn write(&self, batch: Batch, deadline: Instant) -> Write {
        let before = self.core.log.own_batches();
        let Ok(answer) = self.core.raft.client_write_ff(batch).await else { return Write::Unknown };
        match timeout_at(deadline, answer).await {
            Ok(Ok(Ok(written))) => Write::Committed(written.data),
            // SAFETY OF THE ANSWER: `LogStore::own_batches` says why an unchanged number means "never".
            Ok(Ok(Err(ClientWriteError::ForwardToLeader(_)))) if self.core.log.own_batches() == before => {
                Write::NotDone
            }
            // Removed from this log, a membership change that nobody asked for, a replica that stopped, the deadline.
            Ok(Ok(Err(ClientWriteError::ForwardToLeader(_) | ClientWriteError::ChangeMembershipError(_))) | Err(_))
            | Err(_) => Write::Unknown,
        }
    }

    /// As a follower: the whole group to the leader, in one call.
    async fn forward(&self, leader: MemberNumber, group: Vec<Job>) -> Try {
        let Some(deadline) = last_deadline(&group) else { return Try::Over };
        let launched: Vec<Job> = group.into_iter().filter(Job::launch).collect();
        let commands: Vec<Command> = launched.iter().flat_map(|job| job.commands.iter().cloned()).collect();
        if commands.is_empty() {
            return Try::Over;
        }
        let wait = deadline.saturating_duration_since(Instant::now());
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let request = PeerRequest::Commit { commands, wait_ms };
        match timeout_at(deadline, self.core.links.call(leader, &request)).await {
            Ok(Ok(AnswerContent::Commit(ForwardOutcome::Committed(responses)))) => distribute(launched, responses),
            Ok(
                Ok(AnswerContent::Commit(ForwardOutcome::NotDone))
                | Err(CallError::Unreachable(PeerUnreachable::NotSent)),
            ) => take_back(launched),
            // What the leader did is not known, whatever else it said.
            Ok(Ok(_) | Err(_)) | Err(_) => answer_all(launched, || Outcome::Unknown),
        }
    }
}

fn last_deadline(group: &[Job]) -> Option<Instant> {
    group.iter().map(|job| job.deadline).max()
}

fn answer_all(group: Vec<Job>, outcome: impl Fn() -> Outcome) -> Try {
    for job in group {
        job.answer(outcome());
    }
    Try::Over
}

/// Gives each job its commands' answers.
fn distribute(group: Vec<Job>, responses: Vec<Response>) -> Try {
    let mut responses = responses.into_iter();
    for job in group {
        let own: Vec<Response> = responses.by_ref().take(job.commands.len()).collect();
        // Another member could answer too little; then it is not known what happened.
        let complete = own.len() == job.commands.len();
        job.answer(if complete { Outcome::Committed(own) } else { Outcome::Unknown });
    }
    Try::Over
}

fn take_back(group: Vec<Job>) -> Try {
    for job in &group {
        job.take_back();
    }
    Try::Again(group)
}

/// Tells the members that forwarded jobs to this one, which is not the leader, and keeps the others.
fn refuse_forwarded(group: Vec<Job>) -> Vec<Job> {
    let (forwarded, own): (Vec<Job>, Vec<Job>) = group.into_iter().partition(|job| job.origin == Origin::Peer);
    answer_all(forwarded, || Outcome::NotDone);
    own
}
