//! Starting a namespace, and making a new one.

use std::sync::{Arc, Mutex};

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::identity::Namespace;
use countermark_bundle::key::PublicKey;
use countermark_bundle::namespace_state::{NamespaceState, RuleViolation};
use countermark_bundle::trust::{TrustError, TrustFile};
use countermark_keys::{RandomnessError, Role, os_random_bytes};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::VerifierKey;
use countermark_tlog::size::TreeSize;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{Instrument as _, info, info_span};

use super::handle::{NamespaceHandle, Shared};
use super::owner::{Ended, Owner};
use super::supervise::supervise;
use super::{NamespaceSettings, Ports, QUEUE_MAX, WitnessHealth};
use crate::ports::{CreateNamespaceError, PortFault, RegisterError, StoredHead, WriterId};
use crate::proofs::TileReader;
use crate::published;
use crate::recover::{self, HeadName, LoadError, Loaded, LogIdentity, witnesses};
use crate::stage::{NewEntry, SignBatchError, StageError, Tree, stage};
use crate::witness_round::{Publisher, PublisherParts};

/// Why settings do not fit together.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The trust file breaks a rule.
    #[error("the trust file: {0}")]
    Trust(#[from] TrustError),
    /// The trust file's keys cannot be believed in.
    #[error("the trust file: {0}")]
    Keys(#[from] AuthorityKeysError),
    /// The trust file is for another log.
    #[error("the trust file is for {found}, the namespace's log is {expected}")]
    OtherLog {
        /// The origin in the settings.
        expected: Origin,
        /// The origin in the trust file.
        found: Origin,
    },
    /// The namespace is not the one behind the origin's last slash.
    #[error("the namespace of the log is {expected}, not {found}")]
    OtherNamespace {
        /// Behind the origin's last slash.
        expected: Namespace,
        /// In the settings.
        found: Namespace,
    },
    /// A signer that was made for another purpose.
    #[error("a {expected} key is needed, this one is a {found} key")]
    Role {
        /// The purpose.
        expected: Role,
        /// The key's.
        found: Role,
    },
    /// A signer whose key the trust file does not name for this purpose.
    #[error("the trust file does not name this {role} key")]
    UnknownKey {
        /// The purpose.
        role: Role,
    },
    /// A witness that the policy does not name.
    #[error("the witness policy does not name {witness}")]
    UnknownWitness {
        /// The witness's key.
        witness: VerifierKey,
    },
    /// A policy that is met without any cosignature: nothing would say how old a head is.
    #[error("the witness policy asks for no cosignature")]
    NoQuorum,
}

/// Why a namespace was not started. Nothing was signed.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings do not fit together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What was read does not allow signing.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

/// Why no namespace was made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The settings do not fit together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A first entry breaks a rule.
    #[error("first entry {position} breaks a rule: {source}")]
    Rule {
        /// Which, from 0.
        position: usize,
        /// The rule.
        source: RuleViolation,
    },
    /// Nothing to begin with.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The first head was not signed.
    #[error(transparent)]
    Sign(#[from] SignBatchError),
    /// The head register knows a head of this origin: the log exists, or existed.
    #[error("the head register knows {registered} of this log: it exists, or existed")]
    AlreadyRegistered {
        /// What is registered.
        registered: HeadName,
    },
    /// A witness knows a head of this origin that this log key signed.
    #[error("witness {witness} knows {witnessed} of this log: it exists, or existed")]
    AlreadyWitnessed {
        /// The witness's name.
        witness: String,
        /// What it has seen.
        witnessed: HeadName,
    },
    /// The store holds a log of this origin already.
    #[error(transparent)]
    Store(#[from] CreateNamespaceError),
    /// Somebody else moved the head register meanwhile.
    #[error("somebody else registered a head of this log meanwhile")]
    RegisterMoved,
    /// The head register failed. If the store has the namespace, starting it registers its head.
    #[error(transparent)]
    Register(#[from] PortFault),
}

/// Makes a new namespace whose log begins with `first_entries`, the first of them a policy change.
///
/// Nothing is served afterwards: [`start`] does that. An empty database never becomes a new log in any other way.
pub async fn create(
    settings: &NamespaceSettings,
    first_entries: Vec<Vec<u8>>,
    ports: &Ports,
) -> Result<StoredHead, CreateError> {
    let log_key = check(settings)?;
    let log = identity(settings, &log_key);
    if let Some(registered) = ports.register.read(log.origin).await? {
        let registered = HeadName::from(&registered);
        return Err(CreateError::AlreadyRegistered { registered });
    }
    let heads = witnesses::newest_heads(log, ports, &settings.witnesses, settings.witness_timeout).await;
    for (witness, head) in settings.witnesses.iter().zip(heads) {
        if let Some(witnessed) = head {
            let witness = witness.vkey.name().to_string();
            return Err(CreateError::AlreadyWitnessed { witness, witnessed });
        }
    }
    let mut state = NamespaceState::new(&settings.trust).map_err(SettingsError::Keys)?;
    let mut entries = Vec::with_capacity(first_entries.len());
    for (position, bytes) in first_entries.into_iter().enumerate() {
        let entry = state.apply(&bytes).map_err(|source| CreateError::Rule { position, source })?;
        entries.push(NewEntry { identity: entry.identity(), bytes: bytes.into() });
    }
    // 1. In memory only. A crash here leaves nothing.
    let batch = stage(log.origin, &Tree::empty(), entries)?.sign(settings.log_signer.as_ref(), &log_key)?;
    // 2. The namespace and its first head in one transaction. A crash after it: start-up registers the head.
    ports.store.create_namespace(&batch).await?;
    // 3. The register. From here on the log exists for good.
    match ports.register.compare_and_swap(log.origin, None, batch.head()).await {
        Ok(()) => Ok(batch.head().clone()),
        Err(RegisterError::Conflict { .. }) => Err(CreateError::RegisterMoved),
        Err(RegisterError::Fault(fault)) => Err(fault.into()),
    }
}

/// Starts serving a namespace, after everything that [`crate::recover`] checks.
///
/// The handle is for everybody; the task ends when the namespace does, and says why.
pub async fn start(
    settings: NamespaceSettings,
    ports: Ports,
) -> Result<(NamespaceHandle, JoinHandle<Ended>), StartError> {
    let log_key = check(&settings)?;
    let writer = WriterId(os_random_bytes()?);
    let log = identity(&settings, &log_key);
    let loaded = recover::load(log, &ports, writer, None).await?;
    let heads = witnesses::newest_heads(log, &ports, &settings.witnesses, settings.witness_timeout).await;
    let known = witnesses::check(log, &ports, &settings.witnesses, &heads, &loaded.committed).await?;
    // Only now is anything written that leaves this process.
    let loaded = loaded.roll_forward(&settings.origin, &ports).await?;
    info!(origin = %settings.origin, size = %loaded.committed.head.size, writer = %loaded.epoch, "the namespace is served");
    Ok(spawn(Arc::new(settings), ports, log_key, writer, loaded, known))
}

/// Starts the two tasks of a namespace that was read back.
fn spawn(
    settings: Arc<NamespaceSettings>,
    ports: Ports,
    log_key: VerifierKey,
    writer: WriterId,
    loaded: Loaded,
    known: Vec<TreeSize>,
) -> (NamespaceHandle, JoinHandle<Ended>) {
    let epoch = loaded.epoch;
    let (senders, views) = published::views(loaded.committed, loaded.published);
    let (queue, queued) = mpsc::channel(QUEUE_MAX);
    let (stop, stopping) = watch::channel(false);
    let (ended_sender, ended) = watch::channel(false);
    let health: Vec<WitnessHealth> = settings.witnesses.iter().map(WitnessHealth::unheard).collect();
    let health = Arc::new(Mutex::new(health));
    let store = Arc::clone(&ports.store);
    let reader = Arc::new(TileReader::new(settings.origin.clone(), store, views.committed.clone()));
    let owner = Owner {
        settings: Arc::clone(&settings),
        log_key,
        ports: ports.clone(),
        writer,
        epoch,
        queue: queued,
        state: senders.owner,
        committed: senders.committed,
        stop: stopping.clone(),
    };
    let publisher = Publisher::new(PublisherParts {
        settings: Arc::clone(&settings),
        ports: ports.clone(),
        reader: Arc::clone(&reader),
        health: Arc::clone(&health),
        known,
        committed: views.committed.clone(),
        witnessed: senders.witnessed,
        published: senders.published,
        stop: stopping,
    });
    let span = info_span!("namespace", origin = %settings.origin);
    let supervisor = tokio::spawn(supervise(owner, publisher, stop.clone(), ended_sender).instrument(span));
    let handle = NamespaceHandle::new(Shared { settings, ports, queue, views, reader, witnesses: health, stop, ended });
    (handle, supervisor)
}

fn identity<'a>(settings: &'a NamespaceSettings, log_key: &'a VerifierKey) -> LogIdentity<'a> {
    LogIdentity { origin: &settings.origin, log_key, trust: &settings.trust }
}

/// Checks that the settings fit together. Gives the log's verifier key.
fn check(settings: &NamespaceSettings) -> Result<VerifierKey, SettingsError> {
    let TrustFile { origin, keys, .. } = &settings.trust;
    settings.trust.check()?;
    if *origin != settings.origin {
        return Err(SettingsError::OtherLog { expected: settings.origin.clone(), found: origin.clone() });
    }
    let namespace = settings.trust.namespace();
    if namespace != settings.namespace {
        return Err(SettingsError::OtherNamespace { expected: namespace, found: settings.namespace.clone() });
    }
    let policy = keys.check(origin)?;
    let signers =
        [(Role::Log, settings.log_signer.as_ref()), (Role::Certificate, settings.certificate_signer.as_ref())];
    for (expected, signer) in signers {
        let found = signer.role();
        if found != expected {
            return Err(SettingsError::Role { expected, found });
        }
    }
    let certificate_key = PublicKey::ed25519(settings.certificate_signer.public_key()).ok();
    if !certificate_key.is_some_and(|key| keys.certificate.contains(&key)) {
        return Err(SettingsError::UnknownKey { role: Role::Certificate });
    }
    for witness in &settings.witnesses {
        if !policy.witnesses().iter().any(|known| known.vkey == witness.vkey) {
            let witness = witness.vkey.clone();
            return Err(SettingsError::UnknownWitness { witness });
        }
    }
    if policy.quorum_met(&|_| false) {
        return Err(SettingsError::NoQuorum);
    }
    let log_public = settings.log_signer.public_key();
    let log_key = policy.logs().iter().map(|log| &log.vkey);
    let log_key = log_key.into_iter().find(|vkey| vkey.key_bytes() == log_public);
    log_key.cloned().ok_or(SettingsError::UnknownKey { role: Role::Log })
}

#[cfg(test)]
mod tests;
