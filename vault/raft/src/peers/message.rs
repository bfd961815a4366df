//! What replicas say to each other, in postcard.

use countermark_vault_core::machine::{Command, ReplicatedTime, Response};
use openraft::error::SnapshotMismatch;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::member_number::MemberNumber;
use crate::raft_types::Types;

/// A call.
#[derive(Serialize, Deserialize)]
pub(crate) enum PeerRequest {
    /// Raft: store these entries; also the heartbeat.
    Append(AppendEntriesRequest<Types>),
    /// Raft: vote for me.
    Vote(VoteRequest<MemberNumber>),
    /// Raft: a part of a snapshot.
    Snapshot(InstallSnapshotRequest<Types>),
    /// To the leader: commit these commands, in this order, together or not at all.
    Commit {
        /// At most `BATCH_COMMANDS_MAX`.
        commands: Vec<Command>,
        /// How long the caller waits for the answer.
        wait_ms: u64,
    },
}

/// The answer to a call. Each brings the member's clock.
#[derive(Serialize, Deserialize)]
pub(crate) struct PeerAnswer {
    pub(crate) clock: ReplicatedTime,
    pub(crate) content: AnswerContent,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum AnswerContent {
    Append(AppendEntriesResponse<MemberNumber>),
    Vote(VoteResponse<MemberNumber>),
    Snapshot(InstallSnapshotResponse<MemberNumber>),
    SnapshotMismatch(SnapshotMismatch),
    Commit(ForwardOutcome),
    /// The request is none that this version knows.
    Malformed,
    /// The replica has stopped.
    Stopped,
}

/// What became of forwarded commands.
#[derive(Serialize, Deserialize)]
pub(crate) enum ForwardOutcome {
    /// The machine's answers, as many as commands.
    Committed(Vec<Response>),
    /// Not done, and never will be: the member is not the leader, or has no majority.
    NotDone,
    /// They may be done, or may be done later.
    Unknown,
}

/// Encodes a message. It contains secrets: the buffer is wiped, unless it is handed on to the transport, which is not made
/// to wipe what it carries.
///
/// # Panics
/// Never: messages serialise.
pub(crate) fn encode<T: Serialize>(message: &T) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(postcard::to_allocvec(message).expect("messages serialise"))
}

/// Decodes a message; `None` of other bytes, and of bytes behind a message.
pub(crate) fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Some(message),
        Ok(_) | Err(_) => None,
    }
}
