//! The program itself: `init`, `serve`, `endorse`, and how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use countermark_bundle::identity::Digest;
use countermark_vault_core::member::VerifiedMemberReport;

use crate::support::{self, Home};

/// How long a process may take to end.
const DEADLINE: Duration = Duration::from_secs(30);

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_countermark-vault");

fn program(executable: &Path, home: &Home, verb: &str) -> Command {
    let mut command = Command::new(executable);
    command.arg(verb).arg("--config").arg(home.path("member.toml"));
    command
}

/// Runs a verb that ends by itself.
fn output(home: &Home, verb: &str) -> Output {
    program(Path::new(EXECUTABLE), home, verb).stdin(Stdio::null()).output().unwrap()
}

fn init(home: &Home) {
    let output = output(home, "init");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("member-1: identity key ") && line.ends_with('\n') && line.lines().count() == 1, "{line}");
}

fn sha256(executable: &Path) -> Digest {
    Digest::of(&fs::read(executable).unwrap())
}

/// As the vendor of this home.
fn endorse(home: &Home, address: SocketAddr, software: Digest) -> Output {
    Command::new(EXECUTABLE)
        .args(["endorse", "--member", &format!("http://{address}")])
        .args(["--software-sha256", &software.to_hex()])
        .arg("--vendor-key-file")
        .arg(home.path("vendor.key"))
        .arg("--passphrase-file")
        .arg(home.path("vendor.passphrase"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A member process; killed when dropped.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Served {
    fn start(home: &Home) -> Self {
        Self::start_with(Path::new(EXECUTABLE), home)
    }

    fn start_with(executable: &Path, home: &Home) -> Self {
        let mut child = program(executable, home, "serve")
            .arg("--exit-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix(r#"{"ready":true,"address":""#)
            .and_then(|rest| rest.strip_suffix("\"}\n"))
            .unwrap_or_else(|| panic!("no ready line: {line:?}"))
            .parse()
            .unwrap();
        Self { child, stdout, address }
    }

    /// Waits for the end and expects that nothing more was printed.
    fn wait(mut self) -> ExitStatus {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < DEADLINE, "it does not end");
            thread::yield_now();
        };
        let mut rest = String::new();
        self.stdout.read_line(&mut rest).unwrap();
        assert_eq!(rest, "");
        status
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    async fn report(&self) -> VerifiedMemberReport {
        support::report(self.address).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_killed_member_keeps_its_keys_and_its_attestation() {
    let home = Home::new();
    init(&home);
    let software = sha256(Path::new(EXECUTABLE));

    let first = Served::start(&home);
    let fresh = first.report().await;
    assert_eq!((fresh.identity().software.sha256, fresh.attestation()), (software, None));
    let endorsed = endorse(&home, first.address, software);
    assert!(endorsed.status.success(), "{}", String::from_utf8_lossy(&endorsed.stderr));
    let line = String::from_utf8(endorsed.stdout).unwrap();
    let expect = format!(
        "member-1 of fleet-1 is attested: executable {software}, by vendor key {}\n",
        home.vendor_key().key_id()
    );
    assert_eq!(line, expect);
    let attested = first.report().await;
    assert_eq!(attested.attested_software(), Some(software));
    first.signal("KILL");
    assert!(!first.wait().success());

    let second = Served::start(&home);
    assert_eq!(second.report().await, attested);
    assert_eq!(attested.identity(), fresh.identity());
}

#[tokio::test]
async fn a_rebuilt_member_keeps_its_attestation_and_says_that_it_runs_something_else() {
    let home = Home::new();
    init(&home);
    let old = sha256(Path::new(EXECUTABLE));
    let first = Served::start(&home);
    assert!(endorse(&home, first.address, old).status.success());
    first.signal("TERM");
    assert!(first.wait().success());

    let rebuilt = rebuild(&home);
    let new = sha256(&rebuilt);
    let second = Served::start_with(&rebuilt, &home);
    let report = second.report().await;
    assert_eq!((report.identity().software.sha256, report.attested_software()), (new, Some(old)));
    let refused = endorse(&home, second.address, old);
    assert_eq!(refused.status.code(), Some(20), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(endorse(&home, second.address, new).status.success());
    assert_eq!(second.report().await.attested_software(), Some(new));
}

/// The same program with another digest.
fn rebuild(home: &Home) -> PathBuf {
    let path = home.path("countermark-vault-rebuilt");
    fs::copy(EXECUTABLE, &path).unwrap();
    // A loader does not look behind the last section.
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"rebuilt").unwrap();
    path
}

#[test]
fn it_ends_with_its_standard_input() {
    let home = Home::new();
    init(&home);
    let mut served = Served::start(&home);
    drop(served.child.stdin.take());
    assert!(served.wait().success());
}

#[test]
fn it_ends_at_sigterm_and_at_ctrl_c_while_its_standard_input_is_open() {
    for name in ["TERM", "INT"] {
        let home = Home::new();
        init(&home);
        let served = Served::start(&home);
        served.signal(name);
        assert!(served.wait().success(), "{name}");
    }
}

#[test]
fn init_if_absent_prints_what_init_printed() {
    let home = Home::new();
    let first = output(&home, "init");
    let again = program(Path::new(EXECUTABLE), &home, "init").arg("--if-absent").output().unwrap();
    assert!(first.status.success() && again.status.success());
    assert_eq!(again.stdout, first.stdout);
}

#[test]
fn what_goes_wrong_is_said_on_standard_error_with_an_exit_code() {
    type Break = fn(&Home);
    let cases: [(&str, &str, Break, i32, &str); 5] = [
        ("no configuration", "serve", |h| fs::remove_file(h.path("member.toml")).unwrap(), 2, "configuration"),
        ("an unknown field", "init", |h| fs::write(h.path("member.toml"), "x = 1").unwrap(), 2, "malformed"),
        ("init twice", "init", |_| {}, 1, "exists already"),
        ("no key", "serve", |h| fs::remove_file(h.path("session.key")).unwrap(), 1, "retired"),
        ("a damaged attestation", "serve", |h| fs::write(h.path("attestation.json"), "").unwrap(), 1, "damaged"),
    ];
    for (case, verb, break_it, code, expect) in cases {
        let home = Home::new();
        init(&home);
        break_it(&home);
        let output = output(&home, verb);
        assert_eq!(output.status.code(), Some(code), "{case}");
        assert_eq!(output.stdout, b"", "{case}");
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains(expect), "{case}: {log}");
    }
}

#[test]
fn a_digest_in_another_spelling_is_a_usage_error() {
    let home = Home::new();
    let output = Command::new(EXECUTABLE)
        .args(["endorse", "--member", "http://127.0.0.1:1", "--software-sha256", &"AB".repeat(32)])
        .args(["--vendor-key-file", "vendor.key", "--passphrase-file", "passphrase"])
        .current_dir(home.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("64 lower-case hex digits"));
}
