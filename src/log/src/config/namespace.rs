//! One `[[namespace]]` of the configuration: its trust file, its keys, its witnesses.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use countermark_bundle::approval::Officer;
use countermark_bundle::identity::{Name, NameError, Namespace, Side};
use countermark_bundle::key::{KeyAlgorithm, PublicKey, PublicKeyError};
use countermark_bundle::trust::{TRUST_BYTES_MAX, TrustError, TrustFile};
use countermark_keys::{KeyFile, OpenError, ReadPublicError, Role, Signer};
use countermark_signer_policy::{LoadError, PolicySet};
use countermark_tlog::checkpoint::{CheckpointError, Origin};
use countermark_tlog::policy::{Policy, PolicyWitness, QuorumAnalysisError};
use serde::Deserialize;
use thiserror::Error;

use crate::ports::WitnessEndpoint;
use crate::sequencer::NamespaceSettings;

/// How many faulty witnesses a quorum must stand unless told otherwise.
const FAULTS_MIN: usize = 1;
/// The deadline of one call to a witness unless the file says otherwise.
const WITNESS_TIMEOUT_MS: u64 = 5_000;
/// The longest deadline of one call to a witness: one minute.
const WITNESS_TIMEOUT_MS_MAX: u64 = 60_000;
/// Cosignatures are renewed when this part of the head age has passed: a head that is served still has most of it left.
const RECOSIGN_PART: u64 = 4;

/// A namespace whose files fit together.
#[derive(Clone, Debug)]
pub struct NamespaceConfig {
    /// The namespace.
    pub namespace: Namespace,
    /// The log's origin.
    pub origin: Origin,
    /// What the namespace is created with.
    pub trust: TrustFile,
    /// Who is asked for cosignatures.
    pub witnesses: Vec<WitnessEndpoint>,
    /// The folder of Cedar policies; the shipped ones where there is none.
    pub policy: Option<PathBuf>,
    /// Whose attestations count.
    pub vendor_keys: Vec<PublicKey>,
    /// Officers and threshold of the first entry, for `create`.
    pub first_policy: Option<FirstPolicy>,
    /// How old the newest cosignatures may grow.
    pub recosign_every: Duration,
    /// The deadline of one call to a witness.
    pub witness_timeout: Duration,
    /// Signs checkpoints.
    pub log_key_file: PathBuf,
    /// Signs certificates.
    pub certificate_key_file: PathBuf,
    /// Signs the first entry; only `create` needs it.
    pub administration_key_file: Option<PathBuf>,
    /// Opens the key files.
    pub passphrase_file: PathBuf,
}

/// Who must approve statements from the first entry on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPolicy {
    /// Who may approve, sorted by subject.
    pub officers: Vec<Officer>,
    /// How many of them must.
    pub approvals_needed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceText {
    pub(super) name: String,
    #[serde(rename = "kind")]
    _kind: Kind,
    trust: PathBuf,
    log_key_file: PathBuf,
    certificate_key_file: PathBuf,
    administration_key_file: Option<PathBuf>,
    passphrase_file: PathBuf,
    policy: Option<PathBuf>,
    #[serde(default)]
    vendor_keys: Vec<PublicKey>,
    #[serde(default)]
    officers: Vec<OfficerText>,
    approvals_needed: Option<u64>,
    recosign_every_seconds: Option<u64>,
    witness_timeout_ms: Option<u64>,
    #[serde(default)]
    allow_no_fault_tolerance: bool,
}

/// The kinds of namespaces that are served.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    FleetKeys,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficerText {
    subject: Name,
    public_key: String,
}

/// Why a namespace was refused. Each says which field and which file.
#[derive(Debug, Error)]
pub enum NamespaceConfigError {
    /// No name, or a reserved one.
    #[error("name: {0}")]
    Name(#[from] NameError),
    /// Authority and name make no origin.
    #[error("authority: {origin:?} cannot be the origin of a log")]
    Origin {
        /// What they make.
        origin: String,
        /// Why not.
        source: CheckpointError,
    },
    /// The trust file could not be read.
    #[error("trust: cannot read {}", path.display())]
    ReadTrust {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The trust file is none.
    #[error("trust: {} is refused: {source}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Which rule.
        source: TrustError,
    },
    /// A trust file of another log.
    #[error("trust: {} is for {found}, this log is {expected}", path.display())]
    OtherOrigin {
        /// The file.
        path: PathBuf,
        /// This log.
        expected: Origin,
        /// What the file names.
        found: Origin,
    },
    /// A trust file from after a change of authority.
    #[error("trust: {} has serial {found}; a namespace is served with the file it was created with, serial 0", path.display())]
    TrustSerial {
        /// The file.
        path: PathBuf,
        /// Its serial.
        found: u64,
    },
    /// The quorum stands no faulty witness.
    #[error("trust: the witness policy of {}: {source}; allow_no_fault_tolerance = true serves it nevertheless", path.display())]
    Quorum {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: QuorumAnalysisError,
    },
    /// A witness that nobody can ask.
    #[error("trust: witness {witness} of {} needs an http or https URL", path.display())]
    WitnessUrl {
        /// The file.
        path: PathBuf,
        /// The witness's key name.
        witness: String,
    },
    /// A key file could not be read.
    #[error("{field}: {source}")]
    ReadKey {
        /// Which field.
        field: &'static str,
        /// What failed.
        source: ReadPublicError,
    },
    /// A key of another role.
    #[error("{field}: {} holds a {found} key, needed is a {expected} key", path.display())]
    KeyRole {
        /// Which field.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// The role needed.
        expected: Role,
        /// The role found.
        found: Role,
    },
    /// A key that clients would not believe in.
    #[error("{field}: the key in {} is not a {role} key of the trust file {}", path.display(), trust.display())]
    KeyNotTrusted {
        /// Which field.
        field: &'static str,
        /// The key file.
        path: PathBuf,
        /// What it should be.
        role: Role,
        /// The trust file.
        trust: PathBuf,
    },
    /// A vendor key that cannot sign attestations.
    #[error("vendor_keys: attestations are signed with ed25519, found a {found} key", found = found.as_str())]
    VendorAlgorithm {
        /// Its algorithm.
        found: KeyAlgorithm,
    },
    /// An officer's key that is none.
    #[error("officers: the public_key of {subject} must be 64 lower-case hex digits of an Ed25519 key")]
    OfficerKey {
        /// The officer.
        subject: Name,
        /// What is wrong with the bytes, where they are bytes.
        source: Option<PublicKeyError>,
    },
    /// An officer or a key that stands twice.
    #[error("officers: {subject} or its key stands twice")]
    OfficerTwice {
        /// The officer.
        subject: Name,
    },
    /// A threshold that cannot be met, or none.
    #[error("approvals_needed must be 1 to the number of officers, {officers}; both are given or none")]
    ApprovalsNeeded {
        /// How many officers there are.
        officers: usize,
    },
    /// Heads would grow too old.
    #[error("recosign_every_seconds must be 1 to {max}, a quarter of the trust file's head age; found {found}")]
    RecosignEvery {
        /// The longest allowed.
        max: u64,
        /// What was found.
        found: u64,
    },
    /// A deadline of 0 or above a minute.
    #[error("witness_timeout_ms must be 1 to {WITNESS_TIMEOUT_MS_MAX}, found {found}")]
    WitnessTimeout {
        /// What was found.
        found: u64,
    },
}

/// Why the keys or the policy of a namespace were not opened.
#[derive(Debug, Error)]
pub enum OpenNamespaceError {
    /// A key file was not opened.
    #[error(transparent)]
    Key(#[from] OpenError),
    /// The key sealed in a file is not the one that its clear part showed when the configuration was read.
    #[error("{} changed after the configuration was read", path.display())]
    KeyChanged {
        /// The file.
        path: PathBuf,
    },
    /// The policy folder was refused.
    #[error("policy: {0}")]
    Policy(#[from] LoadError),
}

impl NamespaceConfig {
    /// Reads and checks one `[[namespace]]`.
    pub(super) fn read(text: NamespaceText, authority: &str, folder: &Path) -> Result<Self, NamespaceConfigError> {
        let namespace = Namespace::parse(&text.name)?;
        let origin = format!("{authority}/{namespace}");
        let origin = Origin::new(&origin).map_err(|source| NamespaceConfigError::Origin { origin, source })?;
        let trust_path = folder.join(&text.trust);
        let trust = read_trust(&trust_path, &origin)?;
        let authority = trust
            .authority()
            .map_err(|source| NamespaceConfigError::Trust { path: trust_path.clone(), source: source.into() })?;
        let witness_policy = authority.policy();
        if !text.allow_no_fault_tolerance {
            witness_policy
                .require_fault_tolerance(FAULTS_MIN)
                .map_err(|source| NamespaceConfigError::Quorum { path: trust_path.clone(), source })?;
        }
        let witnesses = witness_policy
            .witnesses()
            .iter()
            .map(|witness| endpoint(witness, &trust_path))
            .collect::<Result<_, _>>()?;
        if let Some(vendor) = text.vendor_keys.iter().find(|key| key.algorithm() != KeyAlgorithm::Ed25519) {
            let found = vendor.algorithm();
            return Err(NamespaceConfigError::VendorAlgorithm { found });
        }
        let config = Self {
            namespace,
            origin,
            witnesses,
            policy: text.policy.map(|path| folder.join(path)),
            vendor_keys: text.vendor_keys,
            first_policy: first_policy(text.officers, text.approvals_needed)?,
            recosign_every: recosign_every(text.recosign_every_seconds, &trust)?,
            witness_timeout: witness_timeout(text.witness_timeout_ms)?,
            trust,
            log_key_file: folder.join(text.log_key_file),
            certificate_key_file: folder.join(text.certificate_key_file),
            administration_key_file: text.administration_key_file.map(|path| folder.join(path)),
            passphrase_file: folder.join(text.passphrase_file),
        };
        config.check_keys(witness_policy, &trust_path)?;
        Ok(config)
    }

    /// Checks that every key file holds a key that the trust file believes in.
    fn check_keys(&self, witness_policy: &Policy, trust: &Path) -> Result<(), NamespaceConfigError> {
        let keys = &self.trust.keys;
        let bytes_of = |keys: &[PublicKey]| keys.iter().map(|key| key.bytes().to_vec()).collect::<Vec<_>>();
        let logs: Vec<_> = witness_policy.logs().iter().map(|log| log.vkey.key_bytes().to_vec()).collect();
        check_key("log_key_file", &self.log_key_file, Role::Log, &logs, trust)?;
        let certificate = bytes_of(&keys.certificate);
        check_key("certificate_key_file", &self.certificate_key_file, Role::Certificate, &certificate, trust)?;
        if let Some(path) = &self.administration_key_file {
            let administration = bytes_of(&keys.administration.authority);
            check_key("administration_key_file", path, Role::Administration, &administration, trust)?;
        }
        Ok(())
    }

    /// Opens the keys and the policy: what the namespace is served with.
    pub(crate) fn open(&self) -> Result<NamespaceSettings, OpenNamespaceError> {
        let policy = match &self.policy {
            Some(folder) => PolicySet::load(folder)?,
            None => PolicySet::shipped(Side::Authority),
        };
        Ok(NamespaceSettings {
            origin: self.origin.clone(),
            namespace: self.namespace.clone(),
            trust: self.trust.clone(),
            log_signer: self.open_signer(&self.log_key_file, Role::Log)?,
            certificate_signer: self.open_signer(&self.certificate_key_file, Role::Certificate)?,
            policy,
            vendor_keys: self.vendor_keys.clone(),
            witnesses: self.witnesses.clone(),
            recosign_every: self.recosign_every,
            witness_timeout: self.witness_timeout,
        })
    }

    /// Opens a key of this namespace.
    pub(crate) fn open_signer(&self, path: &Path, role: Role) -> Result<Box<dyn Signer>, OpenNamespaceError> {
        let signer = KeyFile::open_signer(path, role, &self.passphrase_file)?;
        // The clear part was checked against the trust file; the sealed part must be the same key still.
        let trusted = self.trust.keys.triples().iter().any(|triple| triple.key.bytes() == signer.public_key());
        if trusted { Ok(signer) } else { Err(OpenNamespaceError::KeyChanged { path: path.to_owned() }) }
    }
}

fn read_trust(path: &Path, origin: &Origin) -> Result<TrustFile, NamespaceConfigError> {
    let read_error = |source| NamespaceConfigError::ReadTrust { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_error)?;
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that is too long is refused as such.
    let limit = u64::try_from(TRUST_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(read_error)?;
    let trust =
        TrustFile::parse(&bytes).map_err(|source| NamespaceConfigError::Trust { path: path.to_owned(), source })?;
    if trust.origin != *origin {
        return Err(NamespaceConfigError::OtherOrigin {
            path: path.to_owned(),
            expected: origin.clone(),
            found: trust.origin,
        });
    }
    if trust.serial != 0 {
        return Err(NamespaceConfigError::TrustSerial { path: path.to_owned(), found: trust.serial });
    }
    Ok(trust)
}

/// Where a witness of the policy is asked.
fn endpoint(witness: &PolicyWitness, trust: &Path) -> Result<WitnessEndpoint, NamespaceConfigError> {
    let url = witness.url.as_deref().and_then(|url| std::str::from_utf8(url).ok());
    let url = url
        .and_then(|text| reqwest::Url::parse(text).ok().map(|url| (text, url)))
        .filter(|(_, url)| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none())
        .map(|(text, _)| text.trim_end_matches('/').to_owned());
    let url = url.ok_or_else(|| NamespaceConfigError::WitnessUrl {
        path: trust.to_owned(),
        witness: witness.vkey.name().to_string(),
    })?;
    Ok(WitnessEndpoint { vkey: witness.vkey.clone(), url })
}

fn check_key(
    field: &'static str,
    path: &Path,
    role: Role,
    trusted: &[Vec<u8>],
    trust: &Path,
) -> Result<(), NamespaceConfigError> {
    let found = KeyFile::public(path).map_err(|source| NamespaceConfigError::ReadKey { field, source })?;
    if found.role != role {
        return Err(NamespaceConfigError::KeyRole { field, path: path.to_owned(), expected: role, found: found.role });
    }
    if trusted.iter().any(|key| hex::encode(key) == found.public_key) {
        Ok(())
    } else {
        Err(NamespaceConfigError::KeyNotTrusted { field, path: path.to_owned(), role, trust: trust.to_owned() })
    }
}

fn first_policy(
    texts: Vec<OfficerText>,
    approvals_needed: Option<u64>,
) -> Result<Option<FirstPolicy>, NamespaceConfigError> {
    let mut officers: Vec<Officer> = Vec::with_capacity(texts.len());
    for OfficerText { subject, public_key } in texts {
        let lower_case = !public_key.bytes().any(|byte| byte.is_ascii_uppercase());
        let bytes = hex::decode(&public_key).ok().filter(|_| lower_case);
        let Some(bytes) = bytes else {
            return Err(NamespaceConfigError::OfficerKey { subject, source: None });
        };
        let key = PublicKey::ed25519(&bytes)
            .map_err(|source| NamespaceConfigError::OfficerKey { subject: subject.clone(), source: Some(source) })?;
        if officers.iter().any(|other| other.subject == subject || other.key == key) {
            return Err(NamespaceConfigError::OfficerTwice { subject });
        }
        officers.push(Officer { subject, key });
    }
    officers.sort();
    let refused = NamespaceConfigError::ApprovalsNeeded { officers: officers.len() };
    let count = u64::try_from(officers.len()).unwrap_or(u64::MAX);
    match approvals_needed {
        None if officers.is_empty() => Ok(None),
        Some(approvals_needed) if (1..=count).contains(&approvals_needed) => {
            Ok(Some(FirstPolicy { officers, approvals_needed }))
        }
        Some(_) | None => Err(refused),
    }
}

fn recosign_every(seconds: Option<u64>, trust: &TrustFile) -> Result<Duration, NamespaceConfigError> {
    let max = (trust.limits.max_head_age_seconds / RECOSIGN_PART).max(1);
    match seconds {
        None => Ok(Duration::from_secs(max)),
        Some(found) if (1..=max).contains(&found) => Ok(Duration::from_secs(found)),
        Some(found) => Err(NamespaceConfigError::RecosignEvery { max, found }),
    }
}

fn witness_timeout(ms: Option<u64>) -> Result<Duration, NamespaceConfigError> {
    match ms.unwrap_or(WITNESS_TIMEOUT_MS) {
        found @ 1..=WITNESS_TIMEOUT_MS_MAX => Ok(Duration::from_millis(found)),
        found => Err(NamespaceConfigError::WitnessTimeout { found }),
    }
}
