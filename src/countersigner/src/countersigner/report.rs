//! What the countersigner says about itself.

use crate::ledger::{Refusal, RowRecord};
use crate::ports::LedgerFault;
use crate::status::{Countersigned, DECISIONS_MAX, Head, LastError, Refused, State, Status, Stop, Waiting};

use super::Countersigner;

impl Countersigner {
    /// The status page after a turn.
    pub async fn status(&self, last_error: Option<LastError>) -> Result<Status, LedgerFault> {
        let (rows, refusals) = self.ports.ledger.newest_decisions(DECISIONS_MAX).await?;
        Ok(Status {
            countersigned: rows.iter().map(countersigned).collect(),
            refused: refusals.into_iter().map(refused).collect(),
            turned_at: Some(self.ports.clock.now()),
            last_error,
            ..self.status_without_ledger()
        })
    }

    /// What can be said without the ledger.
    pub fn status_without_ledger(&self) -> Status {
        let state = self.view.replay().state();
        Status {
            origin: self.settings.trust.origin.as_str().to_owned(),
            state: if self.stopped.is_some() { State::Stopped } else { State::Following },
            stop: self.stopped.as_ref().map(|reason| Stop { name: reason.name(), detail: reason.to_string() }),
            operator_key: self.settings.key.key_id(),
            policy: self.settings.rules.policy.digest(),
            verified_head: self.view.head().map(|head| Head {
                size: head.size().get(),
                root: head.root().0.to_base64(),
                head_time: head.head_time(),
            }),
            newest_certified: state.newest_certified().map(|record| record.statement.statement().epoch),
            newest_active: state.newest_active().map(|record| record.statement.statement().epoch),
            countersigned: Vec::new(),
            refused: Vec::new(),
            waiting: self.waiting(),
            turned_at: None,
            last_error: None,
        }
    }

    fn waiting(&self) -> Vec<Waiting> {
        let waiting = self.pending.iter().filter_map(|(epoch, pending)| {
            let (receipt, until) = (pending.receipt.as_ref()?, pending.waiting_until?);
            Some(Waiting {
                epoch: *epoch,
                digest: receipt.digest(),
                index: receipt.index().get(),
                counted_from: pending.counted_from,
                until,
            })
        });
        waiting.collect()
    }
}

fn countersigned(row: &RowRecord) -> Countersigned {
    Countersigned {
        epoch: row.epoch,
        digest: row.digest,
        index: row.index.get(),
        policy: row.decision.policy,
        rule: row.decision.rule.to_string(),
        decided_at: row.decided_at,
        activation: row.activation.map(countermark_tlog::size::LeafIndex::get),
    }
}

fn refused(refusal: Refusal) -> Refused {
    let Refusal { epoch, digest, index, refused_at, reason } = refusal;
    Refused { epoch, digest, index: index.get(), refused_at, reason }
}
