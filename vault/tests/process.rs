//! The program as its users run it: made, served, endorsed, killed, restarted, rebuilt.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use countermark_bundle::identity::Digest;
use countermark_bundle::key::PublicKey;
use countermark_keys::{KeyFile, Role, create_passphrase_file};
use countermark_vault_core::attest::admit;
use countermark_vault_core::member::{UntrustedMemberReport, VerifiedMemberReport};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_countermark-vault");

/// A member's folder and, apart from it, a vendor's.
struct World {
    member: TempDir,
    vendor: TempDir,
    vendor_key: PublicKey,
}

impl World {
    fn new() -> Self {
        let (member, vendor) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (key, passphrase) = (vendor.path().join("vendor.key"), vendor.path().join("passphrase"));
        create_passphrase_file(&passphrase).unwrap();
        let public = KeyFile::create(&key, Role::Vendor, &passphrase).unwrap().public_key;
        let signer = KeyFile::open_signer(&key, Role::Vendor, &passphrase).unwrap();
        let vendor_key = PublicKey::ed25519(signer.public_key()).unwrap();
        let text = format!(
            r#"
            listen = "127.0.0.1:0"
            origin = "log.example/backup"
            fleet_id = "fleet-1"
            member_id = "member-1"
            failure_domain = "site-a"
            identity_key_file = "identity.key"
            session_key_file = "session.key"
            passphrase_file = "passphrase"
            attestation_file = "attestation.json"
            vendor_keys = [{{ algorithm = "ed25519", public_key = "{public}" }}]
            "#
        );
        fs::write(member.path().join("vault.toml"), text).unwrap();
        Self { member, vendor, vendor_key }
    }

    fn config(&self) -> PathBuf {
        self.member.path().join("vault.toml")
    }

    fn init(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM).args(["init", "--config"]).arg(self.config()).args(arguments).output().unwrap()
    }

    fn serve(&self, program: &Path) -> Served {
        Served::new(program, &self.config())
    }

    fn endorse(&self, served: &Served, software: Digest) -> Output {
        Command::new(PROGRAM)
            .args(["endorse", "--member", &format!("http://{}", served.address), "--vendor-key-file"])
            .arg(self.vendor.path().join("vendor.key"))
            .arg("--passphrase-file")
            .arg(self.vendor.path().join("passphrase"))
            .args(["--software-sha256", &software.to_hex()])
            .output()
            .unwrap()
    }
}

/// A running member. Killed when dropped.
struct Served {
    child: Child,
    stdin: Option<ChildStdin>,
    address: String,
}

impl Served {
    fn new(program: &Path, config: &Path) -> Self {
        let mut child = Command::new(program)
            .args(["serve", "--exit-with-stdin", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true);
        let address = ready["address"].as_str().unwrap().to_owned();
        let stdin = child.stdin.take();
        Self { child, stdin, address }
    }

    fn report(&self) -> VerifiedMemberReport {
        UntrustedMemberReport::parse(&get(&self.address, "/v1/member")).unwrap().verify().unwrap()
    }

    /// SIGKILL: nothing is tidied up.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer with status 200.
fn get(address: &str, path: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: member\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    answer.split_off(body)
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn program_digest() -> Digest {
    Digest::of(&fs::read(PROGRAM).unwrap())
}

#[test]
fn a_member_keeps_its_keys_and_its_attestation_through_a_kill() {
    let world = World::new();
    let made = json(&world.init(&[]));
    assert_eq!(made["created"], true);

    let served = world.serve(Path::new(PROGRAM));
    let bare = served.report();
    assert_eq!(bare.identity().software.sha256, program_digest(), "it measures the program that runs");
    assert_eq!((bare.identity().member_id.as_str(), bare.attestation()), ("member-1", None));
    let endorsed = json(&world.endorse(&served, program_digest()));
    assert_eq!(endorsed["newly_endorsed"], true);
    let attested = served.report();
    served.kill();

    let served = world.serve(Path::new(PROGRAM));
    assert_eq!(served.report(), attested);
    assert_eq!(attested.identity(), bare.identity());
    let attestation = attested.attestation().unwrap();
    assert_eq!(endorsed["attestation_sha256"], Digest::of(attestation).to_hex());
    admit(attestation, attested.identity(), &[world.vendor_key.clone()]).unwrap();
    assert_eq!(json(&world.endorse(&served, program_digest()))["newly_endorsed"], false);
    assert_eq!(get(&served.address, "/healthz"), b"ok");
}

#[test]
fn a_member_is_made_explicitly_and_once() {
    let world = World::new();
    let mut serve = Command::new(PROGRAM);
    let unmade = serve.args(["serve", "--config"]).arg(world.config()).output().unwrap();
    assert_eq!((unmade.status.code(), unmade.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(!world.member.path().join("identity.key").exists(), "serving makes no keys");
    let made = json(&world.init(&["--if-absent"]));
    assert_eq!(made["created"], true);
    assert_eq!(world.init(&[]).status.code(), Some(1));
    let kept = json(&world.init(&["--if-absent"]));
    assert_eq!((&kept["created"], &kept["identity_key"]), (&Value::Bool(false), &made["identity_key"]));
}

#[test]
fn another_executable_is_not_endorsed() {
    let world = World::new();
    json(&world.init(&[]));
    let served = world.serve(Path::new(PROGRAM));
    let refused = world.endorse(&served, Digest::of(b"reviewed"));
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(20), &b""[..]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("to be endorsed is"));
    assert_eq!(served.report().attestation(), None);
}

#[test]
fn a_rebuilt_member_says_that_the_executable_before_was_attested() {
    let world = World::new();
    json(&world.init(&[]));
    let served = world.serve(Path::new(PROGRAM));
    json(&world.endorse(&served, program_digest()));
    served.kill();

    // The same program to the kernel, another one to the measurement.
    let rebuilt = world.member.path().join("rebuilt");
    fs::copy(PROGRAM, &rebuilt).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&rebuilt).unwrap();
    file.write_all(b"\0").unwrap();
    drop(file);
    let rebuilt_digest = Digest::of(&fs::read(&rebuilt).unwrap());

    let served = world.serve(&rebuilt);
    let report = served.report();
    assert_eq!(report.identity().software.sha256, rebuilt_digest);
    assert_eq!(report.attested_software(), Some(program_digest()));
    assert_eq!(json(&world.endorse(&served, rebuilt_digest))["newly_endorsed"], true);
    assert_eq!(served.report().attested_software(), Some(rebuilt_digest));
}

#[test]
fn it_ends_when_standard_input_ends_and_at_sigterm() {
    let world = World::new();
    json(&world.init(&[]));
    let mut served = world.serve(Path::new(PROGRAM));
    drop(served.stdin.take());
    assert!(served.child.wait().unwrap().success());

    let mut served = world.serve(Path::new(PROGRAM));
    let terminate = Command::new("kill").args(["-TERM", &served.child.id().to_string()]).status().unwrap();
    assert!(terminate.success());
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn each_class_of_failure_has_its_exit_code() {
    let world = World::new();
    json(&world.init(&[]));
    let mut closed = world.serve(Path::new(PROGRAM));
    drop(closed.stdin.take());
    closed.child.wait().unwrap();
    assert_eq!(world.endorse(&closed, program_digest()).status.code(), Some(21), "unreachable");
    fs::write(world.config(), "listen = 1").unwrap();
    assert_eq!(world.init(&[]).status.code(), Some(2), "a malformed configuration");
    let no_hex = Command::new(PROGRAM).args(["endorse", "--software-sha256", "AB"]).output().unwrap();
    assert_eq!(no_hex.status.code(), Some(2), "usage");
}
