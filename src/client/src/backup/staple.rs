//! The bundle, from the members that staple it to their answers or from the log: the first that verifies.
//!
//! A bundle is believed for what is signed in it, so it does not matter who gave it. A member may lag: what it staples is
//! then below the client's floor or too old. Others are asked before that is reported as what it could also be.

use countermark_bundle::ExitClass;
use countermark_bundle::identity::Timestamp;
use countermark_bundle::trust::TrustFile;
use countermark_bundle::verify::{Distrust, Passed, VerifiedBundle};

use crate::fetch::LogReader;
use crate::floor_store::FloorFile;
use crate::verify::{VerifyError, fetch_and_verify};

/// A bundle that is believed.
#[derive(Debug)]
pub struct Believed {
    /// It.
    pub bundle: VerifiedBundle,
    /// Whose bundle it is.
    pub address: String,
    /// The steps that it passed.
    pub passed: Vec<Passed>,
    /// Who was asked before, and why that was no use.
    pub passed_over: Vec<SourceFailure>,
}

/// Why one source's bundle was no use.
#[derive(Debug)]
pub struct SourceFailure {
    /// The source.
    pub address: String,
    /// What was wrong.
    pub error: VerifyError,
}

impl std::fmt::Display for SourceFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.error {
            // It names the place itself.
            VerifyError::Fetch(error) => error.fmt(f),
            error @ (VerifyError::FloorRead(_) | VerifyError::Distrust(_) | VerifyError::FloorWrite(_)) => {
                write!(f, "{}: {error}", self.address)
            }
        }
    }
}

/// No source gave a bundle that is believed.
#[derive(Debug, thiserror::Error)]
#[error("no bundle is believed: {}", list(failures))]
pub struct NoBundle {
    /// Why, in the order of asking.
    pub failures: Vec<SourceFailure>,
}

fn list(failures: &[SourceFailure]) -> String {
    let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "nobody was asked".to_string() } else { texts.join("; ") }
}

impl NoBundle {
    /// The class that a process exits with: that of a bundle that no lag explains, else of the first failure that says
    /// more than that a source was not reached.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        let final_one = self.failures.iter().find(|failure| !may_lag(&failure.error));
        let told = || self.failures.iter().find(|failure| failure.error.exit_class() != ExitClass::Unreachable);
        final_one.or_else(told).map_or(ExitClass::Unreachable, |failure| failure.error.exit_class())
    }
}

/// The first bundle that verifies. Sources are asked in their order; one that shows more than that it lags ends the search.
pub async fn believe(
    sources: &[LogReader],
    trust: &TrustFile,
    floor: &FloorFile,
    now: Timestamp,
) -> Result<Believed, NoBundle> {
    let mut failures = Vec::new();
    for source in sources {
        let (address, mut passed) = (source.address(), Vec::new());
        match fetch_and_verify(source, trust, floor, now, &mut |step| passed.push(step)).await {
            Ok(bundle) => return Ok(Believed { bundle, address, passed, passed_over: failures }),
            Err(error) => {
                let last = !may_lag(&error);
                failures.push(SourceFailure { address, error });
                if last {
                    break;
                }
            }
        }
    }
    Err(NoBundle { failures })
}

/// Whether an honest source that lags, or is not there, would lead to this.
fn may_lag(error: &VerifyError) -> bool {
    match error {
        VerifyError::Fetch(_) => true,
        VerifyError::FloorRead(_) | VerifyError::FloorWrite(_) => false,
        VerifyError::Distrust(distrust) => matches!(
            distrust,
            Distrust::Rollback { .. }
                | Distrust::EpochRollback { .. }
                | Distrust::Stale { .. }
                | Distrust::Expired { .. }
                | Distrust::LinkMissing { .. }
                | Distrust::LinkSizes { .. }
        ),
    }
}

#[cfg(test)]
mod tests;
