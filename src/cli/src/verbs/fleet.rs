//! `countermark fleet`: a statement from the members' own reports, and what a statement says.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countermark_bundle::evidence::{CheckedBy, Item, MANIFEST_TYPE, Manifest};
use countermark_bundle::identity::{Epoch, Name};
use countermark_bundle::statement::{Fleet, FleetStatus, ParsedStatement};
use countermark_bundle::trust::TrustFile;
use countermark_bundle::{Digest, ExitClass, PublicKey};
use countermark_vault_core::fleet::{FleetSettings, StatementSettings, Window, build_statement};
use countermark_vault_core::member::{REPORT_BYTES_MAX, UntrustedMemberReport};
use serde_json::{Value, json};

use super::{services, status};
use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// Verbs on statements.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a statement from the members' own attested keys, and the evidence package beside it
    #[command(
        after_help = "Example:\n  countermark fleet build --log http://127.0.0.1:7310 --trust trust.json --vendor-key <hex> \\\n    --member http://127.0.0.1:7316 --member http://127.0.0.1:7317 --member http://127.0.0.1:7318 \\\n    --out statement.json --evidence evidence/"
    )]
    Build(Box<Build>),
    /// Show what a statement says
    #[command(after_help = "Example:\n  countermark fleet show statement.json")]
    Show {
        /// The statement
        file: PathBuf,
    },
}

/// Arguments of `fleet build`.
#[derive(Debug, Args)]
pub struct Build {
    /// The log, asked for the next epoch
    #[arg(long, value_name = "URL")]
    log: String,
    /// The trust file of the namespace
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// A member's address
    #[arg(long, required = true, value_name = "URL")]
    member: Vec<String>,
    /// A vendor key under which attestations count, Ed25519 in hex
    #[arg(long, required = true, value_name = "HEX")]
    vendor_key: Vec<String>,
    /// How long the statement may be relied on, in days
    #[arg(long, default_value_t = 90)]
    days: u64,
    /// How old a tree head may be, in seconds
    #[arg(long, default_value_t = 43_200)]
    max_head_age_seconds: u64,
    /// How many wrong password guesses a user has
    #[arg(long, default_value_t = 10)]
    guess_limit: u64,
    /// How many members must commit a write; more than half by default
    #[arg(long)]
    majority: Option<u64>,
    /// Where to write the statement
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where to write the evidence package
    #[arg(long, value_name = "DIR")]
    evidence: PathBuf,
}

/// Does what the verb says.
pub async fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Build(arguments) => build(&arguments, json).await,
        Command::Show { file } => {
            let parsed = ParsedStatement::parse(&documents::read(&file)?).class(ExitClass::Malformed)?;
            show(&parsed, json);
            Ok(())
        }
    }
}

async fn fetch(url: &str, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let response = reqwest::get(url).await.and_then(reqwest::Response::error_for_status);
    let mut response = response.class(ExitClass::Unreachable)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.class(ExitClass::Unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > bytes_max {
            return Err(Failure::new(ExitClass::Malformed, format!("{url} answers more than {bytes_max} bytes")).into());
        }
    }
    Ok(bytes)
}

/// A member's report. It is verified where the statement is built.
async fn report(url: &str) -> anyhow::Result<UntrustedMemberReport> {
    let bytes = fetch(&format!("{}/v1/member", url.trim_end_matches('/')), REPORT_BYTES_MAX).await?;
    UntrustedMemberReport::parse(&bytes).with_context(|| format!("the report of {url}")).class(ExitClass::Malformed)
}

async fn build(arguments: &Build, json: bool) -> anyhow::Result<()> {
    services::install_tls()?;
    let trust = documents::trust(&arguments.trust)?;
    let state = status::fetch(&arguments.log, trust.namespace().as_str()).await?;
    let (epoch, previous) = next(&state)?;
    let mut reports = Vec::new();
    for member in &arguments.member {
        reports.push(report(member).await?);
    }
    let fleet_id = reports.first().context("a fleet without members")?.unverified_identity().fleet_id.clone();
    let other_fleets = other_fleets(arguments, &trust, previous, &state, &fleet_id).await?;
    let (manifest, items) = evidence(&trust, fleet_id, &reports)?;
    let now = documents::now()?;
    let window = Window { not_before: now, not_after: now.plus(arguments.days.saturating_mul(86_400)) };
    let members = u64::try_from(reports.len()).context("the number of members")?;
    let settings = StatementSettings {
        origin: trust.origin.clone(),
        epoch,
        previous,
        issued_at: now,
        window,
        key_window: window,
        max_head_age_seconds: arguments.max_head_age_seconds,
        fleet: FleetSettings {
            status: FleetStatus::Active,
            majority: arguments.majority.unwrap_or(members / 2 + 1),
            guess_limit: arguments.guess_limit,
            evidence_root: manifest.root(),
        },
        other_fleets,
    };
    let statement = build_statement(&reports, &settings, &vendor_keys(arguments)?).class(ExitClass::Proof)?;
    let bytes = statement.write();
    let parsed = ParsedStatement::parse(&bytes).class(ExitClass::Usage)?;
    for (item, bytes) in &items {
        documents::write(&arguments.evidence.join(item.name.as_str()), bytes)?;
    }
    documents::write(&arguments.evidence.join("manifest.json"), &manifest.write())?;
    documents::write(&arguments.out, &bytes)?;
    show(&parsed, json);
    Ok(())
}

fn vendor_keys(arguments: &Build) -> anyhow::Result<Vec<PublicKey>> {
    let read = |text: &String| PublicKey::ed25519(&hex::decode(text)?).map_err(anyhow::Error::from);
    let keys = arguments.vendor_key.iter().map(read).collect::<anyhow::Result<Vec<_>>>();
    keys.context("a vendor key").class(ExitClass::Usage)
}

/// What the last certified statement says about the namespace's other fleets: a statement is the whole state.
async fn other_fleets(
    arguments: &Build,
    trust: &TrustFile,
    previous: Option<Digest>,
    state: &Value,
    fleet_id: &Name,
) -> anyhow::Result<Vec<Fleet>> {
    let Some(previous) = previous else { return Ok(Vec::new()) };
    let epoch = &state["newest_certified"]["epoch"];
    let url = format!("{}/v1/{}/statements/{epoch}", arguments.log.trim_end_matches('/'), trust.namespace());
    let bytes = fetch(&url, countermark_bundle::statement::STATEMENT_BYTES_MAX).await?;
    let parsed = ParsedStatement::parse(&bytes).context("the last certified statement").class(ExitClass::Malformed)?;
    if parsed.digest() != previous {
        let message = "the log serves another statement than the one whose digest it names";
        return Err(Failure::new(ExitClass::Proof, message).into());
    }
    Ok(parsed.statement().fleets.iter().filter(|fleet| fleet.fleet_id != *fleet_id).cloned().collect())
}

/// A manifest, and its items with their bytes.
type EvidencePackage = (Manifest, Vec<(Item, Vec<u8>)>);

/// The evidence package: each member's attestation, and the manifest whose root the statement names.
fn evidence(trust: &TrustFile, fleet_id: Name, reports: &[UntrustedMemberReport]) -> anyhow::Result<EvidencePackage> {
    let mut items = Vec::new();
    for report in reports {
        let verified = report.clone().verify().class(ExitClass::Proof)?;
        let member = &verified.identity().member_id;
        let missing = || Failure::new(ExitClass::Proof, format!("member {member} has no attestation"));
        let bytes = verified.attestation().ok_or_else(missing)?.to_vec();
        let item = Item {
            name: Name::parse(&format!("attestation-{member}.json")).class(ExitClass::Usage)?,
            media_type: "application/json".to_string(),
            size: u64::try_from(bytes.len()).context("the size of an attestation")?,
            sha256: Digest::of(&bytes),
            claims: format!("keys and software of {member} are attested by the vendor"),
            checked_by: CheckedBy::Machine,
        };
        items.push((item, bytes));
    }
    items.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let manifest = Manifest {
        kind: MANIFEST_TYPE.to_string(),
        origin: trust.origin.clone(),
        fleet_id,
        items: items.iter().map(|(item, _)| item.clone()).collect(),
    };
    Ok((manifest, items))
}

fn next(state: &Value) -> anyhow::Result<(Epoch, Option<Digest>)> {
    let Some(newest) = state["newest_certified"].as_object() else { return Ok((Epoch::FIRST, None)) };
    let malformed = || Failure::new(ExitClass::Malformed, "the log's status names no epoch and digest");
    let epoch = newest.get("epoch").and_then(Value::as_u64).and_then(Epoch::new).and_then(Epoch::next);
    let digest = newest.get("digest").and_then(Value::as_str).and_then(Digest::from_hex);
    Ok((epoch.ok_or_else(malformed)?, Some(digest.ok_or_else(malformed)?)))
}

fn rows(parsed: &ParsedStatement) -> Vec<Vec<String>> {
    parsed
        .statement()
        .keys()
        .map(|(fleet, member, key)| {
            vec![
                fleet.fleet_id.to_string(),
                fleet.status.as_str().to_string(),
                member.member_id.to_string(),
                member.failure_domain.to_string(),
                key.algorithm.as_str().to_string(),
                present::short(&key.key_id.to_string()),
                present::short(&fleet.software.sha256.to_string()),
            ]
        })
        .collect()
}

const HEADER: [&str; 7] = ["fleet", "status", "member", "failure domain", "key", "key id", "software"];

fn show(parsed: &ParsedStatement, json: bool) {
    let statement = parsed.statement();
    if json {
        present::json(&json!({
            "origin": statement.origin.as_str(),
            "epoch": statement.epoch.get(),
            "digest": parsed.digest().to_string(),
            "not_before": statement.not_before.to_string(),
            "not_after": statement.not_after.to_string(),
            "fleets": statement.fleets,
        }));
        return;
    }
    present::facts(&[
        ("origin", statement.origin.to_string()),
        ("epoch", statement.epoch.to_string()),
        ("digest", parsed.digest().to_string()),
        ("valid", format!("{} to {}", statement.not_before, statement.not_after)),
    ]);
    present::table(&HEADER, &rows(parsed));
}

/// What an officer is about to sign, where it does not disturb standard output.
pub fn show_on_stderr(parsed: &ParsedStatement) {
    let statement = parsed.statement();
    anstream::eprintln!("{} epoch {} {}", statement.origin, statement.epoch, parsed.digest());
    for fleet in &statement.fleets {
        let (majority, members) = (fleet.majority, fleet.members.len());
        anstream::eprintln!(
            "fleet {} ({}): majority {majority} of {members}, {} guesses, software {} {} {}",
            fleet.fleet_id,
            fleet.status.as_str(),
            fleet.guess_limit,
            fleet.software.name,
            fleet.software.version,
            fleet.software.sha256
        );
    }
    for row in rows(parsed) {
        anstream::eprintln!("  {}", row.join("  "));
    }
}
