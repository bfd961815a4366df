//! The life of a member in its fleet: it waits until a verified bundle states the fleet with its keys, opens its storage,
//! joins the replication, and keeps what the fleet staples fresh until it is told to end.
//!
//! ```text
//! start: formation_file -> formation -> storage -> replica        seat: what HTTP sees of it
//! steward: founds the fleet, lets peers in or not, renews the stapled bundle
//! ```
//!
//! A member that was in a fleet needs no log to start again: the formation and everything else is in its data folder.
//! What does not fit together there (a folder without its counter, a counter without its folder, an older copy of
//! either) stops the start: such a member is retired.

pub(crate) mod formation;
mod formation_file;
mod seat;
mod start;
mod steward;
mod terms;

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::key::PublicKey;
use countermark_service::lifecycle::with_causes;
use countermark_service::listener::{BindError, bind};
use countermark_vault_core::device::SealedStore;
use countermark_vault_core::machine::{Command, Machine, Response};
use countermark_vault_raft::{CommitError, Replica, ReplicaStatus};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

pub use formation_file::FormationFileError;
pub(crate) use seat::{Phase, Seat, Serving};
pub use start::FleetStartError;
pub(crate) use terms::FoundingTerms;

use crate::config::FleetConfig;
use crate::log_client::LogClient;
use crate::peer::{Answer, Listening, OwnEnd};
use crate::ports::Replicated;
use formation::Formation;
use start::{Joined, Place};
use steward::Steward;

/// How often expired sessions are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often the log is asked at most while no fleet is formed.
const SEEK_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// Why a member left its fleet without being told to.
#[derive(Debug, Error)]
pub enum FleetError {
    /// It could not join.
    #[error(transparent)]
    Start(#[from] FleetStartError),
    /// The address for other members cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The replication stopped: its storage failed. A new process reads the storage again.
    #[error("the replication stopped: the storage failed")]
    Stopped,
    /// One of its tasks ended. That is a bug.
    #[error("a task of the member ended")]
    Task(#[source] Option<JoinError>),
}

impl Replicated for Replica {
    fn commit(
        &self,
        command: Command,
        deadline: Instant,
    ) -> impl Future<Output = Result<Response, CommitError>> + Send {
        Replica::commit(self, command, deadline)
    }

    fn read<T>(&self, read: impl FnOnce(&Machine) -> T) -> T {
        Replica::read(self, read)
    }

    fn status(&self) -> ReplicaStatus {
        Replica::status(self)
    }
}

impl Answer for Replica {
    fn answer(&self, request: Vec<u8>) -> impl Future<Output = Vec<u8>> + Send {
        Replica::answer(self, request)
    }
}

/// A member that is configured to be part of a fleet.
pub(crate) struct Membership {
    place: Arc<Place>,
    joined: Option<Joined>,
    listener: TcpListener,
    seat: Arc<Seat<Replica>>,
}

impl Membership {
    /// Looks at what is on the disk, and listens for the other members. Nobody is answered yet.
    pub(crate) async fn prepare(
        own: OwnEnd,
        keys: [PublicKey; 2],
        device: Arc<dyn SealedStore>,
        config: FleetConfig,
    ) -> Result<Self, FleetError> {
        let (namespace, peer_listen) = (config.namespace.clone(), config.peer_listen);
        let (place, joined) = start::prepare(own, keys, device, config).await?;
        let listener = bind(peer_listen).await?;
        Ok(Self { place, joined, listener, seat: Arc::new(Seat::new(namespace)) })
    }

    /// What HTTP sees of it.
    pub(crate) fn seat(&self) -> Arc<Seat<Replica>> {
        Arc::clone(&self.seat)
    }

    /// Joins the fleet and takes part until `stop` says so.
    pub(crate) async fn take_part(self, stop: watch::Receiver<bool>) -> Result<(), FleetError> {
        let Self { place, joined, listener, seat } = self;
        let joined = if let Some(joined) = joined {
            joined
        } else {
            let formation = tokio::select! {
                formation = seek(&place, &seat) => formation,
                // Nobody is let in before it is known who that is.
                never = turn_away(&listener) => match never {},
                () = stopped(stop.clone()) => return Ok(()),
            };
            start::join(&place, formation).await?
        };
        let serving = Arc::new(start::take_part(&place, joined).await?);
        let replica = Arc::clone(&serving.fleet);
        let roster = Arc::clone(&serving.roster);
        // Before anybody is let in: whom the adopted statement has dropped since the fleet was formed.
        let mut steward = Steward::new(&place, Arc::clone(&serving));
        steward.restate();
        let listening = Listening::start(listener, place.own.clone(), roster, Arc::clone(&replica));
        seat.serve(Arc::clone(&serving));
        let ended = watch_over(spawn_tasks(steward, &serving, &stop), &replica, stop).await;
        seat.note(Phase::Stopped);
        listening.stop().await;
        replica.shutdown().await;
        ended
    }
}

/// Asks the log until a bundle states the fleet with this member's keys. A reason is logged when it changes.
async fn seek(place: &Place, seat: &Seat<Replica>) -> Formation {
    let mut said = None;
    loop {
        let error = match place.seek().await {
            Ok(formation) => {
                tracing::info!(statement = %formation.statement(), members = formation.members.len(), "a fleet is formed");
                return formation;
            }
            Err(error) => error,
        };
        let reason = with_causes(&error);
        if said.replace(error.state()) != said {
            tracing::info!(reason, "no fleet is formed yet");
        }
        seat.note(Phase::Seeking { reason: Some(reason) });
        sleep(place.config.bundle_poll_interval.min(SEEK_INTERVAL_MAX)).await;
    }
}

async fn turn_away(listener: &TcpListener) -> std::convert::Infallible {
    loop {
        if listener.accept().await.is_err() {
            // The system has no room for the connection; it may have in a moment.
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The tasks of a member of a fleet. Each ends when `stop` says so, and is aborted with the set.
fn spawn_tasks(
    steward: Steward<LogClient, Replica>,
    serving: &Arc<Serving<Replica>>,
    stop: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(steward.run(stop.clone()).instrument(tracing::info_span!("steward")));
    let sweep = sweep(Arc::clone(serving), stop.clone());
    tasks.spawn(sweep.instrument(tracing::info_span!("session_sweep")));
    tasks
}

async fn sweep(serving: Arc<Serving<Replica>>, stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = stopped(stop.clone()) => return,
            () = sleep(SWEEP_INTERVAL) => serving.sessions.expire().await,
        }
    }
}

/// Until the member is told to end, or something ends that must not.
async fn watch_over(mut tasks: JoinSet<()>, replica: &Replica, stop: watch::Receiver<bool>) -> Result<(), FleetError> {
    let ended = tokio::select! {
        () = stopped(stop.clone()) => Ok(()),
        () = replica.stopped() => Err(FleetError::Stopped),
        task = tasks.join_next() => Err(FleetError::Task(task.and_then(Result::err))),
    };
    tasks.shutdown().await;
    // What ends because it was told to may be seen first.
    if *stop.borrow() { Ok(()) } else { ended }
}

/// Completes when `stop` says so, or when nobody is left to say so.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
