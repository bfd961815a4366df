//! What the witnesses have seen, before anything is signed.

use std::sync::Arc;
use std::time::Duration;

use countermark_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
use countermark_tlog::size::TreeSize;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, warn};

use super::{HeadName, LoadError, LogIdentity};
use crate::ports::WitnessEndpoint;
use crate::proofs::root_at;
use crate::published::Committed;
use crate::sequencer::Ports;

/// The longest that start-up waits for a witness's monitoring endpoint.
const MONITORING_DEADLINE_MAX: Duration = Duration::from_secs(5);

/// The newest head of this log that each witness shows under the log's own signature; `None` where it shows none or is
/// unreachable. What the log did not sign proves nothing and is warned about only: a lying witness cannot stop the log.
pub(crate) async fn newest_heads(
    log: LogIdentity<'_>,
    ports: &Ports,
    witnesses: &[WitnessEndpoint],
    witness_timeout: Duration,
) -> Vec<Option<HeadName>> {
    let deadline = witness_timeout.min(MONITORING_DEADLINE_MAX);
    let mut asked = JoinSet::new();
    for (position, witness) in witnesses.iter().cloned().enumerate() {
        let (client, origin) = (Arc::clone(&ports.witnesses), log.origin.clone());
        asked.spawn(async move {
            let answer = timeout(deadline, client.newest_checkpoint(&witness, &origin)).await;
            (position, answer)
        });
    }
    let mut heads = vec![None; witnesses.len()];
    while let Some(joined) = asked.join_next().await {
        let Ok((position, answer)) = joined else {
            error!(origin = %log.origin, "asking a witness for its newest checkpoint panicked");
            continue;
        };
        let (Some(witness), Some(head)) = (witnesses.get(position), heads.get_mut(position)) else {
            continue;
        };
        let name = witness.name();
        match answer {
            Err(_) => {
                warn!(origin = %log.origin, witness = %name, "the witness did not show its newest checkpoint in time");
            }
            Ok(Err(error)) => {
                warn!(origin = %log.origin, witness = %name, %error, "the witness does not show its newest checkpoint");
            }
            Ok(Ok(None)) => {}
            Ok(Ok(Some(note))) => {
                *head = signed_by_log(log, &note);
                if head.is_none() {
                    warn!(origin = %log.origin, witness = %name, "the witness shows a checkpoint that this log did not sign");
                }
            }
        }
    }
    heads
}

/// Checks that the database contains every head that a witness has seen. Gives the size that each witness knows.
pub(crate) async fn check(
    log: LogIdentity<'_>,
    ports: &Ports,
    witnesses: &[WitnessEndpoint],
    heads: &[Option<HeadName>],
    committed: &Arc<Committed>,
) -> Result<Vec<TreeSize>, LoadError> {
    let mut known = Vec::with_capacity(witnesses.len());
    for (witness, head) in witnesses.iter().zip(heads) {
        let Some(seen) = *head else {
            known.push(TreeSize::ZERO);
            continue;
        };
        let name = || witness.name().to_owned();
        match root_at(log.origin, ports.store.clone(), committed, seen.size).await? {
            None => {
                return Err(LoadError::WitnessAhead {
                    witness: name(),
                    witnessed: seen,
                    database: HeadName::from(&committed.head),
                });
            }
            Some(root) if root == seen.root => known.push(seen.size),
            Some(root) => {
                return Err(LoadError::WitnessContradicts {
                    witness: name(),
                    witnessed: seen,
                    database: HeadName { root, ..seen },
                });
            }
        }
    }
    Ok(known)
}

fn signed_by_log(log: LogIdentity<'_>, note: &[u8]) -> Option<HeadName> {
    let signed = SignedCheckpoint::parse(note).ok()?;
    signed.verify_log(std::slice::from_ref(log.log_key)).ok()?;
    let Checkpoint { size, root, .. } = *signed.checkpoint();
    Some(HeadName { size, root })
}
