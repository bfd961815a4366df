//! What the tests of this crate share: a member in a temporary folder, and a vendor from a seed.

use std::fs;

use countermark_bundle::attestation::{self, AttestationBody};
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::statement::Software;
use countermark_bundle::to_sign;
use countermark_vault_core::member::MemberIdentity;
use ed25519_dalek::{Signer as _, SigningKey};
use tempfile::TempDir;

use crate::config::Config;
use crate::member::{OpenMemberError, VaultMember};
use crate::service::{Existing, InitReport, init};

/// The public key of the vendor that the tests trust, made from the seed 200.
pub(crate) const VENDOR_KEY: &str = "97ffc883c80bee7237ef95d9b9b703d4ad63e60a21e605867682b75b8b3f4303";
pub(crate) const VENDOR: u8 = 200;
const NOW: u64 = 1_795_253_400;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(NOW + seconds).unwrap()
}

pub(crate) fn public(seed: u8) -> PublicKey {
    PublicKey::ed25519(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

/// What runs in the tests.
pub(crate) fn software() -> Software {
    Software { name: "vault".to_owned(), version: "1".to_owned(), sha256: Digest::of(b"executable") }
}

/// What the vendor attests of exactly this member.
pub(crate) fn body(identity: &MemberIdentity) -> AttestationBody {
    AttestationBody {
        origin: identity.origin.clone(),
        fleet_id: identity.fleet_id.clone(),
        member_id: identity.member_id.clone(),
        identity_key: identity.identity_key.clone(),
        session_key: identity.session_key.clone(),
        software_sha256: identity.software.sha256,
        issued_at: at(0),
    }
}

pub(crate) fn attest(body: AttestationBody, by: u8) -> Vec<u8> {
    let signature = SigningKey::from_bytes(&[by; 32]).sign(&to_sign::attestation(&body)).to_bytes().to_vec();
    attestation::write(body, public(by).key_id(), signature)
}

/// A member's folder.
pub(crate) struct MemberFolder {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
}

impl MemberFolder {
    /// A folder with nothing but a configuration.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
            listen = "127.0.0.1:0"
            origin = "log.example/backup"
            fleet_id = "fleet-1"
            member_id = "member-1"
            failure_domain = "site-a"
            identity_key_file = "identity.key"
            session_key_file = "session.key"
            passphrase_file = "passphrase"
            attestation_file = "attestation.json"
            vendor_keys = [{{ algorithm = "ed25519", public_key = "{VENDOR_KEY}" }}]
            "#
        );
        let config = Config::parse(&text, folder.path()).unwrap();
        Self { folder, config }
    }

    /// A folder in which `init` was run.
    pub(crate) fn new() -> Self {
        let member = Self::empty();
        member.init();
        member
    }

    pub(crate) fn init(&self) -> InitReport {
        init(&self.config, Existing::Refuse).unwrap()
    }

    pub(crate) fn open(&self) -> VaultMember {
        self.try_open(software()).unwrap()
    }

    pub(crate) fn try_open(&self, software: Software) -> Result<VaultMember, OpenMemberError> {
        VaultMember::open(&self.config, software)
    }

    /// The names of the files in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
