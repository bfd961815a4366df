//! Asking again for what a busy or distant service did not give at once. For reads only: whatever they answer, nothing
//! has changed there.

use std::time::Duration;

use super::{FetchError, SourceFuture};

/// How often a read is tried, and how long is waited in between: twice as long each time, and as long as the service asks
/// for, but never longer than `pause_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Tries in all; at least one.
    pub tries_max: u32,
    /// The pause after the first.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Default for Patience {
    /// 5 tries; 0.25 to 30 seconds.
    fn default() -> Self {
        Self { tries_max: 5, pause: Duration::from_millis(250), pause_max: Duration::from_secs(30) }
    }
}

impl Patience {
    /// The answer to a read, or the failure of the last try. Only failures that may heal are tried again.
    pub(crate) async fn ask<'a>(self, read: impl Fn() -> SourceFuture<'a>) -> Result<Vec<u8>, FetchError> {
        let (mut tried, mut pause) = (1, self.pause);
        loop {
            let error = match read().await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            let Some(asked) = heals(&error).filter(|_| tried < self.tries_max) else { return Err(error) };
            tokio::time::sleep(pause.max(asked).min(self.pause_max)).await;
            (tried, pause) = (tried + 1, pause.saturating_mul(2));
        }
    }
}

/// The pause that the service asks for, if another try may end otherwise.
fn heals(error: &FetchError) -> Option<Duration> {
    match error {
        FetchError::Unavailable { retry_after, .. } => Some(retry_after.unwrap_or_default()),
        FetchError::Unreachable { .. } | FetchError::TimedOut { .. } => Some(Duration::ZERO),
        FetchError::NotFound { .. }
        | FetchError::Redirected { .. }
        | FetchError::Refused { .. }
        | FetchError::TooLarge { .. }
        | FetchError::Malformed { .. }
        | FetchError::Unreadable { .. }
        | FetchError::Stopped => None,
    }
}
