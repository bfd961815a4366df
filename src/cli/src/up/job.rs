//! The main job, step by step: attest, state, approve, certify, witness, countersign, verify, audit.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use countermark_bundle::ExitClass;
use serde_json::{Value, json};

use super::child::{Children, Program};
use super::layout::{AUTHORITY, Layout, NAMESPACE, OFFICERS};
use crate::failure::Failure;
use crate::present;
use crate::verbs::status;

/// How long the countersigner may take to activate a statement.
const ACTIVATION_SECONDS: u64 = 120;

/// What `up` shows while it works, and the JSON document that it prints at the end.
pub struct Report {
    json: bool,
    steps: Vec<Value>,
}

impl Report {
    /// A report for a person or a program.
    pub const fn new(json: bool) -> Self {
        Self { json, steps: Vec::new() }
    }

    /// Whether a program reads it.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// A headline.
    pub fn headline(&self, line: &str) {
        if !self.json {
            present::headline(line);
        }
    }

    /// A step that was done.
    pub fn step(&mut self, what: &str, who: &str, begun: Instant) {
        let elapsed = begun.elapsed();
        if !self.json {
            present::step(what, who, elapsed);
        }
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.steps.push(json!({ "step": what, "detail": who, "milliseconds": milliseconds }));
    }

    /// Something to know.
    pub fn note(&mut self, line: &str) {
        if !self.json {
            present::note(line);
        }
        self.steps.push(json!({ "note": line }));
    }

    fn lines(&self, text: &str) {
        if !self.json {
            for line in text.lines() {
                anstream::println!("    {line}");
            }
        }
    }

    /// Nothing is created again.
    pub fn resumed(&mut self) {
        self.note("resumes the authority, log and fleet of this folder; no key is made again");
    }

    /// Every service runs.
    pub fn started(&mut self, children: &Children) {
        let names: Vec<String> =
            children.iter().map(|child| format!("{} ({})", child.name(), child.pid().unwrap_or_default())).collect();
        if !self.json {
            present::done(&format!("{} processes: {}", names.len(), names.join(", ")));
        }
        self.steps.push(json!({ "processes": names }));
    }

    /// `up` was told to stop.
    pub fn interrupted(&self) {
        if !self.json {
            present::note("interrupted; every child ends with its pipe, and the next `up` goes on here");
        }
    }

    /// Everything was done.
    pub fn finish(&self, layout: &Layout) {
        if self.json {
            present::json(&json!({ "steps": self.steps, "log": layout.log_url(), "namespace": NAMESPACE }));
            return;
        }
        let (log, trust) = (layout.log_url(), layout.client().join("trust.json").display().to_string());
        present::headline("Addresses");
        let mut rows =
            vec![("log", log.clone()), ("countersigner", format!("{}/v1/status", layout.countersigner_url()))];
        let witnesses: Vec<String> = (1..=4).map(|number| layout.witness_url(number)).collect();
        let members: Vec<String> = (1..=3).map(|number| format!("{}/v1/member", layout.member_url(number))).collect();
        rows.push(("witnesses", witnesses.join("  ")));
        rows.push(("vault members", members.join("  ")));
        present::facts(&rows);
        present::headline("Try");
        for line in [
            format!("curl {log}/{NAMESPACE}/checkpoint"),
            format!("curl {log}/v1/{NAMESPACE}/receipts/1"),
            format!("curl -s {log}/v1/{NAMESPACE}/bundles/newest -o backup.bundle.json"),
            format!("countermark verify bundle --trust {trust} --bundle backup.bundle.json --no-floor"),
            format!("countermark prove inclusion --log {log} --trust {trust} --index 1"),
            format!("countermark audit --log {log} --trust {trust}"),
            format!("countermark status --log {log} --namespace {NAMESPACE}"),
            format!("countermark vault status --member {}", layout.member_url(1)),
            recover_line(layout),
        ] {
            anstream::println!("  {line}");
        }
        anstream::println!();
    }
}

/// How a person recovers the user's backup key; the password is asked for.
fn recover_line(layout: &Layout) -> String {
    let client = layout.client();
    let file = |name: &str| client.join(name).display().to_string();
    format!(
        "countermark backup recover --member {} --trust {} --no-floor --account-token {} --proof-key-file {} \
         --passphrase-file {}  # {:?}",
        layout.member_url(1),
        file("trust.json"),
        file("account.jwt"),
        file("account-proof.key"),
        file("passphrase"),
        super::backup::PASSWORD,
    )
}

/// From the fleet's keys to a client that believes them, from wherever an earlier start left it.
pub async fn certify(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let software = program.sha256()?;
    let state = status::fetch(&layout.log_url(), NAMESPACE).await?;
    let active = state["newest_active"]["epoch"].as_u64();
    let certified = state["newest_certified"]["epoch"].as_u64();
    if active.is_none() && certified.is_none() {
        report.headline("1  The fleet states its own keys");
        attest(program, layout, &software, report).await?;
        report.headline("2  Two officers approve, the authority admits, logs and certifies, witnesses cosign");
        approve_and_submit(program, layout, report).await?;
    }
    if active.is_none() {
        report.headline("3  The operator verifies and countersigns");
        activation(layout, report).await?;
    } else {
        compare_software(layout, &software, report).await?;
    }
    report.headline("4  A client that holds nothing but the trust file verifies, offline");
    client(program, layout, report).await
}

async fn attest(program: &Program, layout: &Layout, software: &str, report: &mut Report) -> anyhow::Result<()> {
    let vendor = layout.vendor();
    let (key, passphrase) = (vendor.join("vendor.key"), vendor.join("passphrase"));
    for number in 1..=3 {
        let begun = Instant::now();
        let url = layout.member_url(number);
        let arguments = [
            "vault",
            "endorse",
            "--member",
            &url,
            "--vendor-key-file",
            &key.to_string_lossy(),
            "--passphrase-file",
            &passphrase.to_string_lossy(),
            "--software-sha256",
            software,
        ];
        program.text(&arguments).await?;
        let who = format!("vendor key over its identity key and executable {}…", present::short(software));
        report.step(&format!("member-{number} is attested"), &who, begun);
    }
    let begun = Instant::now();
    let public = layout.public();
    let (statement, evidence) = (public.join("statement.json"), public.join("evidence"));
    let vendor_key = program.verb(&["keys", "show", "--key-file", &key.to_string_lossy()]).await?;
    let vendor_key = vendor_key["public_key"].as_str().context("the vendor's key")?.to_string();
    let trust = layout.operator().join("trust.json").to_string_lossy().into_owned();
    let (statement, evidence) = (statement.to_string_lossy(), evidence.to_string_lossy());
    let log = layout.log_url();
    let mut arguments = vec!["fleet", "build", "--log", &log, "--trust", &trust, "--vendor-key", &vendor_key];
    let members: Vec<String> = (1..=3).map(|number| layout.member_url(number)).collect();
    for member in &members {
        arguments.extend(["--member", member]);
    }
    arguments.extend(["--out", &statement, "--evidence", &evidence]);
    let built = program.verb(&arguments).await?;
    let digest = built["digest"].as_str().unwrap_or_default();
    report.step(
        "fleet statement is built from those keys",
        &format!("epoch {}, {}…", built["epoch"], present::short(digest)),
        begun,
    );
    Ok(())
}

async fn approve_and_submit(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let public = layout.public();
    let statement = public.join("statement.json").to_string_lossy().into_owned();
    let mut approvals = Vec::new();
    for officer in OFFICERS {
        let begun = Instant::now();
        let folder = layout.officer(officer);
        let (key, passphrase) = (folder.join("officer.key"), folder.join("passphrase"));
        let approval = public.join(format!("approval-{officer}.jws")).to_string_lossy().into_owned();
        let arguments = [
            "approve",
            "--statement",
            &statement,
            "--officer",
            officer,
            "--key-file",
            &key.to_string_lossy(),
            "--passphrase-file",
            &passphrase.to_string_lossy(),
            "--out",
            &approval,
        ];
        program.verb(&arguments).await?;
        report.step(&format!("{officer} approves"), "own Ed25519 key, exact digest", begun);
        approvals.push(approval);
    }
    let begun = Instant::now();
    let operator = layout.operator();
    let [trust, key, passphrase] =
        ["trust.json", "token-issuer.key", "passphrase"].map(|file| operator.join(file).to_string_lossy().into_owned());
    let log = layout.log_url();
    let mut arguments = vec!["submit", "--log", &log, "--trust", &trust, "--statement", &statement];
    let access = ["--token-key-file", &key, "--token-passphrase-file", &passphrase, "--issuer", "operator"];
    arguments.extend(access);
    arguments.extend(["--subject", "release", "--audience", AUTHORITY]);
    for approval in &approvals {
        arguments.extend(["--approval", approval]);
    }
    let evidence = public.join("evidence");
    let attestations: Vec<String> = (1..=3)
        .map(|number| evidence.join(format!("attestation-member-{number}.json")).to_string_lossy().into_owned())
        .collect();
    for attestation in &attestations {
        arguments.extend(["--attestation", attestation]);
    }
    let answer = program.verb(&arguments).await?;
    report.step(
        &format!("admitted, logged at index {}, certified", answer["index"]),
        "Cedar policy, certificate key, log key",
        begun,
    );
    let witnesses: Vec<&str> = answer["witnesses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    report.step("cosigned; receipt verified by the submitter", &witnesses.join(", "), begun);
    Ok(())
}

async fn activation(layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(ACTIVATION_SECONDS);
    loop {
        let state = status::fetch(&layout.log_url(), NAMESPACE).await?;
        if let Some(epoch) = state["newest_active"]["epoch"].as_u64() {
            let what = format!("epoch {epoch} is active");
            report.step(&what, "countersigner: own trust file, ledger row, ECDSA P-384; logged, cosigned", begun);
            return Ok(());
        }
        if Instant::now() > deadline {
            let message = format!(
                "the countersigner did not activate the statement in {ACTIVATION_SECONDS} s; why: {}/v1/status",
                layout.countersigner_url()
            );
            return Err(Failure::new(ExitClass::NotActive, message).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// After a rebuild the running executable is not the one that was certified. That is said, not hidden; the bundle is
/// still a true statement about the keys.
async fn compare_software(layout: &Layout, running: &str, report: &mut Report) -> anyhow::Result<()> {
    let state = status::fetch(&layout.log_url(), NAMESPACE).await?;
    let epoch = state["newest_active"]["epoch"].as_u64().context("the log names no active epoch")?;
    let url = format!("{}/v1/{NAMESPACE}/statements/{epoch}", layout.log_url());
    let statement = reqwest::get(&url).await?.error_for_status()?.bytes().await?;
    let parsed = countermark_bundle::statement::ParsedStatement::parse(&statement)?;
    let certified: Vec<String> =
        parsed.statement().fleets.iter().map(|fleet| fleet.software.sha256.to_string()).collect();
    if certified.iter().any(|digest| digest == running) {
        return Ok(());
    }
    let (vendor, evidence) = (layout.vendor().display().to_string(), layout.public().join("evidence-next"));
    report.note(&format!(
        "the members run executable {}…, certified is {}…: the software changed since epoch {epoch}",
        present::short(running),
        certified.iter().map(|digest| present::short(digest)).collect::<Vec<_>>().join(", ")
    ));
    report.lines(&format!(
        "to roll over, let the vendor attest each member again and certify the next epoch:\n\
         countermark vault endorse --member {member} --vendor-key-file {vendor}/vendor.key --passphrase-file {vendor}/passphrase --software-sha256 {running}\n\
         countermark fleet build --log {log} --trust {trust} --vendor-key … --member … --out statement.json --evidence {evidence}\n\
         countermark approve … (two officers), then countermark submit …; `countermark up` shows the rest",
        member = layout.member_url(1),
        log = layout.log_url(),
        trust = layout.operator().join("trust.json").display(),
        evidence = evidence.display(),
    ));
    Ok(())
}

async fn client(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let begun = Instant::now();
    let folder = layout.client();
    let [trust, floor] = ["trust.json", "floor.json"].map(|file| folder.join(file).to_string_lossy().into_owned());
    let log = layout.log_url();
    let arguments = ["verify", "bundle", "--trust", &trust, "--log", &log, "--floor", &floor];
    if report.is_json() {
        let verified = program.verb(&arguments).await?;
        report.steps.push(json!({ "client": verified }));
    } else {
        let verified = program.text(&arguments).await?;
        report.lines(&verified);
    }
    report.step("the client believes the fleet's keys", "sixteen steps", begun);
    Ok(())
}

/// An auditor replays everything.
pub async fn audit(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let begun = Instant::now();
    let trust = layout.auditor().join("trust.json").to_string_lossy().into_owned();
    let log = layout.log_url();
    let arguments = ["audit", "--trust", &trust, "--log", &log];
    if report.is_json() {
        let audited = program.verb(&arguments).await?;
        report.steps.push(json!({ "audit": audited }));
    } else {
        let audited = program.text(&arguments).await?;
        report.lines(&audited);
    }
    report.step("the auditor found nothing wrong", "every entry, every rule", begun);
    Ok(())
}
