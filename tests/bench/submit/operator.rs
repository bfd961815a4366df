//! The operator's side: the next statement of the same fleet, its approvals, and a token to submit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::approval::{self, Claims};
use countermark_bundle::identity::{Name, Namespace, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::statement::{ParsedStatement, Statement};
use countermark_keys::{KeyFile, Role, Signer};
use countermark_signer_policy::access_token::{self, Audience, Issuer, Scope};

/// The names that `up` gives.
const OFFICERS: [&str; 2] = ["officer-1", "officer-2"];
const AUTHORITY: &str = "countermark.localhost";
const MEMBERS: [&str; 3] = ["member-1", "member-2", "member-3"];
const SECONDS: u64 = 3600;

pub struct Operator {
    officers: Vec<(Name, Box<dyn Signer>)>,
    token: String,
    attestations: Vec<String>,
    last: ParsedStatement,
}

impl Operator {
    /// Opens the key files below the folder of `up`; `first` is the active statement.
    pub fn open(data: &Path, first: &[u8]) -> Self {
        let last = ParsedStatement::parse(first).unwrap();
        let officers = OFFICERS
            .map(|officer| (Name::parse(officer).unwrap(), open(&data.join(officer), "officer.key", Role::Officer)));
        let attestation = |member| {
            let file = data.join("public").join("evidence").join(format!("attestation-{member}.json"));
            STANDARD.encode(fs::read(file).unwrap())
        };
        Self {
            officers: officers.into(),
            token: token(data, &last),
            attestations: MEMBERS.map(attestation).into(),
            last,
        }
    }

    /// An access token for statements.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The body of the submission of the next epoch: the same fleet, stated anew.
    pub fn next_statement(&mut self) -> Vec<u8> {
        let last = self.last.statement();
        let next = Statement {
            epoch: last.epoch.next().unwrap(),
            previous: Some(self.last.digest()),
            issued_at: now(),
            ..last.clone()
        };
        self.last = ParsedStatement::parse(&next.write()).unwrap();
        let approvals: Vec<String> = self.officers.iter().map(|(name, key)| self.approve(name, key.as_ref())).collect();
        let body = serde_json::json!({
            "statement": STANDARD.encode(self.last.bytes()),
            "approvals": approvals,
            "attestations": self.attestations,
        });
        serde_json::to_vec(&body).unwrap()
    }

    fn approve(&self, officer: &Name, key: &dyn Signer) -> String {
        let statement = self.last.statement();
        let (origin, digest) = (statement.origin.clone(), self.last.digest());
        let claims = Claims::new(officer.clone(), origin, statement.epoch, digest, now(), SECONDS);
        let input = approval::signing_input(&claims, &PublicKey::ed25519(key.public_key()).unwrap());
        approval::assemble(&input, &key.sign(input.as_bytes()).unwrap())
    }
}

fn token(data: &Path, statement: &ParsedStatement) -> String {
    let issuer = open(&data.join("operator"), "token-issuer.key", Role::TokenIssuer);
    let claims = access_token::Claims {
        issuer: Issuer::new("operator").unwrap(),
        subject: Name::parse("benchmark").unwrap(),
        audience: Audience::new(AUTHORITY).unwrap(),
        issued_at: now(),
        expires_at: now().plus(SECONDS),
        token_id: None,
        namespaces: BTreeSet::from([Namespace::of_origin(&statement.statement().origin).unwrap()]),
        scopes: BTreeSet::from([Scope::Statements]),
    };
    access_token::mint(issuer.as_ref(), &claims).unwrap()
}

fn open(folder: &Path, key: &str, role: Role) -> Box<dyn Signer> {
    KeyFile::open_signer(&folder.join(key), role, &folder.join("passphrase")).unwrap()
}

fn now() -> Timestamp {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_unix(since_1970.as_secs()).unwrap()
}
