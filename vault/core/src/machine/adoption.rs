//! The validation bundle that the fleet staples: verified by the machine itself, with the trust file and the floor that
//! are part of its state, at the fleet's time. Every member comes to the same verdict.

use alloc::vec::Vec;
use core::convert::Infallible;

use countermark_bundle::identity::{Digest, Epoch, Timestamp};
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::statement::{Fleet, FleetStatus};
use countermark_bundle::trust::{Floor, TrustFile};
use countermark_bundle::verify::{Distrust, VerifiedBundle, verify as verify_bundle};
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::proof::verify_consistency;
use countermark_tlog::size::TreeSize;
use serde::{Deserialize, Serialize};

use super::command::{ACCOUNT_ISSUERS_MAX, Adoption, Founding, LINKS_MAX, Refusal, SETUP_BYTES, StapledHead};
use super::time::ReplicatedTime;

/// The adopted bundle and what the machine takes from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Adopted {
    bundle: Vec<u8>,
    /// [`Floor::write`]: what the next bundle must not fall below.
    floor: Vec<u8>,
    statement: Digest,
    epoch: Epoch,
    size: u64,
    root: [u8; 32],
    head_time: Timestamp,
    stale_at: Timestamp,
    heads: Vec<StapledHead>,
    pub(super) status: FleetStatus,
    pub(super) guess_limit: u32,
}

/// What is stapled to answers.
#[derive(Clone, Copy, Debug)]
pub struct Stapled<'a> {
    /// The bundle, byte for byte.
    pub bundle: &'a [u8],
    /// The digest of its statement.
    pub statement: Digest,
    /// Its epoch.
    pub epoch: Epoch,
    /// The size of the tree that it was verified under.
    pub size: u64,
    /// When the quorum saw that tree.
    pub head_time: Timestamp,
    /// From when a client needs a fresher one.
    pub stale_at: Timestamp,
    heads: &'a [StapledHead],
}

impl<'a> Stapled<'a> {
    /// The consistency link from a head stapled before to the stapled one, byte for byte; `None` if no head of this size was
    /// stapled, or its link was not to be had.
    #[must_use]
    pub fn link(&self, from: TreeSize) -> Option<&'a [u8]> {
        let head = self.heads.iter().find(|head| head.size == from.get());
        head.and_then(|head| head.link.as_deref())
    }

    /// The sizes of the heads stapled before, which the next adoption brings links from.
    pub fn sizes_before(&self) -> impl Iterator<Item = u64> {
        self.heads.iter().map(|head| head.size)
    }
}

impl Adopted {
    pub(super) fn stapled(&self) -> Stapled<'_> {
        Stapled {
            bundle: &self.bundle,
            statement: self.statement,
            epoch: self.epoch,
            size: self.size,
            head_time: self.head_time,
            stale_at: self.stale_at,
            heads: &self.heads,
        }
    }
}

/// Refuses a founding that the fleet could never serve with.
pub(super) fn check_founding(founding: &Founding) -> Result<(), Refusal> {
    let is_whole = founding.decoy_setup.expose().len() == SETUP_BYTES
        && founding.account_issuers.len() <= ACCOUNT_ISSUERS_MAX
        && founding.account_issuers.is_sorted();
    if TrustFile::parse(&founding.trust).is_err() || !is_whole {
        return Err(Refusal::MalformedFounding);
    }
    Ok(())
}

/// Verifies a bundle as the successor of what was adopted before.
pub(super) fn verify(
    founding: &Founding,
    before: Option<&Adopted>,
    adoption: &Adoption,
    now: ReplicatedTime,
) -> Result<Adopted, Refusal> {
    let trust = TrustFile::parse(&founding.trust).map_err(|_| Refusal::MalformedFounding)?;
    let floor = match before {
        Some(before) => Floor::parse(&before.floor).map_err(|_| Refusal::MalformedFounding)?,
        None => trust.initial_floor(),
    };
    let now = now.timestamp().ok_or(Refusal::NotServing)?;
    let links = read_links(&adoption.links)?;
    let link = links.iter().map(|(link, _)| link).find(|link| link.from == floor.size);
    let mut new_floor = None;
    let verified = verify_bundle(&adoption.bundle, link, &trust, &floor, now)
        .map_err(|distrust| refuse(&distrust))?
        // The floor becomes durable with the machine's state, of which it is a part; nothing is stapled before.
        .store(|floor| {
            new_floor = Some(floor.write());
            Ok::<_, Infallible>(())
        })
        .unwrap_or_else(|never| match never {});
    let fleet = own_fleet(founding, &verified)?;
    let checkpoint = verified.checkpoint();
    Ok(Adopted {
        bundle: adoption.bundle.clone(),
        floor: new_floor.unwrap_or_default(),
        statement: verified.statement().digest(),
        epoch: verified.statement().statement().epoch,
        size: checkpoint.size.get(),
        root: checkpoint.root.0.0,
        head_time: verified.head_time(),
        stale_at: verified.stale_at(),
        heads: heads_after(before, checkpoint, &links)?,
        status: fleet.status,
        guess_limit: u32::try_from(fleet.guess_limit).map_err(|_| Refusal::OtherFleet)?,
    })
}

fn refuse(distrust: &Distrust) -> Refusal {
    Refusal::Distrust { class: distrust.exit_class().code() }
}

fn own_fleet<'a>(founding: &Founding, verified: &'a VerifiedBundle) -> Result<&'a Fleet, Refusal> {
    let fleets = &verified.statement().statement().fleets;
    fleets.iter().find(|fleet| fleet.fleet_id == founding.fleet_id).ok_or(Refusal::OtherFleet)
}

fn read_links(links: &[Vec<u8>]) -> Result<Vec<(ConsistencyLink, &[u8])>, Refusal> {
    if links.len() > LINKS_MAX {
        return Err(Refusal::Link { from: 0 });
    }
    links
        .iter()
        .map(|bytes| Ok((ConsistencyLink::parse(bytes).map_err(|_| Refusal::Link { from: 0 })?, bytes.as_slice())))
        .collect()
}

/// The heads stapled before, the one before last included, each with its link to the new one. A link that was not brought
/// is missing; one that is wrong is refused.
fn heads_after(
    before: Option<&Adopted>,
    to: &Checkpoint,
    links: &[(ConsistencyLink, &[u8])],
) -> Result<Vec<StapledHead>, Refusal> {
    let Some(before) = before else { return Ok(Vec::new()) };
    let mut heads = before.heads.clone();
    if before.size != to.size.get() {
        heads.push(StapledHead { size: before.size, root: before.root, link: None });
    }
    let excess = heads.len().saturating_sub(LINKS_MAX);
    heads.drain(..excess);
    for head in &mut heads {
        let found = links.iter().find(|(link, _)| link.from.get() == head.size);
        head.link = match found {
            Some((link, bytes)) => Some(check_link(head, to, link, bytes)?),
            None => None,
        };
    }
    Ok(heads)
}

fn check_link(head: &StapledHead, to: &Checkpoint, link: &ConsistencyLink, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let refused = Refusal::Link { from: head.size };
    let from = head.tree_size().ok_or(refused)?;
    if link.to != to.size {
        return Err(refused);
    }
    verify_consistency(from, RootHash(Hash(head.root)), to.size, to.root, &link.proof()).map_err(|_| refused)?;
    Ok(bytes.to_vec())
}
