//! The loop around the turns: wait, turn, tell.
//!
//! Polling costs the log one checkpoint per interval. After an error the wait doubles, up to [`BACK_OFF_MAX`]; there is
//! one countersigner per namespace, so nothing needs to be spread by chance.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::countersigner::{Countersigner, Turn};
use crate::status::{LastError, Status, message_of};

/// The longest wait between two turns after errors; the poll interval itself, where that is longer.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(10);

/// Turns until the shutdown completes. Being dropped in the middle of a turn is a crash, and harmless.
pub async fn run(
    mut countersigner: Countersigner,
    poll_interval: Duration,
    status: watch::Sender<Arc<Status>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut failures = 0;
    loop {
        let wait = tokio::select! {
            biased;
            () = &mut shutdown => return,
            wait = turn_and_tell(&mut countersigner, poll_interval, &mut failures, &status) => wait,
        };
        let waited = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                // Stopped: only the status page lives on.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            () = waited => {}
        }
    }
}

/// One turn; how long to wait before the next, `None` if there will be none.
async fn turn_and_tell(
    countersigner: &mut Countersigner,
    poll_interval: Duration,
    failures: &mut u32,
    status: &watch::Sender<Arc<Status>>,
) -> Option<Duration> {
    let turn = countersigner.turn().await;
    let (wait, last_error) = match turn {
        Ok(Turn::Done) => {
            *failures = 0;
            (Some(poll_interval), None)
        }
        Ok(Turn::Stopped) => (None, None),
        Err(error) => {
            *failures = failures.saturating_add(1);
            let message = message_of(&error);
            tracing::warn!(turns = *failures, "{message}");
            (Some(wait_after(poll_interval, *failures)), Some(LastError { message, turns: *failures }))
        }
    };
    match countersigner.status(last_error).await {
        Ok(page) => {
            status.send_replace(Arc::new(page));
        }
        Err(fault) => {
            let message = message_of(&fault);
            tracing::warn!("{message}");
            let last_error = Some(LastError { message, turns: (*failures).max(1) });
            status.send_replace(Arc::new(Status { last_error, ..countersigner.status_without_ledger() }));
        }
    }
    wait
}

/// The wait after so many failed turns in a row.
fn wait_after(poll_interval: Duration, failures: u32) -> Duration {
    let doubled = poll_interval.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(BACK_OFF_MAX.max(poll_interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_every_failure_up_to_its_bound() {
        let check = |interval_ms, failures, expect_ms| {
            let wait = wait_after(Duration::from_millis(interval_ms), failures);
            assert_eq!(wait, Duration::from_millis(expect_ms), "{interval_ms} ms after {failures}");
        };
        check(500, 0, 500);
        check(500, 1, 1_000);
        check(500, 4, 8_000);
        check(500, 5, 10_000);
        check(500, u32::MAX, 10_000);
        check(60_000, 1, 60_000);
    }
}
