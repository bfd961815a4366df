//! Answers to other members' calls.

use std::time::Duration;

use countermark_vault_core::machine::{BATCH_COMMANDS_MAX, Command};
use openraft::error::{InstallSnapshotError, RaftError};
use tokio::time::Instant;

use super::Replica;
use super::core::Leader;
use super::job::{Origin, Outcome};
use crate::peers::message::{AnswerContent, ForwardOutcome, PeerAnswer, PeerRequest, decode, encode};

/// The most that a member waits for the sake of another one.
const WAIT_MAX: Duration = Duration::from_mins(1);

impl Replica {
    /// Answers a peer's call: the other end of [`crate::Peers::call`]. Only members of this fleet may get here.
    ///
    /// The answer may take as long as a commit takes, and may be dropped when nobody waits for it any more.
    pub async fn answer(&self, request: Vec<u8>) -> Vec<u8> {
        let content = match decode(&zeroize::Zeroizing::new(request)) {
            Some(request) => self.answer_request(request).await,
            None => AnswerContent::Malformed,
        };
        let clock = self.core.clocks.own();
        std::mem::take(&mut *encode(&PeerAnswer { clock, content }))
    }

    async fn answer_request(&self, request: PeerRequest) -> AnswerContent {
        match request {
            PeerRequest::Append(rpc) => match self.core.raft.append_entries(rpc).await {
                Ok(answer) => AnswerContent::Append(answer),
                Err(_) => AnswerContent::Stopped,
            },
            PeerRequest::Vote(rpc) => match self.core.raft.vote(rpc).await {
                Ok(answer) => AnswerContent::Vote(answer),
                Err(_) => AnswerContent::Stopped,
            },
            PeerRequest::Snapshot(rpc) => match self.core.raft.install_snapshot(rpc).await {
                Ok(answer) => AnswerContent::Snapshot(answer),
                Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch))) => {
                    AnswerContent::SnapshotMismatch(mismatch)
                }
                Err(RaftError::Fatal(_)) => AnswerContent::Stopped,
            },
            PeerRequest::Commit { commands, wait_ms } => self.commit_for_peer(commands, wait_ms).await,
        }
    }

    async fn commit_for_peer(&self, commands: Vec<Command>, wait_ms: u64) -> AnswerContent {
        if commands.is_empty() || commands.len() > BATCH_COMMANDS_MAX {
            return AnswerContent::Malformed;
        }
        // At once, and not behind this member's own commands, which wait for a leader.
        if self.core.leader() != Leader::Own {
            return AnswerContent::Commit(ForwardOutcome::NotDone);
        }
        let deadline = Instant::now() + Duration::from_millis(wait_ms).min(WAIT_MAX);
        AnswerContent::Commit(match self.submit(commands, Origin::Peer, deadline).await {
            Outcome::Committed(responses) => ForwardOutcome::Committed(responses),
            Outcome::NotDone => ForwardOutcome::NotDone,
            Outcome::Unknown => ForwardOutcome::Unknown,
        })
    }
}

#[cfg(test)]
mod tests;
