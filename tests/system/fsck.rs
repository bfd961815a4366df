//! `countermark log fsck` fails closed, on a live log and on anybody's folder.

use std::fs;
use std::path::Path;

use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::entry_bundle;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::note::{KeyName, NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::recompute::tile_root;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::Value;

use crate::support::{Home, countermark, ends_with, json, text};

const ORIGIN: &str = "tiles.example/log";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn vkey() -> VerifierKey {
    let name = KeyName::new(ORIGIN).unwrap();
    VerifierKey::new(name, SignatureType::Ed25519, key().verifying_key().as_bytes()).unwrap()
}

/// Writes a log of 300 entries, and gives its older checkpoints of 7 and 256.
fn export(folder: &Path) -> [Vec<u8>; 2] {
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let entries: Vec<Vec<u8>> = (0..300).map(|index| format!("entry {index}").into_bytes()).collect();
    let (mut edge, mut tile, mut notes) = (RightEdge::empty(), Vec::new(), Vec::new());
    for entry in &entries {
        let leaf = leaf_hash(entry);
        edge.append(leaf, &mut |_, _| ()).unwrap();
        tile.extend(leaf.0.0);
        let head = Checkpoint { origin: Origin::new(ORIGIN).unwrap(), size: edge.size(), root: edge.root() };
        if [7, 256, 300].contains(&head.size.get()) {
            let line = NoteSignature::new(&vkey(), &key().sign(head.text().as_bytes()).to_bytes());
            notes.push(SignedNote::new(&head.text(), vec![line]).unwrap().to_bytes());
        }
    }
    let (full, partial) = entries.split_at(256);
    for (path, entries) in [("tile/entries/000", full), ("tile/entries/001.p/44", partial)] {
        write(path, &entry_bundle::encode(entries.iter().map(Vec::as_slice)).unwrap());
    }
    write("tile/0/000", &tile[..8192]);
    write("tile/0/001.p/44", &tile[8192..]);
    write("tile/1/000.p/1", &tile_root(&tile[..8192]).unwrap().0);
    let [seven, full, newest] = notes.try_into().unwrap();
    write("checkpoint", &newest);
    [seven, full]
}

#[test]
fn every_state_of_a_folder_has_its_exit_code() {
    let home = Home::new();
    let log = home.path("log");
    let [seven, _] = export(&log);
    let known = home.path("known.checkpoint");
    fs::write(&known, seven).unwrap();
    let (folder, known, key) = (log.to_str().unwrap(), known.to_str().unwrap(), vkey().to_string());
    let fsck = |more: &[&'static str]| [&["log", "fsck", folder], more].concat();
    let signed = ["log", "fsck", folder, "--vkey", &key];

    let said = ends_with(0, &[&signed[..], &["--known-head", known]].concat());
    assert!(said.contains("300 entries") && said.contains(ORIGIN), "{said}");
    assert!(!said.contains('\u{1b}'), "nothing but text where nobody looks");
    let report = json(&signed);
    assert_eq!((&report["type"], &report["size"]), (&"countermark/fsck-report/v1".into(), &300.into()));
    assert_eq!(report["findings"], Value::Array(vec![]));

    // Somebody must have signed, or be told to be nobody; and then it is no success.
    ends_with(2, &fsck(&[]));
    ends_with(2, &[&signed[..], &["--no-signature"]].concat());
    ends_with(2, &fsck(&["--vkey", "tiles.example/log+00000000+AQ=="]));
    ends_with(2, &[&signed[..], &["--jobs", "0"]].concat());
    ends_with(2, &[&signed[..], &["--origin", "other.example/log"]].concat());
    assert!(ends_with(19, &fsck(&["--no-signature"])).contains("not verified: signature"));
    let other = VerifierKey::new(KeyName::new(ORIGIN).unwrap(), SignatureType::Ed25519, &{
        SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes()
    });
    ends_with(18, &["log", "fsck", folder, "--vkey", &other.unwrap().to_string()]);

    // Damage, the gravest of it, and what the report says about it.
    let tile = log.join("tile/0/000");
    let before = fs::read(&tile).unwrap();
    fs::write(&tile, [&[before[0] ^ 1], &before[1..]].concat()).unwrap();
    assert!(ends_with(11, &signed).contains("tile-differs"));
    let output = countermark(&[&signed[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(11));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["path"], "tile/0/000", "{}", text(&output.stderr));
    fs::write(&tile, &before[1..]).unwrap();
    ends_with(10, &signed);
    fs::write(&tile, &before).unwrap();
    fs::remove_file(log.join("tile/entries/001.p/44")).unwrap();
    assert!(ends_with(19, &signed).contains("bundle-missing"));
    ends_with(2, &["log", "fsck", &format!("{folder}/none"), "--vkey", &key]);
    ends_with(21, &["log", "fsck", "http://127.0.0.1:9", "--vkey", &key]);
}

#[test]
fn a_head_known_before_must_be_a_beginning_of_the_log() {
    let home = Home::new();
    let log = home.path("log");
    let [_, full] = export(&log);
    let (known, key) = (home.path("known.checkpoint"), vkey().to_string());
    let arguments = ["log", "fsck", log.to_str().unwrap(), "--vkey", &key, "--known-head", known.to_str().unwrap()];
    let known_head = |change: &dyn Fn(&str) -> String| fs::write(&known, change(&text(&full))).unwrap();
    known_head(&ToString::to_string);
    ends_with(0, &arguments);
    known_head(&|note| note.replacen("\n256\n", "\n255\n", 1));
    assert!(ends_with(15, &arguments).contains("known-head-differs"));
    known_head(&|note| note.replacen("\n256\n", "\n301\n", 1));
    ends_with(14, &arguments);
    known_head(&|note| note.replacen(ORIGIN, "other.example/log", 1));
    ends_with(2, &arguments);
}

#[test]
fn a_live_log_is_recomputed_under_its_trust_file() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let (url, trust) = (home.log_url(), home.trust("client"));
    let report = json(&["log", "fsck", &url, "--namespace", "backup", "--trust", &trust]);
    assert_eq!(report["origin"], "countermark.localhost/backup");
    assert_eq!(report["root"], report["recomputed_root"]);
    assert!(report["witnesses"].as_array().unwrap().len() >= 3, "{report}");
    let prefix = format!("{url}/backup");
    ends_with(0, &["log", "fsck", &prefix, "--trust", &trust]);
    ends_with(19, &["log", "fsck", &url, "--trust", &trust]);
    up.interrupt();
}
