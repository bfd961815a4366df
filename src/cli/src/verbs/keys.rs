//! `countermark keys`: make key files and keys in PKCS#11 tokens, show what is public of them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countermark_bundle::{ExitClass, PublicKey};
use countermark_keys::{
    Algorithm, CreateError, CreateInTokenError, CreatePassphraseError, KeyFile, NewTokenKey, PinSource, PublicKeyInfo,
    Role, create_passphrase_file,
};
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::failure::{Class as _, Failure};
use crate::present;

/// Verbs on key files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key inside a new encrypted key file or a PKCS#11 token; the private key never leaves it
    #[command(
        after_help = "Examples:\n  countermark keys new --role officer --key-file alice.key --passphrase-file alice.passphrase\n  countermark keys new --role witness --key-file witness.key --passphrase-file token.pin \\\n    --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --token-label witness-1 --key-label cosign-1"
    )]
    New(New),
    /// Show the public part of a key file
    #[command(after_help = "Example:\n  countermark keys show --key-file alice.key")]
    Show(Show),
    /// Show every key file of a folder
    #[command(after_help = "Example:\n  countermark keys list ./keys")]
    List(List),
}

/// Arguments of `keys new`.
#[derive(Debug, Args)]
pub struct New {
    /// What the key is for: one key, one purpose
    #[arg(long, value_parser = parse_role)]
    role: Role,
    /// The key file to make, or the reference to the key in the token; an existing one is never overwritten
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The passphrase file of mode 0600; made from 256 random bits when it is missing. For a token it holds the PIN
    #[arg(long, value_name = "FILE", required_unless_present_any = ["pin_file", "pin_env"])]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    token: Place,
    /// The key's name, to also print it as a verifier key (log and witness keys)
    #[arg(long)]
    name: Option<String>,
    /// Keep and show a key of the same role that is there already
    #[arg(long)]
    if_absent: bool,
}

/// Which token makes the key, and what it is called there.
#[derive(Debug, Args)]
struct Place {
    /// Make the key inside a token, by its PKCS#11 library; an absolute path
    #[arg(long, value_name = "LIBRARY", requires = "key_label")]
    pkcs11_module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    token_label: Option<String>,
    /// The token's serial number, where a label is not enough
    #[arg(long, value_name = "NUMBER", requires = "pkcs11_module")]
    token_serial: Option<String>,
    /// The key's name in the token: letters, digits, `.`, `_` or `-`
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    key_label: Option<String>,
    /// A PIN file of the token's own, for a service whose passphrase file opens key files; an absolute path
    #[arg(long, value_name = "FILE", requires = "pkcs11_module", conflicts_with_all = ["passphrase_file", "pin_env"])]
    pin_file: Option<PathBuf>,
    /// The variable of the environment that holds the PIN
    #[arg(long, value_name = "NAME", requires = "pkcs11_module", conflicts_with = "passphrase_file")]
    pin_env: Option<String>,
}

/// Arguments of `keys show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The key file
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The key's name, to also print it as a verifier key (log and witness keys)
    #[arg(long)]
    name: Option<String>,
}

/// Arguments of `keys list`.
#[derive(Debug, Args)]
pub struct List {
    /// The folder
    folder: PathBuf,
}

fn parse_role(text: &str) -> Result<Role, String> {
    text.parse::<Role>().map_err(|error| {
        let all: Vec<&str> = Role::ALL.into_iter().map(Role::as_str).collect();
        format!("{error}; one of {}", all.join(", "))
    })
}

/// Does what the verb says.
pub fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::New(arguments) => {
            let info = create(&arguments)?;
            show(&arguments.key_file, &info, arguments.name.as_deref(), json)
        }
        Command::Show(arguments) => {
            let info = public(&arguments.key_file)?;
            show(&arguments.key_file, &info, arguments.name.as_deref(), json)
        }
        Command::List(arguments) => list(&arguments.folder, json),
    }
}

fn create(arguments: &New) -> anyhow::Result<PublicKeyInfo> {
    match &arguments.token.pkcs11_module {
        Some(module) => create_in_token(arguments, module),
        None => create_file(arguments),
    }
}

fn create_file(arguments: &New) -> anyhow::Result<PublicKeyInfo> {
    let passphrase_file = arguments.passphrase_file.as_deref().context("no passphrase file").class(ExitClass::Usage)?;
    match create_passphrase_file(passphrase_file) {
        Ok(()) | Err(CreatePassphraseError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match KeyFile::create(&arguments.key_file, arguments.role, passphrase_file) {
        Ok(info) => Ok(info),
        Err(CreateError::AlreadyExists { .. }) if arguments.if_absent => existing(arguments),
        Err(error @ CreateError::AlreadyExists { .. }) => Err(error).class(ExitClass::Usage),
        Err(error) => Err(error.into()),
    }
}

fn create_in_token(arguments: &New, module: &Path) -> anyhow::Result<PublicKeyInfo> {
    let token = &arguments.token;
    let pin = match (&token.pin_file, &token.pin_env) {
        (Some(file), _) => PinSource::File(file.clone()),
        (None, Some(name)) => PinSource::Environment(name.clone()),
        (None, None) => PinSource::PassphraseFile,
    };
    let asked = NewTokenKey {
        role: arguments.role,
        module,
        token_label: token.token_label.as_deref(),
        token_serial: token.token_serial.as_deref(),
        key_label: token.key_label.as_deref().unwrap_or_default(),
        pin,
    };
    // A PIN is set with the token's own tool: no file is made for it.
    let passphrase_file = arguments.passphrase_file.as_deref().unwrap_or(Path::new(""));
    match KeyFile::create_in_token(&arguments.key_file, &asked, passphrase_file) {
        Ok(info) => Ok(info),
        Err(CreateInTokenError::AlreadyExists { .. }) if arguments.if_absent => existing(arguments),
        Err(
            error @ (CreateInTokenError::AlreadyExists { .. }
            | CreateInTokenError::LabelTaken { .. }
            | CreateInTokenError::Name(_)
            | CreateInTokenError::Pin(_)
            | CreateInTokenError::Algorithm { .. }),
        ) => Err(error).class(ExitClass::Usage),
        Err(error) => Err(error.into()),
    }
}

/// The key that is there already, if it is of the role that was asked for.
fn existing(arguments: &New) -> anyhow::Result<PublicKeyInfo> {
    let info = public(&arguments.key_file)?;
    if info.role != arguments.role {
        let message = format!("{} holds a key of role {}", arguments.key_file.display(), info.role);
        return Err(Failure::usage(message).into());
    }
    Ok(info)
}

fn public(path: &Path) -> anyhow::Result<PublicKeyInfo> {
    KeyFile::public(path).with_context(|| format!("the key file {}", path.display())).class(ExitClass::Usage)
}

/// The key as our documents name it.
pub fn public_key(info: &PublicKeyInfo) -> anyhow::Result<PublicKey> {
    let form = json!({"algorithm": info.algorithm.as_str(), "public_key": info.public_key});
    serde_json::from_value(form).context("the key file's public key").class(ExitClass::Malformed)
}

fn vkey(info: &PublicKeyInfo, name: &str) -> anyhow::Result<String> {
    let kind = match info.role {
        Role::Log => SignatureType::Ed25519,
        Role::Witness => SignatureType::CosignatureEd25519,
        Role::LogMlDsa44 | Role::WitnessMlDsa44 => SignatureType::CosignatureMlDsa44,
        Role::Certificate
        | Role::Administration
        | Role::Revocation
        | Role::Operator
        | Role::Officer
        | Role::TokenIssuer
        | Role::TokenIssuerP384
        | Role::VaultIdentity
        | Role::VaultSession
        | Role::VaultSealing
        | Role::Vendor
        | Role::AccountIssuer
        | Role::AccountProof => {
            return Err(Failure::usage("only log and witness keys are written as verifier keys").into());
        }
    };
    let name = KeyName::new(name).class(ExitClass::Usage)?;
    let bytes = hex::decode(&info.public_key).class(ExitClass::Malformed)?;
    Ok(VerifierKey::new(name, kind, &bytes)?.to_string())
}

fn describe(path: &Path, info: &PublicKeyInfo) -> anyhow::Result<serde_json::Value> {
    let key_id = match info.algorithm {
        Algorithm::Ed25519 | Algorithm::EcdsaP384 | Algorithm::X25519 => public_key(info)?.key_id().to_string(),
        // It has no public key; what stands in its place is its identifier.
        Algorithm::XChaCha20Poly1305 => info.public_key.clone(),
        // None of our documents names such a key; notes do, by name and verifier key.
        Algorithm::MlDsa44 => hex::encode(Sha256::digest(hex::decode(&info.public_key).class(ExitClass::Malformed)?)),
    };
    Ok(json!({
        "key_file": path.display().to_string(),
        "role": info.role.as_str(),
        "algorithm": info.algorithm.as_str(),
        "public_key": info.public_key,
        "key_id": key_id,
    }))
}

fn show(path: &Path, info: &PublicKeyInfo, name: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut description = describe(path, info)?;
    if let Some(name) = name {
        description["vkey"] = vkey(info, name)?.into();
    }
    if json {
        present::json(&description);
        return Ok(());
    }
    let text = |field: &str| description[field].as_str().unwrap_or_default().to_string();
    let mut rows = vec![
        ("role", text("role")),
        ("algorithm", text("algorithm")),
        ("public key", text("public_key")),
        ("key id", text("key_id")),
    ];
    if name.is_some() {
        rows.push(("verifier key", text("vkey")));
    }
    present::facts(&rows);
    Ok(())
}

fn list(folder: &Path, json: bool) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))
        .class(ExitClass::Usage)?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "key"));
    paths.sort();
    let keys = paths.iter().map(|path| describe(path, &public(path)?)).collect::<anyhow::Result<Vec<_>>>()?;
    if json {
        present::json(&json!({ "keys": keys }));
        return Ok(());
    }
    let text = |key: &serde_json::Value, field: &str| key[field].as_str().unwrap_or_default().to_string();
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| ["role", "algorithm", "key_id", "key_file"].map(|field| text(key, field)).to_vec())
        .collect();
    present::table(&["role", "algorithm", "key id", "file"], &rows);
    Ok(())
}
