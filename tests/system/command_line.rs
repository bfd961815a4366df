//! Help, JSON and refusals of the command line.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::identity::Timestamp;
use countermark_signer_policy::access_token::{Audience, KeySet};

use crate::support::{Home, countermark, ends_with, json, text};

/// Every verb that does something, found by walking `--help`.
fn verbs(prefix: &[String]) -> Vec<Vec<String>> {
    let mut arguments: Vec<&str> = prefix.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = text(&countermark(&arguments).stdout);
    let Some(commands) = help.split("\nCommands:\n").nth(1) else { return vec![prefix.to_vec()] };
    commands
        .lines()
        .take_while(|line| line.starts_with("  "))
        // What a long description continues with is indented further.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|verb| *verb != "help" && verb.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .flat_map(|verb| verbs(&[prefix, &[verb.to_string()]].concat()))
        .collect()
}

#[test]
fn every_verb_has_help_with_an_example() {
    let all = verbs(&[]);
    assert!(all.len() >= 20, "{all:?}");
    for verb in all {
        let mut arguments: Vec<&str> = verb.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = text(&countermark(&arguments).stdout);
        assert!(help.contains("Example"), "`countermark {}` has no example:\n{help}", verb.join(" "));
        assert!(help.contains(&format!("countermark {}", verb.join(" "))), "{}", verb.join(" "));
    }
}

#[test]
fn key_verbs_never_overwrite_and_never_show_a_secret() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    let [key, passphrase] = ["a.key", "passphrase"].map(|file| home.data().join(file).to_str().unwrap().to_string());
    let new = ["keys", "new", "--role", "officer", "--key-file", &key, "--passphrase-file", &passphrase];
    let made = json(&new);
    let bytes = fs::read(&key).unwrap();
    ends_with(2, &new);
    assert_eq!(json(&[&new[..], &["--if-absent"]].concat()), made);
    let other_role =
        ["keys", "new", "--role", "log", "--key-file", &key, "--passphrase-file", &passphrase, "--if-absent"];
    assert!(ends_with(2, &other_role).contains("holds a key of role officer"));
    assert_eq!(fs::read(&key).unwrap(), bytes);
    let shown = json(&["keys", "show", "--key-file", &key]);
    assert_eq!(shown["public_key"], made["public_key"]);
    let list = json(&["keys", "list", home.data().to_str().unwrap()]);
    assert_eq!(list["keys"].as_array().unwrap().len(), 1);
    let secret = fs::read_to_string(&passphrase).unwrap();
    assert!(!shown.to_string().contains(secret.trim()));
    ends_with(2, &["keys", "new", "--role", "king", "--key-file", &key, "--passphrase-file", &passphrase]);
}

#[test]
fn a_trust_file_that_tolerates_no_faulty_witness_is_refused() {
    let home = Home::new();
    home.up_once();
    let policy = fs::read_to_string(home.data().join("public/witnesses.policy")).unwrap();
    let trust: serde_json::Value = serde_json::from_slice(&fs::read(home.trust("client")).unwrap()).unwrap();
    let key = |path: &[&str]| {
        let mut value = &trust["keys"];
        for part in path {
            value = &value[*part];
        }
        value[0]["public_key"].as_str().unwrap().to_string()
    };
    let weak = policy.replace("group three-of-four 3 ", "group three-of-four 2 ");
    for (name, text, code) in [("good", &policy, 0), ("weak", &weak, 2)] {
        let path = home.path(name);
        fs::write(&path, text).unwrap();
        let out = home.path("out.json");
        let arguments = [
            ("--origin", "countermark.localhost/backup".to_string()),
            ("--policy", path.to_str().unwrap().to_string()),
            ("--certificate-key", key(&["certificate"])),
            ("--operator-key", key(&["operator", "keys"])),
            ("--authority-administration-key", key(&["administration", "authority"])),
            ("--operator-administration-key", key(&["administration", "operator"])),
            ("--authority-revocation-key", key(&["revocation", "authority"])),
            ("--operator-revocation-key", key(&["revocation", "operator"])),
            ("--out", out.to_str().unwrap().to_string()),
        ];
        let flat: Vec<&str> = ["trust", "new"]
            .into_iter()
            .chain(arguments.iter().flat_map(|(flag, value)| [*flag, value.as_str()]))
            .collect();
        ends_with(code, &flat);
        if code == 0 {
            ends_with(0, &["trust", "show", out.to_str().unwrap()]);
        }
    }
}

#[test]
fn a_token_issuer_signs_with_the_algorithm_of_its_role_and_a_log_takes_it_under_its_key_set() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    let passphrase = home.path("passphrase");
    for (role, algorithm, alg) in [("token-issuer", "ed25519", "EdDSA"), ("token-issuer-p384", "ecdsa-p384", "ES384")] {
        let (file, set) = (home.path(&format!("{role}.key")), home.path(&format!("{role}.json")));
        let [file, set, passphrase] = [&file, &set, &passphrase].map(|path| path.to_str().unwrap());
        let made = json(&["keys", "new", "--role", role, "--key-file", file, "--passphrase-file", passphrase]);
        assert_eq!(made["algorithm"], algorithm);
        let public_key = made["public_key"].as_str().unwrap();
        let keyset = ["token", "keyset", "--issuer", "i", "--public-key", public_key, "--out", set];
        ends_with(0, &[&keyset[..], &["--algorithm", algorithm]].concat());
        let mut new = vec!["token", "new", "--issuer", "i", "--subject", "robot", "--audience", "log.example"];
        new.extend([
            "--namespace",
            "backup",
            "--scope",
            "entries",
            "--key-file",
            file,
            "--passphrase-file",
            passphrase,
        ]);
        let token = json(&new)["token"].as_str().unwrap().to_owned();
        let keys = KeySet::parse(&fs::read(set).unwrap()).unwrap();
        let audience = Audience::new("log.example").unwrap();
        let verified = keys.find_key(&token).unwrap().verify(&audience).unwrap();
        assert!(!verified.has_expired(Timestamp::from_unix(0).unwrap()));
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&header).unwrap()["alg"], alg);
    }
    let agrees = ["token", "keyset", "--issuer", "i", "--algorithm", "x25519", "--public-key", "07", "--out", "none"];
    assert!(ends_with(2, &agrees).contains("signs no tokens"));
}
