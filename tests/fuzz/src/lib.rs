//! What the targets share: the keys and documents of FORMATS.md, a device without a device. Not a world of its own: a
//! target that needs a signature takes one that stands in the documents.

#[cfg(feature = "services")]
pub mod service;

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use countermark_bundle::PublicKey;
use countermark_bundle::identity::{Digest, Name, Timestamp};
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::trust::TrustFile;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::policy::Policy;
use countermark_vault_core::account::AccountId;
use countermark_vault_core::device::{DeviceFault, IdentityKey, RandomSource, SessionKey};
use countermark_vault_core::machine::{Adoption, Batch, Command, Founding, Machine, ReplicatedTime, WrapKind};
use countermark_vault_core::noise::peer::PeerKeys;
use countermark_vault_core::noise::{PeerContext, SessionContext};
use countermark_vault_core::opaque::{Parties, server};
use countermark_vault_core::secret::Secret;
use countermark_vault_core::wrap::{BackupKey, WrapContext};
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

macro_rules! example {
    ($file:literal) => {
        include_bytes!(concat!("../../../src/bundle/testdata/", $file))
    };
}

/// A minute after the heads of the examples were cosigned.
pub const NOW: Timestamp = Timestamp::UNIX_EPOCH.plus(1_795_219_260);
/// The officers of the examples, each with the seed of its key.
pub const OFFICERS: [(&str, u8); 2] = [("officer-0", 8), ("officer-1", 9)];
/// The vendor of the examples, by the seed of its key.
pub const VENDOR: u8 = 10;
/// Every kind of wrap.
pub const WRAP_KINDS: [WrapKind; 3] = [WrapKind::VaultPassword, WrapKind::DigitKey, WrapKind::Passkey];

/// The trust file of the examples.
pub fn trust() -> &'static TrustFile {
    static TRUST: OnceLock<TrustFile> = OnceLock::new();
    TRUST.get_or_init(|| TrustFile::parse(example!("trust.json")).unwrap())
}

/// The witness policy in it.
pub fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| Policy::parse(trust().keys.policy.as_bytes()).unwrap())
}

/// The consistency link of the examples.
pub fn link() -> &'static ConsistencyLink {
    static LINK: OnceLock<ConsistencyLink> = OnceLock::new();
    LINK.get_or_init(|| ConsistencyLink::parse(example!("link.json")).unwrap())
}

/// The digest of the statement of the examples.
pub fn statement_digest() -> Digest {
    Digest::of(example!("statement.json"))
}

/// The Ed25519 key of a seed.
pub fn key(seed: u8) -> PublicKey {
    PublicKey::ed25519(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn origin() -> Origin {
    trust().origin.clone()
}

/// Randomness that is the same in every run, and never zeros.
#[derive(Default)]
pub struct Counting(u8);

impl RandomSource for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

/// A member's identity key, by its seed.
pub struct Identity(pub u8);

impl IdentityKey for Identity {
    fn public_key(&self) -> [u8; 32] {
        SigningKey::from_bytes(&[self.0; 32]).verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        Ok(SigningKey::from_bytes(&[self.0; 32]).sign(message).to_bytes())
    }
}

/// A member's session key, by its bytes.
pub struct SessionSecret(pub u8);

impl SessionKey for SessionSecret {
    fn public_key(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from([self.0; 32])).to_bytes()
    }

    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
        let shared = x25519_dalek::StaticSecret::from([self.0; 32]).diffie_hellman(&(*peer).into());
        if !shared.was_contributory() {
            return Err(DeviceFault { part: "session key" });
        }
        Ok(Zeroizing::new(shared.to_bytes()))
    }
}

/// A session with the first member.
pub fn session_context() -> SessionContext {
    SessionContext {
        origin: origin(),
        statement: statement_digest(),
        fleet_id: name("fleet-1"),
        member_id: name("member-1"),
    }
}

/// A link from the first member to the second one.
pub fn peer_context() -> PeerContext {
    PeerContext {
        origin: origin(),
        fleet_id: name("fleet-1"),
        initiator: name("member-1"),
        responder: name("member-2"),
    }
}

/// What the statement would say of a member with these keys.
pub fn peer_keys(session: u8, identity: u8) -> PeerKeys {
    PeerKeys { session_public: SessionSecret(session).public_key(), identity: key(identity) }
}

/// The user of the examples.
pub fn account() -> AccountId {
    AccountId::of("accounts.example", "user-1")
}

/// Both ends of OPAQUE for that user.
pub fn parties() -> &'static Parties {
    static PARTIES: OnceLock<Parties> = OnceLock::new();
    PARTIES.get_or_init(|| Parties::new(account(), &origin(), &name("fleet-1")))
}

/// A server's setup.
pub fn setup() -> &'static Secret {
    static SETUP: OnceLock<Secret> = OnceLock::new();
    SETUP.get_or_init(|| server::new_setup(&mut Counting::default()).unwrap())
}

/// Where that user's wraps belong.
pub fn wrap_context() -> WrapContext {
    WrapContext { origin: origin(), fleet_id: name("fleet-1"), account: account() }
}

/// The commitment to the backup key of the examples.
pub fn commitment() -> [u8; 32] {
    BackupKey::from_bytes(Zeroizing::new([8; 32])).commitment()
}

/// A machine that was founded on the examples and adopted their bundle.
pub fn founded() -> &'static Machine {
    static FOUNDED: OnceLock<Machine> = OnceLock::new();
    FOUNDED.get_or_init(|| {
        let founding = Founding {
            trust: example!("trust.json").to_vec(),
            fleet_id: name("fleet-1"),
            decoy_setup: setup().clone(),
            account_issuers: Vec::new(),
            cool_off_seconds: 60,
        };
        let adoption = Adoption { bundle: example!("validation-bundle.json").to_vec(), links: Vec::new() };
        let mut machine = Machine::new();
        let commands = vec![Command::Found(founding), Command::Adopt(adoption)];
        machine.apply(&Batch { now: ReplicatedTime::from_unix(NOW.unix()), commands });
        assert!(machine.stapled().is_some(), "the examples' fleet serves");
        machine
    })
}

/// A folder of this process below the system's temporary one, which is left behind: scripts/fuzz sweeps it.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("countermark-fuzz-{}", std::process::id())).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
