//! `countermark audit`: replay a log from its first entry and check every rule of every entry.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use countermark_bundle::ExitClass;
use countermark_client::audit::{AuditReport, AuditRequest, KnownHead, Outcome, Severity, audit};
use countermark_client::fetch::{Location, Timeouts};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::TreeSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The log's address, or a folder of exported tiles
    #[arg(long, value_name = "URL|DIR")]
    log: String,
    /// The trust file that the log was created with
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// A head that was known before: size, colon, root in base64. The log must continue it
    #[arg(long, value_name = "SIZE:ROOT", value_parser = known_head)]
    known_head: Vec<KnownHead>,
}

fn known_head(text: &str) -> Result<KnownHead, String> {
    let (size, root) = text.split_once(':').ok_or("expected <size>:<root in base64>")?;
    let size = TreeSize::parse_decimal(size).map_err(|error| error.to_string())?;
    let root = Hash::from_base64(root).map(RootHash).map_err(|error| error.to_string())?;
    Ok(KnownHead { size, root })
}

/// Does what the verb says.
pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<()> {
    let trust = documents::trust(&arguments.trust)?;
    let location = Location::parse(&arguments.log, &trust.namespace(), Timeouts::default()).class(ExitClass::Usage)?;
    let request = AuditRequest {
        tiles: Arc::clone(&location.tiles()),
        log: location.log(),
        trust: &trust,
        known_heads: &arguments.known_head,
        now: documents::now()?,
    };
    // Drawn on standard error, and only where that is a terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} entries  {per_sec}  {eta}")?);
    let mut progress = |progress: countermark_client::audit::Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    };
    let outcome = audit(request, &mut progress).await;
    bar.finish_and_clear();
    let report = outcome.map_err(|error| {
        let class = error.exit_class();
        let message = format!("{}: {error}", class.as_str());
        anyhow::Error::new(error).context(Failure::new(class, message))
    })?;
    show(&report, json)?;
    match report.exit_class() {
        None => Ok(()),
        Some(class) => Err(Failure::new(class, format!("the audit failed: {}", class.as_str())).into()),
    }
}

fn show(report: &AuditReport, json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(report).context("the report")?;
    if json {
        present::json(&value);
        return Ok(());
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToString::to_string);
    present::facts(&[
        ("origin", report.origin.to_string()),
        ("entries", format!("{}, root {}", report.size, report.root.0.to_base64())),
        ("head time", report.head_time.map_or_else(|| "nobody vouches for one".to_string(), |time| time.to_string())),
        ("cosigned by", report.witnesses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("newest active epoch", report.newest_active.map_or_else(|| "none".to_string(), |epoch| epoch.to_string())),
    ]);
    let rows: Vec<Vec<String>> =
        report.entries.iter().map(|(kind, count)| vec![(*kind).to_string(), count.to_string()]).collect();
    present::table(&["type", "entries"], &rows);
    let statements: Vec<Vec<String>> = report
        .statements
        .iter()
        .map(|line| {
            let activations: Vec<String> = line.activations.iter().map(ToString::to_string).collect();
            vec![
                line.epoch.to_string(),
                present::short(&line.digest.to_string()),
                line.index.to_string(),
                line.certified_at.to_string(),
                if activations.is_empty() { "never".to_string() } else { activations.join(", ") },
                if line.revoked { "revoked" } else { "" }.to_string(),
            ]
        })
        .collect();
    if !statements.is_empty() {
        present::table(&["epoch", "digest", "index", "certified at", "activated at index", ""], &statements);
    }
    for check in &report.checks {
        let name = serde_json::to_value(check.name).map(|name| text(&name)).unwrap_or_default();
        let line = format!("{name:<24} {}", check.detail);
        match check.outcome {
            Outcome::Verified => present::done(&line),
            Outcome::NotAsked | Outcome::NothingToCheck => present::aside(&format!("- {line}")),
            Outcome::NotChecked | Outcome::Failed => present::failed(&line),
        }
    }
    for finding in &report.findings {
        let place = finding.index.map_or_else(String::new, |index| format!("entry {index}: "));
        let line = format!("{place}{} ({}): {}", finding.rule, finding.class.as_str(), finding.detail);
        match finding.severity {
            Severity::Violation => present::failed(&line),
            Severity::Notice => present::note(&line),
        }
    }
    Ok(())
}
