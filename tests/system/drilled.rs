//! The drills, as anyone runs them.

use std::process::Command;

use serde_json::Value;

use crate::support::{Home, ends_with, json, program};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_log_that_signs_two_faces_convinces_one_client_at_most_and_is_found_out_when_the_partition_heals() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("drill");
    let output = Command::new(program("countermark")).args(["drill", "fork", "--json", "--keep"]).arg(&kept).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let clients = report["clients"].as_array().unwrap();
    assert_eq!(clients.iter().map(|client| client["accepted"] == true).collect::<Vec<_>>(), [true, false]);
    let witnesses: Vec<_> =
        clients[0]["witnesses"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(witnesses, ["witness-1.drill", "witness-2.drill", "witness-4.drill"]);
    assert_ne!(clients[0]["root"], clients[1]["root"]);
    assert!(clients[1]["refusal"].as_str().unwrap().contains("do not meet the quorum"));

    // What it left behind convinces anyone who has the log's key, without a network.
    let vkey = std::fs::read_to_string(kept.join("log.vkey")).unwrap();
    let verify = |vkey: &str| {
        let mut command = Command::new(program("countermark"));
        command.args(["verify", "fork", "--vkey", vkey]).arg(kept.join("fork-evidence.txt")).output().unwrap()
    };
    let verified = verify(vkey.trim());
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    let said = text(&verified.stdout);
    assert!(said.contains("log.drill/backup") && said.contains("two histories"), "{said}");
    let stranger = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(verify(stranger).status.code(), Some(18));

    // Nobody's drill is overwritten.
    let again = Command::new(program("countermark")).args(["drill", "fork", "--keep"]).arg(&kept).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
}

#[test]
fn what_the_witnesses_of_a_log_show_is_one_history_and_says_so_only_if_all_were_heard() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let (url, trust) = (home.log_url(), home.trust("auditor"));
    let report = json(&["gossip", "--trust", &trust, "--log", &url, "--push"]);
    let witnesses = report["witnesses"].as_array().unwrap();
    assert_eq!(witnesses.len(), 4);
    for witness in witnesses {
        let standing = witness["standing"].as_str().unwrap();
        assert!(["agrees", "behind, and a part of it"].contains(&standing), "{witness}");
        assert!(witness["size"].as_u64().unwrap() > 0, "{witness}");
        assert!(witness["cosigned_by"].as_str().unwrap().ends_with(".localhost"), "{witness}");
    }
    assert!(report["evidence"].is_null());
    for pushed in report["pushed"].as_array().unwrap() {
        assert_eq!(pushed["judged"], 4, "{pushed}");
    }
    let heard = witnesses[0]["witness"].as_str().unwrap();
    let said = ends_with(
        19,
        &["gossip", "--trust", &trust, "--log", &url, "--witness", heard, "--witness", "http://127.0.0.1:9"],
    );
    assert!(said.contains("1 of 2 witnesses"), "{said}");
    ends_with(0, &["gossip", "--trust", &trust, "--log", &url, "--witness", heard]);
}
