//! What the policies can ask about. The same facts, with what they mean, stand in `schema.cedarschema`.

use std::collections::{BTreeMap, BTreeSet};

use countermark_bundle::attestation::VerifiedAttestation;
use countermark_bundle::identity::{Digest, Name, Timestamp};
use countermark_bundle::key::KeyId;
use countermark_bundle::statement::{Fleet, FleetStatus, Statement};
use serde::Serialize;

use crate::request::Request;

/// Everything about one request, as numbers. Numbers beyond the range of Cedar stop at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    approvals: Approvals,
    statement: StatementFacts,
    live_fleets: LiveFleets,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Approvals {
    distinct: i64,
    needed: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct StatementFacts {
    epoch: i64,
    age_seconds: i64,
    starts_in_seconds: i64,
    ends_in_seconds: i64,
    lifetime_seconds: i64,
    max_head_age_seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct LiveFleets {
    fleets: i64,
    members: i64,
    members_attested: i64,
    members_sharing_a_domain: i64,
    guess_limit_highest: i64,
    majority_margin_least: i64,
}

/// What is different between two statements. All zero where there is nothing to compare with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// There is nothing to compare with.
    pub first: bool,
    /// Live fleets that were not named, or not live.
    pub fleets_added: i64,
    /// Members of live fleets that were not there.
    pub members_added: i64,
    /// Members that were in a live fleet and are no longer.
    pub members_removed: i64,
    /// Keys of members of live fleets that were not there.
    pub keys_added: i64,
    /// Keys that a live fleet had and none has any longer.
    pub keys_removed: i64,
    /// Fleets that were and are live, with a higher guess limit than before.
    pub guess_limits_raised: i64,
    /// Fleets that were and are live, with a lower guess limit than before.
    pub guess_limits_lowered: i64,
    /// Fleets that were and are live, with a lower majority although no member left.
    pub majorities_lowered: i64,
    /// Fleets that were and are live, with another executable.
    pub software_changed: i64,
    /// Fleets that were retired and are live again.
    pub retired_returned: i64,
}

impl Facts {
    /// Counts everything that the policies can ask about.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        let statement = request.statement;
        let approvers: BTreeSet<_> = request.approvers.iter().collect();
        Self {
            approvals: Approvals { distinct: count(approvers.len()), needed: long(request.approvals_needed) },
            statement: StatementFacts {
                epoch: long(statement.epoch.get()),
                age_seconds: from_to(statement.issued_at, request.now),
                starts_in_seconds: from_to(request.now, statement.not_before),
                ends_in_seconds: from_to(request.now, statement.not_after),
                lifetime_seconds: long(statement.lifetime_seconds()),
                max_head_age_seconds: long(statement.max_head_age_seconds),
            },
            live_fleets: LiveFleets::of(statement, request.attestations),
            change: Change::between(request.previous, statement),
        }
    }
}

impl LiveFleets {
    fn of(statement: &Statement, attestations: &[VerifiedAttestation]) -> Self {
        let by_digest: BTreeMap<Digest, &VerifiedAttestation> =
            attestations.iter().map(|attestation| (Digest::of(attestation.bytes()), attestation)).collect();
        let fleets: Vec<&Fleet> = live(statement).collect();
        let members = fleets.iter().flat_map(|fleet| fleet.members.iter().map(move |member| (fleet, member)));
        let attested = members.filter(|(fleet, member)| {
            by_digest.get(&member.attestation.sha256).is_some_and(|attestation| {
                attestation.covers(&statement.origin, &fleet.fleet_id, member, &fleet.software).is_ok()
            })
        });
        Self {
            fleets: count(fleets.len()),
            members: fleets.iter().map(|fleet| count(fleet.members.len())).sum(),
            members_attested: count(attested.count()),
            members_sharing_a_domain: fleets.iter().map(|fleet| members_sharing_a_domain(fleet)).sum(),
            guess_limit_highest: fleets.iter().map(|fleet| long(fleet.guess_limit)).max().unwrap_or(0),
            majority_margin_least: fleets.iter().map(|fleet| majority_margin(fleet)).min().unwrap_or(1),
        }
    }
}

impl Change {
    /// What `statement` changes, compared with `previous`.
    #[must_use]
    pub fn between(previous: Option<&Statement>, statement: &Statement) -> Self {
        let Some(previous) = previous else {
            return Self { first: true, ..Self::default() };
        };
        let before: BTreeMap<&Name, &Fleet> = previous.fleets.iter().map(|fleet| (&fleet.fleet_id, fleet)).collect();
        let (members_before, members_after) = (live_members(previous), live_members(statement));
        let (keys_before, keys_after) = (live_keys(previous), live_keys(statement));
        let mut change = Self {
            members_added: count(members_after.difference(&members_before).count()),
            members_removed: count(members_before.difference(&members_after).count()),
            keys_added: count(keys_after.difference(&keys_before).count()),
            keys_removed: count(keys_before.difference(&keys_after).count()),
            ..Self::default()
        };
        for fleet in live(statement) {
            match before.get(&fleet.fleet_id) {
                None => change.fleets_added += 1,
                Some(old) if !is_live(old) => {
                    change.fleets_added += 1;
                    change.retired_returned += 1;
                }
                Some(old) => change.compare(old, fleet),
            }
        }
        change
    }

    /// Whether clients would trust something that they do not trust today: a first statement, a fleet, a member, a key,
    /// another executable, or more guesses. What only takes away is not an addition.
    #[must_use]
    pub const fn adds_trust(&self) -> bool {
        self.first
            || self.fleets_added > 0
            || self.members_added > 0
            || self.keys_added > 0
            || self.software_changed > 0
            || self.guess_limits_raised > 0
            || self.majorities_lowered > 0
            || self.retired_returned > 0
    }

    fn compare(&mut self, old: &Fleet, new: &Fleet) {
        let members =
            |fleet: &Fleet| -> BTreeSet<Name> { fleet.members.iter().map(|member| member.member_id.clone()).collect() };
        self.guess_limits_raised += i64::from(new.guess_limit > old.guess_limit);
        self.guess_limits_lowered += i64::from(new.guess_limit < old.guess_limit);
        let all_stay = members(old).is_subset(&members(new));
        self.majorities_lowered += i64::from(new.majority < old.majority && all_stay);
        self.software_changed += i64::from(new.software.sha256 != old.software.sha256);
    }
}

const fn is_live(fleet: &Fleet) -> bool {
    match fleet.status {
        FleetStatus::Next | FleetStatus::Active | FleetStatus::Draining => true,
        FleetStatus::Retired => false,
    }
}

fn live(statement: &Statement) -> impl Iterator<Item = &Fleet> {
    statement.fleets.iter().filter(|fleet| is_live(fleet))
}

fn live_members(statement: &Statement) -> BTreeSet<(&Name, &Name)> {
    live(statement).flat_map(|fleet| fleet.members.iter().map(|member| (&fleet.fleet_id, &member.member_id))).collect()
}

fn live_keys(statement: &Statement) -> BTreeSet<KeyId> {
    statement.keys().filter(|(fleet, _, _)| is_live(fleet)).map(|(_, _, key)| key.key_id).collect()
}

fn members_sharing_a_domain(fleet: &Fleet) -> i64 {
    let domains: BTreeSet<_> = fleet.members.iter().map(|member| &member.failure_domain).collect();
    count(fleet.members.len()) - count(domains.len())
}

fn majority_margin(fleet: &Fleet) -> i64 {
    long(fleet.majority).saturating_mul(2).saturating_sub(count(fleet.members.len()))
}

/// Seconds from one time to another; negative if the other is earlier.
fn from_to(from: Timestamp, to: Timestamp) -> i64 {
    long(to.unix()) - long(from.unix())
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
