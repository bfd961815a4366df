//! Serving from an export alone: the whole public read path, without a database, a key or a witness.
//!
//! It takes no submissions. What it serves is what [`crate::export::follow`] found good, and its answers are those that the
//! live log gives for the same head.
//!
//! Invariant: a namespace never shows a head that does not continue the one before it, whatever the export turns into.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::identity::Namespace;
use countermark_bundle::trust::{TRUST_BYTES_MAX, TrustError, TrustFile};
use countermark_service::lifecycle::with_causes;
use countermark_service::listener::BindError;
use countermark_service::server::Server;
use countermark_service::server::limits::Limits;
use countermark_service::tls::{Tls, TlsError, TlsFiles, scheme};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::policy::PolicyParseError;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::clock::{SystemClock, timestamp};
use crate::export::document::{EXPORT_BYTES_MAX, EXPORT_FILE, ExportDocument, record_file};
use crate::export::follow::{FollowError, Followed, View};
use crate::export::reader::{ExportReadError, ExportReader};
use crate::foundation::{Foundation, RawFoundation};
use crate::http::{self, Service};
use crate::objects::access::{Access, AccessError};
use crate::objects::bucket::CALL_TIMEOUT;
use crate::objects::location::Location;
use crate::objects::{Objects, ObjectsFault};
use crate::ports::{Clock, LogKind};
use crate::published::stopped;
use crate::recover::ReadBack;
use crate::sequencer::{self, Follower, Identity, NamespaceHandle, OwnerState};
use crate::serve::listen;

/// How often the export is looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The longest time between two looks, while the export cannot be read.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// The most namespaces of one export.
const NAMESPACES_MAX: usize = 1_024;
/// How long requests under way have when the service ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What is served, and where.
#[derive(Debug, Clone)]
pub struct StaticConfig {
    /// The export.
    pub from: Location,
    /// The credentials file of a bucket; without it the environment's are taken.
    pub credentials: Option<PathBuf>,
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The certificate and key of the listener; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Trust files and witness policies to judge by, instead of those in the export.
    pub trust: Vec<PathBuf>,
}

/// Why a namespace of an export is not served.
#[derive(Debug, Error)]
pub enum ServeExportError {
    /// The export could not be read.
    #[error(transparent)]
    Objects(#[from] ObjectsFault),
    /// The document that describes it is none, or of another namespace.
    #[error("export.json is not a description of this export")]
    Document,
    /// There is no trust file or policy in it.
    #[error("the export has no {file}")]
    NoRecord {
        /// What it is called.
        file: &'static str,
    },
    /// The trust file is none.
    #[error("the trust file: {0}")]
    Trust(#[from] TrustError),
    /// The keys of the trust file cannot be believed in.
    #[error("the trust file: {0}")]
    Keys(#[from] AuthorityKeysError),
    /// The witness policy is none.
    #[error("the witness policy: {0}")]
    Policy(#[from] PolicyParseError),
    /// Trust file or policy of another log.
    #[error("trust file or witness policy are of another log than {expected}")]
    OtherLog {
        /// The exported log.
        expected: Origin,
    },
    /// No checkpoint yet.
    #[error("nothing is exported yet")]
    NothingExported,
    /// What is exported is not shown.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

/// Why an export is not served.
#[derive(Debug, Error)]
pub enum ServeStaticError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate or its key was refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no access to the export.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The export could not be read.
    #[error(transparent)]
    Objects(#[from] ObjectsFault),
    /// A file to judge by could not be read.
    #[error("cannot read {}", path.display())]
    ReadTrust {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A file to judge by is neither.
    #[error("{} is neither a trust file nor a witness policy with the key of one log", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
    },
    /// A file to judge by that no exported log is of.
    #[error("no log in the export is {origin}")]
    TrustUnused {
        /// The log that the file is of.
        origin: Origin,
    },
    /// Nothing to serve.
    #[error("there is no export at {place}")]
    Nothing {
        /// Where it should be.
        place: String,
    },
    /// More logs than are served.
    #[error("the export holds {found} logs, at most {NAMESPACES_MAX} are served")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A namespace is not served.
    #[error("namespace {namespace}: {source}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// Why not.
        source: Box<ServeExportError>,
    },
}

/// Serves an export until `shutdown` completes. `on_ready` is called once, with the bound address.
pub async fn serve_static(
    config: StaticConfig,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeStaticError> {
    let tls = config.tls.map(Tls::open).transpose()?;
    let (listener, address) = listen(config.listen).await?;
    let objects = config.from.open(|| Access::read(config.credentials.as_deref()), CALL_TIMEOUT)?;
    let pinned = pinned(&config.trust)?;
    let started = start_all(&objects, pinned, &config.from, Arc::new(SystemClock), POLL_INTERVAL).await?;
    let service = Service::new(started.iter().map(|one| one.handle.clone()), None, SHUTDOWN_GRACE);
    let scheme = scheme(tls.as_ref());
    let end = Server::begin(listener, tls, http::router(Arc::new(service)), Limits::of_process());
    info!(%address, scheme, namespaces = started.len(), from = %config.from, "serving an export");
    on_ready(address);
    shutdown.await;
    end.finish(SHUTDOWN_GRACE).await;
    for one in started {
        one.stop().await;
    }
    info!("ended");
    Ok(())
}

/// A namespace that is served from an export.
pub(crate) struct Started {
    pub(crate) handle: NamespaceHandle,
    task: JoinHandle<()>,
}

impl Started {
    /// Asks its task to stop and waits until it has.
    pub(crate) async fn stop(self) {
        self.handle.shutdown().await;
        if self.task.await.is_err() {
            warn!(origin = %self.handle.origin(), "following the export had stopped before");
        }
    }
}

/// Opens every log of an export and begins to follow it.
pub(crate) async fn start_all(
    objects: &Arc<dyn Objects>,
    mut pinned: BTreeMap<String, Foundation>,
    place: &Location,
    clock: Arc<dyn Clock>,
    poll_interval: Duration,
) -> Result<Vec<Started>, ServeStaticError> {
    let mut started = Vec::new();
    let found = objects.folders().await?;
    if found.len() > NAMESPACES_MAX {
        return Err(ServeStaticError::TooMany { found: found.len() });
    }
    for name in found {
        // Folders that cannot be a namespace are not the export's.
        let Ok(namespace) = Namespace::parse(&name) else { continue };
        let opened = open(objects, &namespace, &mut pinned, clock.as_ref()).await;
        let opened =
            opened.map_err(|source| ServeStaticError::Namespace { namespace: name, source: Box::new(source) })?;
        if let Some(opened) = opened {
            started.push(begin(opened, Arc::clone(&clock), poll_interval));
        }
    }
    if let Some(unused) = pinned.into_keys().next().and_then(|origin| Origin::new(&origin).ok()) {
        return Err(ServeStaticError::TrustUnused { origin: unused });
    }
    if started.is_empty() { Err(ServeStaticError::Nothing { place: place.to_string() }) } else { Ok(started) }
}

/// One log of an export, looked at for the first time.
struct Opened {
    identity: Identity,
    reader: Arc<ExportReader>,
    followed: Followed,
    view: View,
}

/// `None` where the folder is not an export's.
async fn open(
    objects: &Arc<dyn Objects>,
    namespace: &Namespace,
    pinned: &mut BTreeMap<String, Foundation>,
    clock: &dyn Clock,
) -> Result<Option<Opened>, ServeExportError> {
    let Some(document) = objects.get(&format!("{namespace}/{EXPORT_FILE}"), EXPORT_BYTES_MAX).await? else {
        return Ok(None);
    };
    let document = ExportDocument::parse(&document.bytes).ok_or(ServeExportError::Document)?;
    if document.namespace != *namespace {
        return Err(ServeExportError::Document);
    }
    let foundation = match pinned.remove(document.origin.as_str()) {
        Some(pinned) if pinned.kind() == document.kind => pinned,
        Some(_) => return Err(ServeExportError::OtherLog { expected: document.origin }),
        None => {
            let file = record_file(document.kind);
            let record = objects.get(&format!("{namespace}/{file}"), TRUST_BYTES_MAX).await?;
            let record = record.ok_or(ServeExportError::NoRecord { file })?;
            exported_foundation(&document, &record.bytes)?
        }
    };
    let reader = Arc::new(ExportReader::new(document.kind, namespace, Arc::clone(objects)));
    let mut followed = Followed::new(&foundation, Arc::clone(&reader))?;
    let look = followed.look(timestamp(clock.now_ms())).await;
    let view = match look {
        Ok(view) => view.ok_or(ServeExportError::NothingExported)?,
        Err(FollowError::Read(ExportReadError::Objects(fault))) => return Err(fault.into()),
        Err(refused) => return Err(ServeExportError::Refused(Box::new(refused))),
    };
    let identity = Identity { origin: document.origin, namespace: namespace.clone(), foundation };
    Ok(Some(Opened { identity, reader, followed, view }))
}

fn exported_foundation(document: &ExportDocument, record: &[u8]) -> Result<Foundation, ServeExportError> {
    let foundation = match document.kind {
        LogKind::FleetKeys => Foundation::FleetKeys(Box::new(TrustFile::parse(record)?)),
        LogKind::Raw => raw_foundation(record, document.max_head_age_seconds)?,
    };
    if origin_of(&foundation).as_ref() == Some(&document.origin) {
        Ok(foundation)
    } else {
        Err(ServeExportError::OtherLog { expected: document.origin.clone() })
    }
}

fn raw_foundation(text: &[u8], max_head_age_seconds: u64) -> Result<Foundation, PolicyParseError> {
    Ok(Foundation::Raw(RawFoundation::parse(text, max_head_age_seconds)?))
}

/// The one log that a trust file or a witness policy is of.
fn origin_of(foundation: &Foundation) -> Option<Origin> {
    match foundation {
        Foundation::FleetKeys(trust) => Some(trust.origin.clone()),
        Foundation::Raw(raw) => {
            let mut names = raw.policy.logs().iter().map(|log| log.vkey.name().as_str());
            let first = names.next()?;
            names.all(|name| name == first).then(|| Origin::new(first).ok())?
        }
    }
}

/// The files to judge by, by the log that each is of.
pub(crate) fn pinned(paths: &[PathBuf]) -> Result<BTreeMap<String, Foundation>, ServeStaticError> {
    /// How old a head of a `raw` log may grow when only its policy is given: a day.
    const MAX_HEAD_AGE_SECONDS: u64 = 86_400;
    let mut pinned = BTreeMap::new();
    for path in paths {
        let text = fs::read(path).map_err(|source| ServeStaticError::ReadTrust { path: path.clone(), source })?;
        let wrong = || ServeStaticError::Trust { path: path.clone() };
        let foundation = match TrustFile::parse(&text) {
            Ok(trust) => Foundation::FleetKeys(Box::new(trust)),
            Err(_) => raw_foundation(&text, MAX_HEAD_AGE_SECONDS).map_err(|_| wrong())?,
        };
        let origin = origin_of(&foundation).ok_or_else(wrong)?;
        pinned.insert(origin.as_str().to_owned(), foundation);
    }
    Ok(pinned)
}

fn begin(opened: Opened, clock: Arc<dyn Clock>, poll_interval: Duration) -> Started {
    let Opened { identity, reader, followed, view } = opened;
    let span = info_span!("export", origin = %identity.origin);
    let read_back = ReadBack { committed: view.committed, published: Some(view.published) };
    let (handle, follower) = sequencer::read_only(identity, Arc::clone(&clock), reader, read_back);
    let task = tokio::spawn(follow(followed, follower, clock, poll_interval).instrument(span));
    Started { handle, task }
}

/// Looks at the export again and again, and shows what is good.
async fn follow(mut followed: Followed, mut ends: Follower, clock: Arc<dyn Clock>, poll_interval: Duration) {
    let mut wait = poll_interval;
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut ends.stop) => break,
            () = sleep(wait) => {}
        }
        let before = *ends.views.owner.borrow();
        let (state, next_wait) = match followed.look(timestamp(clock.now_ms())).await {
            Ok(view) => {
                if let Some(View { committed, published }) = view {
                    ends.views.committed.send_replace(committed);
                    ends.views.witnessed.send_replace(published.size);
                    ends.views.published.send_replace(Some(published));
                }
                (OwnerState::Serving, poll_interval)
            }
            Err(failure) if failure.is_fault() => {
                if before != OwnerState::Reloading {
                    warn!(failure = with_causes(&failure), "the export cannot be read; what was shown is shown on");
                }
                (OwnerState::Reloading, wait.saturating_mul(2).min(POLL_INTERVAL_MAX))
            }
            Err(failure) => {
                if before != OwnerState::Stopped {
                    let failure = with_causes(&failure);
                    error!(failure, "ALARM: the export contradicts what was shown; what was shown is shown on");
                }
                (OwnerState::Stopped, POLL_INTERVAL_MAX.min(wait.saturating_mul(2)))
            }
        };
        wait = next_wait;
        if state != before {
            ends.views.owner.send_replace(state);
        }
    }
    // Nobody waiting is as good.
    let _ = ends.ended.send(true);
}

#[cfg(test)]
mod tests;
