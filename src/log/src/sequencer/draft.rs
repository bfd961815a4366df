//! One batch being drawn up: which submissions are known already, which are refused, which become entries.
//!
//! Nothing here is durable, and nobody is answered on the strength of an entry that is not.

use std::collections::HashMap;

use countermark_bundle::identity::Digest;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::size::{LeafIndex, TreeSize};
use tokio::sync::oneshot;
use tracing::error;

use super::submission::{SubmitError, SubmitFault, Submitted, WaitLevel};
use super::{NamespaceSettings, Ports};
use crate::admit::{Parsed, Refusal};
use crate::foundation::{LogState, NextState};
use crate::ports::PortFault;
use crate::stage::{NewEntry, StagedEntry};

/// The end on which a submitter waits.
pub(super) type Answer = oneshot::Sender<Result<Submitted, SubmitError>>;

/// A submission that is well formed, and who waits for it.
pub(super) struct Candidate {
    pub(super) parsed: Parsed,
    pub(super) answer: Answer,
}

/// Entries to be committed together, the state after them, and who waits for what.
pub(super) struct Draft {
    state: NextState,
    entries: Vec<NewEntry>,
    positions: HashMap<Digest, usize>,
    waiters: Vec<Waiter>,
}

/// Somebody whose answer depends on the batch.
pub(super) struct Waiter {
    answer: Answer,
    outcome: Outcome,
}

enum Outcome {
    /// The entry at this position of the batch, put there by this submission.
    New(usize),
    /// The entry at this position, put there by an earlier submission of the same batch.
    Same(usize),
    /// Refused on top of entries that are not committed yet: true only if they are.
    Refused(SubmitError),
}

impl Draft {
    pub(super) fn on(state: &LogState) -> Self {
        Self { state: state.next(), entries: Vec::new(), positions: HashMap::new(), waiters: Vec::new() }
    }

    /// Admits a candidate or refuses it. A refusal that depends on nothing uncommitted is answered at once.
    pub(super) fn consider(&mut self, candidate: Candidate, settings: &NamespaceSettings, now_ms: u64) {
        let Candidate { parsed, answer } = candidate;
        let identity = parsed.identity();
        if let Some(position) = self.positions.get(&identity) {
            let outcome = Outcome::Same(*position);
            self.waiters.push(Waiter { answer, outcome });
            return;
        }
        let outcome = match parsed.admit(settings, &mut self.state, now_ms) {
            Ok(entry) => {
                let position = self.entries.len();
                self.entries.push(entry);
                self.positions.insert(identity, position);
                Outcome::New(position)
            }
            Err(refusal) if self.entries.is_empty() => {
                reply(answer, Err(refusal));
                return;
            }
            Err(refusal) => Outcome::Refused(refusal),
        };
        self.waiters.push(Waiter { answer, outcome });
    }

    /// The entries to stage, the state after them and the waiters; `None` if nobody waits for anything.
    pub(super) fn finish(self) -> Option<(Vec<NewEntry>, LogState, Waiters)> {
        if self.entries.is_empty() {
            return None;
        }
        let identities = self.entries.iter().map(|entry| entry.identity).collect();
        let waiters = Waiters { waiters: self.waiters, identities };
        Some((self.entries, self.state.finish(), waiters))
    }
}

/// Everybody whose answer depends on one batch.
pub(super) struct Waiters {
    waiters: Vec<Waiter>,
    identities: Vec<Digest>,
}

impl Waiters {
    /// The batch is durable.
    pub(super) fn committed(self, entries: &[StagedEntry], size: TreeSize) {
        for Waiter { answer, outcome } in self.waiters {
            let (position, duplicate) = match outcome {
                Outcome::New(position) => (position, false),
                Outcome::Same(position) => (position, true),
                Outcome::Refused(refusal) => {
                    reply(answer, Err(refusal));
                    continue;
                }
            };
            let Some(entry) = entries.get(position) else { continue };
            reply(
                answer,
                Ok(Submitted {
                    index: entry.index,
                    leaf_hash: entry.leaf_hash,
                    identity: entry.identity,
                    level: WaitLevel::Committed,
                    size,
                    duplicate,
                }),
            );
        }
    }

    /// The log was frozen before the batch came.
    pub(super) fn frozen(self, size: TreeSize) {
        for Waiter { answer, .. } in self.waiters {
            reply(answer, Err(Refusal::Frozen { size }.into()));
        }
    }

    /// The batch is not durable and never will be.
    pub(super) fn failed(self, reason: SubmitFault) {
        for Waiter { answer, .. } in self.waiters {
            reply(answer, Err(SubmitError::Fault { reason }));
        }
    }

    /// The outcome of the batch was unknown and everything was read again: each is told whether its entry is there.
    pub(super) async fn reloaded(
        self,
        settings: &NamespaceSettings,
        ports: &Ports,
        size: TreeSize,
    ) -> Result<(), PortFault> {
        let Self { waiters, identities } = self;
        let indexes = ports.store.indexes_of_identities(&settings.origin, &identities).await?;
        for Waiter { answer, outcome } in waiters {
            let (position, duplicate) = match outcome {
                Outcome::New(position) => (position, false),
                Outcome::Same(position) => (position, true),
                Outcome::Refused(_) => {
                    reply(answer, Err(not_kept()));
                    continue;
                }
            };
            let found = identities.get(position).zip(indexes.get(position).copied().flatten());
            let Some((identity, index)) = found else {
                reply(answer, Err(not_kept()));
                continue;
            };
            let submitted = stored(settings, ports, *identity, index, size).await?;
            let answered = submitted.map(|submitted| Submitted { duplicate, ..submitted });
            reply(answer, answered.ok_or_else(not_kept));
        }
        Ok(())
    }
}

/// What is answered about an entry that the store has: from what is stored, not from what was sent.
pub(super) async fn stored(
    settings: &NamespaceSettings,
    ports: &Ports,
    identity: Digest,
    index: LeafIndex,
    size: TreeSize,
) -> Result<Option<Submitted>, PortFault> {
    let entries = ports.store.entries(&settings.origin, index, 1).await?;
    Ok(entries.first().map(|bytes| Submitted {
        index,
        leaf_hash: leaf_hash(bytes),
        identity,
        level: WaitLevel::Committed,
        size,
        duplicate: true,
    }))
}

/// Answers a submitter. One who no longer waits has passed its deadline, and can ask again.
pub(super) fn reply(answer: Answer, outcome: Result<Submitted, SubmitError>) {
    if let Err(SubmitError::Fault { reason }) = &outcome {
        error!(%reason, "a submission failed");
    }
    let _ = answer.send(outcome);
}

pub(super) const fn not_kept() -> SubmitError {
    SubmitError::Fault { reason: SubmitFault::NotKept }
}
