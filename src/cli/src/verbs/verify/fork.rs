//! `countermark verify fork`: fork evidence, offline, with the log's keys alone.
//!
//! 0 means: this file proves that the log forked. 11 means that it proves nothing; then it is no reason to do anything.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use countermark_bundle::ExitClass;
use countermark_tlog::checkpoint::CheckpointError;
use countermark_tlog::fork::{ForkError, ForkKind, UntrustedForkEvidence, VerifiedForkEvidence};
use countermark_tlog::note::{NoteError, VerifierKey};
use countermark_tlog::policy::Policy;
use serde_json::json;

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// Arguments of `verify fork`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("keys").required(true).args(["trust", "vkeys"]))]
pub struct Fork {
    /// The evidence
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is pinned: the log's keys are taken from it
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// A key of the log; may be given several times
    #[arg(long = "vkey", id = "vkeys", value_name = "VKEY")]
    vkeys: Vec<String>,
}

/// Does what the verb says.
pub fn run(arguments: &Fork, json: bool) -> anyhow::Result<()> {
    let keys = keys(arguments)?;
    let evidence = UntrustedForkEvidence::parse(&documents::read(&arguments.file)?)
        .context("the fork evidence")
        .class(ExitClass::Malformed)?;
    // Another log's evidence is not wrong; the keys that were given say nothing about it.
    let origin = evidence.origin().clone();
    let keys: Vec<VerifierKey> = keys.into_iter().filter(|key| key.name() == origin.key_name()).collect();
    if keys.is_empty() {
        let message = format!("unknown authority: the evidence is about {origin}, and no key of it was given");
        return Err(Failure::new(ExitClass::UnknownAuthority, message).into());
    }
    let verified = evidence.verify(&keys).map_err(|error| {
        let class = class_of(&error);
        let message = format!("{}: this proves no fork of {origin}: {error}", class.as_str());
        anyhow::Error::new(error).context(Failure::new(class, message))
    })?;
    if json {
        show_json(&verified);
    } else {
        show(&verified);
    }
    Ok(())
}

fn keys(arguments: &Fork) -> anyhow::Result<Vec<VerifierKey>> {
    if let Some(trust) = &arguments.trust {
        let trust = documents::trust(trust)?;
        let policy = Policy::parse(trust.keys.policy.as_bytes()).class(ExitClass::Malformed)?;
        return Ok(policy.logs().iter().map(|log| log.vkey.clone()).collect());
    }
    let parse = |vkey: &String| VerifierKey::parse(vkey).with_context(|| format!("--vkey {vkey}"));
    arguments.vkeys.iter().map(parse).collect::<anyhow::Result<_>>().class(ExitClass::Usage)
}

fn class_of(error: &ForkError) -> ExitClass {
    match error {
        ForkError::NotSigned { source: CheckpointError::Note(NoteError::NoKnownSignature), .. } => {
            ExitClass::UnknownAuthority
        }
        ForkError::NotSigned { source: CheckpointError::LogKey { .. }, .. } => ExitClass::Usage,
        ForkError::NotSigned { .. }
        | ForkError::FromEmpty
        | ForkError::NeedlessHashes { .. }
        | ForkError::Hashes(_)
        | ForkError::OtherTree { .. }
        | ForkError::OnlyGrew => ExitClass::Proof,
    }
}

fn show_json(verified: &VerifiedForkEvidence) {
    let (smaller, larger) = (verified.smaller(), verified.larger());
    let (kind, beginning) = match verified.kind() {
        ForkKind::TwoRoots => ("two-roots", None),
        ForkKind::NotGrown { beginning } => ("not-grown", Some(beginning.0.to_hex())),
    };
    present::json(&json!({
        "verified": true,
        "forked": true,
        "evidence": verified.id().to_string(),
        "origin": verified.origin().as_str(),
        "kind": kind,
        "smaller": { "size": smaller.size.get(), "root": smaller.root.0.to_hex() },
        "larger": { "size": larger.size.get(), "root": larger.root.0.to_hex() },
        "beginning_of_larger": beginning,
    }));
}

fn show(verified: &VerifiedForkEvidence) {
    let (smaller, larger) = (verified.smaller(), verified.larger());
    present::headline(&format!("{} HAS FORKED", verified.origin()));
    let row = |name: &str, size: String, root: String| vec![name.to_string(), size, root];
    let mut rows = vec![
        row("signed by the log", smaller.size.to_string(), smaller.root.to_string()),
        row("signed by the log", larger.size.to_string(), larger.root.to_string()),
    ];
    let why = match verified.kind() {
        ForkKind::TwoRoots => format!("It signed two different trees of {} entries.", smaller.size),
        ForkKind::NotGrown { beginning } => {
            rows.push(row("the larger tree's beginning", smaller.size.to_string(), beginning.to_string()));
            format!("The first {} entries of the larger tree are not the tree that it signed as such.", smaller.size)
        }
    };
    present::table(&["head", "size", "root"], &rows);
    present::facts(&[("evidence", verified.id().to_string())]);
    present::done(&format!("the log's own signatures prove it. {why}"));
    present::aside(
        "No honest operation does this: the log, or whoever holds its key, showed two histories to two parties.",
    );
    present::aside(
        "Trust no head of this log of the smaller size or above, whoever cosigned it. Keep this file, give it to every",
    );
    present::aside(
        "party that uses the log, stop the services that need it, and follow \"A log has forked\" in RUNBOOK.md.",
    );
}
