//! What whoever runs a service has in hand: status that stays live, settings from three places, units, example configurations.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use countermark_tests::root;
use serde_json::Value;

use crate::support::{Home, countermark, ends_with, json, program, signal, text};

fn with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(program("countermark"));
    command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn status_shows_the_authority_once_and_live_and_outlives_its_server() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let url = home.log_url();
    let page = ends_with(0, &["status", "--log", &url]);
    for part in
        ["countermark-log ", "ready", "backup", "fleet-keys", "serving", "of 4", "witness-1.localhost", "verified"]
    {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
    assert!(!page.contains('\u{1b}'), "colours in a pipe:\n{page}");
    let document = json(&["status", "--log", &url]);
    assert_eq!(document["namespaces"][0]["origin"], "countermark.localhost/backup");
    assert!(ends_with(0, &["status", "--log", &url, "--namespace", "backup"]).contains("newest_active"));
    assert_eq!(json(&["status", "--log", &url, "--namespace", "backup"])["kind"], "fleet-keys");

    let watch = |more: &[&str]| {
        let mut command = Command::new(program("countermark"));
        command.args(["status", "--log", &url, "--watch=1"]).args(more).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        (process, lines)
    };
    let (mut people, mut lines) = watch(&[]);
    let line = lines.next().unwrap();
    assert!(line.contains(" countermark.localhost/backup serving ready size=3 "), "{line}");
    let (mut machine, mut documents) = watch(&["--json"]);
    for _ in 0..2 {
        let document: Value = serde_json::from_str(&documents.next().unwrap()).unwrap();
        assert_eq!(document["ready"], true);
    }
    drop(up);
    home.wait_until_nothing_runs();
    let gone = documents.find(|line| line.contains("unreachable")).unwrap();
    let gone: Value = serde_json::from_str(&gone).unwrap();
    assert_eq!(gone["unreachable"], format!("{url}/v1/status"));
    assert!(lines.any(|line| line.contains("cannot be shown")));
    for process in [&mut people, &mut machine] {
        assert!(process.try_wait().unwrap().is_none(), "it goes on");
        signal(process.id(), "INT");
        assert!(process.wait().unwrap().success());
    }
    ends_with(21, &["status", "--log", &url]);
    ends_with(2, &["status", "--log", &url, "--watch=0"]);
}

#[test]
fn a_terminal_is_as_it_was_after_status_was_watched() {
    // Nobody answers there: what is drawn is that.
    let status = format!("{} status --log http://127.0.0.1:1 --watch=1", program("countermark").display());
    let output = Command::new("script")
        .args(["-qec", &format!("timeout --foreground -s INT 3 {status}"), "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    let (enters, leaves) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
    let [entered, left] = [enters, leaves].map(|sequence| shown.find(sequence).unwrap_or_else(|| panic!("{shown:?}")));
    assert!(entered < left, "{shown:?}");
    let (drawn, after) = (&shown[entered..left], &shown[left + leaves.len()..]);
    assert!(drawn.contains("cannot be shown") && drawn.contains("\u{1b}[?25l"), "{shown:?}");
    assert!(drawn.contains("\u{1b}[?25h"), "the cursor is back: {shown:?}");
    assert_eq!(after.trim(), "", "{shown:?}");
}

#[test]
fn a_setting_is_said_by_flag_before_environment_before_file() {
    let home = Home::new();
    home.up_once_with(&["--authority-only"]);
    let config = home.data().join("authority/log.toml").display().to_string();
    let check = ["log", "check-config", "--json"];
    let settings = |variables: &[(&str, &str)], flags: &[&str]| {
        let output = with(variables, &[&check, flags].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["namespaces"][0]["origin"], "countermark.localhost/backup");
        move |setting: &str| {
            let all = document["settings"].as_array().unwrap().clone();
            let one = all.into_iter().find(|one| one["setting"] == setting).unwrap();
            [one["value"].as_str().unwrap().to_owned(), one["from"].as_str().unwrap().to_owned()]
        }
    };
    let found = settings(&[], &["--config", &config]);
    assert_eq!(found("listen")[1], "file");
    assert_eq!(found("metrics_listen"), ["nowhere", "default"]);
    let variables = [
        ("COUNTERMARK_LOG_CONFIG", config.as_str()),
        ("COUNTERMARK_LOG_LISTEN", "127.0.0.1:1"),
        ("COUNTERMARK_LOG_METRICS_LISTEN", "127.0.0.1:2"),
    ];
    let found = settings(&variables, &["--listen", "127.0.0.1:3"]);
    assert_eq!(found("listen"), ["127.0.0.1:3", "flag"]);
    assert_eq!(found("metrics_listen"), ["127.0.0.1:2", "environment"]);

    let refused = |variables: &[(&str, &str)]| {
        let output = with(variables, &["log", "check-config", "--config", &config]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let said = refused(&[("COUNTERMARK_LOG_LISTEM", "127.0.0.1:1")]);
    assert!(said.contains("COUNTERMARK_LOG_LISTEM, which is no setting"), "{said}");
    let said = refused(&[("COUNTERMARK_LOG_LISTEN", "somewhere")]);
    assert!(said.contains("COUNTERMARK_LOG_LISTEN: \"somewhere\" is not an IP address and a port"), "{said}");
    let said = refused(&[("COUNTERMARK_LOG_LISTEN", "0.0.0.0:1")]);
    assert!(said.contains("in the clear") && said.contains("listen from COUNTERMARK_LOG_LISTEN"), "{said}");
    // The form of records is the one variable that all services share.
    let output = with(
        &[("COUNTERMARK_LOG_FORMAT", "json"), ("COUNTERMARK_LOG_LISTEN", "192.0.2.1:1")],
        &["log", "serve", "--behind-tls-proxy", "--config", &config],
    );
    let said = text(&output.stderr);
    assert!(!output.status.success());
    for line in said.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(record["level"].is_string() && record["fields"]["message"].is_string(), "{line}");
    }
    assert!(said.contains("cannot listen on 192.0.2.1:1"), "{said}");
}

/// The lines `key=value` of a unit's section.
fn section(unit: &str, name: &str) -> Vec<(String, String)> {
    let section = unit.split(&format!("[{name}]\n")).nth(1).unwrap().split("\n[").next().unwrap();
    let lines = section.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once('=').unwrap()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn every_unit_starts_a_verb_that_exists_and_may_do_little() {
    const NEEDED: [(&str, &str); 12] = [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("CapabilityBoundingSet", ""),
        ("SystemCallFilter", "@system-service"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "2"),
    ];
    let users = fs::read_to_string(root().join("scripts/operations/countermark.sysusers.conf")).unwrap();
    for name in ["log", "witness", "countersigner", "vault"] {
        let unit = fs::read_to_string(root().join(format!("scripts/operations/countermark-{name}.service"))).unwrap();
        let service = section(&unit, "Service");
        let get = |key: &str| service.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str());
        for (key, value) in NEEDED {
            assert_eq!(get(key), Some(value), "{name}: {key}");
        }
        for key in ["MemoryMax", "TasksMax", "LimitNOFILE", "TimeoutStopSec", "StateDirectory"] {
            assert!(get(key).is_some_and(|value| !value.is_empty()), "{name}: {key}");
        }
        let limits = section(&unit, "Unit");
        assert!(limits.iter().any(|(key, _)| key == "StartLimitBurst"), "{name} is started for ever");
        let user = get("User").unwrap();
        assert!(users.contains(&format!("u {user} ")), "{user} is made by nobody");
        assert!(get("LoadCredential").unwrap().starts_with("passphrase:/etc/countermark/"), "{name}");

        let words: Vec<&str> = get("ExecStart").unwrap().split(' ').collect();
        let file = Path::new(words[0]).file_name().unwrap().to_str().unwrap();
        // What is no flag and no value of one is a verb.
        let mut rest = words[1..].iter();
        let (mut verbs, mut flags) = (Vec::new(), Vec::new());
        while let Some(word) = rest.next() {
            if word.starts_with("--") {
                flags.push(*word);
                rest.next();
            } else {
                verbs.push(*word);
            }
        }
        let help = Command::new(program(file)).args(&verbs).arg("--help").output().unwrap();
        assert!(help.status.success(), "{file} {verbs:?}");
        let help = text(&help.stdout);
        assert_eq!(verbs.last(), Some(&"serve"), "{name}");
        for flag in flags {
            assert!(help.contains(&format!("{flag} <")), "`{file} {}` has no {flag}", verbs.join(" "));
        }
    }
}

/// An example with everything that it names in a folder of the test's.
fn example(name: &str, home: &Home) -> String {
    let text = fs::read_to_string(root().join(format!("scripts/operations/{name}.example.toml"))).unwrap();
    let authority = home.data().join("authority");
    let here = home.path("example");
    fs::create_dir_all(&here).unwrap();
    let mut text = text.replace("authority.example.org", "countermark.localhost");
    for (from, to) in [
        ("/etc/countermark/backup", &authority),
        ("/run/credentials/countermark-log.service", &authority),
        ("/etc/countermark", &here),
        ("/srv", &here),
        ("/var/lib", &here),
    ] {
        text = text.replace(&format!("\"{from}/"), &format!("\"{}/", to.display()));
    }
    let path = here.join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn every_example_configuration_is_accepted_by_its_service() {
    let home = Home::new();
    home.up_once_with(&["--authority-only"]);
    let log = example("log", &home);
    let folder = home.path("example/digests");
    fs::create_dir(&folder).unwrap();
    let (key, passphrase) = (folder.join("log.key"), home.data().join("authority/passphrase"));
    let made = json(&[
        "keys",
        "new",
        "--role",
        "log",
        "--name",
        "countermark.localhost/digests",
        "--key-file",
        key.to_str().unwrap(),
        "--passphrase-file",
        passphrase.to_str().unwrap(),
    ]);
    let policy = format!("log {}\nquorum none\n", made["vkey"].as_str().unwrap());
    fs::write(folder.join("witness.policy"), policy).unwrap();
    let said = ends_with(0, &["log", "check-config", "--config", &log]);
    for part in
        ["countermark.localhost/backup: 4 witnesses", "countermark.localhost/digests: 0 witnesses", "metrics_listen"]
    {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    for name in ["witness", "countersigner", "vault"] {
        // The key of another name than the log's is what the substitution left of it.
        let config = example(name, &home);
        if name == "witness" {
            let original = root().join("scripts/operations/witness.example.toml");
            fs::copy(original, &config).unwrap();
        }
        let said = ends_with(0, &[name, "check-config", "--config", &config, "--passphrase-file", "passphrase"]);
        assert!(said.contains("--passphrase-file"), "{said}");
        let without = countermark(&[name, "check-config", "--config", &config]);
        assert_eq!(without.status.code(), Some(2), "{name} needs to be told what opens its keys");
        let unknown = format!("not_a_field = 1\n{}", fs::read_to_string(&config).unwrap());
        fs::write(&config, unknown).unwrap();
        ends_with(2, &[name, "check-config", "--config", &config, "--passphrase-file", "passphrase"]);
    }
}
