//! Keeping the stapled bundle fresh: asks the log, verifies, and proposes to the fleet what is worth a command.
//!
//! Every member does this, each at its own moment, so that a member which cannot reach the log changes nothing. What is
//! proposed is verified again by the machine, on every member, under the fleet's trust file, floor and time; what is
//! verified here only keeps the log's mistakes out of the fleet's.

use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::link::{ConsistencyLink, LinkError};
use countermark_bundle::trust::{TrustError, TrustFile};
use countermark_bundle::verify::{Distrust, VerifiedBundle};
use countermark_tlog::size::TreeSize;
use countermark_vault_core::machine::{Adoption, Command, LINKS_MAX, Machine, Refusal, Response};
use countermark_vault_raft::CommitError;
use thiserror::Error;
use tokio::time::{Duration, Instant};

use crate::fetch::FetchError;
use crate::fleet::formation::{FirstLinkError, first_link, verify_first};
use crate::ports::{BundleSource, Replicated};

/// How often bundle and links are fetched again because the log grew between the two.
const ROUNDS_MAX: usize = 3;

/// Why the stapled bundle was not renewed.
#[derive(Debug, Error)]
pub(crate) enum StapleError {
    /// The trust file is none.
    #[error("the trust file is refused")]
    Trust(#[from] TrustError),
    /// The log did not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The log has no bundle.
    #[error("the log has no validation bundle")]
    NoBundle,
    /// The link from the trust file's floor was not to be had.
    #[error(transparent)]
    FirstLink(#[from] FirstLinkError),
    /// The log gave something else than a link.
    #[error("the log's link is refused")]
    Link(#[from] LinkError),
    /// The bundle is not believed.
    #[error("the log's bundle is not believed")]
    Distrust(#[from] Distrust),
    /// The log grew again and again.
    #[error("the log grew faster than its links were fetched")]
    Growing,
    /// The fleet did not commit it.
    #[error("the fleet did not adopt the bundle")]
    Commit(#[from] CommitError),
    /// The fleet's machine refused it.
    #[error("the fleet refused the bundle")]
    Refused(#[from] Refusal),
}

impl StapleError {
    /// The state that the member is in: the same word for the same reason.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::Trust(_) => "trust",
            Self::Fetch(_) | Self::FirstLink(FirstLinkError::Fetch(_)) => "fetch",
            Self::Link(_) | Self::FirstLink(FirstLinkError::Malformed(_)) => "link",
            Self::NoBundle => "no bundle",
            Self::Distrust(distrust) => distrust.exit_class().as_str(),
            Self::Growing => "growing",
            Self::Commit(CommitError::NoMajority) => "no majority",
            Self::Commit(CommitError::Unknown) => "commit unknown",
            Self::Refused(_) => "refused",
        }
    }
}

/// What one look at the log led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stapling {
    /// What is stapled is new enough.
    Fresh,
    /// The fleet adopted a bundle of this statement.
    Adopted {
        /// Its statement.
        statement: Digest,
        /// The size of its tree.
        size: u64,
    },
}

/// What the machine has stapled, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stapled {
    statement: Digest,
    size: u64,
    head_time: Timestamp,
    stale_at: Timestamp,
    sizes_before: Vec<u64>,
}

impl Stapled {
    fn of(machine: &Machine) -> Option<Self> {
        machine.stapled().map(|stapled| Self {
            statement: stapled.statement,
            size: stapled.size,
            head_time: stapled.head_time,
            stale_at: stapled.stale_at,
            sizes_before: stapled.sizes_before().collect(),
        })
    }

    /// Whether a bundle is worth a command: another statement at once; a newer head once it is newer by a quarter of the
    /// age that a head may reach, or once the stapled one has reached half of it.
    fn is_worth(&self, found: &VerifiedBundle, now: Timestamp) -> bool {
        self.decide(found.statement().digest(), found.checkpoint().size.get(), found.head_time(), now)
    }

    fn decide(&self, statement: Digest, size: u64, head_time: Timestamp, now: Timestamp) -> bool {
        if size < self.size || head_time < self.head_time {
            // A cache on the way, or another instance of the log, that lags. The machine would refuse it.
            return false;
        }
        let limit = self.stale_at.seconds_since(self.head_time);
        let newer = head_time.seconds_since(self.head_time);
        let age = now.seconds_since(self.head_time);
        statement != self.statement
            || (newer > 0 && (newer.saturating_mul(4) >= limit || age.saturating_mul(2) >= limit))
    }

    /// The sizes that links are needed from: the newest of the heads stapled before, and the stapled one.
    fn sizes_before(&self, next: u64) -> Vec<u64> {
        let mut sizes = self.sizes_before.clone();
        if self.size != next {
            sizes.push(self.size);
        }
        sizes.split_off(sizes.len().saturating_sub(LINKS_MAX))
    }
}

/// Looks at the log once, and proposes what it has if that is worth it.
pub(crate) async fn renew(
    log: &impl BundleSource,
    fleet: &impl Replicated,
    trust_file: &[u8],
    now: Timestamp,
    write_deadline: Duration,
) -> Result<Stapling, StapleError> {
    let trust = TrustFile::parse(trust_file)?;
    for _ in 0..ROUNDS_MAX {
        let bundle = log.newest_bundle().await?.ok_or(StapleError::NoBundle)?;
        let link = first_link(log, &trust).await?;
        let found = match verify_first(&bundle, link.as_ref(), &trust, now) {
            // The log grew between bundle and link.
            Err(Distrust::LinkSizes { .. }) => continue,
            verified => verified?,
        };
        let (statement, size) = (found.statement().digest(), found.checkpoint().size);
        let links = match fleet.read(Stapled::of) {
            Some(stapled) if !stapled.is_worth(&found, now) => return Ok(Stapling::Fresh),
            Some(stapled) => links(log, &stapled.sizes_before(size.get()), size).await?,
            None => Links { links: link.into_iter().map(|link| link.write()).collect(), is_behind: false },
        };
        if links.is_behind {
            continue;
        }
        let adoption = Adoption { bundle, links: links.links };
        return match fleet.commit(Command::Adopt(adoption), Instant::now() + write_deadline).await? {
            Response::Refused(refusal) => Err(refusal.into()),
            Response::Done
            | Response::Charged { .. }
            | Response::Succeeded { .. }
            | Response::Failed { .. }
            | Response::Tried { .. }
            | Response::Confirmed { .. }
            | Response::Deleted { .. } => Ok(Stapling::Adopted { statement, size: size.get() }),
        };
    }
    Err(StapleError::Growing)
}

struct Links {
    links: Vec<Vec<u8>>,
    /// One of them leads to a larger tree than the bundle's.
    is_behind: bool,
}

async fn links(log: &impl BundleSource, from: &[u64], to: TreeSize) -> Result<Links, StapleError> {
    let mut found = Links { links: Vec::new(), is_behind: false };
    for from in from.iter().copied().filter_map(TreeSize::new) {
        // One that is missing costs a client a way to the log, not the fleet its bundle.
        let Some(bytes) = log.link(from).await? else { continue };
        let link = ConsistencyLink::parse(&bytes)?;
        if link.to == to {
            found.links.push(bytes);
        } else {
            found.is_behind = true;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
