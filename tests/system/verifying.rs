//! The verifying verbs fail closed: 0 only if everything that was asked for was verified.

use std::fs;
use std::process::Command;

use crate::support::{Home, ends_with, json, text};

#[test]
fn every_verdict_has_its_exit_code() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let (url, trust) = (home.log_url(), home.trust("client"));
    let file = |name: &str, bytes: &[u8]| {
        let path = home.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_string()
    };
    let good = home.get("/v1/backup/bundles/newest");
    let bundle = file("good.json", &good);
    let floor = home.path("floor.json").to_str().unwrap().to_string();
    let verify =
        |bundle: &str, trust: &str| ["verify", "bundle", "--trust", trust, "--bundle", bundle].map(String::from);
    let run = |code: i32, bundle: &str, trust: &str, more: &[&str]| {
        let arguments = verify(bundle, trust);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        ends_with(code, &arguments)
    };

    run(0, &bundle, &trust, &["--floor", &floor]);
    run(0, &bundle, &trust, &["--floor", &floor]);
    assert!(run(2, &bundle, &trust, &[]).contains("--floor"), "memory is asked for, or refused by name");
    run(10, &file("text.json", b"{}"), &trust, &["--no-floor"]);
    let bent = text(&good).replacen("\"path\":[\"", "\"path\":[\"A", 1);
    run(10, &file("bent.json", bent.as_bytes()), &trust, &["--no-floor"]);
    let mut flipped = text(&good);
    let at = flipped.find("\"entry\":\"").unwrap() + 200;
    let other = if flipped.as_bytes()[at] == b'A' { "B" } else { "A" };
    flipped.replace_range(at..=at, other);
    let said = run_any(&[10, 11], &file("flipped.json", flipped.as_bytes()), &trust);
    assert!(said.contains("step"), "{said}");
    // Without its cosignatures.
    let lines: Vec<&str> = text(&good).leak().split("\\n\u{2014} ").collect();
    let rest = lines.last().unwrap().split_once("\\n\"").unwrap().1;
    let unwitnessed = format!("{}\\n\u{2014} {}\\n\"{rest}", lines[0], lines[1]);
    assert!(run(12, &file("unwitnessed.json", unwitnessed.as_bytes()), &trust, &["--no-floor"]).contains("quorum"));
    // Another authority's trust file.
    let other = Home::new();
    other.up_once();
    let said = run(18, &bundle, &other.trust("client"), &["--no-floor"]);
    assert!(said.contains("step 4") || said.contains("step 2"), "{said}");
    // An unreachable log, and a floor that cannot be read.
    ends_with(21, &["verify", "bundle", "--trust", &trust, "--log", "http://127.0.0.1:9", "--floor", &floor]);
    let before = fs::read(&floor).unwrap();
    let from_log = ["verify", "bundle", "--trust", &trust, "--log", &url, "--floor", &floor, "--write-der", "der"];
    assert!(ends_with(2, &from_log).contains("--write-der goes with --bundle"));
    assert_eq!(fs::read(&floor).unwrap(), before, "a refusal moves no floor");
    let damaged = file("damaged-floor.json", b"{}");
    let said = run(10, &bundle, &trust, &["--floor", &damaged]);
    assert!(said.contains("damaged"), "{said}");
    assert_eq!(fs::read(&damaged).unwrap(), b"{}", "it is not overwritten");

    // Receipts and proofs.
    let receipt = file("1.tlog-proof", &home.get("/v1/backup/receipts/1"));
    let entry = file("1.entry", &home.get("/v1/backup/entries/1"));
    let other_entry = file("2.entry", &home.get("/v1/backup/entries/2"));
    let receipt_of = |entry: &str| {
        ["verify", "receipt", "--trust", &trust, "--receipt", &receipt, "--entry", entry].map(String::from)
    };
    let run_receipt = |code: i32, entry: &str| {
        let arguments = receipt_of(entry);
        ends_with(code, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run_receipt(0, &entry);
    run_receipt(11, &other_entry);
    let proven = json(&["prove", "inclusion", "--log", &url, "--trust", &trust, "--index", "1"]);
    assert_eq!(proven["verified"], true);
    let leaf = proven["leaf_hash"].as_str().unwrap();
    ends_with(0, &["prove", "inclusion", "--log", &url, "--trust", &trust, "--leaf-hash", leaf]);
    ends_with(0, &["verify", "receipt", "--trust", &trust, "--receipt", &receipt, "--leaf-hash", leaf]);
    ends_with(19, &["prove", "inclusion", "--log", &url, "--trust", &trust, "--index", "99"]);
    ends_with(0, &["prove", "consistency", "--log", &url, "--trust", &trust, "--from", "1"]);
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    ends_with(11, &["prove", "consistency", "--log", &url, "--trust", &trust, "--from", "1", "--from-root", wrong]);
    ends_with(15, &["audit", "--log", &url, "--trust", &trust, "--known-head", &format!("1:{wrong}")]);
    ends_with(14, &["audit", "--log", &url, "--trust", &trust, "--known-head", &format!("99:{wrong}")]);
    ends_with(0, &["status", "--log", &url, "--namespace", "backup"]);
    ends_with(21, &["status", "--log", "http://127.0.0.1:9", "--namespace", "backup"]);
    up.interrupt();
}

fn run_any(codes: &[i32], bundle: &str, trust: &str) -> String {
    let output = crate::support::countermark(&["verify", "bundle", "--trust", trust, "--bundle", bundle, "--no-floor"]);
    assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{:?}", output.status);
    text(&output.stderr)
}

#[test]
fn openssl_verifies_certificate_and_countersignature() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let bundle = home.path("bundle.json");
    fs::write(&bundle, home.get("/v1/backup/bundles/newest")).unwrap();
    let folder = home.path("der");
    let (trust, bundle) = (home.trust("client"), bundle.to_str().unwrap());
    let to = folder.to_str().unwrap();
    ends_with(0, &["verify", "bundle", "--trust", &trust, "--bundle", bundle, "--no-floor", "--write-der", to]);
    up.interrupt();
    let openssl = |arguments: &[&str]| Command::new("openssl").current_dir(&folder).args(arguments).output().unwrap();
    let certificate = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "certificate.pem",
        "-rawin",
        "-in",
        "certificate.message",
        "-sigfile",
        "certificate.signature",
    ];
    let countersignature = [
        "dgst",
        "-sha384",
        "-verify",
        "countersignature.pem",
        "-signature",
        "countersignature.der",
        "countersignature.message",
    ];
    for check in [&certificate[..], &countersignature[..]] {
        let output = openssl(check);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
    for message in ["certificate.message", "countersignature.message"] {
        let path = folder.join(message);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    for check in [&certificate[..], &countersignature[..]] {
        assert!(!openssl(check).status.success(), "a changed message must not verify");
    }
}
