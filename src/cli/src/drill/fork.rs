//! The drill of a fork, step by step.
//!
//! The partition is between left and right: the log shows one face to each, and the bad witness cosigns both. Left are two
//! honest witnesses, right is one. Healed is it when the honest ones know each other as peers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use countermark_bundle::ExitClass;
use countermark_keys::{KeyFile, Role, create_passphrase_file};
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::fork::{UntrustedForkEvidence, VerifiedForkEvidence};
use countermark_tlog::gossip::{FORKS_PATH, parse_fork_ids};
use countermark_tlog::policy::{Policy, PolicyError};
use countermark_tlog::size::TreeSize;
use serde_json::json;

use super::faces::Forger;
use super::witnesses::{Answer, Witnesses};
use crate::failure::Failure;
use crate::{documents, present};

const ORIGIN: &str = "log.drill/backup";
/// Seats of the witnesses that each side reaches.
const LEFT: [usize; 3] = [0, 1, 3];
const RIGHT: [usize; 2] = [2, 4];
const HONEST: [usize; 3] = [0, 1, 2];
/// How long the evidence may take: a round begins every second.
const EVIDENCE_DEADLINE: Duration = Duration::from_mins(1);

/// What one client could get.
struct Client {
    side: &'static str,
    head: SignedCheckpoint,
    verdict: Result<Vec<String>, PolicyError>,
}

/// What the drill shows, as it goes.
struct Show {
    is_quiet: bool,
    begun: Instant,
}

impl Show {
    fn headline(&self, line: &str) {
        if !self.is_quiet {
            present::headline(line);
        }
    }

    fn step(&mut self, what: &str, who: &str) {
        if !self.is_quiet {
            present::step(what, who, self.begun.elapsed());
        }
        self.begun = Instant::now();
    }
}

/// Does what the verb says.
pub async fn run(arguments: &super::Fork, json: bool) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir().context("no temporary folder")?;
    let root = match &arguments.keep {
        Some(folder) if folder.exists() => {
            return Err(Failure::usage(format!("{} is there already", folder.display())).into());
        }
        Some(folder) => folder.as_path(),
        None => temporary.path(),
    };
    let (mut witnesses, vkeys) = Witnesses::make(root).await?;
    let outcome = drill(root, &mut witnesses, &vkeys, arguments.keep.is_some(), json).await;
    // Also after a failure: no process outlives the drill.
    witnesses.stop().await;
    outcome
}

async fn drill(
    root: &Path,
    witnesses: &mut Witnesses,
    vkeys: &[Vec<String>],
    is_kept: bool,
    json: bool,
) -> anyhow::Result<()> {
    let mut show = Show { is_quiet: json, begun: Instant::now() };
    show.headline("1  A log, four witnesses, quorum 3 of 4; the fourth is bad: one key, two states");
    let log = forger(root)?;
    let vkey = log.vkey().to_string();
    let policy = policy(&vkey, vkeys)?;
    for seat in 0..witnesses.seats.len() {
        witnesses.configure(seat, Some((ORIGIN, &vkey)), &[])?;
    }
    witnesses.start().await?;
    show.step("five witness processes serve", "four witnesses, one of them twice");

    show.headline("2  The log signs two faces, and each side sees one");
    let faces =
        [log.face(&["deploy fleet 1", "rotate", "the truth"])?, log.face(&["deploy fleet 1", "rotate", "a lie"])?];
    show.step("two roots of one size carry the log's signature", "to the left the one, to the right the other");
    let mut clients = Vec::new();
    for ((side, seats), face) in [("left", &LEFT[..]), ("right", &RIGHT[..])].into_iter().zip(faces) {
        clients.push(ask(witnesses, side, seats, face, &policy).await?);
    }
    check_quorums(&clients, &mut show)?;

    show.headline("3  The partition heals");
    let healed = Instant::now();
    for seat in HONEST {
        let peers: Vec<usize> = HONEST.into_iter().filter(|peer| *peer != seat).collect();
        witnesses.configure(seat, Some((ORIGIN, &vkey)), &peers)?;
        witnesses.restart(seat).await?;
    }
    show.step("the three honest witnesses reach each other", "a round every second");
    let evidence = evidence(witnesses, &log).await?;
    let waited = healed.elapsed();
    show.step("each of them has evidence, made by itself or verified", &format!("{:.1} s after", waited.as_secs_f64()));
    let file = root.join("fork-evidence.txt");
    documents::write(&file, &evidence.to_bytes())?;
    documents::write(&root.join("log.vkey"), format!("{vkey}\n").as_bytes())?;
    show.step("the evidence verifies offline, with the log's key alone", &evidence.id().to_string());
    check_never_again(witnesses, &clients, &mut show).await?;

    if json {
        present::json(&report(&clients, &evidence, waited));
    } else {
        explain(is_kept.then_some(file.as_path()), &vkey);
    }
    Ok(())
}

/// The log's key, made as any key is.
fn forger(root: &Path) -> anyhow::Result<Forger> {
    let (key, passphrase) = (root.join("log.key"), root.join("passphrase"));
    create_passphrase_file(&passphrase)?;
    KeyFile::create(&key, Role::Log, &passphrase)?;
    Forger::new(ORIGIN, KeyFile::open_signer(&key, Role::Log, &passphrase)?)
}

/// Three of four, each counted once.
fn policy(log: &str, vkeys: &[Vec<String>]) -> anyhow::Result<Policy> {
    use std::fmt::Write as _;
    let mut text = format!("log {log}\n");
    let mut names = String::new();
    for (number, vkeys) in (1..).zip(vkeys) {
        let mut keys = String::new();
        for (key, vkey) in (1..).zip(vkeys) {
            writeln!(text, "witness w{number}-{key} {vkey}")?;
            write!(keys, " w{number}-{key}")?;
        }
        writeln!(text, "group w{number} any{keys}")?;
        write!(names, " w{number}")?;
    }
    writeln!(text, "group three-of-four 3{names}\nquorum three-of-four")?;
    let policy = Policy::parse(text.as_bytes())?;
    policy.require_fault_tolerance(1)?;
    Ok(policy)
}

/// A client of one side: it gets what the log shows there, with what the witnesses there gave for it.
async fn ask(
    witnesses: &Witnesses,
    side: &'static str,
    seats: &[usize],
    face: SignedCheckpoint,
    policy: &Policy,
) -> anyhow::Result<Client> {
    let mut head = face;
    for seat in seats {
        match witnesses.cosign(*seat, TreeSize::ZERO, &head).await? {
            Answer::Cosigned(lines) => head = lines.into_iter().fold(head, SignedCheckpoint::with_signature),
            Answer::Refused { status, said } => {
                let message = format!("a first head was refused with {status}: {said}");
                return Err(Failure::new(ExitClass::OurFault, message).into());
            }
        }
    }
    let verdict = policy.verify(&head).map(|witnessed| witnessed.witnesses().iter().map(ToString::to_string).collect());
    Ok(Client { side, head, verdict })
}

/// The promise of f = 1: one client at most gets a quorum.
fn check_quorums(clients: &[Client], show: &mut Show) -> anyhow::Result<()> {
    for client in clients {
        match &client.verdict {
            Ok(names) => show.step(&format!("the client on the {} accepts its face", client.side), &names.join(", ")),
            Err(refusal) => {
                show.step(&format!("the client on the {} refuses its face", client.side), &refusal.to_string());
            }
        }
    }
    let accepted = clients.iter().filter(|client| client.verdict.is_ok()).count();
    must(accepted == 1, &format!("{accepted} clients got a quorum; it must be exactly one"))
}

/// Waits until every honest witness shows evidence, and verifies one of them here.
async fn evidence(witnesses: &Witnesses, log: &Forger) -> anyhow::Result<VerifiedForkEvidence> {
    let end = Instant::now() + EVIDENCE_DEADLINE;
    loop {
        let mut found = Vec::new();
        for seat in HONEST {
            let ids = parse_fork_ids(witnesses.get(seat, &format!("/{FORKS_PATH}")).await?.as_bytes())?;
            found.extend(ids.first().copied());
        }
        if let (Some(id), true) = (found.first(), found.len() == HONEST.len()) {
            let bytes = witnesses.get(HONEST[0], &format!("/{FORKS_PATH}/{id}")).await?;
            return Ok(UntrustedForkEvidence::parse(bytes.as_bytes())?.verify(std::slice::from_ref(log.vkey()))?);
        }
        must(Instant::now() < end, "not every honest witness had evidence in time")?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The log comes back, as if nothing had happened.
async fn check_never_again(witnesses: &Witnesses, clients: &[Client], show: &mut Show) -> anyhow::Result<()> {
    for seat in HONEST {
        for client in clients {
            let head = &client.head;
            match witnesses.cosign(seat, head.checkpoint().size, head).await? {
                Answer::Cosigned(_) => return must(false, "a log that forked was cosigned again"),
                Answer::Refused { status, .. } => must(status == 422, "a log that forked is refused with 422")?,
            }
        }
    }
    show.step("no honest witness ever cosigns that log again", "not even the face that it had cosigned");
    Ok(())
}

fn must(holds: bool, what: &str) -> anyhow::Result<()> {
    if holds { Ok(()) } else { Err(Failure::new(ExitClass::OurFault, format!("the drill failed: {what}")).into()) }
}

fn report(clients: &[Client], evidence: &VerifiedForkEvidence, waited: Duration) -> serde_json::Value {
    let clients: Vec<_> = clients
        .iter()
        .map(|client| {
            json!({
                "side": client.side,
                "root": client.head.checkpoint().root.0.to_base64(),
                "accepted": client.verdict.is_ok(),
                "witnesses": client.verdict.as_ref().unwrap_or(&Vec::new()),
                "refusal": client.verdict.as_ref().err().map(ToString::to_string),
            })
        })
        .collect();
    json!({
        "drill": "fork",
        "clients": clients,
        "evidence": { "id": evidence.id().to_string(), "verified_offline": true, "seconds_after_healing": waited.as_secs_f64() },
        "cosigned_again": false,
    })
}

/// What it means, for whoever is called at night.
fn explain(file: Option<&Path>, vkey: &str) {
    present::headline("What happened, and what to do if it happens to you");
    println!(
        "The log's key signed two different histories. That is no accident of a network or a disk: a log that is in order\n\
         never does it. At most one of the two could get three of four witnesses, so no client was shown both as good.\n\
         The proof is two signatures of the log itself. It needs nobody's word, and it stays true."
    );
    println!(
        "\n  1. Keep the evidence; every witness serves it under /{FORKS_PATH}. Send it to the authority, the operator and\n     \
         the auditors.\n  \
         2. Do not restart, repair or \"fix\" the log, and do not remove the alarm: this log is over.\n  \
         3. The operator stops countersigning, and revokes if a statement on the other face names its fleets.\n  \
         4. A new log begins under a new origin and new keys; clients get a new trust file. RUNBOOK.md: \"A log has forked\"."
    );
    if let Some(file) = file {
        println!("\n  countermark verify fork {} --vkey {vkey}", file.display());
    }
}
