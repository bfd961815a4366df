//! The called end: takes connections, lets members in, answers their requests one after the other.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use countermark_bundle::identity::Name;
use countermark_service::lifecycle::with_causes;
use countermark_vault_core::noise::peer::PeerKeys;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, sleep, timeout};
use tracing::Instrument as _;

use super::link::Link;
use super::{HANDSHAKE_TIMEOUT, LANES_MAX, OwnEnd, QUIET_MAX, Roster};

/// How many callers may be shaking hands; another one is sent away.
const HANDSHAKES_MAX: usize = 64;
/// How many lanes one member may hold here: those of a process that went away without a word, too.
const LANES_HELD_MAX: usize = 4 * LANES_MAX;
/// How long to wait after the system refused to take a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers what another member asks.
pub(crate) trait Answer: Send + Sync + 'static {
    /// The answer to `request`.
    fn answer(&self, request: Vec<u8>) -> impl Future<Output = Vec<u8>> + Send;
}

/// The listener's task: one for the connections, and one for each of them, all of which end with it.
#[derive(Debug)]
pub(crate) struct Listening {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Listener<Answers> {
    own: OwnEnd,
    roster: Arc<Roster>,
    answers: Arc<Answers>,
    handshakes: Semaphore,
    held: Mutex<BTreeMap<Name, usize>>,
}

impl Listening {
    /// Lets members in on a bound listener until [`Listening::stop`].
    pub(crate) fn start<Answers: Answer>(
        listener: TcpListener,
        own: OwnEnd,
        roster: Arc<Roster>,
        answers: Arc<Answers>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let handshakes = Semaphore::new(HANDSHAKES_MAX);
        let shared = Arc::new(Listener { own, roster, answers, handshakes, held: Mutex::default() });
        let span = tracing::info_span!("peer_listener");
        let task = tokio::spawn(accept_until(listener, shared, stopped).instrument(span));
        Self { stop, task }
    }

    /// Ends every connection and waits for their tasks.
    pub(crate) async fn stop(self) {
        // The task is gone if it panicked.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn accept_until<Answers: Answer>(
    listener: TcpListener,
    shared: Arc<Listener<Answers>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let span = tracing::info_span!("peer_connection");
                    connections.spawn(Arc::clone(&shared).serve(stream).instrument(span));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not taken");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            // Its outcome is in the log already.
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    connections.shutdown().await;
}

impl<Answers: Answer> Listener<Answers> {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let Some((link, caller, keys)) = self.let_in(stream).await else { return };
        let Some(_held) = Held::take(&self.held, &caller) else {
            tracing::warn!(member = %caller, "a member holds too many connections");
            return;
        };
        if let Err(error) = self.answer_all(link, &caller, &keys).await {
            tracing::debug!(member = %caller, %error, "a connection ended");
        }
    }

    async fn let_in(&self, stream: TcpStream) -> Option<(Link<TcpStream>, Name, PeerKeys)> {
        // Only whoever holds a member's keys gets past this; strangers take turns in few places and are not logged, or
        // they would write the log.
        let _handshake = self.handshakes.try_acquire().ok()?;
        stream.set_nodelay(true).ok()?;
        match timeout(HANDSHAKE_TIMEOUT, Link::accept(stream, &self.own, &self.roster)).await {
            Ok(Ok(accepted)) => Some(accepted),
            Ok(Err(error)) => {
                tracing::debug!(error = with_causes(&error), "somebody was not let in");
                None
            }
            Err(_late) => None,
        }
    }

    async fn answer_all(&self, mut link: Link<TcpStream>, caller: &Name, keys: &PeerKeys) -> io::Result<()> {
        let failed = |error| io::Error::other(with_causes(&error));
        loop {
            let request = timeout(QUIET_MAX, link.receive()).await?.map_err(failed)?;
            // A member that a new statement leaves out is cut off at its next request.
            if self.roster.keys(caller) != Some(keys) {
                return Err(io::Error::other("the member is no longer let in"));
            }
            let answer = self.answers.answer(request.to_vec()).await;
            timeout(super::call_timeout(answer.len()), link.send(&answer)).await?.map_err(failed)?;
        }
    }
}

/// One of the places of a member.
struct Held<'a> {
    places: &'a Mutex<BTreeMap<Name, usize>>,
    member: &'a Name,
}

impl<'a> Held<'a> {
    fn take(places: &'a Mutex<BTreeMap<Name, usize>>, member: &'a Name) -> Option<Self> {
        let mut held = places.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(member.clone()).or_default();
        if *count >= LANES_HELD_MAX {
            return None;
        }
        *count += 1;
        Some(Self { places, member })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(self.member) {
            *count = count.saturating_sub(1);
        }
    }
}
