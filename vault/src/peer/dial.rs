//! The calling end: a few lanes to every other member, opened when they are needed and kept while they are used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countermark_bundle::identity::Name;
use countermark_service::lifecycle::with_causes;
use countermark_vault_raft::{MemberNumber, PeerUnreachable, Peers};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::link::{Link, LinkError};
use super::{CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, LANE_IDLE_MAX, LANES_MAX, OwnEnd, Roster, call_timeout};

/// How long to leave a member alone after a connection failed: at first, and at most. It doubles in between.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The lanes to the other members.
pub(crate) struct PeerLanes {
    own: OwnEnd,
    roster: Arc<Roster>,
    peers: BTreeMap<MemberNumber, Peer>,
}

struct Peer {
    member_id: Name,
    address: String,
    /// How many calls run at once; a call holds one until its answer is there.
    lanes: Semaphore,
    state: Mutex<PeerState>,
}

#[derive(Default)]
struct PeerState {
    idle: Vec<Lane>,
    /// After a failure: how long the pause is, and when it ends.
    pause: Option<(Duration, Instant)>,
    /// What is known of it, for the log.
    reachable: Option<bool>,
}

struct Lane {
    link: Link<TcpStream>,
    idle_since: Instant,
}

/// Why there is no lane.
#[derive(Debug, Error)]
enum DialError {
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("no handshake in time")]
    HandshakeTimeout,
    #[error("no link: the other end refused, or is not the stated member")]
    Link(#[from] LinkError),
}

impl PeerLanes {
    /// Lanes to the members of the roster at their addresses, this member excepted. Nothing is opened yet.
    pub(crate) fn new(own: OwnEnd, roster: Arc<Roster>, addresses: &BTreeMap<Name, String>) -> Self {
        let peers = roster.members().filter(|member| member.member_id != own.member_id).filter_map(|member| {
            let peer = Peer {
                member_id: member.member_id.clone(),
                address: addresses.get(&member.member_id)?.clone(),
                lanes: Semaphore::new(LANES_MAX),
                state: Mutex::default(),
            };
            Some((member.number, peer))
        });
        let peers = peers.collect();
        Self { own, roster, peers }
    }

    async fn dial(&self, peer: &Peer) -> Result<Link<TcpStream>, PeerUnreachable> {
        if peer.locked(|state| state.pause.is_some_and(|(_, until)| Instant::now() < until)) {
            return Err(PeerUnreachable::NotSent);
        }
        let dialled = self.connect(peer).await;
        peer.locked(|state| match &dialled {
            Ok(_) => {
                state.pause = None;
                if state.reachable.replace(true) != Some(true) {
                    tracing::info!(member = %peer.member_id, "a member is connected");
                }
            }
            Err(error) => {
                let pause = state.pause.map_or(PAUSE_MIN, |(last, _)| last.saturating_mul(2).min(PAUSE_MAX));
                state.pause = Some((pause, Instant::now() + pause));
                if state.reachable.replace(false) != Some(false) {
                    tracing::warn!(member = %peer.member_id, error = with_causes(error), "a member is not connected");
                }
            }
        });
        // Nothing of a request was written yet.
        dialled.map_err(|_| PeerUnreachable::NotSent)
    }

    async fn connect(&self, peer: &Peer) -> Result<Link<TcpStream>, DialError> {
        // Looked at again at each connection: who was let in yesterday may not be today.
        let keys = self.roster.keys(&peer.member_id).ok_or(LinkError::Stranger)?.clone();
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(&peer.address)).await;
        let stream = connecting.map_err(|_| DialError::ConnectTimeout)?.map_err(DialError::Connect)?;
        // A heartbeat must not wait for more to say.
        stream.set_nodelay(true).map_err(DialError::Connect)?;
        let opening = Link::open(stream, &self.own, &peer.member_id, keys);
        Ok(timeout(HANDSHAKE_TIMEOUT, opening).await.map_err(|_| DialError::HandshakeTimeout)??)
    }
}

impl Peers for PeerLanes {
    async fn call(&self, to: MemberNumber, request: Vec<u8>) -> Result<Vec<u8>, PeerUnreachable> {
        let peer = self.peers.get(&to).ok_or(PeerUnreachable::NotSent)?;
        let _lane = peer.lanes.acquire().await.map_err(|_closed| PeerUnreachable::NotSent)?;
        if self.roster.keys(&peer.member_id).is_none() {
            peer.locked(|state| state.idle.clear());
            return Err(PeerUnreachable::NotSent);
        }
        let mut link = match peer.idle_lane() {
            Some(link) => link,
            None => self.dial(peer).await?,
        };
        // A call that is dropped from here on drops its link: a late answer must not meet the next request.
        let exchange = async {
            link.send(&request).await?;
            link.receive().await
        };
        let answer = timeout(call_timeout(request.len()), exchange).await;
        match answer {
            Ok(Ok(answer)) => {
                peer.locked(|state| state.idle.push(Lane { link, idle_since: Instant::now() }));
                Ok(answer.to_vec())
            }
            Ok(Err(error)) => {
                tracing::debug!(member = %peer.member_id, error = with_causes(&error), "a call broke off");
                Err(PeerUnreachable::NoAnswer)
            }
            Err(_late) => Err(PeerUnreachable::NoAnswer),
        }
    }
}

impl Peer {
    /// The lane that was used last, if there is one that the other end has not closed.
    fn idle_lane(&self) -> Option<Link<TcpStream>> {
        self.locked(|state| {
            let now = Instant::now();
            state.idle.retain(|lane| now.saturating_duration_since(lane.idle_since) < LANE_IDLE_MAX);
            while let Some(lane) = state.idle.pop() {
                if is_quiet(lane.link.stream()) {
                    return Some(lane.link);
                }
            }
            None
        })
    }

    /// Nothing waits under this lock.
    fn locked<T>(&self, work: impl FnOnce(&mut PeerState) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a connection is open with nothing to read. The end of a process closes its connections, so a member that was
/// restarted is noticed here, before a request is lost on the way to it.
fn is_quiet(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
