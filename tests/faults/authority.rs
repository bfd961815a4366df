//! The folder of an authority with two namespaces, `opaque` (raw, no witness needed) and `backup` (fleet-keys, cosigned by
//! witnesses of the test), and everything that its log process is started with.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use countermark_bundle::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use countermark_bundle::entry::{EVIDENCE_TYPE, Entry, Evidence};
use countermark_bundle::evidence::{CheckedBy, Item, MANIFEST_TYPE, Manifest};
use countermark_bundle::identity::{Digest, Name, Namespace, Side, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::to_sign;
use countermark_bundle::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use countermark_keys::{KeyFile, Role, Signer, create_passphrase_file};
use countermark_signer_policy::access_token::{self, Audience, Claims, Issuer, KeySet, Scope, TokenKey};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::{SignatureType, VerifierKey};
use tempfile::TempDir;

use crate::log::Log;
use crate::witness::Witness;

/// The authority's name.
const AUTHORITY: &str = "log.example";
/// Both namespaces.
pub const NAMESPACES: [&str; 2] = ["backup", "opaque"];

pub struct Authority {
    pub folder: TempDir,
    pub witnesses: Vec<Witness>,
    pub token: String,
    administration: Box<dyn Signer>,
    log_keys: Vec<VerifierKey>,
    trust: TrustFile,
}

impl Authority {
    /// One witness, which must cosign.
    pub fn new() -> Self {
        Self::with_witnesses(1, 1)
    }

    /// So many witnesses, of which so many must cosign. The logs are made.
    pub fn with_witnesses(count: u8, quorum: usize) -> Self {
        let authority = Self::unmade(count, quorum);
        let made = authority.verb(&["create"]);
        assert!(made.status.success(), "{}", said(&made));
        authority
    }

    /// The same before `log create`.
    pub fn unmade(count: u8, quorum: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let witnesses: Vec<Witness> = (1..=count).map(Witness::start).collect();
        let path = |name: &str| folder.path().join(name);
        create_passphrase_file(&path("passphrase")).unwrap();
        let key = |name: &str, role| {
            let made = KeyFile::create(&path(name), role, &path("passphrase")).unwrap();
            hex::decode(made.public_key).unwrap()
        };
        let log_key = |namespace: &str| {
            let bytes = key(&format!("{namespace}.key"), Role::Log);
            VerifierKey::new(origin(namespace).key_name().clone(), SignatureType::Ed25519, &bytes).unwrap()
        };
        let log_keys: Vec<VerifierKey> = NAMESPACES.iter().map(|namespace| log_key(namespace)).collect();
        let ed25519 = |name: &str, role| PublicKey::ed25519(&key(name, role)).unwrap();
        let operator =
            PublicKey::new(countermark_bundle::KeyAlgorithm::EcdsaP384, &key("operator.key", Role::Operator));
        let sided = |role, word: &str| SidedKeys {
            authority: vec![ed25519(&format!("{word}.key"), role)],
            operator: vec![ed25519(&format!("operator-{word}.key"), role)],
        };
        let keys = AuthorityKeys {
            policy: policy(&log_keys[0], &witnesses, quorum),
            certificate: vec![ed25519("certificate.key", Role::Certificate)],
            operator: OperatorKeys { keys: vec![operator.unwrap()], threshold: 1 },
            administration: sided(Role::Administration, "administration"),
            revocation: sided(Role::Revocation, "revocation"),
        };
        let trust = TrustFile {
            kind: TRUST_TYPE.to_owned(),
            origin: origin("backup"),
            keys,
            successors: vec![],
            serial: 0,
            issued_at: now(),
            limits: Limits { max_head_age_seconds: 86_400, max_statement_lifetime_seconds: 400 * 86_400 },
            floor: TrustFloor::empty(),
            require_link: true,
            pinned_keys: None,
        };
        trust.check().unwrap();
        fs::write(path("trust.json"), trust.write()).unwrap();
        fs::write(path("opaque.policy"), policy(&log_keys[1], &[], 0)).unwrap();
        let officer = hex::encode(key("officer.key", Role::Officer));
        fs::write(path("log.toml"), configuration(&officer)).unwrap();
        key("token-issuer.key", Role::TokenIssuer);
        let token = token(folder.path());
        let passphrase = path("passphrase");
        let administration = KeyFile::open_signer(&path("administration.key"), Role::Administration, &passphrase);
        Self { witnesses, token, administration: administration.unwrap(), log_keys, trust, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn database(&self, namespace: &str) -> PathBuf {
        self.path(&format!("databases/{namespace}.sqlite"))
    }

    /// Where the head register keeps the log of a namespace.
    pub fn register(&self, namespace: &str) -> PathBuf {
        self.path(&format!("register/{}.json", Digest::of(origin(namespace).as_str().as_bytes()).to_hex()))
    }

    pub fn log_key(&self, namespace: &str) -> &VerifierKey {
        &self.log_keys[NAMESPACES.iter().position(|name| *name == namespace).unwrap()]
    }

    pub fn trust(&self) -> &TrustFile {
        &self.trust
    }

    /// Starts the log, which must begin to serve.
    pub fn serve(&self) -> Log {
        Log::start(self, &[]).unwrap_or_else(|refused| panic!("the log did not start: {refused}"))
    }

    /// Runs a verb of `countermark log` to its end.
    pub fn verb(&self, verb: &[&str]) -> Output {
        self.verb_around(&[], verb)
    }

    /// The same under another program.
    pub fn verb_around(&self, around: &[String], verb: &[&str]) -> Output {
        let mut command = around_program(around);
        command.arg("log").args(verb).arg("--config").arg(self.path("log.toml"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// An entry of `backup` that changes nothing, another one for each text.
    pub fn evidence(&self, text: &str) -> Vec<u8> {
        let item = Item {
            name: Name::parse("record.txt").unwrap(),
            media_type: "text/plain".to_string(),
            size: 5,
            sha256: Digest::of(b"hello"),
            claims: text.to_string(),
            checked_by: CheckedBy::Human,
        };
        let manifest = Manifest {
            kind: MANIFEST_TYPE.to_string(),
            origin: origin("backup"),
            fleet_id: Name::parse("fleet-1").unwrap(),
            items: vec![item],
        };
        let mut evidence = Evidence {
            kind: EVIDENCE_TYPE.to_string(),
            origin: origin("backup"),
            side: Side::Authority,
            manifest: manifest.write(),
            key_id: PublicKey::ed25519(self.administration.public_key()).unwrap().key_id(),
            signature: vec![],
        };
        let message = to_sign::evidence(&evidence, &evidence.root_hex());
        evidence.signature = self.administration.sign(&message).unwrap();
        Entry::Evidence(evidence).write()
    }
}

/// The `countermark` of the folder that `scripts/test` names.
fn program() -> PathBuf {
    let folder = std::env::var_os("COUNTERMARK_BIN_DIR");
    let folder = folder.expect("COUNTERMARK_BIN_DIR is not set: run scripts/test, or build the workspace and set it");
    let program = PathBuf::from(folder).join("countermark");
    assert!(program.exists(), "{} is missing: build the workspace first", program.display());
    program
}

/// The command that runs it, under another program where `around` names one.
pub fn around_program(around: &[String]) -> Command {
    match around.split_first() {
        None => Command::new(program()),
        Some((outer, options)) => {
            let mut command = Command::new(outer);
            command.args(options).arg(program());
            command
        }
    }
}

/// Everything that a finished process printed.
pub fn said(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn origin(namespace: &str) -> Origin {
    Origin::new(&format!("{AUTHORITY}/{namespace}")).unwrap()
}

fn policy(log: &VerifierKey, witnesses: &[Witness], quorum: usize) -> String {
    use std::fmt::Write as _;
    let mut text = format!("log {log}\n");
    if witnesses.is_empty() {
        return text + "quorum none\n";
    }
    let mut names = String::new();
    for (number, witness) in (1..).zip(witnesses) {
        writeln!(text, "witness w{number} {} {}/", witness.vkey, witness.url).unwrap();
        write!(names, " w{number}").unwrap();
    }
    text + &format!("group enough {quorum}{names}\nquorum enough\n")
}

fn configuration(officer: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\nauthority = \"{AUTHORITY}\"\ntoken_keys = \"token-keys.json\"\n\
         database_folder = \"databases\"\nregister_folder = \"register\"\nsubmission_deadline_ms = 5000\n\n\
         [[namespace]]\nname = \"backup\"\nkind = \"fleet-keys\"\ntrust = \"trust.json\"\n\
         log_key_file = \"backup.key\"\ncertificate_key_file = \"certificate.key\"\n\
         administration_key_file = \"administration.key\"\npassphrase_file = \"passphrase\"\n\
         vendor_keys = []\nofficers = [{{ subject = \"officer-1\", public_key = \"{officer}\" }}]\n\
         approvals_needed = 1\nwitness_timeout_ms = 1000\nallow_no_fault_tolerance = true\n\n\
         [[namespace]]\nname = \"opaque\"\nkind = \"raw\"\nwitness_policy = \"opaque.policy\"\n\
         log_key_file = \"opaque.key\"\npassphrase_file = \"passphrase\"\nallow_no_fault_tolerance = true\n"
    )
}

/// Writes the key set and makes a token for everything.
fn token(folder: &Path) -> String {
    let file = folder.join("token-issuer.key");
    let signer = KeyFile::open_signer(&file, Role::TokenIssuer, &folder.join("passphrase")).unwrap();
    let issuer = Issuer::new("operator").unwrap();
    let key = TokenKey { issuer: issuer.clone(), key: PublicKey::ed25519(signer.public_key()).unwrap() };
    fs::write(folder.join("token-keys.json"), KeySet::new(vec![key]).unwrap().write()).unwrap();
    let claims = Claims {
        issuer,
        subject: Name::parse("submitter").unwrap(),
        audience: Audience::new(AUTHORITY).unwrap(),
        issued_at: now(),
        expires_at: now().plus(12 * 3_600),
        token_id: None,
        namespaces: NAMESPACES.iter().map(|name| Namespace::parse(name).unwrap()).collect::<BTreeSet<_>>(),
        scopes: Scope::ALL.into(),
    };
    access_token::mint(signer.as_ref(), &claims).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_unix(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}
