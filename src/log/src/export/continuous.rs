//! The task that keeps an export up with what is published.
//!
//! It never delays a publication: it looks at the newest one, and skips those that passed while it was busy.
//!
//! Invariant: what it says to be exported is durable at its destination.

use std::sync::Arc;
use std::time::Duration;

use countermark_service::lifecycle::with_causes;
use countermark_tlog::size::TreeSize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{Instrument as _, error, info, info_span, warn};

use super::{ExportHead, Exporter};
use crate::published::Published;

/// The first wait after an export that failed.
const RETRY_BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait after an export that failed.
const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How the export of a namespace is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportStatus {
    /// What the task does.
    pub state: ExportState,
    /// The exported size; `None` before this process has exported, or found exported, anything.
    pub exported: Option<TreeSize>,
    /// Attempts that failed, since the process started.
    pub failures: u64,
}

/// What the export task of a namespace does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportState {
    /// Exports what is published.
    Following,
    /// Something outside failed; it tries again.
    Retrying,
    /// What is there contradicts this log, or the log contradicts itself: nothing more is exported until a restart.
    Halted,
}

impl ExportState {
    /// The word for it in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::Retrying => "retrying",
            Self::Halted => "halted",
        }
    }
}

/// The task of one namespace, and what it says.
#[derive(Debug)]
pub(crate) struct Continuous {
    pub(crate) status: watch::Receiver<ExportStatus>,
    task: JoinHandle<()>,
}

impl Continuous {
    /// Begins to export whatever is published, until it is stopped or nothing is published any more.
    pub(crate) fn begin(exporter: Exporter, published: watch::Receiver<Option<Arc<Published>>>) -> Self {
        let (sender, status) =
            watch::channel(ExportStatus { state: ExportState::Following, exported: None, failures: 0 });
        let span = info_span!("export", origin = %exporter.log.origin);
        let task = tokio::spawn(run(exporter, published, sender).instrument(span));
        Self { status, task }
    }

    /// Stops it where it stands: an export can be left off at any moment.
    pub(crate) async fn stop(self) {
        self.task.abort();
        // It was cancelled, or had ended.
        let _ = self.task.await;
    }
}

async fn run(
    mut exporter: Exporter,
    mut published: watch::Receiver<Option<Arc<Published>>>,
    status: watch::Sender<ExportStatus>,
) {
    let mut backoff = RETRY_BACKOFF_MIN;
    loop {
        let head = published.borrow_and_update().as_deref().map(ExportHead::from);
        let Some(head) = head else {
            // An error means that nothing will ever be published.
            if published.changed().await.is_err() {
                return;
            }
            continue;
        };
        match exporter.export(&head, &mut |_| {}).await {
            Ok(size) => {
                if status.borrow().state == ExportState::Retrying {
                    info!(%size, "exporting again");
                }
                backoff = RETRY_BACKOFF_MIN;
                status.send_modify(|status| {
                    status.state = ExportState::Following;
                    status.exported = Some(size);
                });
                if published.changed().await.is_err() {
                    return;
                }
            }
            Err(failure) if failure.is_fault() => {
                let first = status.borrow().state != ExportState::Retrying;
                status.send_modify(|status| {
                    status.state = ExportState::Retrying;
                    status.failures = status.failures.saturating_add(1);
                });
                if first {
                    warn!(failure = with_causes(&failure), "the export failed and is tried again");
                }
                sleep(backoff).await;
                backoff = backoff.saturating_mul(2).min(RETRY_BACKOFF_MAX);
            }
            Err(failure) => {
                status.send_modify(|status| {
                    status.state = ExportState::Halted;
                    status.failures = status.failures.saturating_add(1);
                });
                error!(
                    failure = with_causes(&failure),
                    "the export is halted; nothing more is exported until a restart"
                );
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
