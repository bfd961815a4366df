//! The one door: sixteen steps from untrusted bytes to a [`VerifiedBundle`], a named error for each.
//!
//! Steps 1 to 15 are [`verify()`]. Step 16 is [`UnstoredBundle::store`]: what a bundle says can be read only after the
//! new floor was stored, because a client that uses a bundle and then forgets that it did can be rolled back.
//!
//! The door fails closed: whatever was not checked is not believed.

mod distrust;
mod records;

pub use distrust::Distrust;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use countermark_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
use countermark_tlog::policy::WitnessedCheckpoint;
use countermark_tlog::proof::verify_consistency;
use countermark_tlog::size::TreeSize;

use crate::authority::Authority;
use crate::countersignature::{self, Countersigned};
use crate::entry::{Entry, Revocation};
use crate::identity::Timestamp;
use crate::key::KeyId;
use crate::link::ConsistencyLink;
use crate::namespace_state::Revoked;
use crate::statement::{Fleet, FleetStatus, KeyRole, ParsedStatement};
use crate::trust::{Floor, REMEMBERED_REVOCATIONS_MAX, TrustFile};
use crate::validation_bundle::ValidationBundle;
use records::Records;

/// The steps of `protocols.md`, "Client verification", in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// 1 bounded parse.
    Parse,
    /// 2 the origin is the pinned one.
    Origin,
    /// 3 changes of authority since the trust file.
    Authority,
    /// 4 the checkpoint is signed by the log key in force.
    LogSignature,
    /// 5 the witness quorum, counted in witnesses.
    Quorum,
    /// 6 the head's time and age.
    HeadAge,
    /// 7 the floor and the consistency link.
    Floor,
    /// 8 every record's path; statement and activation present.
    Paths,
    /// 9 the tail is complete and changes nothing.
    Tail,
    /// 10 the certificate.
    Certificate,
    /// 11 the countersignature threshold.
    Countersignature,
    /// 12 the epoch against the floor.
    Epoch,
    /// 13 no revocation touches it.
    Revocation,
    /// 14 windows, lifetime, fleet status, key roles.
    Validity,
    /// 15 pinned keys.
    PinnedKeys,
    /// 16 the new floor is stored.
    Stored,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 16] = [
        Self::Parse,
        Self::Origin,
        Self::Authority,
        Self::LogSignature,
        Self::Quorum,
        Self::HeadAge,
        Self::Floor,
        Self::Paths,
        Self::Tail,
        Self::Certificate,
        Self::Countersignature,
        Self::Epoch,
        Self::Revocation,
        Self::Validity,
        Self::PinnedKeys,
        Self::Stored,
    ];

    /// 1 to 16.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Parse => 1,
            Self::Origin => 2,
            Self::Authority => 3,
            Self::LogSignature => 4,
            Self::Quorum => 5,
            Self::HeadAge => 6,
            Self::Floor => 7,
            Self::Paths => 8,
            Self::Tail => 9,
            Self::Certificate => 10,
            Self::Countersignature => 11,
            Self::Epoch => 12,
            Self::Revocation => 13,
            Self::Validity => 14,
            Self::PinnedKeys => 15,
            Self::Stored => 16,
        }
    }

    /// What the step checks, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Parse => "bounded parse",
            Self::Origin => "origin is the pinned one",
            Self::Authority => "changes of authority",
            Self::LogSignature => "log signature",
            Self::Quorum => "witness quorum",
            Self::HeadAge => "head age",
            Self::Floor => "floor and consistency",
            Self::Paths => "inclusion of every record",
            Self::Tail => "tail complete, changes nothing",
            Self::Certificate => "third-party certificate",
            Self::Countersignature => "operator countersignature",
            Self::Epoch => "epoch not below the floor",
            Self::Revocation => "no revocation touches it",
            Self::Validity => "validity, fleet status, key roles",
            Self::PinnedKeys => "pinned keys",
            Self::Stored => "new floor stored",
        }
    }
}

/// A step that was passed, and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Which step.
    pub step: Step,
    /// What it found, for a person.
    pub detail: String,
}

/// What a bundle that verified means for its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleState {
    /// Use it.
    Ok,
    /// Use it, and enrol again: a fleet is draining.
    RollingOver,
}

/// A bundle that passed steps 1 to 15. Nothing can be read from it until its floor is stored.
#[derive(Debug)]
#[must_use = "a bundle may be used only after its floor was stored"]
pub struct UnstoredBundle {
    floor: Floor,
    bundle: VerifiedBundle,
}

/// A bundle that passed every step. Only [`UnstoredBundle::store`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedBundle {
    statement: ParsedStatement,
    checkpoint: Checkpoint,
    head_time: Timestamp,
    stale_at: Timestamp,
    witnesses: Vec<String>,
    state: BundleState,
}

impl UnstoredBundle {
    /// Step 16: hands the new floor to `store`, which must return only once it is durable, and then the bundle.
    ///
    /// A crash inside `store` leaves the old floor or the new one; both are safe, because the bundle was not used.
    pub fn store<E>(self, store: impl FnOnce(&Floor) -> Result<(), E>) -> Result<VerifiedBundle, E> {
        store(&self.floor)?;
        Ok(self.bundle)
    }
}

impl VerifiedBundle {
    /// The statement: which fleets, members and keys.
    #[must_use]
    pub const fn statement(&self) -> &ParsedStatement {
        &self.statement
    }

    /// The tree head it was verified under.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The time that the quorum vouches for.
    #[must_use]
    pub const fn head_time(&self) -> Timestamp {
        self.head_time
    }

    /// From when a fresher bundle is needed.
    #[must_use]
    pub const fn stale_at(&self) -> Timestamp {
        self.stale_at
    }

    /// The witnesses that cosigned.
    #[must_use]
    pub fn witnesses(&self) -> &[String] {
        &self.witnesses
    }

    /// What it means for its holder.
    #[must_use]
    pub const fn state(&self) -> BundleState {
        self.state
    }

    /// The fleets that sessions may be opened to.
    pub fn serving_fleets(&self) -> impl Iterator<Item = &Fleet> {
        self.statement.statement().fleets.iter().filter(|fleet| fleet.status.serves())
    }
}

/// Verifies a bundle: steps 1 to 15.
///
/// * `bytes`: the bundle, at most 1 MiB, from anywhere.
/// * `link`: the consistency proof from the floor's size, where the trust file asks for it.
/// * `trust`: what the client pins. `floor`: what it remembers, or [`TrustFile::initial_floor`].
/// * `now`: the local clock, which is not believed to be earlier than what was verified before.
pub fn verify(
    bytes: &[u8],
    link: Option<&ConsistencyLink>,
    trust: &TrustFile,
    floor: &Floor,
    now: Timestamp,
) -> Result<UnstoredBundle, Distrust> {
    verify_observed(bytes, link, trust, floor, now, &mut |_| {})
}

/// [`verify()`], telling an observer of each step that was passed.
pub fn verify_observed(
    bytes: &[u8],
    link: Option<&ConsistencyLink>,
    trust: &TrustFile,
    floor: &Floor,
    now: Timestamp,
    observe: &mut dyn FnMut(Passed),
) -> Result<UnstoredBundle, Distrust> {
    let mut passed = |step, detail: String| observe(Passed { step, detail });

    let bundle = ValidationBundle::parse(bytes)?;
    let signed = SignedCheckpoint::parse(bundle.checkpoint.as_bytes())?;
    let records = Records::read(&bundle)?;
    passed(Step::Parse, format!("{} bytes, {} records", bytes.len(), bundle.records.len()));

    let checkpoint = signed.checkpoint();
    check_origins(trust, floor, checkpoint, &records)?;
    passed(Step::Origin, checkpoint.origin.to_string());

    let authority = follow_authority(trust, &records)?;
    passed(Step::Authority, format!("{} since the trust file", authority.serial().saturating_sub(trust.serial)));

    signed
        .verify_log(&authority.policy().logs().iter().map(|log| log.vkey.clone()).collect::<Vec<_>>())
        .map_err(Distrust::log_signature)?;
    passed(Step::LogSignature, format!("size {}", checkpoint.size));

    let witnessed = authority.policy().verify(&signed).map_err(Distrust::quorum)?;
    let witnesses: Vec<String> = witnessed.cosigned().iter().map(|(key, _)| key.name().to_string()).collect();
    passed(Step::Quorum, witnesses.join(", "));

    let now = effective_now(trust, floor, now);
    let (head_time, stale_at) = check_head_age(&witnessed, trust, &records, now)?;
    passed(Step::HeadAge, format!("{} s old, stale at {stale_at}", now.seconds_since(head_time)));

    let how = check_floor(checkpoint, link, trust, floor)?;
    passed(Step::Floor, how.to_string());

    records.check_paths(checkpoint)?;
    let chosen = records.choose()?;
    passed(Step::Paths, format!("{} records under the checkpoint", bundle.records.len()));

    let in_tail = records.check_tail(&chosen, checkpoint.size, &authority)?;
    passed(Step::Tail, format!("{} entries after the activation", records.tail_len(&chosen)));

    let statement = chosen.statement.statement();
    let (epoch, digest) = (statement.epoch, chosen.statement.digest());
    chosen.certified.certificate.verify(&authority.keys().certificate, &trust.namespace(), epoch, digest)?;
    passed(Step::Certificate, format!("epoch {epoch}, {digest}"));

    check_countersignatures(&chosen, &authority)?;
    passed(Step::Countersignature, format!("{} of the operator", chosen.activation.countersignatures.len()));

    check_epoch(floor, &chosen.statement)?;
    passed(Step::Epoch, floor.epoch.map_or_else(|| "no floor yet".to_string(), |floor| format!("floor {floor}")));

    let revoked = known_revocations(floor, &in_tail)?;
    check_revoked(&revoked, &chosen.statement)?;
    passed(Step::Revocation, format!("{} known", floor.revocations.len() + in_tail.len()));

    check_validity(&chosen.statement, trust, now)?;
    passed(Step::Validity, format!("until {}", statement.not_after));

    check_pinned(&chosen.statement, trust)?;
    passed(Step::PinnedKeys, if trust.pinned_keys.is_some() { "all pinned" } else { "not asked for" }.to_string());

    let floor = Floor {
        epoch: Some(epoch),
        digest: Some(digest),
        size: checkpoint.size,
        root: checkpoint.root,
        head_time: Some(floor.head_time.map_or(head_time, |before| before.max(head_time))),
        revocations: remembered(floor, &in_tail)?,
        ..floor.clone()
    };
    let rolling = statement.fleets.iter().any(|fleet| fleet.status == FleetStatus::Draining);
    let state = if rolling { BundleState::RollingOver } else { BundleState::Ok };
    let checkpoint = checkpoint.clone();
    let bundle = VerifiedBundle { statement: chosen.statement, checkpoint, head_time, stale_at, witnesses, state };
    Ok(UnstoredBundle { floor, bundle })
}

fn check_origins(trust: &TrustFile, floor: &Floor, checkpoint: &Checkpoint, records: &Records) -> Result<(), Distrust> {
    let named = records.iter().map(|(_, entry)| entry.origin());
    for found in named.chain([&checkpoint.origin, &floor.origin]) {
        if *found != trust.origin {
            return Err(Distrust::OtherOrigin { expected: trust.origin.clone(), found: found.clone() });
        }
    }
    Ok(())
}

/// Step 3. Each change must have been included under the quorum in force before it.
fn follow_authority(trust: &TrustFile, records: &Records) -> Result<Authority, Distrust> {
    let mut authority = trust.authority()?;
    for (record, entry) in records.iter() {
        let Entry::AuthorityChange(change) = entry else {
            continue;
        };
        if change.serial <= trust.serial {
            continue;
        }
        let index = record.index;
        records::check_witnessed(record, authority.policy())?;
        authority = authority.after(change).map_err(|source| Distrust::AuthorityChange { index, source })?;
    }
    Ok(authority)
}

/// Step 6: a local clock that runs late must not make an old head fresh.
fn effective_now(trust: &TrustFile, floor: &Floor, now: Timestamp) -> Timestamp {
    let now = now.max(trust.issued_at);
    floor.head_time.map_or(now, |head_time| now.max(head_time))
}

fn check_head_age(
    witnessed: &WitnessedCheckpoint,
    trust: &TrustFile,
    records: &Records,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Distrust> {
    let time = witnessed.time().and_then(Timestamp::from_unix).ok_or(Distrust::NoHeadTime)?;
    // The statement is not believed yet; it can only make the limit smaller.
    let stated = records.stated_head_age().unwrap_or(u64::MAX);
    let limit = stated.min(trust.limits.max_head_age_seconds);
    let age = now.seconds_since(time);
    if age > limit {
        return Err(Distrust::Stale { age_seconds: age, limit_seconds: limit });
    }
    Ok((time, time.plus(limit)))
}

fn check_floor(
    checkpoint: &Checkpoint,
    link: Option<&ConsistencyLink>,
    trust: &TrustFile,
    floor: &Floor,
) -> Result<&'static str, Distrust> {
    let (size, root) = (checkpoint.size, checkpoint.root);
    if size < floor.size {
        return Err(Distrust::Rollback { floor: floor.size, found: size });
    }
    if size == floor.size {
        return if root == floor.root { Ok("the same head") } else { Err(Distrust::Fork { size }) };
    }
    if floor.size == TreeSize::ZERO {
        return Ok("no floor yet");
    }
    let Some(link) = link else {
        return if trust.require_link {
            Err(Distrust::LinkMissing { floor: floor.size })
        } else {
            Ok("the quorum's word")
        };
    };
    if (link.from, link.to) != (floor.size, size) {
        return Err(Distrust::LinkSizes { floor: floor.size, head: size, from: link.from, to: link.to });
    }
    verify_consistency(floor.size, floor.root, size, root, &link.proof()).map_err(Distrust::Link)?;
    Ok("consistency proof from the floor")
}

fn check_countersignatures(chosen: &records::Chosen<'_>, authority: &Authority) -> Result<(), Distrust> {
    let activation = chosen.activation;
    let (epoch, digest) = (chosen.statement.statement().epoch, chosen.statement.digest());
    if (activation.epoch, activation.statement, activation.leaf_index) != (epoch, digest, chosen.certified_index) {
        return Err(Distrust::ActivationMismatch);
    }
    let tuple = Countersigned {
        origin: authority.origin(),
        epoch,
        statement: digest,
        leaf_index: chosen.certified_index,
        certificate_signature: &chosen.certified.certificate.signature,
    };
    let operator = &authority.keys().operator;
    Ok(countersignature::verify(&tuple, &activation.countersignatures, &operator.keys, operator.threshold)?)
}

fn check_epoch(floor: &Floor, statement: &ParsedStatement) -> Result<(), Distrust> {
    let (Some(epoch), Some(digest)) = (floor.epoch, floor.digest) else {
        return Ok(());
    };
    let found = statement.statement().epoch;
    if found < epoch {
        return Err(Distrust::EpochRollback { floor: epoch, found });
    }
    if found == epoch && statement.digest() != digest {
        return Err(Distrust::OtherStatement { epoch, floor: digest, found: statement.digest() });
    }
    Ok(())
}

fn known_revocations(floor: &Floor, in_tail: &[(&Revocation, &[u8])]) -> Result<Revoked, Distrust> {
    let mut revoked = Revoked::default();
    for text in &floor.revocations {
        match Entry::parse(text.as_bytes()).map_err(|_| Distrust::RememberedRevocation)? {
            Entry::Revocation(revocation) => revoked.add(&revocation),
            Entry::CertifiedStatement(_)
            | Entry::Activation(_)
            | Entry::Evidence(_)
            | Entry::PolicyChange(_)
            | Entry::AuthorityChange(_) => return Err(Distrust::RememberedRevocation),
        }
    }
    in_tail.iter().for_each(|(revocation, _)| revoked.add(revocation));
    Ok(revoked)
}

fn check_revoked(revoked: &Revoked, statement: &ParsedStatement) -> Result<(), Distrust> {
    let epoch = statement.statement().epoch;
    if revoked.epochs.contains(&epoch) {
        return Err(Distrust::EpochRevoked { epoch });
    }
    revoked.touches(statement.statement()).map_or(Ok(()), |what| Err(Distrust::Revoked { what }))
}

/// The floor's revocations and the tail's. A revocation, once met, is never forgotten.
fn remembered(floor: &Floor, in_tail: &[(&Revocation, &[u8])]) -> Result<Vec<String>, Distrust> {
    let mut all = floor.revocations.clone();
    for (_, bytes) in in_tail {
        all.push(String::from_utf8(bytes.to_vec()).map_err(|_| Distrust::RememberedRevocation)?);
    }
    all.sort();
    all.dedup();
    if all.len() > REMEMBERED_REVOCATIONS_MAX { Err(Distrust::TooManyRevocations) } else { Ok(all) }
}

fn check_validity(parsed: &ParsedStatement, trust: &TrustFile, now: Timestamp) -> Result<(), Distrust> {
    let statement = parsed.statement();
    if now < statement.not_before {
        return Err(Distrust::NotYetValid { not_before: statement.not_before });
    }
    if now >= statement.not_after {
        return Err(Distrust::Expired { not_after: statement.not_after });
    }
    let (found, limit) = (statement.lifetime_seconds(), trust.limits.max_statement_lifetime_seconds);
    if found > limit {
        return Err(Distrust::StatementLifetime { found, limit });
    }
    if !statement.fleets.iter().any(|fleet| fleet.status.serves()) {
        return Err(Distrust::NoServingFleet);
    }
    for fleet in statement.fleets.iter().filter(|fleet| fleet.status.serves()) {
        for member in &fleet.members {
            let usable = |role| member.keys_of(role).any(|key| key.not_before <= now && now < key.not_after);
            if !usable(KeyRole::Session) || !usable(KeyRole::Identity) {
                return Err(Distrust::NoUsableKey { member: member.member_id.clone() });
            }
        }
    }
    Ok(())
}

fn check_pinned(parsed: &ParsedStatement, trust: &TrustFile) -> Result<(), Distrust> {
    let Some(pinned) = &trust.pinned_keys else {
        return Ok(());
    };
    let serving = parsed.statement().keys().filter(|(fleet, _, _)| fleet.status.serves());
    let stranger = serving.map(|(_, _, key)| key.key_id).find(|key_id: &KeyId| !pinned.contains(key_id));
    stranger.map_or(Ok(()), |key_id| Err(Distrust::NotPinned { key_id }))
}

#[cfg(test)]
mod tests;
