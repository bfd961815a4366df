//! The publisher task: the only code that asks witnesses for cosignatures and publishes heads.
//!
//! It works in rounds. A round is for one head, the newest committed one when the round begins, so that a quorum cosigns
//! the *same* head while the log goes on growing. It closes as soon as the quorum is met; witnesses that are still busy
//! finish in the background, and what they give is added to the published note. A round that fails is tried again after a
//! bounded wait, on whatever head is then the newest. Without a quorum nothing is published.
//!
//! Invariants: one call to a witness at a time; heads are published in rising order; a head is shown only after its
//! cosignatures are stored.

mod ask;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::note::NoteSignature;
use countermark_tlog::size::TreeSize;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, warn};

use crate::clock::timestamp;
use crate::foundation::LogState;
use crate::metrics;
use crate::ports::{StoredPublication, WitnessEndpoint};
use crate::proofs::TileReader;
use crate::published::{Committed, Published, stopped};
use crate::sequencer::{NamespaceSettings, Ports, WitnessFailure, WitnessRounds};

use ask::{Asked, Question, ask};

/// The first wait after a round that failed.
const RETRY_BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait after a round that failed.
const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What the publisher task is made from.
pub(crate) struct PublisherParts {
    pub(crate) settings: Arc<NamespaceSettings>,
    pub(crate) ports: Ports,
    pub(crate) reader: Arc<TileReader>,
    pub(crate) rounds: Arc<Mutex<WitnessRounds>>,
    /// The size that each witness knows, in the order of the settings.
    pub(crate) known: Vec<TreeSize>,
    pub(crate) committed: watch::Receiver<Arc<Committed>>,
    pub(crate) witnessed: watch::Sender<TreeSize>,
    pub(crate) published: watch::Sender<Option<Arc<Published>>>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// The publisher task of one namespace.
pub(crate) struct Publisher {
    parts: PublisherParts,
    peers: Vec<Peer>,
    calls: JoinSet<Asked>,
    /// Which witness a call is to.
    callees: HashMap<Id, usize>,
    round: Option<Round>,
    /// The cosignatures of a round that failed, kept for the next one if that is for the same head.
    left_over: Option<Round>,
    next_round: Instant,
    backoff: Duration,
}

/// One witness, as the publisher sees it.
struct Peer {
    witness: Arc<WitnessEndpoint>,
    known: TreeSize,
    busy: bool,
}

/// One head on its way to a quorum.
struct Round {
    head: Arc<Committed>,
    /// By witness.
    cosigned: BTreeMap<usize, Vec<NoteSignature>>,
    /// Whether each witness has answered for this head, well or badly.
    answered: Vec<bool>,
}

impl Round {
    fn meets_quorum(&self) -> bool {
        // Only verified lines are kept. A line of one of its keys is the witness's word.
        self.head.state.policy().quorum_met(&|key| self.cosigned.values().flatten().any(|line| line.is_of(key)))
    }
}

impl Publisher {
    pub(crate) fn new(parts: PublisherParts) -> Self {
        let witnesses = parts.settings.witnesses.iter().cloned();
        let peers = witnesses
            .zip(&parts.known)
            .map(|(witness, known)| Peer { witness: Arc::new(witness), known: *known, busy: false })
            .collect();
        Self {
            parts,
            peers,
            calls: JoinSet::new(),
            callees: HashMap::new(),
            round: None,
            left_over: None,
            // The cosignatures that were stored may be old: the first round begins at once.
            next_round: Instant::now(),
            backoff: RETRY_BACKOFF_MIN,
        }
    }

    /// Publishes until it is stopped.
    pub(crate) async fn run(mut self) {
        let mut stop = self.parts.stop.clone();
        loop {
            let idle = self.round.is_none();
            // A round that failed is tried again after its wait, not because of a new head.
            let takes_new_heads = idle && self.left_over.is_none();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                Some(called) = self.calls.join_next_with_id(), if !self.calls.is_empty() => self.settle(called).await,
                changed = self.parts.committed.changed(), if takes_new_heads => match changed {
                    Ok(()) => self.begin().await,
                    Err(_) => return,
                },
                () = sleep_until(self.next_round), if idle => self.begin().await,
            }
        }
    }

    /// Opens a round for the newest committed head and asks every witness that is free.
    async fn begin(&mut self) {
        let head = self.parts.committed.borrow_and_update().clone();
        let left_over = self.left_over.take();
        let mut cosigned = BTreeMap::new();
        if let Some(old) = left_over.filter(|old| old.head.head.size == head.head.size) {
            cosigned = old.cosigned;
        }
        debug!(size = %head.head.size, "a witness round begins");
        // Also those whose cosignature is left over are asked again: it stands in for a fresh one, no longer.
        let answered = vec![false; self.peers.len()];
        self.round = Some(Round { head, cosigned, answered });
        for peer in 0..self.peers.len() {
            self.call(peer);
        }
        // What an earlier round had gathered may be enough: it was the store that had failed.
        self.advance().await;
    }

    /// Asks a witness for the round's head, unless it is busy or has answered.
    fn call(&mut self, position: usize) {
        let (Some(round), Some(peer)) = (&self.round, self.peers.get_mut(position)) else {
            return;
        };
        if peer.busy || round.answered.get(position).copied().unwrap_or(true) {
            return;
        }
        peer.busy = true;
        let question = Question {
            client: Arc::clone(&self.parts.ports.witnesses),
            reader: Arc::clone(&self.parts.reader),
            witness: Arc::clone(&peer.witness),
            known: peer.known,
            head: Arc::clone(&round.head),
            deadline: self.parts.settings.witness_timeout,
        };
        let call = self.calls.spawn(ask(question));
        self.callees.insert(call.id(), position);
    }

    /// Takes a witness's answer.
    async fn settle(&mut self, called: Result<(Id, Asked), JoinError>) {
        let (id, asked) = match called {
            Ok((id, asked)) => (id, Some(asked)),
            Err(failure) => {
                error!(%failure, "a call to a witness panicked");
                (failure.id(), None)
            }
        };
        let Some(position) = self.callees.remove(&id) else { return };
        let Some(peer) = self.peers.get_mut(position) else { return };
        peer.busy = false;
        let mut size = None;
        if let Some(asked) = asked {
            peer.known = asked.known;
            size = Some(asked.size);
            self.hear(position, asked).await;
        }
        if let Some(round) = &mut self.round {
            // A call that panicked counts as an answer, or the round would never end.
            if size.is_none_or(|size| size == round.head.head.size)
                && let Some(answered) = round.answered.get_mut(position)
            {
                *answered = true;
            }
        }
        // A witness that was busy with an earlier head joins the round now.
        self.call(position);
        self.advance().await;
    }

    /// Notes what a witness said, and puts its cosignature where it belongs.
    async fn hear(&mut self, position: usize, asked: Asked) {
        let now = timestamp(self.parts.ports.clock.now_ms());
        let outcome = asked.outcome;
        {
            let mut rounds = self.parts.rounds.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(health) = rounds.witnesses.get_mut(position) {
                match &outcome {
                    Ok(_) => (health.last_success, health.last_failure) = (Some(now), None),
                    Err(failure) => {
                        let (reason, detail) = (failure.reason(), failure.to_string());
                        health.last_failure = Some(WitnessFailure { at: now, reason, detail });
                    }
                }
            }
        }
        let cosignatures = match outcome {
            Ok(cosignatures) => cosignatures,
            Err(failure) => {
                let witness = self.peers.get(position).map(|peer| peer.witness.name().to_owned());
                let reason = failure.reason();
                metrics::witness_failed(&self.parts.settings.origin, witness.clone().unwrap_or_default(), reason);
                warn!(witness, size = %asked.size, %reason, %failure, "a witness gave no cosignature");
                return;
            }
        };
        if let Some(round) = &mut self.round
            && round.head.head.size == asked.size
        {
            round.cosigned.insert(position, cosignatures);
            return;
        }
        let published = self.parts.published.borrow().clone();
        if let Some(published) = published.filter(|published| published.size == asked.size) {
            self.add(&published, cosignatures).await;
        }
    }

    /// Closes the round if the quorum is met, or if nobody is left who could meet it.
    async fn advance(&mut self) {
        let Some(round) = self.round.take() else { return };
        let met = round.meets_quorum();
        if !met && round.answered.contains(&false) {
            self.round = Some(round);
            return;
        }
        self.note_quorum(met);
        if met && self.publish(&round).await {
            self.backoff = RETRY_BACKOFF_MIN;
            self.next_round = Instant::now() + self.parts.settings.recosign_every;
            return;
        }
        if !met {
            warn!(size = %round.head.head.size, cosigned = round.cosigned.len(), "too few witnesses cosigned; nothing is published");
        }
        self.next_round = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(RETRY_BACKOFF_MAX);
        self.left_over = Some(round);
    }

    /// Notes whether a round met the quorum, for whoever asks how the namespace is doing.
    fn note_quorum(&self, met: bool) {
        let now = timestamp(self.parts.ports.clock.now_ms());
        let mut rounds = self.parts.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.without_quorum_since = if met { None } else { rounds.without_quorum_since.or(Some(now)) };
    }

    /// Stores and shows a head that met the quorum. Whether it did.
    async fn publish(&mut self, round: &Round) -> bool {
        let head = &round.head.head;
        let before = self.parts.published.borrow().clone();
        if before.as_ref().is_some_and(|before| before.size > head.size) {
            error!(size = %head.size, "a smaller head than the published one is never published");
            return true;
        }
        // A re-cosigned head keeps the older cosignatures of those who did not answer this time.
        let same = before.filter(|before| before.size == head.size);
        let base = same.as_ref().map_or(&head.checkpoint, |published| &published.note);
        let Ok(mut note) = SignedCheckpoint::parse(base) else {
            error!(size = %head.size, "a signed head cannot be read back");
            return false;
        };
        for cosignature in round.cosigned.values().flatten() {
            note = note.with_signature(cosignature.clone());
        }
        self.release(&note, round.head.state.clone()).await
    }

    /// Adds a straggler's cosignatures to the published note.
    async fn add(&mut self, published: &Arc<Published>, cosignatures: Vec<NoteSignature>) {
        let Ok(mut note) = SignedCheckpoint::parse(&published.note) else {
            return;
        };
        for cosignature in cosignatures {
            note = note.with_signature(cosignature);
        }
        let state = published.state.clone();
        self.release(&note, state).await;
    }

    async fn release(&mut self, note: &SignedCheckpoint, state: LogState) -> bool {
        let (size, note) = (state.size(), note.to_bytes());
        // The second code path: the note is judged as a client would, by the policy in force at its size.
        let now = timestamp(self.parts.ports.clock.now_ms());
        let published = match Published::verify(&note, state, now) {
            Ok(published) => published,
            Err(failure) => {
                error!(%size, %failure, "a cosigned head does not verify; it is not published");
                return false;
            }
        };
        self.parts.witnessed.send_if_modified(|witnessed| {
            let grown = *witnessed < size;
            *witnessed = (*witnessed).max(size);
            grown
        });
        // 1. The cosignatures are stored. A crash before it: after the next start the witnesses are asked again.
        let publication = StoredPublication { size, note };
        let origin = &self.parts.settings.origin;
        if let Err(failure) = self.parts.ports.store.record_publication(origin, &publication).await {
            warn!(%size, %failure, "a cosigned head was not stored; it is not published yet");
            return false;
        }
        // 2. Readers see it, and whoever waits for it is answered. A crash before it: start-up shows the stored head.
        self.parts.published.send_replace(Some(Arc::new(published)));
        debug!(%size, "published");
        true
    }
}

#[cfg(test)]
mod tests;
