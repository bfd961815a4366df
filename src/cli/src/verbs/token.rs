//! `countermark token`: access tokens for submitters, made with a token issuer's key, and account tokens for users of a
//! fleet, made with an account issuer's.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countermark_bundle::identity::Name;
use countermark_bundle::{ExitClass, KeyAlgorithm, Namespace, PublicKey};
use countermark_keys::{Algorithm, KeyFile};
use countermark_signer_policy::access_token::{Audience, Claims, Issuer, KeySet, Scope, TokenKey, mint};
use serde_json::json;

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

mod account;

/// Verbs on tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an access token
    #[command(
        after_help = "Example:\n  countermark token new --key-file issuer.key --passphrase-file issuer.passphrase --issuer operator \\\n    --subject release --audience log.example --namespace backup --scope statements"
    )]
    New(New),
    /// Write the key set file by which a log knows token issuers
    #[command(
        after_help = "Example:\n  countermark token keyset --issuer operator --public-key <hex> --out token-keys.json"
    )]
    Keyset(Keyset),
    /// Make an account token: who opens a session with a fleet, bound to a key of theirs
    #[command(
        after_help = "Example:\n  countermark token account --key-file account-issuer.key --passphrase-file account-issuer.passphrase \\\n    --issuer accounts.example --subject alice --origin log.example/backup --fleet fleet-1 \\\n    --proof-public-key <hex> --out account.jwt"
    )]
    Account(account::Arguments),
}

/// Who makes a token and whom it is for.
// Not required one by one: a verb that has a token already needs none of them, any other all.
#[derive(Debug, Args)]
#[group(requires_all = ["key_file", "passphrase_file", "issuer", "subject", "audience"])]
pub struct Parties {
    /// The token issuer's key file
    #[arg(long = "token-key-file", visible_alias = "key-file", value_name = "FILE", required = false)]
    pub key_file: PathBuf,
    /// Its passphrase file
    #[arg(long = "token-passphrase-file", visible_alias = "passphrase-file", value_name = "FILE", required = false)]
    pub passphrase_file: PathBuf,
    /// The issuer's name, as the log knows it
    #[arg(long, required = false)]
    pub issuer: String,
    /// Whom the token is for
    #[arg(long, required = false)]
    pub subject: String,
    /// The service that shall accept it: the authority's name
    #[arg(long, required = false)]
    pub audience: String,
}

/// Arguments of `token new`.
#[derive(Debug, Args)]
pub struct New {
    #[command(flatten)]
    parties: Parties,
    /// A namespace that it is good for
    #[arg(long, required = true)]
    namespace: Vec<String>,
    /// What it allows: statements, entries
    #[arg(long, required = true)]
    scope: Vec<String>,
    /// How long it lives, at most a day
    #[arg(long, default_value_t = 3600)]
    ttl_seconds: u64,
}

/// Arguments of `token keyset`.
#[derive(Debug, Args)]
pub struct Keyset {
    /// The issuer's name
    #[arg(long)]
    issuer: String,
    /// The issuer's key in hex: 32 bytes, or the 97 of a P-384 point
    #[arg(long, value_name = "HEX")]
    public_key: String,
    /// What the key is: ed25519 or ecdsa-p384
    #[arg(long, default_value = "ed25519")]
    algorithm: Algorithm,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Does what the verb says.
pub fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::New(arguments) => {
            let namespaces = arguments.namespace.iter().map(|name| Namespace::parse(name));
            let namespaces = namespaces.collect::<Result<Vec<_>, _>>().class(ExitClass::Usage)?;
            let scopes = arguments.scope.iter().map(|word| {
                Scope::parse(word)
                    .ok_or_else(|| Failure::usage(format!("{word:?} is no scope; one of statements, entries")))
            });
            let scopes = scopes.collect::<Result<Vec<_>, _>>()?;
            let token = new(&arguments.parties, &namespaces, &scopes, arguments.ttl_seconds)?;
            if json {
                present::json(&json!({ "token": token }));
            } else {
                anstream::println!("{token}");
            }
            Ok(())
        }
        Command::Keyset(arguments) => keyset(&arguments),
        Command::Account(arguments) => account::run(&arguments, json),
    }
}

/// Makes a token.
pub fn new(parties: &Parties, namespaces: &[Namespace], scopes: &[Scope], ttl_seconds: u64) -> anyhow::Result<String> {
    let signer = open(&parties.key_file, &parties.passphrase_file)?;
    let now = documents::now()?;
    let claims = Claims {
        issuer: Issuer::new(&parties.issuer).class(ExitClass::Usage)?,
        subject: Name::parse(&parties.subject).context("the subject").class(ExitClass::Usage)?,
        audience: Audience::new(&parties.audience).class(ExitClass::Usage)?,
        issued_at: now,
        expires_at: now.plus(ttl_seconds),
        token_id: None,
        namespaces: namespaces.iter().cloned().collect(),
        scopes: scopes.iter().copied().collect(),
    };
    mint(signer.as_ref(), &claims).class(ExitClass::Usage)
}

fn open(key_file: &Path, passphrase_file: &Path) -> anyhow::Result<Box<dyn countermark_keys::Signer>> {
    KeyFile::open_token_issuer(key_file, passphrase_file).context("the token issuer's key").class(ExitClass::Usage)
}

fn keyset(arguments: &Keyset) -> anyhow::Result<()> {
    let bytes = hex::decode(&arguments.public_key).context("the public key is not hex").class(ExitClass::Usage)?;
    let algorithm = match arguments.algorithm {
        Algorithm::Ed25519 => KeyAlgorithm::Ed25519,
        Algorithm::EcdsaP384 => KeyAlgorithm::EcdsaP384,
        Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => {
            return Err(Failure::usage(format!("a {} key signs no tokens", arguments.algorithm)).into());
        }
    };
    let key = TokenKey {
        issuer: Issuer::new(&arguments.issuer).class(ExitClass::Usage)?,
        key: PublicKey::new(algorithm, &bytes).class(ExitClass::Usage)?,
    };
    documents::write(&arguments.out, &KeySet::new(vec![key]).class(ExitClass::Usage)?.write())
}
