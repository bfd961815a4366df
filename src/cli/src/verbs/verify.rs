//! `countermark verify`: bundles, receipts and fork evidence, offline. Exit code 0 only if everything that was asked for was verified.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::trust::{Floor, TrustFile};
use countermark_bundle::verify::{BundleState, Passed, Step, VerifiedBundle};
use countermark_bundle::{Digest, ExitClass};
use countermark_client::fetch::{LogReader, Timeouts};
use countermark_client::floor_store::{FloorFile, FloorStore, FloorStoreError};
use countermark_client::receipt::{Logged, verify_receipt};
use countermark_client::verify::{VerifyError, fetch_and_verify, verify_bundle_offline};
use countermark_tlog::hash::{Hash, LeafHash};
use serde_json::{Value, json};

mod fork;

use super::openssl;
use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// What to verify.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Verify a validation bundle, step by step
    #[command(
        after_help = "Examples:\n  countermark verify bundle --trust trust.json --bundle backup.bundle.json --floor floor.json\n  countermark verify bundle --trust trust.json --log http://127.0.0.1:7310 --floor floor.json"
    )]
    Bundle(Box<Bundle>),
    /// Verify a receipt: an entry is in the log, under a head that a quorum cosigned
    #[command(
        after_help = "Example:\n  countermark verify receipt --trust trust.json --receipt 1.tlog-proof --entry entry.json"
    )]
    Receipt(Receipt),
    /// Verify fork evidence: the log signed two histories that cannot both be true
    #[command(
        after_help = "Examples:\n  countermark verify fork evidence.fork --trust trust.json\n  countermark verify fork evidence.fork --vkey 'log.example+0b92e1ef+AbC…'\n\nExit code 0: the file proves that the log has forked."
    )]
    Fork(fork::Fork),
}

/// Arguments of `verify bundle`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["bundle", "log"]))]
#[command(group = ArgGroup::new("memory").required(true).args(["floor", "no_floor"]))]
pub struct Bundle {
    /// What is pinned
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The bundle
    #[arg(long = "bundle", id = "bundle", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Fetch the newest bundle, and the consistency link where the floor asks for it, from this log
    #[arg(long, value_name = "URL")]
    log: Option<String>,
    /// A consistency link from the floor to the bundle's head
    #[arg(long, value_name = "FILE", requires = "bundle")]
    link: Option<PathBuf>,
    /// What was verified before; made when it is missing, moved forward before the bundle is used
    #[arg(long, value_name = "FILE")]
    floor: Option<PathBuf>,
    /// Verify against the trust file alone, and remember nothing
    #[arg(long, requires = "bundle")]
    no_floor: bool,
    /// Also write what OpenSSL needs to check certificate and countersignature into this folder
    #[arg(long, value_name = "DIR")]
    write_der: Option<PathBuf>,
}

/// Arguments of `verify receipt`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("logged").required(true).args(["entry", "leaf_hash"]))]
pub struct Receipt {
    /// What is pinned
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The receipt, a `.tlog-proof`
    #[arg(long = "receipt", value_name = "FILE")]
    file: PathBuf,
    /// The entry's exact bytes
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// The entry's leaf hash in hex
    #[arg(long, value_name = "HEX")]
    leaf_hash: Option<String>,
}

/// A memory of nothing, for whoever asked for it by name.
pub struct NoFloor;

impl FloorStore for NoFloor {
    fn read(&mut self) -> Result<Option<Floor>, FloorStoreError> {
        Ok(None)
    }

    fn write(&mut self, _: &Floor) -> Result<(), FloorStoreError> {
        Ok(())
    }
}

/// Does what the verb says.
pub async fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Bundle(arguments) => bundle(&arguments, json).await,
        Command::Receipt(arguments) => receipt(&arguments, json),
        Command::Fork(arguments) => fork::run(&arguments, json),
    }
}

async fn bundle(arguments: &Bundle, json: bool) -> anyhow::Result<()> {
    // Before anything is verified: a refusal must not have moved the floor.
    if arguments.write_der.is_some() && arguments.file.is_none() {
        return Err(Failure::usage("--write-der goes with --bundle").into());
    }
    let trust = documents::trust(&arguments.trust)?;
    let mut passed = Vec::new();
    let outcome = verify(arguments, &trust, &mut passed).await;
    if !json {
        for step in &passed {
            show_step(step, arguments.no_floor);
        }
    }
    let verified = match outcome {
        Ok(verified) => verified,
        Err(error) => return Err(refused(error, &passed, json)),
    };
    if let (Some(folder), Some(path)) = (&arguments.write_der, &arguments.file) {
        let bytes = documents::read(path)?;
        openssl::write(folder, &bytes, &trust, verified.statement())?;
    }
    show_verified(&verified, &passed, json);
    Ok(())
}

async fn verify(arguments: &Bundle, trust: &TrustFile, passed: &mut Vec<Passed>) -> anyhow::Result<VerifiedBundle> {
    let now = documents::now()?;
    let mut observe = |step| passed.push(step);
    if let (Some(log), Some(floor)) = (&arguments.log, &arguments.floor) {
        let log = reader(log, trust)?;
        let floor = FloorFile::new(floor);
        return fetch_and_verify(&log, trust, &floor, now, &mut observe).await.map_err(classed);
    }
    let bytes = documents::read(arguments.file.as_deref().context("a bundle or a log")?)?;
    let link = arguments.link.as_deref().map(link).transpose()?;
    match &arguments.floor {
        Some(floor) => {
            let floor = FloorFile::new(floor);
            let mut locked = floor.lock().map_err(|error| classed(VerifyError::FloorRead(error)))?;
            verify_bundle_offline(&bytes, link.as_ref(), trust, &mut locked, now, &mut observe)
        }
        None => verify_bundle_offline(&bytes, link.as_ref(), trust, &mut NoFloor, now, &mut observe),
    }
    .map_err(classed)
}

/// Reads a consistency link.
pub fn link(path: &Path) -> anyhow::Result<ConsistencyLink> {
    ConsistencyLink::parse(&documents::read(path)?).context("the consistency link").class(ExitClass::Malformed)
}

/// The error with its class, and the step that it is about.
pub fn classed(error: VerifyError) -> anyhow::Error {
    let class = error.exit_class();
    let step = match &error {
        VerifyError::Distrust(distrust) => format!("step {} ({}): ", distrust.step().number(), distrust.step().title()),
        VerifyError::FloorRead(_) | VerifyError::FloorWrite(_) | VerifyError::Fetch(_) => String::new(),
    };
    let message = format!("{}: {step}{error}", class.as_str());
    anyhow::Error::new(error).context(Failure::new(class, message))
}

/// The log behind an address.
pub fn reader(log: &str, trust: &TrustFile) -> anyhow::Result<LogReader> {
    LogReader::new(log, &trust.namespace(), Timeouts::default()).class(ExitClass::Usage)
}

fn show_step(passed: &Passed, no_floor: bool) {
    let detail = if no_floor && passed.step == Step::Stored { "not asked for (--no-floor)" } else { &passed.detail };
    present::done(&format!("{:>2}  {:<36} {detail}", passed.step.number(), passed.step.title()));
}

fn refused(error: anyhow::Error, passed: &[Passed], json: bool) -> anyhow::Error {
    if json {
        present::json(&json!({
            "verified": false,
            "exit_code": crate::failure::exit_code(&error),
            "refused": error.to_string(),
            "passed": steps(passed),
        }));
    }
    error
}

fn steps(passed: &[Passed]) -> Vec<Value> {
    passed
        .iter()
        .map(|step| json!({ "step": step.step.number(), "title": step.step.title(), "detail": step.detail }))
        .collect()
}

fn show_verified(verified: &VerifiedBundle, passed: &[Passed], json: bool) {
    let state = match verified.state() {
        BundleState::Ok => "ok",
        BundleState::RollingOver => "ok, but rolling over: enrol again",
    };
    let statement = verified.statement().statement();
    let checkpoint = verified.checkpoint();
    if json {
        present::json(&json!({
            "verified": true,
            "state": state,
            "origin": statement.origin.as_str(),
            "epoch": statement.epoch.get(),
            "digest": verified.statement().digest().to_string(),
            "size": checkpoint.size.get(),
            "head_time": verified.head_time().to_string(),
            "stale_at": verified.stale_at().to_string(),
            "witnesses": verified.witnesses(),
            "passed": steps(passed),
        }));
        return;
    }
    present::headline(&format!("{}: epoch {} is {state}", statement.origin, statement.epoch));
    let mut rows = vec![];
    for fleet in verified.serving_fleets() {
        for member in &fleet.members {
            for key in &member.keys {
                rows.push(vec![
                    fleet.fleet_id.to_string(),
                    fleet.status.as_str().to_string(),
                    member.member_id.to_string(),
                    member.failure_domain.to_string(),
                    key.algorithm.as_str().to_string(),
                    present::short(&key.public_key),
                    key.not_after.to_string(),
                ]);
            }
        }
    }
    present::table(&["fleet", "status", "member", "failure domain", "key", "begins", "until"], &rows);
}

fn receipt(arguments: &Receipt, json: bool) -> anyhow::Result<()> {
    let trust = documents::trust(&arguments.trust)?;
    let bytes = documents::read(&arguments.file)?;
    let entry = arguments.entry.as_deref().map(documents::read).transpose()?;
    let logged = match (&entry, &arguments.leaf_hash) {
        (Some(entry), _) => Logged::Entry(entry),
        (None, Some(leaf)) => Logged::Leaf(leaf_hash(leaf)?),
        (None, None) => return Err(Failure::usage("either --entry or --leaf-hash").into()),
    };
    let verified = verify_receipt(&bytes, logged, &trust).map_err(|error| {
        let class = error.exit_class();
        let message = format!("{}: {error}", class.as_str());
        anyhow::Error::new(error).context(Failure::new(class, message))
    })?;
    let head = &verified.head;
    let time = head.time().map_or_else(|| "unknown".to_string(), |time| time.to_string());
    let witnesses: Vec<String> = head.witnesses().iter().map(ToString::to_string).collect();
    if json {
        present::json(&json!({
            "verified": true,
            "index": verified.index.get(),
            "leaf_hash": verified.leaf_hash.0.to_hex(),
            "size": head.size().get(),
            "head_time": time,
            "witnesses": witnesses,
        }));
    } else {
        present::done(&format!("entry {} is in {}, size {}", verified.index, trust.origin, head.size()));
        present::facts(&[
            ("leaf hash", verified.leaf_hash.0.to_hex()),
            ("head time", time),
            ("cosigned by", witnesses.join(", ")),
        ]);
    }
    Ok(())
}

/// A leaf hash from 64 hex digits.
pub fn leaf_hash(text: &str) -> anyhow::Result<LeafHash> {
    let digest = Digest::from_hex(text).ok_or_else(|| Failure::usage("a leaf hash is 64 lower-case hex digits"))?;
    Ok(LeafHash(Hash(digest.0)))
}
