//! This process as a device: the system's randomness and the keys of the member, behind the traits that the pure crates
//! know.
//!
//! It protects as much as the process and its key files are protected. An HSM goes behind the same traits.

use std::sync::Arc;

use countermark_keys::{AgreementKey, SealingKey, Signer, UnsealKeyError};
use countermark_vault_core::device::{DeviceFault, IdentityKey, RandomSource, SealedStore, SessionKey, UnsealError};
use zeroize::Zeroizing;

/// How much is drawn at once.
const DRAW_BYTES: usize = 64;

/// The operating system's randomness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OsRandomness;

impl RandomSource for OsRandomness {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        for chunk in bytes.chunks_mut(DRAW_BYTES) {
            let drawn = countermark_keys::os_random_bytes::<DRAW_BYTES>();
            let drawn = Zeroizing::new(drawn.map_err(|_| DeviceFault { part: "random source" })?);
            let (needed, _) = drawn.split_at(chunk.len());
            chunk.copy_from_slice(needed);
        }
        Ok(())
    }
}

/// The member's signing key as the device's.
pub(crate) struct DeviceIdentity {
    signer: Arc<dyn Signer>,
    public: [u8; 32],
}

impl DeviceIdentity {
    /// Takes an Ed25519 key over; a fault if its public half has another length.
    pub(crate) fn new(signer: Arc<dyn Signer>) -> Result<Self, DeviceFault> {
        let public = signer.public_key().try_into().map_err(|_| IDENTITY_FAULT)?;
        Ok(Self { signer, public })
    }
}

const IDENTITY_FAULT: DeviceFault = DeviceFault { part: "identity key" };

impl IdentityKey for DeviceIdentity {
    fn public_key(&self) -> [u8; 32] {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        let signature = self.signer.sign(message).map_err(|_| IDENTITY_FAULT)?;
        signature.try_into().map_err(|_| IDENTITY_FAULT)
    }
}

/// The member's agreement key as the device's.
pub(crate) struct DeviceSession(pub(crate) Box<dyn AgreementKey>);

impl SessionKey for DeviceSession {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
        let secret = self.0.diffie_hellman(peer).map_err(|_| DeviceFault { part: "session key" })?;
        Ok(Zeroizing::new(*secret.as_bytes()))
    }
}

/// The member's sealing key as the device's sealed storage.
pub(crate) struct DeviceSealing(pub(crate) Box<dyn SealingKey>);

impl SealedStore for DeviceSealing {
    fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        self.0.seal(context, plaintext).map_err(|_| DeviceFault { part: "sealing key" })
    }

    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        self.0.unseal(context, sealed).map_err(|error| match error {
            UnsealKeyError::NotOurs => UnsealError::NotOurs,
        })
    }
}

#[cfg(test)]
mod tests {
    use countermark_keys::{KeyFile, Role, create_passphrase_file};

    use super::*;
    use crate::testkit::{TestSigner, public};

    #[test]
    fn randomness_fills_any_length() {
        for length in [0, 1, 63, 64, 65, 1000] {
            let mut bytes = vec![0; length];
            OsRandomness.fill(&mut bytes).unwrap();
            assert!(length < 16 || bytes.chunks_exact(16).all(|chunk| chunk != [0; 16]), "{length}");
        }
    }

    #[test]
    fn a_holder_that_fails_is_a_device_fault() {
        let identity = DeviceIdentity::new(TestSigner::holding(1)).unwrap();
        assert_eq!(identity.public_key().as_slice(), public(1).bytes());
        public(1).verify_ed25519(b"message", &identity.sign(b"message").unwrap()).unwrap();
        let unplugged = DeviceIdentity::new(TestSigner::failing(1)).unwrap();
        assert_eq!(unplugged.sign(b"message"), Err(IDENTITY_FAULT));
    }

    #[test]
    fn the_session_and_sealing_keys_of_files_work_as_the_devices() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        create_passphrase_file(&path("passphrase")).unwrap();
        KeyFile::create(&path("session"), Role::VaultSession, &path("passphrase")).unwrap();
        KeyFile::create(&path("sealing"), Role::VaultSealing, &path("passphrase")).unwrap();
        let session = KeyFile::open_agreement(&path("session"), Role::VaultSession, &path("passphrase")).unwrap();
        let session = DeviceSession(session);
        let peer = x25519_dalek::StaticSecret::from([7; 32]);
        let expected = peer.diffie_hellman(&x25519_dalek::PublicKey::from(session.public_key()));
        let shared = session.diffie_hellman(x25519_dalek::PublicKey::from(&peer).as_bytes()).unwrap();
        assert_eq!(shared.as_slice(), expected.as_bytes());
        assert!(session.diffie_hellman(&[0; 32]).is_err());

        let sealing = KeyFile::open_sealing(&path("sealing"), Role::VaultSealing, &path("passphrase")).unwrap();
        let sealing = DeviceSealing(sealing);
        let sealed = sealing.seal(b"place", b"secret").unwrap();
        assert_eq!(sealing.unseal(b"place", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(sealing.unseal(b"other place", &sealed), Err(UnsealError::NotOurs));
        assert!(sealed.len() <= b"secret".len() + 64);
    }
}
