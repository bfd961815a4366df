//! What a signer is asked.

use countermark_bundle::attestation::VerifiedAttestation;
use countermark_bundle::identity::{Name, Namespace, Timestamp};
use countermark_bundle::statement::Statement;

/// What is to be done with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The authority certifies it.
    Certify,
    /// The operator countersigns it.
    Countersign,
}

impl Action {
    /// The action's name in the policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certify => "certify",
            Self::Countersign => "countersign",
        }
    }
}

/// One question to a policy set.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is to be done.
    pub action: Action,
    /// The namespace the statement is for.
    pub namespace: &'a Namespace,
    /// Who asks: the subject of the access token, or, where the operator asks itself, the origin of the log.
    pub submitter: &'a str,
    /// The statement.
    pub statement: &'a Statement,
    /// What it is compared with: to certify the last certified statement, to countersign the newest active one.
    pub previous: Option<&'a Statement>,
    /// Officers whose approvals of this statement were verified. One who is named twice counts once.
    pub approvers: &'a [Name],
    /// How many officers the namespace asks for.
    pub approvals_needed: u64,
    /// The members' attestations, verified under vendor keys. Which members they cover is judged here.
    pub attestations: &'a [VerifiedAttestation],
    /// The time of the decision.
    pub now: Timestamp,
}
