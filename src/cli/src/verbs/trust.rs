//! `countermark trust`: build and read the file that a client pins.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countermark_bundle::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use countermark_bundle::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use countermark_bundle::{Digest, ExitClass, KeyAlgorithm, KeyId, PublicKey};
use countermark_tlog::checkpoint::Origin;
use serde_json::json;

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

mod pin;

/// Verbs on trust files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a trust file from a witness policy and the public keys of both organisations
    #[command(
        after_help = "Example:\n  countermark trust new --origin log.example/backup --policy witnesses.policy \\\n    --certificate-key <hex> --operator-key <hex> \\\n    --authority-administration-key <hex> --operator-administration-key <hex> \\\n    --authority-revocation-key <hex> --operator-revocation-key <hex> --out trust.json"
    )]
    New(Box<New>),
    /// Write a trust file whose member keys are hard-coded: those of the serving fleets of a bundle that verifies
    #[command(
        after_help = "Examples:\n  countermark trust pin --trust trust.json --bundle backup.bundle.json --out pinned.json\n  countermark trust pin --trust trust.json --log http://127.0.0.1:7310 --out pinned.json"
    )]
    Pin(pin::Arguments),
    /// Show what a trust file pins
    #[command(after_help = "Example:\n  countermark trust show trust.json")]
    Show {
        /// The trust file
        file: PathBuf,
    },
}

/// Arguments of `trust new`.
#[derive(Debug, Args)]
pub struct New {
    /// The log: the authority's name, a slash, the namespace
    #[arg(long)]
    origin: String,
    /// The C2SP tlog-policy file: the log, its witnesses, the quorum
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// A certificate key of the authority, Ed25519 in hex
    #[arg(long, required = true, value_name = "HEX")]
    certificate_key: Vec<String>,
    /// A countersigning key of the operator, uncompressed P-384 point in hex
    #[arg(long, required = true, value_name = "HEX")]
    operator_key: Vec<String>,
    /// How many operator keys must countersign
    #[arg(long, default_value_t = 1)]
    operator_threshold: u64,
    /// An administration key of the authority, Ed25519 in hex
    #[arg(long, required = true, value_name = "HEX")]
    authority_administration_key: Vec<String>,
    /// An administration key of the operator, Ed25519 in hex
    #[arg(long, required = true, value_name = "HEX")]
    operator_administration_key: Vec<String>,
    /// A revocation key of the authority, Ed25519 in hex
    #[arg(long, required = true, value_name = "HEX")]
    authority_revocation_key: Vec<String>,
    /// A revocation key of the operator, Ed25519 in hex
    #[arg(long, required = true, value_name = "HEX")]
    operator_revocation_key: Vec<String>,
    /// A commitment to keys that may follow, SHA-256 in hex
    #[arg(long, value_name = "HEX")]
    successor: Vec<String>,
    /// The oldest tree head that clients accept, in seconds
    #[arg(long, default_value_t = 86_400)]
    max_head_age_seconds: u64,
    /// The longest window of a statement, in days
    #[arg(long, default_value_t = 400)]
    max_statement_lifetime_days: u64,
    /// Accept the quorum's word instead of a consistency link from the client's floor
    #[arg(long)]
    no_require_link: bool,
    /// A hard-coded member key by its key id; others are never used
    #[arg(long, value_name = "HEX")]
    pin_key: Vec<String>,
    /// Accept a witness policy that tolerates no faulty witness
    #[arg(long)]
    allow_no_fault_tolerance: bool,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Does what the verb says.
pub async fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::New(arguments) => new(&arguments, json),
        Command::Pin(arguments) => show(&pin::run(&arguments).await?, json),
        Command::Show { file } => show(&documents::trust(&file)?, json),
    }
}

fn keys(algorithm: KeyAlgorithm, hexes: &[String]) -> anyhow::Result<Vec<PublicKey>> {
    let mut keys = hexes
        .iter()
        .map(|text| {
            let bytes = hex::decode(text).with_context(|| format!("{text} is not hex"))?;
            PublicKey::new(algorithm, &bytes).with_context(|| format!("key {text}"))
        })
        .collect::<anyhow::Result<Vec<_>>>()
        .class(ExitClass::Usage)?;
    keys.sort();
    Ok(keys)
}

fn digests(hexes: &[String]) -> anyhow::Result<Vec<Digest>> {
    let read =
        |text: &String| Digest::from_hex(text).ok_or_else(|| Failure::usage(format!("{text} is no SHA-256 in hex")));
    let mut digests = hexes.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    digests.sort();
    Ok(digests)
}

fn new(arguments: &New, json: bool) -> anyhow::Result<()> {
    let ed25519 = |hexes: &[String]| keys(KeyAlgorithm::Ed25519, hexes);
    let trust = TrustFile {
        kind: TRUST_TYPE.to_string(),
        origin: Origin::new(&arguments.origin).class(ExitClass::Usage)?,
        keys: AuthorityKeys {
            policy: String::from_utf8(documents::read(&arguments.policy)?)
                .context("the policy is not UTF-8")
                .class(ExitClass::Usage)?,
            certificate: ed25519(&arguments.certificate_key)?,
            operator: OperatorKeys {
                keys: keys(KeyAlgorithm::EcdsaP384, &arguments.operator_key)?,
                threshold: arguments.operator_threshold,
            },
            administration: SidedKeys {
                authority: ed25519(&arguments.authority_administration_key)?,
                operator: ed25519(&arguments.operator_administration_key)?,
            },
            revocation: SidedKeys {
                authority: ed25519(&arguments.authority_revocation_key)?,
                operator: ed25519(&arguments.operator_revocation_key)?,
            },
        },
        successors: digests(&arguments.successor)?,
        serial: 0,
        issued_at: documents::now()?,
        limits: Limits {
            max_head_age_seconds: arguments.max_head_age_seconds,
            max_statement_lifetime_seconds: arguments.max_statement_lifetime_days.saturating_mul(86_400),
        },
        floor: TrustFloor::empty(),
        require_link: !arguments.no_require_link,
        pinned_keys: if arguments.pin_key.is_empty() {
            None
        } else {
            Some(digests(&arguments.pin_key)?.into_iter().map(KeyId).collect())
        },
    };
    trust.check().class(ExitClass::Usage)?;
    if !arguments.allow_no_fault_tolerance {
        trust.authority()?.policy().require_fault_tolerance(1).class(ExitClass::Usage)?;
    }
    documents::write(&arguments.out, &trust.write())?;
    show(&trust, json)
}

fn show(trust: &TrustFile, json: bool) -> anyhow::Result<()> {
    let authority = trust.authority().class(ExitClass::Malformed)?;
    let policy = authority.policy();
    let tolerance = policy.fault_tolerance().map_or_else(|error| error.to_string(), |found| found.faults.to_string());
    let witnesses: Vec<String> = policy.witnesses().iter().map(|witness| witness.vkey.name().to_string()).collect();
    if json {
        present::json(&json!({
            "origin": trust.origin.as_str(),
            "witnesses": witnesses,
            "faulty_witnesses_tolerated": tolerance,
            "max_head_age_seconds": trust.limits.max_head_age_seconds,
            "require_link": trust.require_link,
            "pinned_keys": trust.pinned_keys,
            "issued_at": trust.issued_at.to_string(),
        }));
        return Ok(());
    }
    present::facts(&[
        ("origin", trust.origin.to_string()),
        ("witnesses", witnesses.join(", ")),
        ("faulty witnesses tolerated", tolerance),
        ("operator keys", format!("{} of {}", trust.keys.operator.threshold, trust.keys.operator.keys.len())),
        ("head age limit", format!("{} s", trust.limits.max_head_age_seconds)),
        ("consistency link", if trust.require_link { "required" } else { "the quorum's word is enough" }.to_string()),
        ("pinned member keys", trust.pinned_keys.as_ref().map_or("none".to_string(), |keys| keys.len().to_string())),
        ("issued at", trust.issued_at.to_string()),
    ]);
    Ok(())
}
