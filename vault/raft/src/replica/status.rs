//! How a replica is, for operators.

use std::collections::BTreeMap;

use countermark_bundle::identity::Name;

use crate::member_number::MemberNumber;

/// How a replica is. Nothing about users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// What it does.
    pub role: Role,
    /// The term of the last vote.
    pub term: u64,
    /// The leader, as far as this member knows.
    pub leader: Option<MemberNumber>,
    /// The index of the last entry that the machine obeyed.
    pub last_applied: Option<u64>,
    /// How many entries of this member's log the machine did not obey yet.
    pub commit_lag: u64,
    /// All members, this one included.
    pub members: BTreeMap<MemberNumber, Name>,
}

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It puts commands into the log, as long as a majority follows.
    Leader,
    /// It follows a leader, or waits for one.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It was shut down, or its storage failed. A stopped replica does not start again; its process does.
    Stopped,
}
