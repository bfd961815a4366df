//! From a certified statement to its activation, one numbered step after the other.

use countermark_bundle::entry::{Activation, Decision, Entry};
use countermark_bundle::identity::{Epoch, Timestamp};
use countermark_bundle::namespace_state::StatementRecord;
use countermark_tlog::size::LeafIndex;

use super::{Countersigner, TurnError};
use crate::decide::{self, RefusalReason, Verdict};
use crate::ledger::{Decided, LedgerRow, NewRow, Refusal, RowRecord};
use crate::ports::{CommitRowError, UntrustedAnswer};
use crate::receipt::{UntrustedEntry, VerifiedReceipt};
use crate::stop::StopReason;

/// Where a pending statement stands.
enum Standing {
    /// Active, refused or superseded.
    Settled,
    /// In the ledger, and not active.
    Recorded(RowRecord),
    /// Nothing was decided yet.
    Undecided,
}

/// What is to be done with a pending statement.
enum Next {
    /// Countersign it; decided now or before.
    Countersign(Decision, Timestamp),
    /// Look again in a later turn.
    Wait,
    /// Nothing, ever.
    Drop,
}

impl Countersigner {
    /// Takes one pending statement as far as it goes.
    pub(super) async fn consider(&mut self, epoch: Epoch) -> Result<(), TurnError> {
        let row = match self.standing(epoch).await? {
            Standing::Settled => return Ok(()),
            Standing::Recorded(row) => Some(row),
            Standing::Undecided => None,
        };

        // 1. Verify. A crash here: nothing happened.
        let receipt = self.pending_receipt(epoch).await?;

        // 2. Decide. A row that is there was decided for good. A crash here: decided again, a little later.
        let (decision, decided_at) = match self.next(&receipt, row).await? {
            Next::Countersign(decision, decided_at) => (decision, decided_at),
            Next::Wait => return Ok(()),
            Next::Drop => {
                self.pending.remove(&epoch);
                return Ok(());
            }
        };

        // 3. Ledger row, durable. A crash before: as if this turn had not been. A crash after it, or a failure that
        //    saved: the next turn finds the row and signs this very statement, so nothing is burnt.
        let Some(row) = self.commit_row(&receipt, decision, decided_at).await? else {
            self.pending.remove(&epoch);
            return Ok(());
        };
        self.sign_and_submit(&receipt, &row, 0).await?;
        self.standing(epoch).await.map(|_| ())
    }

    /// Where a pending statement stands. One that is settled is pending no longer.
    async fn standing(&mut self, epoch: Epoch) -> Result<Standing, TurnError> {
        let decided = self.ports.ledger.decided(epoch).await?;
        let activation = self.record(epoch).and_then(|record| record.activations.first().copied());
        let standing = match (decided, activation) {
            (Some(Decided::Row(row)), Some(at)) => {
                self.mark(&row, at).await?;
                Standing::Settled
            }
            // Refused before, or activated by another key of the operator.
            (Some(Decided::Refused(_)), _) | (None, Some(_)) => Standing::Settled,
            (Some(Decided::Row(_)) | None, None) if self.is_superseded(epoch).await? => {
                tracing::info!(%epoch, "superseded by a newer epoch: never countersigned from now on");
                Standing::Settled
            }
            (Some(Decided::Row(row)), None) => Standing::Recorded(row),
            (None, None) => Standing::Undecided,
        };
        if matches!(standing, Standing::Settled) {
            self.pending.remove(&epoch);
        }
        Ok(standing)
    }

    /// Renews the newest active epoch once enough entries follow its last activation, if it is ours, not superseded and
    /// not revoked.
    pub(super) async fn renew(&mut self) -> Result<(), TurnError> {
        let state = self.view.replay().state();
        let Some(active) = state.newest_active() else { return Ok(()) };
        let epoch = active.statement.statement().epoch;
        let Some((number, true)) = state.next_renewal(epoch) else { return Ok(()) };
        let Some(row) = self.ports.ledger.newest_row().await?.filter(|row| row.epoch == epoch) else {
            return Ok(());
        };
        // The same steps as for the first activation, with the same row: a renewal is no new decision.
        let receipt = self.fetch_receipt(epoch).await?;
        if decide::revoked(&receipt, self.view.replay().state()).is_some() {
            return Ok(());
        }
        match self.commit_row(&receipt, row.decision, row.decided_at).await? {
            Some(row) => self.sign_and_submit(&receipt, &row, number).await,
            None => Ok(()),
        }
    }

    fn record(&self, epoch: Epoch) -> Option<&StatementRecord> {
        self.view.replay().state().statement(epoch)
    }

    /// Whether a newer epoch is active, or was countersigned.
    async fn is_superseded(&self, epoch: Epoch) -> Result<bool, TurnError> {
        let active = self.view.replay().state().newest_active();
        let active = active.map(|record| record.statement.statement().epoch);
        let recorded = self.ports.ledger.newest_row().await?.map(|row| row.epoch);
        Ok(active.max(recorded).is_some_and(|newest| newest > epoch))
    }

    async fn pending_receipt(&mut self, epoch: Epoch) -> Result<VerifiedReceipt, TurnError> {
        if let Some(receipt) = self.pending.get(&epoch).and_then(|pending| pending.receipt.clone()) {
            return Ok(receipt);
        }
        let receipt = self.fetch_receipt(epoch).await?;
        if let Some(pending) = self.pending.get_mut(&epoch) {
            pending.receipt = Some(receipt.clone());
        }
        Ok(receipt)
    }

    async fn fetch_receipt(&self, epoch: Epoch) -> Result<VerifiedReceipt, TurnError> {
        let (view, reader) = (&self.view, self.ports.reader.as_ref());
        let head = view.head().expect("a statement is known only under a verified head");
        let index = self.record(epoch).expect("the epoch was read from this state").index;
        let entry = UntrustedEntry::fetch(reader, index, head).await;
        let entry = entry.map_err(|source| TurnError::Fetch { epoch, source })?;
        let rules = view.replay().admission_rules(epoch);
        entry.verify(head, view.replay().state(), rules).map_err(|source| TurnError::Receipt { epoch, source })
    }

    async fn next(&mut self, receipt: &VerifiedReceipt, row: Option<RowRecord>) -> Result<Next, TurnError> {
        let (epoch, now) = (receipt.epoch(), self.ports.clock.now());
        let state = self.view.replay().state();
        if let Some(row) = row {
            if let Some(reason) = decide::revoked(receipt, state) {
                tracing::error!(%epoch, ?reason, "revoked after it was recorded: not countersigned");
                return Ok(Next::Drop);
            }
            return Ok(Next::Countersign(row.decision, row.decided_at));
        }
        let counted_from = self.pending.get(&epoch).map_or(now, |pending| pending.counted_from);
        match decide::decide(receipt, state, &self.settings.rules, counted_from, now) {
            Verdict::Permitted(decision) => Ok(Next::Countersign(decision, now)),
            Verdict::Waiting { until } => {
                if let Some(pending) = self.pending.get_mut(&epoch)
                    && pending.waiting_until.replace(until) != Some(until)
                {
                    tracing::warn!(%epoch, digest = %receipt.digest(), %until, "an addition waits for its cool-off");
                }
                Ok(Next::Wait)
            }
            Verdict::Refused(reason) => {
                self.refuse(receipt, reason, now).await?;
                Ok(Next::Drop)
            }
        }
    }

    async fn refuse(
        &self,
        receipt: &VerifiedReceipt,
        reason: RefusalReason,
        refused_at: Timestamp,
    ) -> Result<(), TurnError> {
        let (epoch, digest, index) = (receipt.epoch(), receipt.digest(), receipt.index());
        let refusal = Refusal { epoch, digest, index, refused_at, reason };
        self.ports.ledger.record_refusal(&refusal).await?;
        tracing::error!(%epoch, %digest, reason = ?refusal.reason, "refused: this statement is never countersigned");
        Ok(())
    }

    /// The durable row; `None` where the ledger refuses the epoch for good.
    async fn commit_row(
        &self,
        receipt: &VerifiedReceipt,
        decision: Decision,
        decided_at: Timestamp,
    ) -> Result<Option<LedgerRow>, TurnError> {
        match self.ports.ledger.commit_row(&NewRow::new(receipt, decision, decided_at)).await {
            Ok(row) => Ok(Some(row)),
            Err(CommitRowError::OtherStatement { epoch, recorded, found }) => {
                Err(StopReason::OtherStatement { epoch, recorded, found }.into())
            }
            // Another process over this ledger went further meanwhile.
            Err(CommitRowError::BelowNewest { epoch, newest }) => {
                tracing::warn!(%epoch, %newest, "superseded in the ledger: not countersigned");
                Ok(None)
            }
            Err(error @ (CommitRowError::RefusedBefore { .. } | CommitRowError::Fault(_))) => {
                Err(TurnError::CommitRow(error))
            }
        }
    }

    /// Steps 4 to 6 for a row that is durable.
    async fn sign_and_submit(
        &mut self,
        receipt: &VerifiedReceipt,
        row: &LedgerRow,
        renewal: u64,
    ) -> Result<(), TurnError> {
        let epoch = receipt.epoch();
        // 4. Sign. A crash here, or after it: the next turn signs the same statement again. That the signature existed
        //    changes nothing; the row said so before.
        let countersignature = self.settings.key.countersign(receipt, row);
        let countersignature = countersignature.map_err(|source| TurnError::Countersign { epoch, source })?;

        // 5. Submit. A crash here, or an answer that got lost: the next turn submits again, and the log knows the entry
        //    by epoch, digest and renewal number, whatever the signature.
        let (origin, digest, index) = (receipt.origin().clone(), receipt.digest(), receipt.index());
        let activation = Activation::new(origin, epoch, digest, index, renewal, vec![countersignature]);
        let entry = Entry::Activation(activation).write();
        let token = self.settings.tokens.mint(receipt.namespace(), self.ports.clock.now())?;
        let answer = self.ports.submitter.submit(&entry, &token).await;
        let answer = answer.map_err(|source| TurnError::Submit { epoch, source })?;

        // 6. See it published. The log's word is not enough: the activation must stand under a verified head. A crash
        //    here: the next turn finds it there.
        let (index, size) = match answer {
            UntrustedAnswer::Published { index, size } => (index, size),
            UntrustedAnswer::Accepted => return Err(TurnError::NotPublished { epoch }),
        };
        self.follow().await?;
        let seen = self.record(epoch).map_or(0, |record| record.activations.len());
        if u64::try_from(seen).is_ok_and(|seen| seen > renewal) {
            tracing::info!(%epoch, renewal, index = index.get(), "activation published");
            Ok(())
        } else {
            Err(TurnError::NotThere { epoch, index, size })
        }
    }

    /// Notes that a row's statement is active. A crash before: the next turn notes it.
    async fn mark(&mut self, row: &RowRecord, at: LeafIndex) -> Result<(), TurnError> {
        let epoch = row.epoch;
        if let Some(record) = self.record(epoch)
            && (record.statement.digest(), record.index) != (row.digest, row.index)
        {
            let (recorded, found) = (row.digest, record.statement.digest());
            return Err(StopReason::OtherStatement { epoch, recorded, found }.into());
        }
        Ok(self.ports.ledger.mark_activated(epoch, at).await?)
    }
}
