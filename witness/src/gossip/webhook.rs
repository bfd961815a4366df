//! The webhook: told of each piece of evidence until it answers, three times a round. It is outside of everything that
//! stops the cosigning; a pager that is down delays nothing but itself.

use std::collections::BTreeSet;

use countermark_service::lifecycle::with_causes;
use countermark_tlog::fork::ForkId;
use reqwest::Url;

use super::peer::Client;

/// How often the webhook is tried in a round.
const TRIES: usize = 3;

/// Tells of the evidence that was not told of. After a restart it is told of again: an alarm twice is better than none.
pub(super) async fn tell(client: &Client, webhook: &Url, forks: &[ForkId], told: &mut BTreeSet<ForkId>) {
    let mut tries = TRIES;
    for id in forks {
        while !told.contains(id) {
            let document = serde_json::json!({
                "alarm": "fork",
                "evidence": id.to_string(),
                "text": "A log that this witness follows has forked. It is never cosigned again here. \
                         Fetch gossip/v1/forks/<evidence> and run `countermark verify fork`.",
            });
            match client.tell(webhook, document.to_string()).await {
                Ok(()) => {
                    told.insert(*id);
                }
                Err(error) => {
                    tracing::warn!(error = with_causes(&error), "the webhook was not told of a fork");
                    tries = tries.saturating_sub(1);
                    if tries == 0 {
                        return;
                    }
                }
            }
        }
    }
}
