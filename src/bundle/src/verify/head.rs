//! Steps 2 to 7: the tree head. Whose it is, who signed and cosigned it, how old it is, and whether it goes on from what
//! the client saw before.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use countermark_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
use countermark_tlog::policy::WitnessedCheckpoint;
use countermark_tlog::proof::verify_consistency;
use countermark_tlog::size::TreeSize;

use super::records::{self, Records};
use super::{Client, Distrust, Observer, Step};
use crate::authority::Authority;
use crate::entry::Entry;
use crate::identity::Timestamp;
use crate::link::ConsistencyLink;
use crate::trust::{Floor, TrustFile};

/// A head that is believed, and the authority under which it is.
pub(super) struct Head {
    pub authority: Authority,
    /// The names of the witnesses that cosigned.
    pub witnesses: Vec<String>,
    /// The time that the quorum vouches for.
    pub time: Timestamp,
    /// From when the head is too old.
    pub stale_at: Timestamp,
    /// The time that windows are judged at: never earlier than what the quorum vouches for.
    pub now: Timestamp,
}

/// Steps 2 to 7.
pub(super) fn check(
    client: &Client<'_>,
    signed: &SignedCheckpoint,
    records: &Records,
    passed: Observer<'_>,
) -> Result<Head, Distrust> {
    let Client { link, trust, floor, now } = *client;
    let checkpoint = signed.checkpoint();
    check_origins(trust, floor, checkpoint, records)?;
    passed(Step::Origin, checkpoint.origin.to_string());

    let authority = follow_authority(trust, records)?;
    passed(Step::Authority, format!("{} since the trust file", authority.serial().saturating_sub(trust.serial)));

    let log_keys: Vec<_> = authority.policy().logs().iter().map(|log| log.vkey.clone()).collect();
    signed.verify_log(&log_keys).map_err(Distrust::log_signature)?;
    passed(Step::LogSignature, format!("size {}", checkpoint.size));

    let witnessed = authority.policy().verify(signed).map_err(Distrust::quorum)?;
    let names: Vec<String> = witnessed.witnesses().iter().map(ToString::to_string).collect();
    passed(Step::Quorum, names.join(", "));

    let now = effective_now(trust, floor, now);
    let (time, stale_at) = check_head_age(&witnessed, trust, records, now)?;
    passed(Step::HeadAge, format!("{} s old, stale at {stale_at}", now.seconds_since(time)));

    let how = check_floor(checkpoint, link, trust, floor)?;
    passed(Step::Floor, how.to_string());
    Ok(Head { authority, witnesses: names, time, stale_at, now: now.max(time) })
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
