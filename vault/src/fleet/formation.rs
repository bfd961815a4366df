//! Whom a member forms its fleet with: decided once, from a verified bundle that states the fleet with exactly this
//! member's keys, and kept for as long as the fleet lives.
//!
//! For this decision the bundle is verified under the member's own trust file and that file's floor, and no floor is
//! stored: it is made once, a bundle that is older than the newest is at most as old as the trust file's limit allows,
//! and an older statement with this member's own keys names the same fleet. What the fleet staples later is verified by
//! the machine, whose floor is a part of its state.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;

use countermark_bundle::identity::{Digest, Name, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::link::{ConsistencyLink, LinkError};
use countermark_bundle::statement::{Fleet, FleetStatus, KeyRole, Member};
use countermark_bundle::trust::{TrustError, TrustFile};
use countermark_bundle::verify::{Distrust, VerifiedBundle, verify};
use countermark_tlog::size::TreeSize;
use countermark_vault_core::noise::peer::PeerKeys;
use countermark_vault_raft::MemberNumber;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fetch::FetchError;
use crate::peer::RosterMember;
use crate::ports::BundleSource;

/// What a member's fleet is formed of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Formation {
    /// The trust file that the bundle was verified under, byte for byte. The fleet's founding must name the same.
    pub(crate) trust: Vec<u8>,
    /// The statement that named the members.
    pub(crate) statement: [u8; 32],
    /// Every member, this one too, in the statement's order.
    pub(crate) members: Vec<FormationMember>,
}

/// A member as the statement names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FormationMember {
    /// Its name.
    pub(crate) member_id: String,
    /// Its Ed25519 identity key.
    pub(crate) identity: [u8; 32],
    /// Its X25519 session key.
    pub(crate) session: [u8; 32],
}

/// Who this member is, for finding itself in a statement.
#[derive(Clone, Debug)]
pub(crate) struct Seeker {
    pub(crate) fleet_id: Name,
    pub(crate) member_id: Name,
    pub(crate) identity_key: PublicKey,
    pub(crate) session_key: PublicKey,
}

/// Why a fleet is not formed yet. Each is looked at again with the next bundle.
#[derive(Debug, Error)]
pub(crate) enum FormError {
    /// The trust file cannot be read.
    #[error("cannot read the trust file {}", path.display())]
    TrustFile {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The trust file is none.
    #[error("the trust file is refused")]
    Trust(#[from] TrustError),
    /// The log did not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The log has no bundle.
    #[error("the log has no validation bundle yet")]
    NoBundle,
    /// The link from the trust file's floor was not to be had.
    #[error(transparent)]
    Link(#[from] FirstLinkError),
    /// The bundle is not believed.
    #[error("the bundle is not believed")]
    Distrust(#[from] Distrust),
    /// The statement does not name the fleet.
    #[error("epoch {epoch} states no fleet {fleet}")]
    NotStated {
        /// The statement's epoch.
        epoch: u64,
        /// The fleet.
        fleet: Name,
    },
    /// The fleet is retired.
    #[error("the fleet {fleet} is retired")]
    Retired {
        /// The fleet.
        fleet: Name,
    },
    /// The fleet is stated without this member.
    #[error("the stated fleet has no member {member}")]
    NotAMember {
        /// This member.
        member: Name,
    },
    /// The fleet is stated with other keys for this member.
    #[error("the statement names other keys for {member} than this member has")]
    OtherKeys {
        /// This member.
        member: Name,
    },
    /// A member has several keys of one role, or none.
    #[error("the statement does not name one identity key and one session key for {member}")]
    Keys {
        /// The member.
        member: Name,
    },
    /// More, or fewer, members must commit than what replication asks for.
    #[error("the statement asks for {stated} members to commit, replication for {replicated}")]
    Majority {
        /// The statement's number.
        stated: u64,
        /// Ours.
        replicated: u64,
    },
    /// No address is configured for a member.
    #[error("peers has no address for {member}")]
    NoAddress {
        /// The member.
        member: Name,
    },
    /// Two members whose numbers are the same.
    #[error("{member} has the number of another member")]
    SameNumber {
        /// The second one.
        member: Name,
    },
}

/// Why there is no link from the trust file's floor.
#[derive(Debug, Error)]
pub(crate) enum FirstLinkError {
    /// The log did not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The log gave something else than a link.
    #[error("the log's link is refused")]
    Malformed(#[from] LinkError),
}

impl FormError {
    /// The state that the member is in: the same word for the same reason.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::TrustFile { .. } => "trust file",
            Self::Trust(_) => "trust",
            Self::Fetch(_) | Self::Link(FirstLinkError::Fetch(_)) => "fetch",
            Self::Link(FirstLinkError::Malformed(_)) => "link",
            Self::NoBundle => "no bundle",
            Self::Distrust(distrust) => distrust.exit_class().as_str(),
            Self::NotStated { .. } => "not stated",
            Self::Retired { .. } => "retired",
            Self::NotAMember { .. } => "not a member",
            Self::OtherKeys { .. } => "other keys",
            Self::Keys { .. } => "keys",
            Self::Majority { .. } => "majority",
            Self::NoAddress { .. } => "no address",
            Self::SameNumber { .. } => "same number",
        }
    }
}

impl Formation {
    /// Asks the log for its newest bundle and forms the fleet of it.
    pub(crate) async fn seek(
        log: &impl BundleSource,
        trust_file: &[u8],
        seeker: &Seeker,
        has_address: impl Fn(&Name) -> bool,
        now: Timestamp,
    ) -> Result<Self, FormError> {
        let trust = TrustFile::parse(trust_file)?;
        let bundle = log.newest_bundle().await?.ok_or(FormError::NoBundle)?;
        let link = first_link(log, &trust).await?;
        let verified = verify_first(&bundle, link.as_ref(), &trust, now)?;
        let fleet = find_fleet(&verified, seeker)?;
        for member in &fleet.members {
            if !has_address(&member.member_id) {
                return Err(FormError::NoAddress { member: member.member_id.clone() });
            }
        }
        let members = fleet.members.iter().map(one_key_of_each).collect::<Result<Vec<_>, _>>()?;
        check_numbers(&fleet.members, &members)?;
        Ok(Self { trust: trust_file.to_vec(), statement: verified.statement().digest().0, members })
    }

    /// The members, ready to be met. `None` if the bytes of a key are none, which no verified statement has.
    pub(crate) fn roster(&self) -> Option<Vec<RosterMember>> {
        self.members.iter().map(FormationMember::roster_member).collect()
    }

    /// The digest of the statement that named the members.
    pub(crate) const fn statement(&self) -> Digest {
        Digest(self.statement)
    }
}

impl FormationMember {
    fn roster_member(&self) -> Option<RosterMember> {
        let identity = PublicKey::ed25519(&self.identity).ok()?;
        Some(RosterMember {
            member_id: Name::parse(&self.member_id).ok()?,
            number: MemberNumber::of(identity.key_id()),
            keys: PeerKeys { session_public: self.session, identity },
        })
    }
}

/// Whether a statement's fleet still names this member with these keys and no others.
pub(crate) fn is_stated(fleet: &Fleet, member: &RosterMember) -> bool {
    let stated = fleet.members.iter().find(|stated| stated.member_id == member.member_id);
    stated.and_then(|stated| one_key_of_each(stated).ok()).is_some_and(|keys| {
        keys.identity.as_slice() == member.keys.identity.bytes() && keys.session == member.keys.session_public
    })
}

/// The link from the trust file's floor, where the floor is of a tree that is not empty.
pub(crate) async fn first_link(
    log: &impl BundleSource,
    trust: &TrustFile,
) -> Result<Option<ConsistencyLink>, FirstLinkError> {
    if trust.floor.size == TreeSize::ZERO {
        return Ok(None);
    }
    match log.link(trust.floor.size).await? {
        Some(bytes) => Ok(Some(ConsistencyLink::parse(&bytes)?)),
        None => Ok(None),
    }
}

/// Verifies a bundle as somebody who has met no other one.
pub(crate) fn verify_first(
    bundle: &[u8],
    link: Option<&ConsistencyLink>,
    trust: &TrustFile,
    now: Timestamp,
) -> Result<VerifiedBundle, Distrust> {
    // Nothing of this verification outlives it but a decision that is made once; see the module.
    let stored = verify(bundle, link, trust, &trust.initial_floor(), now)?.store(|_| Ok::<_, Infallible>(()));
    Ok(stored.unwrap_or_else(|never| match never {}))
}

fn find_fleet<'a>(verified: &'a VerifiedBundle, seeker: &Seeker) -> Result<&'a Fleet, FormError> {
    let statement = verified.statement().statement();
    let fleet = statement
        .fleets
        .iter()
        .find(|fleet| fleet.fleet_id == seeker.fleet_id)
        .ok_or_else(|| FormError::NotStated { epoch: statement.epoch.get(), fleet: seeker.fleet_id.clone() })?;
    match fleet.status {
        FleetStatus::Next | FleetStatus::Active | FleetStatus::Draining => {}
        FleetStatus::Retired => return Err(FormError::Retired { fleet: fleet.fleet_id.clone() }),
    }
    let member = || seeker.member_id.clone();
    let own = fleet.members.iter().find(|stated| stated.member_id == seeker.member_id);
    let own = own.ok_or_else(|| FormError::NotAMember { member: member() })?;
    let keys = one_key_of_each(own)?;
    let are_own = keys.identity.as_slice() == seeker.identity_key.bytes()
        && keys.session.as_slice() == seeker.session_key.bytes();
    if !are_own {
        return Err(FormError::OtherKeys { member: member() });
    }
    // A majority of members commits here; a statement that promises another number would promise too much, or stop us.
    let replicated = u64::try_from(fleet.members.len() / 2 + 1).unwrap_or(u64::MAX);
    if fleet.majority != replicated {
        return Err(FormError::Majority { stated: fleet.majority, replicated });
    }
    Ok(fleet)
}

fn one_key_of_each(member: &Member) -> Result<FormationMember, FormError> {
    let refused = || FormError::Keys { member: member.member_id.clone() };
    let one = |role: KeyRole| {
        let mut keys = member.keys.iter().filter(|key| key.role == role);
        let (Some(key), None) = (keys.next(), keys.next()) else { return Err(refused()) };
        let key = key.key().map_err(|_| refused())?;
        <[u8; 32]>::try_from(key.bytes()).map_err(|_| refused())
    };
    Ok(FormationMember {
        member_id: member.member_id.to_string(),
        identity: one(KeyRole::Identity)?,
        session: one(KeyRole::Session)?,
    })
}

fn check_numbers(stated: &[Member], members: &[FormationMember]) -> Result<(), FormError> {
    let mut numbers = BTreeSet::new();
    for (stated, member) in stated.iter().zip(members) {
        let member = member.roster_member().ok_or_else(|| FormError::Keys { member: stated.member_id.clone() })?;
        if !numbers.insert(member.number) {
            return Err(FormError::SameNumber { member: member.member_id });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
