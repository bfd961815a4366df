//! A running member: its identity, its keys, and its one state, the attestation that it holds.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use countermark_bundle::attestation::{ATTESTATION_BYTES_MAX, VerifiedAttestation};
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::key::{KeyAlgorithm, PublicKey, PublicKeyError};
use countermark_bundle::statement::Software;
use countermark_keys::{KeyFile, OpenError, Role, SignError, Signer};
use countermark_vault_core::attest::{AdmitError, admit, admit_any_software};
use countermark_vault_core::member::{self as report, MemberIdentity, ReportError};
use countermark_vault_core::to_sign;
use thiserror::Error;

use crate::config::Config;

/// A member whose keys were opened.
pub struct VaultMember {
    identity: MemberIdentity,
    signer: Box<dyn Signer>,
    vendor_keys: Vec<PublicKey>,
    attestation_file: PathBuf,
    held: Mutex<Held>,
}

/// What the member holds, and the report that says so.
struct Held {
    attestation: Option<VerifiedAttestation>,
    report: Arc<[u8]>,
}

/// Why a member cannot be opened.
#[derive(Debug, Error)]
pub enum OpenMemberError {
    /// A key cannot be opened. A new member begins with `init`.
    #[error("cannot open the keys of the member (a new one begins with `init`)")]
    Key(#[from] OpenError),
    /// A key file holds something that is no key.
    #[error("the member's {role} key cannot be used")]
    PublicKey {
        /// Which key.
        role: Role,
        /// What is wrong with it.
        source: PublicKeyError,
    },
    /// The attestation cannot be read.
    #[error("cannot read the attestation {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// What is stored as the attestation is none of this member's.
    #[error("the attestation {} is not this member's: move it away and have the member endorsed again", path.display())]
    Attestation {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: AdmitError,
    },
    /// The report cannot be made.
    #[error(transparent)]
    Report(#[from] MakeReportError),
}

/// Why a member cannot report.
#[derive(Debug, Error)]
pub enum MakeReportError {
    /// The identity key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What there is to say makes no report.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// What became of an attestation that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored, durably.
    Stored,
    /// It was stored before.
    Unchanged,
}

/// Why an attestation was not stored.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// Refused: it is not one for this member.
    #[error(transparent)]
    Refused(#[from] AdmitError),
    /// Conflict: a newer one for the same executable is stored.
    #[error("an attestation of {held} is stored, this one is of {offered}")]
    Older {
        /// When the stored one was made.
        held: Timestamp,
        /// When the offered one was made.
        offered: Timestamp,
    },
    /// Fault: the report about it could not be made. Nothing was stored.
    #[error(transparent)]
    Report(#[from] MakeReportError),
    /// Fault: it could not be written. The file is the old one or the new one, whole; which of them, a restart tells.
    #[error("cannot write the attestation {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

impl VaultMember {
    /// Opens the keys and reads the attestation, if there is one. `software` is what runs.
    ///
    /// Blocks for some 20 ms.
    pub fn open(config: &Config, software: Software) -> Result<Self, OpenMemberError> {
        let signer = KeyFile::open_signer(&config.identity_key_file, Role::VaultIdentity, &config.passphrase_file)?;
        // Opened and not only read: a member that cannot use its session key shall not report it.
        let session =
            KeyFile::open_agreement(&config.session_key_file, Role::VaultSession, &config.passphrase_file)?;
        let unusable = |role| move |source| OpenMemberError::PublicKey { role, source };
        let identity = MemberIdentity {
            origin: config.origin.clone(),
            fleet_id: config.fleet_id.clone(),
            member_id: config.member_id.clone(),
            failure_domain: config.failure_domain.clone(),
            identity_key: PublicKey::ed25519(signer.public_key()).map_err(unusable(Role::VaultIdentity))?,
            session_key: PublicKey::new(KeyAlgorithm::X25519, &session.public_key())
                .map_err(unusable(Role::VaultSession))?,
            software,
        };
        let attestation = read_attestation(config, &identity)?;
        let report = make_report(&identity, signer.as_ref(), attestation.as_ref())?;
        Ok(Self {
            identity,
            signer,
            vendor_keys: config.vendor_keys.clone(),
            attestation_file: config.attestation_file.clone(),
            held: Mutex::new(Held { attestation, report }),
        })
    }

    /// Who this is and what it runs.
    #[must_use]
    pub const fn identity(&self) -> &MemberIdentity {
        &self.identity
    }

    /// The signed report, as it stands now.
    #[must_use]
    pub fn report(&self) -> Arc<[u8]> {
        self.held().report.clone()
    }

    /// The executable that the stored attestation speaks of; `None` without an attestation.
    #[must_use]
    pub fn attested_software(&self) -> Option<Digest> {
        self.held().attestation.as_ref().map(|attestation| attestation.body().software_sha256)
    }

    /// Stores an attestation if it is one for exactly this member. Blocks on the disk.
    pub fn accept(&self, bytes: &[u8]) -> Result<Accepted, AcceptError> {
        let offered = admit(bytes, &self.identity, &self.vendor_keys)?;
        // One at a time, from the look at what is held to the change of it.
        let mut held = self.held();
        if let Some(old) = &held.attestation {
            if old.bytes() == offered.bytes() {
                return Ok(Accepted::Unchanged);
            }
            let (old, new) = (old.body(), offered.body());
            if old.software_sha256 == new.software_sha256 && new.issued_at < old.issued_at {
                return Err(AcceptError::Older { held: old.issued_at, offered: new.issued_at });
            }
        }
        // 1. The report that will say so. A crash or a failure here changes nothing.
        let report = make_report(&self.identity, self.signer.as_ref(), Some(&offered))?;
        // 2. The file, durably. A crash here leaves the old one or the new one; the vendor, who had no answer, asks again.
        write_durably(&self.attestation_file, offered.bytes())
            .map_err(|source| AcceptError::Write { path: self.attestation_file.clone(), source })?;
        // 3. Only now is it reported and answered.
        *held = Held { attestation: Some(offered), report };
        Ok(Accepted::Stored)
    }

    /// A panic while it was held cannot have left it half changed: it is replaced whole.
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_report(
    identity: &MemberIdentity,
    signer: &dyn Signer,
    attestation: Option<&VerifiedAttestation>,
) -> Result<Arc<[u8]>, MakeReportError> {
    let attestation = attestation.map(VerifiedAttestation::bytes);
    let proof = signer.sign(&to_sign::report_message(identity, attestation))?;
    Ok(report::write(identity, attestation, &proof)?.into())
}

/// Reads what is stored. A missing file is a member that was not endorsed yet; anything else that is not this member's
/// attestation stops it, because starting without would hide that something took its place.
fn read_attestation(
    config: &Config,
    identity: &MemberIdentity,
) -> Result<Option<VerifiedAttestation>, OpenMemberError> {
    let path = || config.attestation_file.clone();
    let mut bytes = Vec::new();
    let limit = u64::try_from(ATTESTATION_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(&config.attestation_file).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenMemberError::Read { path: path(), source }),
    }
    // After a rebuild the attestation is for the executable before: that is reported, and decided by others.
    admit_any_software(&bytes, identity, &config.vendor_keys)
        .map(Some)
        .map_err(|source| OpenMemberError::Attestation { path: path(), source })
}

/// Replaces the file at `path`; when it returns, content and name are on the disk.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let mut staged = tempfile::Builder::new().prefix(".attestation-").suffix(".tmp").tempfile_in(folder)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|refused| refused.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
