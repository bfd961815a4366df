//! How a member is, for whoever operates it: where it is on its way, what it replicates, what it staples. Nothing about
//! users, not even how many there are.

mod ask;

use countermark_bundle::identity::{Digest, Name};
use countermark_vault_core::machine::Machine;
use countermark_vault_raft::{MemberNumber, Role};
use serde::{Deserialize, Serialize};

pub use ask::{AskStatusError, ask_status};

use crate::fleet::{Phase, Seat, Serving};
use crate::member::Member;
use crate::ports::{AttestationStore, Replicated};
use crate::session_service::adopted;

/// How many entries may wait before a member is said to lag.
pub const LAG_MAX: u64 = 64;

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The member.
    pub member_id: String,
    /// Its fleet.
    pub fleet_id: String,
    /// The log that states the fleet.
    pub origin: String,
    /// Whether a vendor vouches for the executable that runs.
    pub attested: bool,
    /// Where the member is on its way.
    pub phase: PhaseStatus,
    /// What is missing before it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What it replicates, once it takes part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaDocument>,
    /// What it staples, once something is adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stapled: Option<StapledDocument>,
}

/// Where a member is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseStatus {
    /// It is not configured to be part of a fleet.
    Attesting,
    /// No bundle states its fleet with its keys yet.
    Seeking,
    /// It takes part in the replication, and nothing is stapled yet.
    Joined,
    /// It serves sessions.
    Serving,
    /// Its fleet was founded under another trust file than this member's; it serves nobody.
    Mistrusting,
    /// It takes part no longer.
    Stopped,
}

/// What a member replicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaDocument {
    /// `leader`, `follower`, `candidate` or `stopped`.
    pub role: String,
    /// The term of its last vote.
    pub term: u64,
    /// The leader, as far as it knows.
    pub leader: Option<String>,
    /// Whether more than [`LAG_MAX`] entries of its log wait to be applied. The exact number is nobody's business: a relay
    /// that read it around each frame of a session would know which of them were guesses.
    pub lags: bool,
    /// Every member of the fleet.
    pub members: Vec<MemberDocument>,
}

/// A member of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberDocument {
    /// Its name.
    pub member_id: String,
    /// Its number in the log.
    pub number: String,
    /// Whether the adopted statement names it with its keys.
    pub stated: bool,
}

/// What a member staples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StapledDocument {
    /// The digest of the adopted statement.
    pub statement: String,
    /// Its epoch.
    pub epoch: u64,
    /// The size of the tree that it was verified under.
    pub size: u64,
    /// When the quorum saw that tree.
    pub head_time: String,
    /// From when a client needs a fresher one.
    pub stale_at: String,
}

impl MemberStatus {
    /// The document, in one line.
    ///
    /// # Panics
    /// Never: a status has string keys only, so it serialises.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a status has string keys only")
    }

    /// How this member is.
    pub(crate) fn of<Store: AttestationStore, Fleet: Replicated>(
        member: &Member<Store>,
        seat: Option<&Seat<Fleet>>,
    ) -> Self {
        let serving = seat.and_then(Seat::serving).map(AsRef::as_ref);
        let (phase, waits_for) = phase(seat, serving);
        let identity = member.identity();
        Self {
            member_id: identity.member_id.to_string(),
            fleet_id: identity.fleet_id.to_string(),
            origin: identity.origin.to_string(),
            attested: member.is_attested(),
            phase,
            waits_for,
            replica: serving.map(ReplicaDocument::of),
            stapled: serving.and_then(|serving| serving.fleet.read(StapledDocument::of)),
        }
    }
}

fn phase<Fleet: Replicated>(
    seat: Option<&Seat<Fleet>>,
    serving: Option<&Serving<Fleet>>,
) -> (PhaseStatus, Option<String>) {
    let phase = match seat.map(Seat::phase) {
        None => return (PhaseStatus::Attesting, None),
        Some(Phase::Seeking { reason }) => return (PhaseStatus::Seeking, reason),
        Some(Phase::Stopped) => return (PhaseStatus::Stopped, None),
        Some(Phase::Joined) => serving.map(|serving| {
            let terms = &serving.terms;
            serving.fleet.read(|machine| (machine.founding().map(|it| terms.are_those_of(it)), adopted(machine, terms)))
        }),
    };
    match phase {
        Some((Some(false), _)) => (PhaseStatus::Mistrusting, None),
        Some((_, Some(_))) => (PhaseStatus::Serving, None),
        Some((Some(true), None)) => (PhaseStatus::Joined, Some("no bundle is adopted yet".to_owned())),
        Some((None, None)) | None => (PhaseStatus::Joined, Some("the fleet is not founded yet".to_owned())),
    }
}

impl ReplicaDocument {
    fn of<Fleet: Replicated>(serving: &Serving<Fleet>) -> Self {
        let status = serving.fleet.status();
        let name = |number: MemberNumber| serving.roster.name(number).map(Name::to_string);
        let role = match status.role {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Stopped => "stopped",
        };
        let members = serving.roster.members().map(|member| MemberDocument {
            member_id: member.member_id.to_string(),
            number: member.number.to_string(),
            stated: serving.roster.keys(&member.member_id).is_some(),
        });
        Self {
            role: role.to_owned(),
            term: status.term,
            leader: status.leader.and_then(name),
            lags: status.commit_lag > LAG_MAX,
            members: members.collect(),
        }
    }
}

impl StapledDocument {
    fn of(machine: &Machine) -> Option<Self> {
        let stapled = machine.stapled()?;
        Some(Self {
            statement: Digest::to_hex(stapled.statement),
            epoch: stapled.epoch.get(),
            size: stapled.size,
            head_time: stapled.head_time.to_string(),
            stale_at: stapled.stale_at.to_string(),
        })
    }
}
