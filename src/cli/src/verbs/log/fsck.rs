//! `countermark log fsck`: recompute everything of any tile log from the bytes of its entries.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use countermark_bundle::ExitClass;
use countermark_client::audit::{KnownHead, Outcome};
use countermark_client::fetch::{Patience, Timeouts};
use countermark_client::fsck::{
    FsckError, FsckProgress, FsckReport, FsckRequest, FsckSource, HeadTrust, JOBS_MAX, fsck,
};
use countermark_tlog::checkpoint::{Origin, SignedCheckpoint};
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use countermark_tlog::policy::Policy;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// How often the progress is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// Arguments of `log fsck`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("believed").required(true).args(["vkey", "trust", "policy", "no_signature"]))]
pub struct Arguments {
    /// The log: what `/checkpoint` and `/tile/` stand below, as a URL or a folder
    #[arg(value_name = "URL|FOLDER")]
    log: String,
    /// A namespace: one more part of the address
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
    /// A key of the log, in the form that signed notes use: NAME+HASH+KEY
    #[arg(long, value_name = "KEY", value_parser = log_key)]
    vkey: Vec<VerifierKey>,
    /// The trust file of the log: its keys, its witnesses, its quorum
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// A C2SP tlog-policy file: logs, witnesses, quorum
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Verify no signature; the report says so, and the exit code is not 0
    #[arg(long)]
    no_signature: bool,
    /// The log that it must be, where keys or policy leave it open
    #[arg(long, value_parser = origin)]
    origin: Option<Origin>,
    /// An older checkpoint of the log, which it must continue. Its signatures are not looked at
    #[arg(long, value_name = "FILE")]
    known_head: Vec<PathBuf>,
    /// Ranges of 65,536 entries that are read and hashed at a time; as many as there are processors if not said
    #[arg(long, value_parser = jobs)]
    jobs: Option<NonZeroUsize>,
}

fn log_key(text: &str) -> Result<VerifierKey, String> {
    let key = VerifierKey::parse(text).map_err(|error| error.to_string())?;
    match key.kind() {
        SignatureType::Ed25519 | SignatureType::CosignatureMlDsa44 => Ok(key),
        SignatureType::CosignatureEd25519 => {
            Err("the key of a witness; a log signs with type 0x01 or 0x06".to_string())
        }
    }
}

fn origin(text: &str) -> Result<Origin, String> {
    Origin::new(text).map_err(|error| error.to_string())
}

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let jobs = text.parse().ok().filter(|jobs: &NonZeroUsize| jobs.get() <= JOBS_MAX);
    jobs.ok_or_else(|| format!("expected 1 to {JOBS_MAX}"))
}

/// Does what the verb says.
pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<()> {
    let request = request(&arguments)?;
    let progress = Arc::new(FsckProgress::default());
    let outcome = drawn(fsck(request, Arc::clone(&progress)), &progress).await?;
    let report = outcome.map_err(|error| {
        let class = error.exit_class();
        let message = format!("{}: {error}", class.as_str());
        anyhow::Error::new(error).context(Failure::new(class, message))
    })?;
    show(&report, json)?;
    match report.exit_class() {
        None => Ok(()),
        Some(class) => Err(Failure::new(class, format!("the log was not verified: {}", class.as_str())).into()),
    }
}

fn request(arguments: &Arguments) -> anyhow::Result<FsckRequest> {
    let source = FsckSource::parse(&arguments.log, arguments.namespace.as_deref(), Timeouts::default());
    let source = source.class(ExitClass::Usage)?;
    let (trust, trusted) = trust(arguments)?;
    let (mut known_heads, mut origins) = (Vec::new(), Vec::from_iter(trusted));
    origins.extend(arguments.origin.clone());
    for path in &arguments.known_head {
        let (head, origin) = known_head(path)?;
        known_heads.push(head);
        origins.push(origin);
    }
    if origins.windows(2).any(|pair| pair.first() != pair.last()) {
        return Err(Failure::usage("trust, --origin and every --known-head must be about one log").into());
    }
    Ok(FsckRequest {
        source,
        origin: origins.into_iter().next(),
        trust,
        known_heads,
        jobs: arguments.jobs,
        patience: Patience::default(),
    })
}

/// Who must have signed, and which log that leaves.
fn trust(arguments: &Arguments) -> anyhow::Result<(HeadTrust, Option<Origin>)> {
    if let Some(path) = &arguments.trust {
        let trust = documents::trust(path)?;
        let authority = trust.authority().class(ExitClass::Malformed)?;
        return Ok((HeadTrust::Policy(authority.policy().clone()), Some(trust.origin.clone())));
    }
    if let Some(path) = &arguments.policy {
        let policy = Policy::parse(&documents::read(path)?);
        let policy = policy.with_context(|| format!("the policy {}", path.display())).class(ExitClass::Usage)?;
        return Ok((HeadTrust::Policy(policy), None));
    }
    let Some(first) = arguments.vkey.first() else { return Ok((HeadTrust::Nobody, None)) };
    if arguments.vkey.iter().any(|key| key.name() != first.name()) {
        return Err(Failure::usage("every --vkey must be a key of one log: of one name").into());
    }
    let origin = Origin::new(first.name().as_str()).class(ExitClass::Usage)?;
    Ok((HeadTrust::LogKeys(arguments.vkey.clone()), Some(origin)))
}

fn known_head(path: &Path) -> anyhow::Result<(KnownHead, Origin)> {
    let signed = SignedCheckpoint::parse_allowing_extensions(&documents::read(path)?);
    let signed = signed.with_context(|| format!("the checkpoint {}", path.display())).class(ExitClass::Malformed)?;
    let head = signed.checkpoint();
    Ok((KnownHead { size: head.size, root: head.root }, head.origin.clone()))
}

/// Draws the progress on standard error while the run lasts, and only where that is a terminal.
async fn drawn(
    run: impl Future<Output = Result<FsckReport, FsckError>>,
    progress: &FsckProgress,
) -> anyhow::Result<Result<FsckReport, FsckError>> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} entries  {per_sec}  {eta}")?);
    let mut tick = tokio::time::interval(DRAWN_EVERY);
    tokio::pin!(run);
    loop {
        tokio::select! {
            outcome = &mut run => {
                bar.finish_and_clear();
                return Ok(outcome);
            }
            _ = tick.tick() => {
                bar.set_length(progress.total());
                bar.set_position(progress.entries());
            }
        }
    }
}

fn show(report: &FsckReport, json: bool) -> anyhow::Result<()> {
    if json {
        present::json(&serde_json::to_value(report).context("the report")?);
        return Ok(());
    }
    let root = report.recomputed_root.map_or_else(|| "none".to_string(), |root| root.0.to_base64());
    let signers: Vec<&str> = report.signed_by.iter().map(KeyName::as_str).collect();
    let witnesses: Vec<&str> = report.witnesses.iter().map(KeyName::as_str).collect();
    let nobody = |names: Vec<&str>| if names.is_empty() { "nobody".to_string() } else { names.join(", ") };
    present::facts(&[
        ("origin", report.origin.to_string()),
        ("checkpoint", format!("{} entries, root {}", report.size, report.root.0.to_base64())),
        ("entries lead to", root),
        ("signed by", nobody(signers)),
        ("cosigned by", nobody(witnesses)),
        ("head time", report.head_time.map_or_else(|| "nobody vouches for one".to_string(), |time| time.to_string())),
        ("hashed", format!("{} entries, {} bytes", report.entries_hashed, report.entry_bytes)),
        ("took", took(report.entries_hashed, report.elapsed_ms)),
    ]);
    for check in &report.checks {
        let name = serde_json::to_value(check.name).context("a name")?;
        let line = format!("{:<16} {}", name.as_str().unwrap_or_default(), check.detail);
        match check.outcome {
            Outcome::Verified => present::done(&line),
            Outcome::NotAsked | Outcome::NothingToCheck => present::aside(&format!("- {line}")),
            Outcome::NotChecked | Outcome::Failed => present::failed(&line),
        }
    }
    let rows: Vec<Vec<String>> = report
        .findings
        .iter()
        .map(|finding| {
            let entries = format!("{} to {}", finding.first_entry, finding.last_entry);
            vec![finding.rule.as_str().to_string(), finding.path.clone(), entries, finding.detail.clone()]
        })
        .collect();
    if !rows.is_empty() {
        present::table(&["finding", "where", "entries", "what"], &rows);
    }
    if report.findings_omitted > 0 {
        present::note(&format!("{} more findings are not listed", report.findings_omitted));
    }
    Ok(())
}

fn took(entries: u64, elapsed_ms: u64) -> String {
    let per_second = u128::from(entries) * 1000 / u128::from(elapsed_ms.max(1));
    format!("{}.{:03} s, {per_second} entries/s", elapsed_ms / 1000, elapsed_ms % 1000)
}
