//! A bundle, from bytes to belief: read the floor, verify, store the new floor, and only then hand out the bundle.
//!
//! What is believed is decided by [`countermark_bundle::verify`]; this module adds the client's memory and the network.

use countermark_bundle::ExitClass;
use countermark_bundle::identity::Timestamp;
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::trust::{Floor, TrustFile};
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_bundle::verify::{Distrust, Passed, Step, VerifiedBundle, verify_observed};
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::size::TreeSize;

use crate::fetch::{FetchError, LogReader, resumed};
use crate::floor_store::{FloorFile, FloorStore, FloorStoreError, check_forward};

/// How often a bundle and its link are fetched again because the log grew between the two.
const FETCH_ROUNDS_MAX: usize = 3;

/// Why a bundle is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The floor could not be read: nothing was verified.
    #[error("the floor was not read: {0}")]
    FloorRead(FloorStoreError),
    /// The bundle is not believed.
    #[error(transparent)]
    Distrust(#[from] Distrust),
    /// The bundle is true, but the floor was not stored: it must not be used.
    #[error("the floor was not stored: {0}")]
    FloorWrite(FloorStoreError),
    /// The bundle or its link was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl VerifyError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Distrust(distrust) => distrust.exit_class(),
            Self::FloorRead(error) | Self::FloorWrite(error) => error.exit_class(),
            Self::Fetch(error) => error.exit_class(),
        }
    }
}

/// Verifies a bundle without a network: steps 1 to 16.
///
/// * `bundle`, `link`: as they arrived, from anywhere.
/// * `trust`: what the client pins. `floor_store`: what it remembers; [`FloorFile::lock`] makes one.
/// * `now`: the local clock. `observer` is told of each step that was passed.
pub fn verify_bundle_offline(
    bundle: &[u8],
    link: Option<&ConsistencyLink>,
    trust: &TrustFile,
    floor_store: &mut dyn FloorStore,
    now: Timestamp,
    observer: &mut dyn FnMut(Passed),
) -> Result<VerifiedBundle, VerifyError> {
    // 1. Read the floor. A crash here changed nothing.
    let floor = floor_in_force(floor_store.read().map_err(VerifyError::FloorRead)?, trust)?;

    // 2. Verify. A crash here changed nothing: the bundle is not handed out and the floor is the old one.
    let unstored = verify_observed(bundle, link, trust, &floor, now, observer)?;

    // 3. Store the new floor. A crash here leaves the old floor or the new one. With the old one the client verifies
    //    the same bundle again; with the new one it does so too, because a floor accepts the bundle that made it.
    let store = |new: &Floor| check_forward(&floor, new).and_then(|()| floor_store.write(new));
    let verified = unstored.store(store).map_err(VerifyError::FloorWrite)?;

    // 4. Only now the bundle leaves this function. A crash here loses an answer, never the memory of it.
    observer(Passed { step: Step::Stored, detail: format!("size {}", verified.checkpoint().size) });
    Ok(verified)
}

/// Fetches the newest bundle, and the link where the floor asks for one, and verifies them.
///
/// The observer is told of the passed steps once the verification has ended, well or not.
pub async fn fetch_and_verify(
    log: &LogReader,
    trust: &TrustFile,
    floor_file: &FloorFile,
    now: Timestamp,
    observer: &mut (dyn FnMut(Passed) + Send),
) -> Result<VerifiedBundle, VerifyError> {
    let mut round = 1;
    loop {
        let floor = floor_in_force(floor_file.read().map_err(VerifyError::FloorRead)?, trust)?;
        let bundle = log.newest_bundle().await?;
        let link = match link_needed(&bundle, trust, &floor) {
            Some(from) => Some(log.link(from).await?),
            None => None,
        };
        let (passed, outcome) = verify_blocking(bundle, link, trust, floor_file, now).await?;
        match outcome {
            // The log grew between bundle and link, or another process moved the floor: that is nobody's fault.
            Err(VerifyError::Distrust(Distrust::LinkSizes { .. } | Distrust::LinkMissing { .. }))
                if round < FETCH_ROUNDS_MAX =>
            {
                round += 1;
            }
            outcome => {
                passed.into_iter().for_each(observer);
                return outcome;
            }
        }
    }
}

/// The higher of what the client remembers and what its trust file knows: a new trust file may know more.
fn floor_in_force(stored: Option<Floor>, trust: &TrustFile) -> Result<Floor, Distrust> {
    let pinned = trust.initial_floor();
    let Some(mut floor) = stored else { return Ok(pinned) };
    if pinned.size == floor.size && pinned.root != floor.root {
        return Err(Distrust::Fork { size: floor.size });
    }
    if let (Some(epoch), Some(known), Some(found)) = (pinned.epoch, floor.digest, pinned.digest)
        && floor.epoch == pinned.epoch
        && known != found
    {
        return Err(Distrust::OtherStatement { epoch, floor: known, found });
    }
    if pinned.size > floor.size {
        (floor.size, floor.root) = (pinned.size, pinned.root);
    }
    if pinned.epoch > floor.epoch {
        (floor.epoch, floor.digest) = (pinned.epoch, pinned.digest);
    }
    Ok(floor)
}

type Outcome = (Vec<Passed>, Result<VerifiedBundle, VerifyError>);

/// Locking and fsync wait for the disk and for other processes, which the runtime's threads must not.
async fn verify_blocking(
    bundle: Vec<u8>,
    link: Option<ConsistencyLink>,
    trust: &TrustFile,
    floor_file: &FloorFile,
    now: Timestamp,
) -> Result<Outcome, FetchError> {
    let (trust, floor_file) = (trust.clone(), floor_file.clone());
    let verified = tokio::task::spawn_blocking(move || {
        let mut passed = Vec::new();
        let mut observe = |step| passed.push(step);
        let outcome = floor_file.lock().map_err(VerifyError::FloorRead).and_then(|mut locked| {
            verify_bundle_offline(&bundle, link.as_ref(), &trust, &mut locked, now, &mut observe)
        });
        (passed, outcome)
    });
    resumed(verified.await)
}

/// The size from which a link is needed, as far as can be said of bytes that nobody has verified: they can make the
/// client ask in vain, not believe.
fn link_needed(bundle: &[u8], trust: &TrustFile, floor: &Floor) -> Option<TreeSize> {
    if !trust.require_link || floor.size == TreeSize::ZERO {
        return None;
    }
    let bundle = ValidationBundle::parse(bundle).ok()?;
    let head = SignedCheckpoint::parse(bundle.checkpoint.as_bytes()).ok()?;
    (head.checkpoint().size > floor.size).then_some(floor.size)
}

#[cfg(test)]
mod tests;
