//! One `[[namespace]]` of the configuration: its trust file, its keys, its witnesses.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::approval::Officer;
use countermark_bundle::authority::log_key;
use countermark_bundle::identity::{Name, Namespace, Side};
use countermark_bundle::key::{KeyAlgorithm, KeyId, PublicKey, PublicKeyError};
use countermark_bundle::trust::{TRUST_BYTES_MAX, TrustFile};
use countermark_keys::{KeyFile, Role, Signer};
use countermark_signer_policy::PolicySet;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::policy::{POLICY_BYTES_MAX, Policy, PolicyWitness};
use serde::Deserialize;

mod error;

pub use error::{NamespaceConfigError, OpenNamespaceError};

use crate::foundation::{Foundation, RawFoundation};
use crate::ports::WitnessEndpoint;
use crate::proofs::TILE_CACHE_BYTES;
use crate::sequencer::{Certifying, NamespaceSettings};

/// How many faulty witnesses a quorum must stand unless told otherwise.
const FAULTS_MIN: usize = 1;
/// The deadline of one call to a witness unless the file says otherwise.
const WITNESS_TIMEOUT_MS: u64 = 5_000;
/// The longest deadline of one call to a witness: one minute.
const WITNESS_TIMEOUT_MS_MAX: u64 = 60_000;
/// Cosignatures are renewed when this part of the head age has passed: a head that is served still has most of it left.
const RECOSIGN_PART: u64 = 4;
/// How old a head of a `raw` namespace may grow unless the file says otherwise: a day.
const MAX_HEAD_AGE_SECONDS: u64 = 86_400;
/// The longest: a year.
const MAX_HEAD_AGE_SECONDS_MAX: u64 = 366 * 86_400;

/// A namespace whose files fit together.
#[derive(Clone, Debug)]
pub struct NamespaceConfig {
    /// The namespace.
    pub namespace: Namespace,
    /// The log's origin.
    pub origin: Origin,
    /// What the namespace is created with.
    pub foundation: Foundation,
    /// What statements are certified with, in a `fleet-keys` namespace.
    pub certifying: Option<CertifyingConfig>,
    /// Who is asked for cosignatures.
    pub witnesses: Vec<WitnessEndpoint>,
    /// How old the newest cosignatures may grow.
    pub recosign_every: Duration,
    /// The deadline of one call to a witness.
    pub witness_timeout: Duration,
    /// Signs checkpoints.
    pub log_key_file: PathBuf,
    /// Signs them beside it with ML-DSA-44.
    pub ml_dsa_44_log_key_file: Option<PathBuf>,
    /// Opens the key files.
    pub passphrase_file: PathBuf,
}

/// What only a `fleet-keys` namespace is configured with.
#[derive(Clone, Debug)]
pub struct CertifyingConfig {
    /// The folder of Cedar policies; the shipped ones where there is none.
    pub policy: Option<PathBuf>,
    /// Whose attestations count.
    pub vendor_keys: Vec<PublicKey>,
    /// Officers and threshold of the first entry, for `create`.
    pub first_policy: Option<FirstPolicy>,
    /// Signs certificates.
    pub certificate_key_file: PathBuf,
    /// Signs the first entry; only `create` needs it.
    pub administration_key_file: Option<PathBuf>,
}

/// Who must approve statements from the first entry on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPolicy {
    /// Who may approve, sorted by subject.
    pub officers: Vec<Officer>,
    /// How many of them must.
    pub approvals_needed: u64,
}

/// One `[[namespace]]`, by its `kind`.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum NamespaceText {
    FleetKeys(FleetKeysText),
    Raw(RawText),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FleetKeysText {
    name: String,
    trust: PathBuf,
    log_key_file: PathBuf,
    ml_dsa_44_log_key_file: Option<PathBuf>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawText {
    name: String,
    witness_policy: PathBuf,
    log_key_file: PathBuf,
    ml_dsa_44_log_key_file: Option<PathBuf>,
    passphrase_file: PathBuf,
    max_head_age_seconds: Option<u64>,
    recosign_every_seconds: Option<u64>,
    witness_timeout_ms: Option<u64>,
    #[serde(default)]
    allow_no_fault_tolerance: bool,
}

impl NamespaceText {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::FleetKeys(text) => &text.name,
            Self::Raw(text) => &text.name,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficerText {
    subject: Name,
    public_key: String,
}

impl NamespaceConfig {
    /// Reads and checks one `[[namespace]]`.
    pub(super) fn read(text: NamespaceText, authority: &str, folder: &Path) -> Result<Self, NamespaceConfigError> {
        let namespace = Namespace::parse(text.name())?;
        let origin = format!("{authority}/{namespace}");
        let origin = Origin::new(&origin).map_err(|source| NamespaceConfigError::Origin { origin, source })?;
        match text {
            NamespaceText::FleetKeys(text) => Self::read_fleet_keys(text, namespace, origin, folder),
            NamespaceText::Raw(text) => Self::read_raw(text, namespace, origin, folder),
        }
    }

    fn read_fleet_keys(
        text: FleetKeysText,
        namespace: Namespace,
        origin: Origin,
        folder: &Path,
    ) -> Result<Self, NamespaceConfigError> {
        let trust_path = folder.join(&text.trust);
        let trust = read_trust(&trust_path, &origin)?;
        let authority = trust
            .authority()
            .map_err(|source| NamespaceConfigError::Trust { path: trust_path.clone(), source: source.into() })?;
        if let Some(vendor) = text.vendor_keys.iter().find(|key| key.algorithm() != KeyAlgorithm::Ed25519) {
            let found = vendor.algorithm();
            return Err(NamespaceConfigError::VendorAlgorithm { found });
        }
        let certifying = CertifyingConfig {
            policy: text.policy.map(|path| folder.join(path)),
            vendor_keys: text.vendor_keys,
            first_policy: first_policy(text.officers, text.approvals_needed)?,
            certificate_key_file: folder.join(text.certificate_key_file),
            administration_key_file: text.administration_key_file.map(|path| folder.join(path)),
        };
        check_certifying_keys(&certifying, &trust, &trust_path)?;
        let config = Self {
            namespace,
            origin,
            witnesses: witnesses(authority.policy(), text.allow_no_fault_tolerance, &trust_path)?,
            recosign_every: recosign_every(text.recosign_every_seconds, trust.limits.max_head_age_seconds)?,
            witness_timeout: witness_timeout(text.witness_timeout_ms)?,
            foundation: Foundation::FleetKeys(Box::new(trust)),
            certifying: Some(certifying),
            log_key_file: folder.join(text.log_key_file),
            ml_dsa_44_log_key_file: text.ml_dsa_44_log_key_file.map(|file| folder.join(file)),
            passphrase_file: folder.join(text.passphrase_file),
        };
        config.check_log_key(authority.policy(), &trust_path)?;
        Ok(config)
    }

    fn read_raw(
        text: RawText,
        namespace: Namespace,
        origin: Origin,
        folder: &Path,
    ) -> Result<Self, NamespaceConfigError> {
        let path = folder.join(&text.witness_policy);
        let raw = read_witness_policy(&path, text.max_head_age_seconds)?;
        let policy = raw.policy.clone();
        // A log may say that it has no witnesses. One that has some must stand the loss of one.
        let has_none = policy.quorum_met(&|_| false);
        let config = Self {
            namespace,
            origin,
            witnesses: witnesses(&policy, text.allow_no_fault_tolerance || has_none, &path)?,
            recosign_every: recosign_every(text.recosign_every_seconds, raw.max_head_age_seconds)?,
            witness_timeout: witness_timeout(text.witness_timeout_ms)?,
            foundation: Foundation::Raw(raw),
            certifying: None,
            log_key_file: folder.join(text.log_key_file),
            ml_dsa_44_log_key_file: text.ml_dsa_44_log_key_file.map(|file| folder.join(file)),
            passphrase_file: folder.join(text.passphrase_file),
        };
        config.check_log_key(&policy, &path)?;
        Ok(config)
    }

    /// Checks that the log's key file holds a key of this log that its readers believe in.
    fn check_log_key(&self, policy: &Policy, from: &Path) -> Result<(), NamespaceConfigError> {
        let ours = policy.logs().iter().filter(|log| log.vkey.name().as_str() == self.origin.as_str());
        let keys: Vec<_> = ours.map(|log| log.vkey.key_bytes().to_vec()).collect();
        check_key("log_key_file", &self.log_key_file, Role::Log, &keys, from)?;
        match &self.ml_dsa_44_log_key_file {
            Some(file) => check_key("ml_dsa_44_log_key_file", file, Role::LogMlDsa44, &keys, from),
            None => Ok(()),
        }
    }

    /// The public keys of this namespace, each of which no other may have.
    pub(super) fn key_ids(&self) -> Result<Vec<KeyId>, PublicKeyError> {
        match &self.foundation {
            Foundation::FleetKeys(trust) => Ok(trust.keys.triples().iter().map(|triple| triple.key.key_id()).collect()),
            Foundation::Raw(raw) => {
                let keys = raw.policy.logs().iter().map(|log| log_key(&log.vkey));
                keys.map(|key| Ok(key?.key_id())).collect()
            }
        }
    }

    /// Opens the keys and the policy: what the namespace is served with.
    pub(crate) fn open(&self) -> Result<NamespaceSettings, OpenNamespaceError> {
        let certifying = self.certifying.as_ref().map(|certifying| self.open_certifying(certifying)).transpose()?;
        Ok(NamespaceSettings {
            origin: self.origin.clone(),
            namespace: self.namespace.clone(),
            foundation: self.foundation.clone(),
            log_signer: Arc::from(self.open_signer(&self.log_key_file, Role::Log)?),
            ml_dsa_44_log_signer: self
                .ml_dsa_44_log_key_file
                .as_deref()
                .map(|file| self.open_signer(file, Role::LogMlDsa44).map(Arc::from))
                .transpose()?,
            certifying,
            witnesses: self.witnesses.clone(),
            recosign_every: self.recosign_every,
            witness_timeout: self.witness_timeout,
            tile_cache_bytes: TILE_CACHE_BYTES,
        })
    }

    fn open_certifying(&self, certifying: &CertifyingConfig) -> Result<Certifying, OpenNamespaceError> {
        let policy = match &certifying.policy {
            Some(folder) => PolicySet::load(folder)?,
            None => PolicySet::shipped(Side::Authority),
        };
        let certificate_signer = self.open_signer(&certifying.certificate_key_file, Role::Certificate)?;
        Ok(Certifying { certificate_signer, policy, vendor_keys: certifying.vendor_keys.clone() })
    }

    /// Opens a key of this namespace.
    pub(crate) fn open_signer(&self, path: &Path, role: Role) -> Result<Box<dyn Signer>, OpenNamespaceError> {
        let signer = KeyFile::open_signer(path, role, &self.passphrase_file)?;
        // The clear part was checked against the trust file; the sealed part must be the same key still.
        let found = signer.public_key();
        let trusted = match &self.foundation {
            Foundation::FleetKeys(trust) => trust.keys.triples().iter().any(|triple| triple.key.bytes() == found),
            Foundation::Raw(raw) => raw.policy.logs().iter().any(|log| log.vkey.key_bytes() == found),
        };
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

fn read_witness_policy(path: &Path, max_head_age_seconds: Option<u64>) -> Result<RawFoundation, NamespaceConfigError> {
    let read_error = |source| NamespaceConfigError::ReadWitnessPolicy { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_error)?;
    let mut text = Vec::new();
    // One byte more than allowed, so that a file that is too long is refused as such.
    let limit = u64::try_from(POLICY_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut text).map_err(read_error)?;
    let max_head_age_seconds = max_head_age_seconds.unwrap_or(MAX_HEAD_AGE_SECONDS);
    if !(1..=MAX_HEAD_AGE_SECONDS_MAX).contains(&max_head_age_seconds) {
        return Err(NamespaceConfigError::MaxHeadAge { found: max_head_age_seconds });
    }
    RawFoundation::parse(&text, max_head_age_seconds)
        .map_err(|source| NamespaceConfigError::WitnessPolicy { path: path.to_owned(), source })
}

/// Checks that every key file of the certifying side holds a key that the trust file believes in.
fn check_certifying_keys(
    certifying: &CertifyingConfig,
    trust: &TrustFile,
    path: &Path,
) -> Result<(), NamespaceConfigError> {
    let keys = &trust.keys;
    let bytes_of = |keys: &[PublicKey]| keys.iter().map(|key| key.bytes().to_vec()).collect::<Vec<_>>();
    let certificate = bytes_of(&keys.certificate);
    check_key("certificate_key_file", &certifying.certificate_key_file, Role::Certificate, &certificate, path)?;
    if let Some(file) = &certifying.administration_key_file {
        let administration = bytes_of(&keys.administration.authority);
        check_key("administration_key_file", file, Role::Administration, &administration, path)?;
    }
    Ok(())
}

/// Where the witnesses of a policy are asked, if it stands the loss of one.
fn witnesses(
    policy: &Policy,
    allow_no_fault_tolerance: bool,
    path: &Path,
) -> Result<Vec<WitnessEndpoint>, NamespaceConfigError> {
    if !allow_no_fault_tolerance {
        policy
            .require_fault_tolerance(FAULTS_MIN)
            .map_err(|source| NamespaceConfigError::Quorum { path: path.to_owned(), source })?;
    }
    let mut endpoints: Vec<WitnessEndpoint> = Vec::new();
    for witness in policy.witnesses() {
        let found = endpoint(witness, path)?;
        // One witness with keys of two types is asked once, and gives a line of each.
        let known = endpoints.iter_mut().find(|known| known.name() == found.name() && known.url == found.url);
        match known {
            Some(known) => known.vkeys.extend(found.vkeys),
            None => endpoints.push(found),
        }
    }
    Ok(endpoints)
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
    Ok(WitnessEndpoint { vkeys: vec![witness.vkey.clone()], url })
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

fn recosign_every(seconds: Option<u64>, max_head_age_seconds: u64) -> Result<Duration, NamespaceConfigError> {
    let max = (max_head_age_seconds / RECOSIGN_PART).max(1);
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
