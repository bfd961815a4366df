//! The witness's key at work: makes a cosignature and checks it by the verifier's code before anyone sees it.

use countermark_keys::{KeyFile, OpenError, Role, SignError, Signer};
use countermark_tlog::cosignature::{Cosignature, CosignatureError, cosignature_message};
use countermark_tlog::note::{KeyName, NoteError, NoteSignature, SignatureType, VerifierKey};
use thiserror::Error;

use crate::config::Config;
use crate::decide::AdmittedHead;
use crate::logs::FollowedLogs;
use crate::ports::{CosignedHead, UnixSeconds};

/// The witness's own key, open.
pub struct Cosigner {
    signer: Box<dyn Signer>,
    key: VerifierKey,
}

/// Why the witness's key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The key file did not open.
    #[error("the witness's key does not open")]
    Open(#[from] OpenError),
    /// Name and key do not make a verifier key.
    #[error("the witness's key cannot cosign")]
    Unusable(#[source] NoteError),
    /// The key is the key of a log that is followed: that log would cosign for itself.
    #[error("the witness's key is also the key {log_key} of a log it follows")]
    IsALogKey {
        /// The log's key.
        log_key: VerifierKey,
    },
}

/// Why no cosignature was made. All are faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CosignError {
    /// The holder of the key failed.
    #[error("the key did not sign")]
    Sign(#[from] SignError),
    /// What came back is not an Ed25519 signature.
    #[error("a signature has 64 bytes, the key gave {found}")]
    Length {
        /// Bytes given.
        found: usize,
    },
    /// The cosignature does not verify under our own key: a bit flipped somewhere.
    #[error("our own cosignature does not verify")]
    OwnSignature(#[source] CosignatureError),
}

impl Cosigner {
    /// Opens the configured key and refuses one that a followed log signs with. Takes about 15 ms.
    pub fn open(config: &Config) -> Result<Cosigner, KeyError> {
        let signer = KeyFile::open_signer(&config.key_file, Role::Witness, &config.passphrase_file)?;
        Cosigner::new(&config.name, signer, &config.logs)
    }

    /// Takes an open key under the witness's name.
    pub fn new(name: &KeyName, signer: Box<dyn Signer>, logs: &FollowedLogs) -> Result<Cosigner, KeyError> {
        let key = VerifierKey::new(name.clone(), SignatureType::CosignatureEd25519, signer.public_key())
            .map_err(KeyError::Unusable)?;
        // Equal bytes under another name would be another key to a verifier of notes, and the same holder.
        match logs.all_keys().find(|log_key| log_key.key_bytes() == key.key_bytes()) {
            Some(log_key) => Err(KeyError::IsALogKey { log_key: log_key.clone() }),
            None => Ok(Cosigner { signer, key }),
        }
    }

    /// The public half, as clients pin it.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Cosigns a head. The result must be durable before any of it is shown.
    pub fn cosign(&self, head: &AdmittedHead) -> Result<CosignedHead, CosignError> {
        let checkpoint = head.checkpoint();
        let line = self.sign(head.cosign_at(), checkpoint.text())?;
        Ok(CosignedHead {
            id: checkpoint.id(),
            cosigned_at: head.cosign_at(),
            checkpoint: checkpoint.to_bytes(),
            cosignatures: line.to_line(),
        })
    }

    fn sign(&self, at: UnixSeconds, text: &str) -> Result<NoteSignature, CosignError> {
        let bytes = self.signer.sign(&cosignature_message(at.get(), text))?;
        let signature = bytes.try_into().map_err(|bytes: Vec<u8>| CosignError::Length { found: bytes.len() })?;
        let cosignature = Cosignature { timestamp: at.get(), signature };
        cosignature.verify(&self.key, text).map_err(CosignError::OwnSignature)?;
        Ok(cosignature.to_note_signature(&self.key))
    }
}
