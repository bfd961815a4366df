//! A folder with everything that a configuration names: keys in files, trust files, a configuration. Witnesses and clock
//! are in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use countermark_bundle::identity::Digest;
use countermark_bundle::key::PublicKey;
use countermark_bundle::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use countermark_keys::{KeyFile, Role, create_passphrase_file};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::{SignatureType, VerifierKey};
use tempfile::TempDir;

use super::{Config, ConfigError};
use crate::create::Outside;
use crate::ports::WitnessEndpoint;
use crate::testing::world::at;
use crate::testing::{NOW, SimulatedWitnesses, TestClock, TestSigner};

/// The authority of every house.
pub(crate) const AUTHORITY: &str = "log.example";

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) text: String,
    pub(crate) witnesses: Arc<SimulatedWitnesses>,
    pub(crate) endpoints: Vec<WitnessEndpoint>,
    clock: Arc<TestClock>,
}

impl House {
    /// A house with these namespaces.
    pub(crate) fn new(namespaces: &[&str]) -> Self {
        let keys: Vec<TestSigner> = (11..15).map(|seed| TestSigner::new(Role::Witness, seed)).collect();
        let endpoint = |(i, key): (usize, &TestSigner)| WitnessEndpoint {
            vkeys: vec![key.vkey(&format!("w{i}.example"), SignatureType::CosignatureEd25519)],
            url: format!("http://w{i}.example"),
        };
        let endpoints: Vec<_> = keys.iter().enumerate().map(endpoint).collect();
        let clock = Arc::new(TestClock::at(NOW));
        let witnesses = SimulatedWitnesses::new(
            clock.clone(),
            endpoints.iter().cloned().zip(keys.into_iter().map(|key| vec![key])),
        );
        let folder = tempfile::tempdir().unwrap();
        let mut house = Self { folder, text: String::new(), witnesses: Arc::new(witnesses), endpoints, clock };
        house.text = format!(
            "listen = \"127.0.0.1:0\"\nauthority = \"{AUTHORITY}\"\ndatabase_folder = \"databases\"\n\
             register_folder = \"register\"\nsubmission_deadline_ms = 2000\n"
        );
        for (number, name) in (0..).zip(namespaces) {
            let text = house.move_in(name, number);
            house.text.push_str(&text);
        }
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration as `text` has it.
    pub(crate) fn config(&self) -> Config {
        self.parse(&self.text).unwrap()
    }

    /// Another text of this house.
    pub(crate) fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, self.folder.path())
    }

    pub(crate) fn outside(&self) -> Outside {
        Outside { witnesses: self.witnesses.clone(), clock: self.clock.clone() }
    }

    /// Changes the trust file of a namespace.
    pub(crate) fn change_trust(&self, name: &str, change: impl FnOnce(&mut TrustFile)) {
        let path = self.path(&format!("{name}/trust.json"));
        let mut trust = TrustFile::parse(&fs::read(&path).unwrap()).unwrap();
        change(&mut trust);
        fs::write(path, trust.write()).unwrap();
    }

    /// Makes a key file that no trust file knows.
    pub(crate) fn stray_key(&self, path: &str, role: Role, passphrase: &str) {
        KeyFile::create(&self.path(path), role, &self.path(passphrase)).unwrap();
    }

    fn move_in(&self, name: &str, number: u8) -> String {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        let passphrase = folder.join("passphrase");
        create_passphrase_file(&passphrase).unwrap();
        let make = |file: &str, role| public_of(&folder.join(file), role, &passphrase);
        let log = make("log.key", Role::Log);
        let certificate = make("certificate.key", Role::Certificate);
        let administration = make("administration.key", Role::Administration);
        let other = |role, seed: u8| vec![TestSigner::new(role, seed + 8 * number).public().clone()];
        let keys = AuthorityKeys {
            policy: self.policy(&origin(name), &log),
            certificate: vec![certificate],
            operator: OperatorKeys { keys: other(Role::Operator, 40), threshold: 1 },
            administration: SidedKeys { authority: vec![administration], operator: other(Role::Administration, 41) },
            revocation: SidedKeys { authority: other(Role::Revocation, 42), operator: other(Role::Revocation, 43) },
        };
        let trust = TrustFile {
            kind: TRUST_TYPE.to_owned(),
            origin: origin(name),
            keys,
            successors: vec![],
            serial: 0,
            issued_at: at(NOW - 1_000),
            limits: Limits { max_head_age_seconds: 86_400, max_statement_lifetime_seconds: 400 * 86_400 },
            floor: TrustFloor::empty(),
            require_link: true,
            pinned_keys: None,
        };
        trust.check().unwrap();
        fs::write(folder.join("trust.json"), trust.write()).unwrap();
        let officer = |seed| hex::encode(TestSigner::new(Role::Officer, seed).public().bytes());
        let vendor = hex::encode(TestSigner::new(Role::Vendor, 10).public().bytes());
        format!(
            "\n[[namespace]]\nname = \"{name}\"\nkind = \"fleet-keys\"\ntrust = \"{name}/trust.json\"\n\
             log_key_file = \"{name}/log.key\"\ncertificate_key_file = \"{name}/certificate.key\"\n\
             administration_key_file = \"{name}/administration.key\"\npassphrase_file = \"{name}/passphrase\"\n\
             vendor_keys = [{{ algorithm = \"ed25519\", public_key = \"{vendor}\" }}]\n\
             officers = [{{ subject = \"officer-1\", public_key = \"{}\" }}, \
             {{ subject = \"officer-0\", public_key = \"{}\" }}]\napprovals_needed = 2\n",
            officer(9),
            officer(8),
        )
    }

    /// Three of four witnesses, each with its URL.
    fn policy(&self, origin: &Origin, log: &PublicKey) -> String {
        let log = VerifierKey::new(origin.key_name().clone(), SignatureType::Ed25519, log.bytes()).unwrap();
        let line = |(i, endpoint): (usize, &WitnessEndpoint)| {
            format!("witness w{i} {} {}/\n", endpoint.vkeys[0], endpoint.url)
        };
        let witnesses: String = self.endpoints.iter().enumerate().map(line).collect();
        format!("log {log}\n{witnesses}group three 3 w0 w1 w2 w3\nquorum three\n")
    }
}

pub(crate) fn origin(namespace: &str) -> Origin {
    Origin::new(&format!("{AUTHORITY}/{namespace}")).unwrap()
}

/// Where the head register keeps the log of a namespace.
pub(crate) fn register_file(house: &House, namespace: &str) -> PathBuf {
    let name = Digest::of(origin(namespace).as_str().as_bytes()).to_hex();
    house.path(&format!("register/{name}.json"))
}

fn public_of(path: &Path, role: Role, passphrase: &Path) -> PublicKey {
    let public = KeyFile::create(path, role, passphrase).unwrap();
    PublicKey::ed25519(&hex::decode(public.public_key).unwrap()).unwrap()
}

/// The deadline of anything in these tests that should not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
