//! The witness's keys at work: each makes a cosignature and checks it by the verifier's code before anyone sees it.
//!
//! Ed25519 is what every client knows; ML-DSA-44 stands beside it against adversaries with a quantum computer. A client
//! counts the witness once, whichever of the lines it knows.

use countermark_keys::{Algorithm, KeyFile, OpenError, Role, SignError, Signer};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::cosignature::{Cosignature, CosignatureError, message_of, subtree_message};
use countermark_tlog::hash::Hash;
use countermark_tlog::note::{KeyName, NoteError, NoteSignature, SignatureType, VerifierKey};
use countermark_tlog::subtree::Subtree;
use thiserror::Error;

use crate::config::Config;
use crate::decide::AdmittedHead;
use crate::logs::FollowedLogs;
use crate::ports::{CosignedHead, UnixSeconds};

/// The witness's own keys, open: at least one, all under the witness's name.
pub struct Cosigner {
    keys: Vec<OpenKey>,
}

struct OpenKey {
    signer: Box<dyn Signer>,
    vkey: VerifierKey,
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
    /// The key's algorithm makes no cosignatures.
    #[error("a key of algorithm {algorithm} makes no cosignatures")]
    Algorithm {
        /// The key's algorithm.
        algorithm: Algorithm,
    },
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
    /// The key cannot cosign this text.
    #[error("the text cannot be cosigned")]
    Message(#[source] CosignatureError),
    /// The cosignature does not verify under our own key: a bit flipped somewhere.
    #[error("our own cosignature does not verify")]
    OwnSignature(#[source] CosignatureError),
}

impl Cosigner {
    /// Opens the configured keys and refuses one that a followed log signs with. Takes about 15 ms for each.
    pub fn open(config: &Config) -> Result<Cosigner, KeyError> {
        let mut signers = vec![KeyFile::open_signer(&config.key_file, Role::Witness, &config.passphrase_file)?];
        if let Some(file) = &config.ml_dsa_44_key_file {
            signers.push(KeyFile::open_signer(file, Role::WitnessMlDsa44, &config.passphrase_file)?);
        }
        Cosigner::new(&config.name, signers, &config.logs)
    }

    /// Takes open keys under the witness's name. The order is that of the lines in an answer.
    pub fn new(name: &KeyName, signers: Vec<Box<dyn Signer>>, logs: &FollowedLogs) -> Result<Cosigner, KeyError> {
        let mut keys = Vec::with_capacity(signers.len());
        for signer in signers {
            let kind = match signer.algorithm() {
                Algorithm::Ed25519 => SignatureType::CosignatureEd25519,
                Algorithm::MlDsa44 => SignatureType::CosignatureMlDsa44,
                algorithm @ (Algorithm::EcdsaP384 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305) => {
                    return Err(KeyError::Algorithm { algorithm });
                }
            };
            let vkey = VerifierKey::new(name.clone(), kind, signer.public_key()).map_err(KeyError::Unusable)?;
            // Equal bytes under another name would be another key to a verifier of notes, and the same holder.
            if let Some(log_key) = logs.all_keys().find(|log_key| log_key.key_bytes() == vkey.key_bytes()) {
                return Err(KeyError::IsALogKey { log_key: log_key.clone() });
            }
            keys.push(OpenKey { signer, vkey });
        }
        Ok(Cosigner { keys })
    }

    /// The public halves, as clients pin them.
    pub fn vkeys(&self) -> impl Iterator<Item = &VerifierKey> {
        self.keys.iter().map(|key| &key.vkey)
    }

    /// Cosigns a head with every key. The result must be durable before any of it is shown.
    pub fn cosign(&self, head: &AdmittedHead) -> Result<CosignedHead, CosignError> {
        let checkpoint = head.checkpoint();
        let mut cosignatures = String::new();
        for key in &self.keys {
            cosignatures.push_str(&key.sign(head.cosign_at(), checkpoint.text())?.to_line());
        }
        Ok(CosignedHead {
            id: checkpoint.id(),
            cosigned_at: head.cosign_at(),
            checkpoint: checkpoint.to_bytes(),
            cosignatures,
        })
    }

    /// Signs a subtree, at no time, with every key that can: one line for each.
    pub fn sign_subtree(&self, origin: &Origin, subtree: Subtree, root: Hash) -> Result<String, CosignError> {
        let mut lines = String::new();
        for key in self.keys.iter().filter(|key| key.vkey.kind() == SignatureType::CosignatureMlDsa44) {
            let signature = key.signer.sign(&subtree_message(key.vkey.name(), 0, origin, subtree, root))?;
            let cosignature = Cosignature { timestamp: 0, signature };
            cosignature.verify_subtree(&key.vkey, origin, subtree, root).map_err(CosignError::OwnSignature)?;
            lines.push_str(&cosignature.to_note_signature(&key.vkey).to_line());
        }
        Ok(lines)
    }
}

impl OpenKey {
    fn sign(&self, at: UnixSeconds, text: &str) -> Result<NoteSignature, CosignError> {
        let message = message_of(&self.vkey, at.get(), text).map_err(CosignError::Message)?;
        let cosignature = Cosignature { timestamp: at.get(), signature: self.signer.sign(&message)? };
        cosignature.verify(&self.vkey, text).map_err(CosignError::OwnSignature)?;
        Ok(cosignature.to_note_signature(&self.vkey))
    }
}
