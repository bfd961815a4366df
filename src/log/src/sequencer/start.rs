//! Starting a namespace, and making a new one.

use std::sync::{Arc, Mutex};

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::identity::Namespace;
use countermark_bundle::key::PublicKey;
use countermark_bundle::namespace_state::RuleViolation;
use countermark_bundle::trust::{TrustError, TrustFile};
use countermark_keys::{RandomnessError, Role, Signer, os_random_bytes};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::VerifierKey;
use countermark_tlog::size::TreeSize;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, info, info_span};

use super::handle::{NamespaceHandle, Shared};
use super::owner::{Ended, Owner};
use super::supervise::supervise;
use super::{Certifying, Identity, NamespaceSettings, OwnerState, Ports, WitnessRounds, queue};
use crate::cose::ReceiptSigner;
use crate::foundation::{Foundation, NextState};
use crate::ports::{Clock, CreateNamespaceError, LogKind, PortFault, RegisterError, StoreReader, StoredHead, WriterId};
use crate::proofs::TileReader;
use crate::published::{self, ViewSenders};
use crate::recover::{self, HeadName, LoadError, Loaded, LogIdentity, ReadBack, witnesses};
use crate::stage::LogKey;
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
    /// What only `fleet-keys` logs have, in a `raw` one, or the reverse.
    #[error("a fleet-keys log certifies, a raw log does not; this one is a {kind} log")]
    Certifying {
        /// The log's kind.
        kind: LogKind,
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
    /// First entries for a log without rules.
    #[error("a raw log is made without entries")]
    RawEntries,
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

/// Makes a new namespace whose log begins with `first_entries`: of a `fleet-keys` log a policy change and what follows it,
/// of a `raw` log nothing.
///
/// Nothing is served afterwards: [`start`] does that. An empty database never becomes a new log in any other way.
pub async fn create(
    settings: &NamespaceSettings,
    first_entries: Vec<Vec<u8>>,
    ports: &Ports,
) -> Result<StoredHead, CreateError> {
    let keys = check(settings)?;
    let log = identity(settings, &keys.ed25519);
    if let Some(registered) = ports.register.read(log.origin).await? {
        let registered = HeadName::from(&registered);
        return Err(CreateError::AlreadyRegistered { registered });
    }
    let heads = witnesses::newest_heads(log, ports, &settings.witnesses, settings.witness_timeout).await;
    for (witness, head) in settings.witnesses.iter().zip(heads) {
        if let Some(witnessed) = head {
            let witness = witness.name().to_owned();
            return Err(CreateError::AlreadyWitnessed { witness, witnessed });
        }
    }
    let entries = admit_first(settings, first_entries)?;
    // 1. In memory only. A crash here leaves nothing.
    let batch = stage(log.origin, &Tree::empty(), entries)?.sign(&keys.with_holders(settings))?;
    // 2. The namespace and its first head in one transaction. A crash after it: start-up registers the head.
    ports.store.create_namespace(settings.foundation.kind(), &batch).await?;
    // 3. The register. From here on the log exists for good.
    match ports.register.compare_and_swap(log.origin, None, batch.head()).await {
        Ok(()) => Ok(batch.head().clone()),
        Err(RegisterError::Conflict { .. }) => Err(CreateError::RegisterMoved),
        Err(RegisterError::Fault(fault)) => Err(fault.into()),
    }
}

/// Folds the first entries into a new state, which refuses what breaks a rule.
fn admit_first(settings: &NamespaceSettings, first_entries: Vec<Vec<u8>>) -> Result<Vec<NewEntry>, CreateError> {
    let mut state = match settings.foundation.first_state().map_err(SettingsError::Keys)?.next() {
        NextState::FleetKeys(state) => state,
        NextState::Raw(_) if first_entries.is_empty() => return Ok(Vec::new()),
        NextState::Raw(_) => return Err(CreateError::RawEntries),
    };
    let mut entries = Vec::with_capacity(first_entries.len());
    for (position, bytes) in first_entries.into_iter().enumerate() {
        let entry = state.apply(&bytes).map_err(|source| CreateError::Rule { position, source })?;
        entries.push(NewEntry::new(entry.identity(), bytes.into()));
    }
    if entries.is_empty() { Err(StageError::Empty.into()) } else { Ok(entries) }
}

/// Starts serving a namespace, after everything that [`crate::recover`] checks.
///
/// The handle is for everybody; the task ends when the namespace does, and says why.
pub async fn start(
    settings: NamespaceSettings,
    ports: Ports,
) -> Result<(NamespaceHandle, JoinHandle<Ended>), StartError> {
    let keys = check(&settings)?;
    let writer = WriterId(os_random_bytes()?);
    let log = identity(&settings, &keys.ed25519);
    let loaded = recover::load(log, &ports, writer, None).await?;
    let heads = witnesses::newest_heads(log, &ports, &settings.witnesses, settings.witness_timeout).await;
    let known = witnesses::check(log, &ports, &settings.witnesses, &heads, &loaded.committed).await?;
    // Only now is anything written that leaves this process.
    let loaded = loaded.roll_forward(&settings.origin, &ports).await?;
    info!(origin = %settings.origin, size = %loaded.committed.head.size, writer = %loaded.epoch, "the namespace is served");
    Ok(spawn(&Arc::new(settings), ports, keys, writer, loaded, known))
}

/// Starts the two tasks of a namespace that was read back.
fn spawn(
    settings: &Arc<NamespaceSettings>,
    ports: Ports,
    log_keys: LogKeys,
    writer: WriterId,
    loaded: Loaded,
    known: Vec<TreeSize>,
) -> (NamespaceHandle, JoinHandle<Ended>) {
    let (epoch, frozen) = (loaded.epoch, loaded.frozen);
    let state = if frozen { OwnerState::Frozen } else { OwnerState::Serving };
    let (senders, views) = published::views(state, loaded.committed, loaded.published);
    let (queue, queued) = queue::queue(settings.foundation.kind());
    let (stop, stopping) = watch::channel(false);
    let (ended_sender, ended) = watch::channel(false);
    let rounds = Arc::new(Mutex::new(WitnessRounds::unheard(&settings.witnesses)));
    let store: Arc<dyn StoreReader> = ports.store.clone();
    let reader = TileReader::new(settings.origin.clone(), store, views.committed.clone());
    let reader = Arc::new(reader.keeping(settings.tile_cache_bytes));
    let owner = Owner {
        settings: Arc::clone(settings),
        log_keys,
        ports: ports.clone(),
        writer,
        epoch,
        frozen,
        queue: queued,
        state: senders.owner,
        committed: senders.committed,
        stop: stopping.clone(),
    };
    let publisher = Publisher::new(PublisherParts {
        settings: Arc::clone(settings),
        ports: ports.clone(),
        reader: Arc::clone(&reader),
        rounds: Arc::clone(&rounds),
        known,
        committed: views.committed.clone(),
        witnessed: senders.witnessed,
        published: senders.published,
        stop: stopping,
    });
    let span = info_span!("namespace", origin = %settings.origin);
    let supervisor = tokio::spawn(supervise(owner, publisher, stop.clone(), ended_sender).instrument(span));
    let (identity, clock) = (settings.identity(), ports.clock);
    let receipts = Some(ReceiptSigner::new(identity.origin.clone(), Arc::clone(&settings.log_signer)));
    let (queue, witnesses) = (Some(queue), rounds);
    let shared = Shared { identity, clock, queue, views, reader, receipts, witnesses, stop, ended };
    let handle = NamespaceHandle::new(shared);
    (handle, supervisor)
}

/// The ends by which whoever follows a log that is only read shows what it has read.
pub(crate) struct Follower {
    /// The views.
    pub(crate) views: ViewSenders,
    /// Whether it is asked to stop.
    pub(crate) stop: watch::Receiver<bool>,
    /// To be set when it has stopped.
    pub(crate) ended: watch::Sender<bool>,
}

/// A namespace that is only read: nobody writes to it here, and no witness is asked.
pub(crate) fn read_only(
    identity: Identity,
    clock: Arc<dyn Clock>,
    store: Arc<dyn StoreReader>,
    read_back: ReadBack,
) -> (NamespaceHandle, Follower) {
    let (senders, views) = published::views(OwnerState::Serving, read_back.committed, read_back.published);
    let (stop, stopping) = watch::channel(false);
    let (ended_sender, ended) = watch::channel(false);
    let reader = Arc::new(TileReader::new(identity.origin.clone(), store, views.committed.clone()));
    let (queue, receipts, witnesses) = (None, None, Arc::default());
    let shared = Shared { identity, clock, queue, views, reader, receipts, witnesses, stop, ended };
    let handle = NamespaceHandle::new(shared);
    (handle, Follower { views: senders, stop: stopping, ended: ended_sender })
}

fn identity<'a>(settings: &'a NamespaceSettings, log_key: &'a VerifierKey) -> LogIdentity<'a> {
    LogIdentity { origin: &settings.origin, log_key, foundation: &settings.foundation }
}

/// The log's verifier keys, as its readers know them.
pub(super) struct LogKeys {
    pub(super) ed25519: VerifierKey,
    ml_dsa_44: Option<VerifierKey>,
}

impl LogKeys {
    /// The keys with their holders, in the order of their lines.
    pub(super) fn with_holders<'a>(&'a self, settings: &'a NamespaceSettings) -> Vec<LogKey<'a>> {
        let mut keys = vec![LogKey { signer: settings.log_signer.as_ref(), vkey: &self.ed25519 }];
        if let (Some(signer), Some(vkey)) = (settings.ml_dsa_44_log_signer.as_deref(), &self.ml_dsa_44) {
            keys.push(LogKey { signer, vkey });
        }
        keys
    }
}

/// Checks that the settings fit together. Gives the log's verifier keys.
fn check(settings: &NamespaceSettings) -> Result<LogKeys, SettingsError> {
    check_role(settings.log_signer.as_ref(), Role::Log)?;
    if let Some(signer) = &settings.ml_dsa_44_log_signer {
        check_role(signer.as_ref(), Role::LogMlDsa44)?;
    }
    match (&settings.foundation, &settings.certifying) {
        (Foundation::FleetKeys(trust), Some(certifying)) => check_trust(settings, trust, certifying)?,
        (Foundation::Raw(_), None) => {}
        (Foundation::FleetKeys(_), None) | (Foundation::Raw(_), Some(_)) => {
            return Err(SettingsError::Certifying { kind: settings.foundation.kind() });
        }
    }
    let state = settings.foundation.first_state()?;
    let policy = state.policy();
    for witness in &settings.witnesses {
        let is_known = |vkey: &&VerifierKey| policy.witnesses().iter().any(|known| known.vkey == **vkey);
        if let Some(witness) = witness.vkeys.iter().find(|vkey| !is_known(vkey)) {
            return Err(SettingsError::UnknownWitness { witness: witness.clone() });
        }
    }
    // A raw log may say in its policy that it has no witnesses.
    if policy.quorum_met(&|_| false) && settings.foundation.kind() == LogKind::FleetKeys {
        return Err(SettingsError::NoQuorum);
    }
    let known = |signer: &dyn Signer, role: Role| {
        let is_ours = |vkey: &&VerifierKey| {
            vkey.key_bytes() == signer.public_key() && vkey.name().as_str() == settings.origin.as_str()
        };
        let vkey = policy.logs().iter().map(|log| &log.vkey).find(is_ours);
        vkey.cloned().ok_or(SettingsError::UnknownKey { role })
    };
    let ml_dsa_44 =
        settings.ml_dsa_44_log_signer.as_deref().map(|signer| known(signer, Role::LogMlDsa44)).transpose()?;
    Ok(LogKeys { ed25519: known(settings.log_signer.as_ref(), Role::Log)?, ml_dsa_44 })
}

/// Checks what only a `fleet-keys` log has.
fn check_trust(settings: &NamespaceSettings, trust: &TrustFile, certifying: &Certifying) -> Result<(), SettingsError> {
    trust.check()?;
    if trust.origin != settings.origin {
        return Err(SettingsError::OtherLog { expected: settings.origin.clone(), found: trust.origin.clone() });
    }
    let namespace = trust.namespace();
    if namespace != settings.namespace {
        return Err(SettingsError::OtherNamespace { expected: namespace, found: settings.namespace.clone() });
    }
    let signer = certifying.certificate_signer.as_ref();
    check_role(signer, Role::Certificate)?;
    let certificate_key = PublicKey::ed25519(signer.public_key()).ok();
    if certificate_key.is_some_and(|key| trust.keys.certificate.contains(&key)) {
        Ok(())
    } else {
        Err(SettingsError::UnknownKey { role: Role::Certificate })
    }
}

fn check_role(signer: &dyn Signer, expected: Role) -> Result<(), SettingsError> {
    let found = signer.role();
    if found == expected { Ok(()) } else { Err(SettingsError::Role { expected, found }) }
}

#[cfg(test)]
mod tests;
