//! Which fleet, which member, which keys: what a session needs to know before its first byte.
//!
//! Invariant: everything here is taken from a [`VerifiedBundle`]. What a member says about itself only chooses among what
//! the bundle states.

use countermark_bundle::ExitClass;
use countermark_bundle::identity::{Name, Timestamp};
use countermark_bundle::key::{PublicKey, PublicKeyError};
use countermark_bundle::statement::{Fleet, FleetStatus, KeyRole, Member, MemberKey};
use countermark_bundle::verify::VerifiedBundle;
use countermark_vault_core::noise::SessionContext;

/// Why the bundle does not lead to a member that sessions may be opened to.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The bundle was verified, and has become too old meanwhile.
    #[error("the bundle is good until {stale_at}: a fresher one is needed")]
    Stale {
        /// From when a fresher one was needed.
        stale_at: Timestamp,
    },
    /// The statement has no such fleet.
    #[error("the statement names no fleet {fleet_id}")]
    UnknownFleet {
        /// The fleet asked for.
        fleet_id: Name,
    },
    /// The fleet is not in service.
    #[error("the fleet {fleet_id} is {}: it does not serve", status.as_str())]
    NotServing {
        /// The fleet.
        fleet_id: Name,
        /// Where it is in its life.
        status: FleetStatus,
    },
    /// The fleet only gives back what it keeps.
    #[error("the fleet {fleet_id} is draining: it takes no new records")]
    Draining {
        /// The fleet.
        fleet_id: Name,
    },
    /// The fleet has no such member.
    #[error("the statement names no member {member_id} of the fleet {fleet_id}")]
    UnknownMember {
        /// The fleet.
        fleet_id: Name,
        /// The member asked for.
        member_id: Name,
    },
    /// The member has no key for this purpose that may be used now.
    #[error("{member_id} has no {} key that may be used now", role_name(*role))]
    NoKey {
        /// The member.
        member_id: Name,
        /// The key's purpose.
        role: KeyRole,
    },
    /// A key that is not one. A verified statement has none such.
    #[error("a key of {member_id}: {source}")]
    Key {
        /// The member.
        member_id: Name,
        /// What is wrong with it.
        source: PublicKeyError,
    },
}

impl AccessError {
    /// The class that a process exits with.
    #[must_use]
    pub const fn exit_class(&self) -> ExitClass {
        match self {
            Self::Stale { .. } => ExitClass::Stale,
            Self::UnknownFleet { .. } | Self::UnknownMember { .. } => ExitClass::NotChecked,
            Self::NotServing { .. } | Self::Draining { .. } | Self::NoKey { .. } => ExitClass::NotActive,
            Self::Key { .. } => ExitClass::Malformed,
        }
    }
}

const fn role_name(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Session => "session",
        KeyRole::Identity => "identity",
    }
}

/// One serving fleet of a verified bundle, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct FleetAccess<'a> {
    bundle: &'a VerifiedBundle,
    fleet: &'a Fleet,
    now: Timestamp,
}

impl<'a> FleetAccess<'a> {
    /// The fleet of this name, if sessions may be opened to it at `now`.
    pub fn new(bundle: &'a VerifiedBundle, fleet_id: &Name, now: Timestamp) -> Result<Self, AccessError> {
        // It was current when it was verified; that may be a while ago.
        if now >= bundle.stale_at() {
            return Err(AccessError::Stale { stale_at: bundle.stale_at() });
        }
        let mut fleets = bundle.statement().statement().fleets.iter();
        let fleet = fleets
            .find(|fleet| fleet.fleet_id == *fleet_id)
            .ok_or_else(|| AccessError::UnknownFleet { fleet_id: fleet_id.clone() })?;
        if !fleet.status.serves() {
            return Err(AccessError::NotServing { fleet_id: fleet_id.clone(), status: fleet.status });
        }
        Ok(Self { bundle, fleet, now })
    }

    /// What the statement says about it.
    #[must_use]
    pub const fn fleet(&self) -> &'a Fleet {
        self.fleet
    }

    /// The keys of a member, and what a session with it is about.
    pub fn member(&self, member_id: &Name) -> Result<MemberAccess, AccessError> {
        let unknown =
            || AccessError::UnknownMember { fleet_id: self.fleet.fleet_id.clone(), member_id: member_id.clone() };
        let member = self.fleet.members.iter().find(|member| member.member_id == *member_id).ok_or_else(unknown)?;
        let session_key = self.key(member, KeyRole::Session)?;
        let no_key = || AccessError::NoKey { member_id: member_id.clone(), role: KeyRole::Session };
        Ok(MemberAccess {
            context: SessionContext {
                origin: self.bundle.statement().statement().origin.clone(),
                statement: self.bundle.statement().digest(),
                fleet_id: self.fleet.fleet_id.clone(),
                member_id: member_id.clone(),
            },
            session_public: session_key.bytes().try_into().map_err(|_| no_key())?,
            identity: self.key(member, KeyRole::Identity)?,
        })
    }

    /// The member's key for a purpose that may be used now; of several, the one that began last.
    fn key(&self, member: &Member, role: KeyRole) -> Result<PublicKey, AccessError> {
        let usable = |key: &&MemberKey| key.role == role && key.not_before <= self.now && self.now < key.not_after;
        let newest = member.keys.iter().filter(usable).max_by_key(|key| (key.not_before, key.not_after));
        let member_id = || member.member_id.clone();
        let key = newest.ok_or_else(|| AccessError::NoKey { member_id: member_id(), role })?;
        key.key().map_err(|source| AccessError::Key { member_id: member_id(), source })
    }
}

/// Everything that a session with one member needs. Only a verified bundle gives it.
#[derive(Clone, Debug)]
pub struct MemberAccess {
    context: SessionContext,
    session_public: [u8; 32],
    identity: PublicKey,
}

impl MemberAccess {
    /// What a session with it is about.
    #[must_use]
    pub const fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Its session key, X25519.
    pub(super) const fn session_public(&self) -> &[u8; 32] {
        &self.session_public
    }

    /// Its identity key, Ed25519.
    pub(super) const fn identity(&self) -> &PublicKey {
        &self.identity
    }
}

#[cfg(test)]
mod tests;
