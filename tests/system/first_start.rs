//! The first start, the second, and whatever can stand in their way.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Home, countermark, ends_with, json, program, signal, text};

fn key_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        // The new phone is a new one each time.
        if path.ends_with("new-phone") {
            continue;
        }
        if path.is_dir() {
            found.extend(key_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "key") || path.ends_with("passphrase") {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn one_command_goes_from_nothing_to_a_verified_bundle_and_the_second_resumes() {
    let home = Home::new();
    let said = home.up_once();
    for claim in [
        "member-3 is attested",
        "officer-2 approves",
        "logged at index 1, certified",
        "epoch 1 is active",
        "16  new floor stored",
        "member-3 staples the bundle",
        "24 MiB encrypted with it",
        "decrypted, the same bytes",
        "9 attempts are left",
        "a right one refills the budget",
        "the leader, is killed; recovery goes on",
        "no majority",
        "both return; everything is there",
        "recovered with pinned fleet keys",
        "the auditor found nothing wrong",
    ] {
        assert!(said.contains(claim), "{claim:?} is missing in\n{said}");
    }
    home.wait_until_nothing_runs();
    let keys = key_files(&home.data());
    assert_eq!(keys.len(), 31 + 14, "31 keys and a passphrase for each of 14 roles: {:?}", keys.keys());

    let mut up = home.up();
    assert!(up.says("Try"));
    let bundle = home.path("old.bundle.json");
    fs::write(&bundle, home.get("/v1/backup/bundles/newest")).unwrap();
    let head = home.known_head();
    let (code, said) = up.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("resumes the authority, log and fleet"), "{said}");
    assert!(!said.contains("officer-1 approves"), "nothing is certified twice: {said}");
    assert_eq!(key_files(&home.data()), keys, "no key is made again");

    home.up_once();
    assert_eq!(key_files(&home.data()), keys);
    let (trust, bundle) = (home.trust("client"), bundle.to_str().unwrap());
    ends_with(0, &["verify", "bundle", "--trust", &trust, "--bundle", bundle, "--no-floor"]);
    let mut up = home.up();
    assert!(up.says("Try"));
    let url = home.log_url();
    let audit = json(&["audit", "--log", &url, "--trust", &home.trust("auditor"), "--known-head", &head]);
    assert_eq!(audit["findings"].as_array().unwrap().len(), 0);
    assert_eq!(audit["entries"]["countermark/certified-statement/v1"], 1);
    assert_eq!(up.interrupt().0, Some(0));
    home.wait_until_nothing_runs();
}

#[test]
fn up_reports_as_json() {
    let home = Home::new();
    let output = home.try_up_once(&program("countermark"), &["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let client = report["steps"].as_array().unwrap().iter().find_map(|step| step["client"].as_object()).unwrap();
    assert_eq!(client["passed"].as_array().unwrap().len(), 16);
}

#[test]
fn a_rebuilt_program_is_said_to_be_another_than_the_certified_one() {
    let home = Home::new();
    home.up_once();
    let rebuilt = home.path("countermark");
    let mut bytes = fs::read(program("countermark")).unwrap();
    bytes.push(0);
    fs::write(&rebuilt, bytes).unwrap();
    fs::set_permissions(&rebuilt, fs::Permissions::from_mode(0o755)).unwrap();
    let output = home.try_up_once(&rebuilt, &[]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.contains("the software changed since epoch 1"), "{said}");
    assert!(said.contains("to roll over"), "{said}");
    assert!(said.contains("16  new floor stored"), "the old bundle is still a true statement: {said}");
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    fs::write(home.data().join("thesis.txt"), "mine").unwrap();
    let output = home.try_up_once(&program("countermark"), &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("belongs to something else") && said.contains("thesis.txt"), "{said}");
    assert_eq!(fs::read_dir(home.data()).unwrap().count(), 1);
}

#[test]
fn two_ups_do_not_work_in_one_folder() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("processes:"));
    let output = home.try_up_once(&program("countermark"), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("another `countermark up` works in"), "{}", text(&output.stderr));
    assert!(up.says("Try"), "the first one is not disturbed");
    assert_eq!(up.interrupt().0, Some(0));
}

#[test]
fn a_taken_port_is_named() {
    let home = Home::new();
    home.up_once();
    let url = home.log_url();
    let _taken = TcpListener::bind(url.trim_start_matches("http://")).unwrap();
    let output = home.try_up_once(&program("countermark"), &[]);
    let said = text(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("log did not start") && said.contains("taken"), "{said}");
    home.wait_until_nothing_runs();
}

#[test]
fn every_service_starts_alone_from_its_configuration() {
    use std::io::BufRead as _;
    let home = Home::new();
    home.up_once();
    let services = [
        ("witness", "witness-1/witness.toml"),
        ("witness", "witness-4/witness.toml"),
        ("log", "authority/log.toml"),
        ("countersigner", "operator/countersigner.toml"),
        ("vault", "member-2/member.toml"),
    ];
    for (verb, config) in services {
        let mut service = Command::new(program("countermark"))
            .args([verb, "serve", "--config", home.data().join(config).to_str().unwrap()])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(service.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true, "{verb}: {line}");
        signal(service.id(), "TERM");
        assert!(service.wait().unwrap().success(), "{verb} ends well when it is told to");
    }
}

#[test]
fn the_small_programs_are_the_same_services() {
    for (name, verb) in [("countermark-witness", "witness"), ("countermark-vault", "vault")] {
        let verbs = |output: &str| -> Vec<String> {
            let commands = output.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
            commands.lines().filter_map(|line| line.split_whitespace().next()).map(ToString::to_string).collect()
        };
        let small = Command::new(program(name)).arg("--help").output().unwrap();
        let large = countermark(&[verb, "--help"]);
        assert_eq!(verbs(&text(&small.stdout)), verbs(&text(&large.stdout)));
    }
}
