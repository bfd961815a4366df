//! The log is fuzzed from its own description, by schemathesis: no 5xx that is not a refusal with a name, and no answer that
//! the description does not have.

use std::process::{Command, Stdio};

use countermark_tests::root;
use serde_json::Value;

use crate::support::{Home, countermark, text};

/// How long each run takes.
const SECONDS: &str = "25";

/// A token that allows everything.
fn token(home: &Home) -> String {
    let file = |name: &str| home.data().join("operator").join(name).to_str().unwrap().to_owned();
    let (key, passphrase) = (file("token-issuer.key"), file("passphrase"));
    let mut arguments = vec!["token", "new", "--issuer", "operator", "--subject", "fuzzer", "--namespace", "backup"];
    arguments.extend(["--audience", "countermark.localhost", "--scope", "statements", "--scope", "entries"]);
    arguments.extend(["--key-file", &key, "--passphrase-file", &passphrase]);
    let output = countermark(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

/// Calls everything for [`SECONDS`]. `more` is what is special about this run.
fn fuzz(home: &Home, name: &str, more: &[&str]) {
    let url = home.log_url();
    let python = root().join("target/schemathesis/bin/python3");
    assert!(python.exists(), "{} is missing: scripts/test installs schemathesis there", python.display());
    let report = home.path(name);
    let output = Command::new(python)
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(root().join(format!("tests/system/schemathesis/{name}.toml")))
        .args(["run", &format!("{url}/openapi.json"), "--url", &url, "--max-time", SECONDS, "--seed", "1"])
        .args(["--checks", "all", "--request-timeout", "30", "--continue-on-failure", "--report", "ndjson"])
        .args(more)
        .arg("--report-ndjson-path")
        .arg(&report)
        .args(["--header", &format!("Authorization: Bearer {}", token(home))])
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{name}: {said}\n{}", home.logs());
    // It has really called: a run that generates nothing finds nothing.
    let calls = std::fs::read_to_string(&report).unwrap().matches("\"status_code\"").count();
    assert!(calls > 500, "{name}: only {calls} calls:\n{said}");
}

#[test]
fn no_call_is_answered_otherwise_than_described() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    // What no schema can say (an index that is there, the base64 of a statement) is refused, as described.
    let accepted = "positive_data_acceptance";
    // The namespace that is there stands in for each that is generated, also for those that break the schema.
    fuzz(&home, "served", &["--exclude-checks", &format!("{accepted},negative_data_rejection")]);
    fuzz(&home, "anything", &["--exclude-checks", accepted]);
    // The log is none the worse.
    let ready: Value = serde_json::from_slice(&home.get("/readyz")).unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!(up.interrupt().0, Some(0));
}
