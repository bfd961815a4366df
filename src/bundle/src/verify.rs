//! The one door: sixteen steps from untrusted bytes to a [`VerifiedBundle`], a named error for each.
//!
//! Steps 1 to 15 are [`verify()`]. Step 16 is [`UnstoredBundle::store`]: what a bundle says can be read only after the
//! new floor was stored, because a client that uses a bundle and then forgets that it did can be rolled back.
//!
//! The door fails closed: whatever was not checked is not believed.

mod distrust;
mod head;
mod records;
mod statement;
mod step;

pub use distrust::Distrust;
pub use step::Step;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use countermark_tlog::checkpoint::{Checkpoint, SignedCheckpoint};

use crate::entry::Revocation;
use crate::identity::Timestamp;
use crate::link::ConsistencyLink;
use crate::statement::{Fleet, FleetStatus, ParsedStatement};
use crate::trust::{Floor, REMEMBERED_REVOCATIONS_MAX, TRUST_BYTES_MAX, TrustFile};
use crate::validation_bundle::ValidationBundle;
use head::Head;
use records::Records;

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

    let client = Client { link, trust, floor, now };
    let (head, checkpoint) = (head::check(&client, &signed, &records, &mut passed)?, signed.checkpoint());

    records.check_paths(checkpoint)?;
    let chosen = records.choose()?;
    passed(Step::Paths, format!("{} records under the checkpoint", bundle.records.len()));

    let in_tail = records.check_tail(&chosen, checkpoint.size, &head.authority)?;
    passed(Step::Tail, format!("{} entries after the activation", records.tail_len(&chosen)));

    statement::check(&client, &head, &chosen, &in_tail, &mut passed)?;

    let floor = floor_after(floor, checkpoint, &head, &chosen.statement, &in_tail)?;
    let rolling = chosen.statement.statement().fleets.iter().any(|fleet| fleet.status == FleetStatus::Draining);
    let bundle = VerifiedBundle {
        checkpoint: checkpoint.clone(),
        head_time: head.time,
        stale_at: head.stale_at.min(chosen.statement.statement().not_after),
        statement: chosen.statement,
        witnesses: head.witnesses,
        state: if rolling { BundleState::RollingOver } else { BundleState::Ok },
    };
    Ok(UnstoredBundle { floor, bundle })
}

/// What the client brings to the door.
struct Client<'a> {
    link: Option<&'a ConsistencyLink>,
    trust: &'a TrustFile,
    floor: &'a Floor,
    now: Timestamp,
}

/// Hears of each step that was passed.
type Observer<'a> = &'a mut dyn FnMut(Step, String);

/// What the client remembers from now on. Whatever it is, [`Floor::parse`] must read it again: a client that cannot
/// read its own memory is locked out.
fn floor_after(
    before: &Floor,
    checkpoint: &Checkpoint,
    head: &Head,
    statement: &ParsedStatement,
    in_tail: &[(&Revocation, &[u8])],
) -> Result<Floor, Distrust> {
    let floor = Floor {
        epoch: Some(statement.statement().epoch),
        digest: Some(statement.digest()),
        size: checkpoint.size,
        root: checkpoint.root,
        head_time: Some(before.head_time.map_or(head.time, |newest| newest.max(head.time))),
        revocations: remembered(before, in_tail)?,
        ..before.clone()
    };
    if floor.write().len() > TRUST_BYTES_MAX { Err(Distrust::TooManyRevocations) } else { Ok(floor) }
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

#[cfg(test)]
mod tests;
