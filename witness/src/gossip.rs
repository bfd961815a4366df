//! Gossip: the one task that exchanges heads and evidence with the configured peers, round by round.
//!
//! A round pulls every peer's heads, tells it ours, looks into what was pushed to us meanwhile, and then compares lists
//! of evidence in both directions. It keeps no belief: what a round finds out is in the store, and what it remembers
//! between rounds only saves asking for the same again.
//!
//! Bounds: 32 peers at once, one request to each at a time, 10 s for each request and 120 s for each peer and round; 64
//! heads and 1 MiB in a page, 160 pages; 64 tiles for a relation; 16 pieces of evidence for each peer and round and
//! direction.
//!
//! Invariant: a peer can cost time within these bounds, and nothing else. Source: FORMATS.md, "Gossip".

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use countermark_service::lifecycle::with_causes;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::fork::ForkId;
use countermark_tlog::gossip::{FORK_IDS_MAX, Verdict};
use reqwest::Url;
use tokio::task::JoinSet;

use crate::config::GossipConfig;
use crate::conviction::ConvictError;
use crate::ports::{Clock, ForkStore};
use crate::witness::Witness;

mod peer;
mod relate;
mod webhook;

pub use peer::ClientError;
use peer::{Client, FetchError};

/// The longest that a peer may take in a round.
const PEER_DEADLINE: Duration = Duration::from_mins(2);
/// The most pages of heads that are pulled from a peer in a round.
const PAGES_MAX: usize = 160;
/// The most pieces of evidence to or from a peer in a round.
const EXCHANGED_MAX: usize = 16;

/// The task of gossip.
pub struct Gossip<Store, Time> {
    round: Arc<Round<Store, Time>>,
    peers: Vec<Peer>,
    interval: Duration,
    webhook: Option<Url>,
    /// Evidence that the webhook was told of.
    told: BTreeSet<ForkId>,
}

/// What every part of a round needs.
struct Round<Store, Time> {
    witness: Arc<Witness<Store, Time>>,
    client: Client,
    config: GossipConfig,
}

/// A peer, and which evidence it is of no use to speak about with it.
#[derive(Clone)]
struct Peer {
    url: Url,
    /// It told of this evidence, or of what is none to us, of logs that we do not follow most of all.
    not_for_us: BTreeSet<ForkId>,
    /// It was told of this evidence.
    not_for_it: BTreeSet<ForkId>,
}

impl<Store: ForkStore, Time: Clock> Gossip<Store, Time> {
    /// Prepares the task. Nothing is asked before [`Self::run`].
    pub fn new(witness: Arc<Witness<Store, Time>>, config: GossipConfig) -> Result<Self, ClientError> {
        let peer = |url: &Url| Peer { url: url.clone(), not_for_us: BTreeSet::new(), not_for_it: BTreeSet::new() };
        Ok(Self {
            peers: config.peers.iter().map(peer).collect(),
            interval: config.interval,
            webhook: config.webhook.clone(),
            told: BTreeSet::new(),
            round: Arc::new(Round { witness, client: Client::new()?, config }),
        })
    }

    /// Rounds without end. Evidence that is found between them is passed on at once.
    pub async fn run(mut self) {
        loop {
            self.exchange_heads().await;
            self.exchange_evidence().await;
            let round = Arc::clone(&self.round);
            let next = tokio::time::sleep(self.interval);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    () = round.witness.bell.found.notified() => self.exchange_evidence().await,
                }
            }
        }
    }

    async fn exchange_heads(&mut self) {
        let mut peers = JoinSet::new();
        for peer in &self.peers {
            let (round, url) = (Arc::clone(&self.round), peer.url.clone());
            peers.spawn(async move {
                let exchanged = async {
                    round.pull_heads(&url).await?;
                    round.push_heads(&url).await
                };
                if let Some(error) = failed(tokio::time::timeout(PEER_DEADLINE, exchanged).await) {
                    tracing::warn!(peer = %url, error, "gossip: heads were not exchanged");
                }
            });
        }
        while peers.join_next().await.is_some() {}
        for head in self.round.witness.bell.waiting() {
            self.round.look_into(&head, None).await;
        }
    }

    async fn exchange_evidence(&mut self) {
        let mut peers = JoinSet::new();
        for mut peer in std::mem::take(&mut self.peers) {
            let round = Arc::clone(&self.round);
            peers.spawn(async move {
                if let Some(error) = failed(tokio::time::timeout(PEER_DEADLINE, round.exchange(&mut peer)).await) {
                    tracing::warn!(peer = %peer.url, error, "gossip: evidence was not exchanged");
                }
                peer
            });
        }
        while let Some(joined) = peers.join_next().await {
            match joined {
                Ok(peer) => self.peers.push(peer),
                Err(error) => tracing::error!(%error, "fault: gossip with a peer broke off"),
            }
        }
        if let Some(webhook) = &self.webhook {
            match self.round.witness.store.forks().await {
                Ok(forks) => webhook::tell(&self.round.client, webhook, &forks, &mut self.told).await,
                Err(error) => tracing::error!(error = with_causes(&error), "fault: the evidence was not read"),
            }
        }
    }
}

impl<Store: ForkStore, Time: Clock> Round<Store, Time> {
    async fn pull_heads(&self, peer: &Url) -> Result<(), FetchError> {
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = self.client.heads(peer, after.as_ref()).await?;
            let Some(last) = page.heads().last() else { return Ok(()) };
            after = Some(last.checkpoint().origin.clone());
            for head in page.heads() {
                self.look_into(head, Some(peer)).await;
            }
        }
        Ok(())
    }

    async fn push_heads(&self, peer: &Url) -> Result<(), FetchError> {
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = self.witness.newest_heads(after.as_deref()).await?;
            let Some(last) = page.heads().last() else { return Ok(()) };
            after = Some(countermark_tlog::gossip::origin_hash(&last.checkpoint().origin));
            // What it answers is its opinion; evidence comes with the lists.
            self.client.push_heads(peer, &page).await?;
        }
        Ok(())
    }

    /// Judges a head, and if that needs more than what is stored, relates it to our newest.
    async fn look_into(&self, head: &SignedCheckpoint, peer: Option<&Url>) {
        let origin = &head.checkpoint().origin;
        let outcome = match self.witness.hear(head).await {
            Ok(Verdict::Behind | Verdict::Ahead) => self.relate_to_newest(head, peer).await,
            Ok(Verdict::Consistent | Verdict::Unknown | Verdict::NotSigned | Verdict::Fork(_)) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(%origin, error = with_causes(&error), "gossip: a head was not judged");
        }
    }

    async fn exchange(&self, peer: &mut Peer) -> Result<(), FetchError> {
        let theirs = self.client.fork_ids(&peer.url).await?;
        let ours = self.witness.store.forks().await?;
        let unknown = theirs.iter().filter(|id| !ours.contains(id) && !peer.not_for_us.contains(id));
        for id in unknown.copied().take(EXCHANGED_MAX).collect::<Vec<_>>() {
            let evidence = self.client.fork(&peer.url, id).await?;
            match self.witness.hear_evidence(&evidence).await {
                // Also where there is enough of that log already, and it was not kept.
                Ok(_)
                | Err(
                    ConvictError::Malformed(_)
                    | ConvictError::NotFollowed { .. }
                    | ConvictError::ProvesNothing(_)
                    | ConvictError::Relate(_),
                ) => remember(&mut peer.not_for_us, id),
                Err(error @ (ConvictError::Stored { .. } | ConvictError::Clock(_) | ConvictError::Store(_))) => {
                    tracing::error!(error = with_causes(&error), "fault: evidence was not kept");
                }
            }
        }
        let unsaid = ours.iter().filter(|id| !theirs.contains(id) && !peer.not_for_it.contains(id));
        for id in unsaid.copied().take(EXCHANGED_MAX).collect::<Vec<_>>() {
            let Some(evidence) = self.witness.store.fork(id).await? else { continue };
            // Once is enough, whatever it thinks of it.
            self.client.push_fork(&peer.url, evidence).await?;
            remember(&mut peer.not_for_it, id);
        }
        Ok(())
    }
}

/// Forgetting costs a question that was asked before.
fn remember(ids: &mut BTreeSet<ForkId>, id: ForkId) {
    if ids.len() >= FORK_IDS_MAX {
        ids.clear();
    }
    ids.insert(id);
}

fn failed(outcome: Result<Result<(), FetchError>, tokio::time::error::Elapsed>) -> Option<String> {
    match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(with_causes(&error)),
        Err(elapsed) => Some(elapsed.to_string()),
    }
}
