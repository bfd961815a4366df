//! Who is let in: the members that the fleet was formed of, as long as the adopted statement names them with the same
//! keys.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use countermark_bundle::identity::Name;
use countermark_vault_core::noise::peer::PeerKeys;
use countermark_vault_raft::MemberNumber;

/// A member that the fleet was formed of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RosterMember {
    /// Its name in the statement.
    pub(crate) member_id: Name,
    /// Its number in the log.
    pub(crate) number: MemberNumber,
    /// The keys that it must prove to hold.
    pub(crate) keys: PeerKeys,
}

/// The members of the fleet, and which of them are let in.
#[derive(Debug)]
pub(crate) struct Roster {
    members: BTreeMap<Name, RosterMember>,
    /// Replaced as a whole.
    barred: RwLock<Arc<[Name]>>,
}

impl Roster {
    /// Everybody that the fleet was formed of.
    pub(crate) fn new(members: impl IntoIterator<Item = RosterMember>) -> Self {
        let members = members.into_iter().map(|member| (member.member_id.clone(), member)).collect();
        Self { members, barred: RwLock::new(Arc::from([])) }
    }

    /// The keys of a member that is let in.
    pub(crate) fn keys(&self, member: &Name) -> Option<&PeerKeys> {
        // The list is replaced whole, so a poisoned lock still holds a whole one.
        let barred = Arc::clone(&self.barred.read().unwrap_or_else(PoisonError::into_inner));
        if barred.contains(member) {
            return None;
        }
        self.members.get(member).map(|member| &member.keys)
    }

    /// Every member that the fleet was formed of, let in or not.
    pub(crate) fn members(&self) -> impl Iterator<Item = &RosterMember> {
        self.members.values()
    }

    /// The name behind a number.
    pub(crate) fn name(&self, number: MemberNumber) -> Option<&Name> {
        self.members.values().find(|member| member.number == number).map(|member| &member.member_id)
    }

    /// Lets in only the members that `is_stated` knows with these keys. Gives the names of all others.
    ///
    /// A member that a later statement leaves out, or names with other keys, still counts in the log's majority: it is
    /// as good as dead. A fleet with other members is another fleet.
    pub(crate) fn restate(&self, is_stated: impl Fn(&RosterMember) -> bool) -> Arc<[Name]> {
        let barred: Arc<[Name]> =
            self.members.values().filter(|member| !is_stated(member)).map(|member| member.member_id.clone()).collect();
        *self.barred.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&barred);
        barred
    }
}
