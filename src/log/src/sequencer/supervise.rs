//! The two tasks of a namespace live and end together.

use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::{Instrument as _, error, info};

use super::owner::{Ended, Owner};
use crate::witness_round::Publisher;

/// Runs both tasks; when one ends, so does the other. Says why the namespace ended.
pub(super) async fn supervise(
    owner: Owner,
    publisher: Publisher,
    stop: watch::Sender<bool>,
    ended: watch::Sender<bool>,
) -> Ended {
    let mut owning = tokio::spawn(owner.run().in_current_span());
    let mut publishing = tokio::spawn(publisher.run().in_current_span());
    let (first, second) = tokio::select! {
        end = &mut owning => {
            stop.send_replace(true);
            (end, publishing.await)
        }
        end = &mut publishing => {
            stop.send_replace(true);
            (owning.await, end)
        }
    };
    let end = conclude(first, second);
    match &end {
        Ended::ShutDown => info!("the namespace has stopped"),
        failure @ (Ended::Fenced { .. } | Ended::Contradiction(_) | Ended::Panicked) => {
            error!(%failure, "the namespace has stopped");
        }
    }
    ended.send_replace(true);
    end
}

fn conclude(owner: Result<Ended, JoinError>, publisher: Result<(), JoinError>) -> Ended {
    match (owner, publisher) {
        (Ok(Ended::ShutDown), Err(_)) | (Err(_), _) => Ended::Panicked,
        (Ok(ended), _) => ended,
    }
}
