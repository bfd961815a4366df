//! What an earlier version left on the disk is opened by this one, loses nothing, and goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use countermark_bundle::entry::{EVIDENCE_TYPE, Entry, Evidence};
use countermark_bundle::evidence::{CheckedBy, Item, MANIFEST_TYPE, Manifest};
use countermark_bundle::identity::{Digest, Name, Side};
use countermark_bundle::key::PublicKey;
use countermark_bundle::to_sign;
use countermark_bundle::trust::TrustFile;
use countermark_keys::{KeyFile, Role};

use crate::service::Log;
use crate::support::{countermark, json, text};

/// A copy of a folder of `tests/vectors/upgrade`, ready to be served at any free port.
fn old_folder(name: &str) -> (tempfile::TempDir, PathBuf) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/upgrade").join(name);
    let folder = tempfile::tempdir().unwrap();
    copy(&from, folder.path());
    let config = folder.path().join("authority/log.toml");
    let said = fs::read_to_string(&config).unwrap();
    let (first, rest) = said.split_once('\n').unwrap();
    assert!(first.starts_with("listen = "), "{first}");
    fs::write(&config, format!("listen = \"127.0.0.1:0\"\n{rest}")).unwrap();
    (folder, config)
}

/// Version control keeps no modes: keys and passphrases are their owner's alone again.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// An entry that the old authority's administration key signs.
fn evidence(folder: &Path, trust: &TrustFile) -> Vec<u8> {
    let key = folder.join("authority/administration.key");
    let passphrase = folder.join("authority/passphrase");
    let signer = KeyFile::open_signer(&key, Role::Administration, &passphrase).unwrap();
    let item = Item {
        name: Name::parse("record.txt").unwrap(),
        media_type: "text/plain".to_owned(),
        size: 5,
        sha256: Digest::of(b"hello"),
        claims: "after the upgrade".to_owned(),
        checked_by: CheckedBy::Human,
    };
    let manifest = Manifest {
        kind: MANIFEST_TYPE.to_owned(),
        origin: trust.origin.clone(),
        fleet_id: Name::parse("fleet-1").unwrap(),
        items: vec![item],
    };
    let mut evidence = Evidence {
        kind: EVIDENCE_TYPE.to_owned(),
        origin: trust.origin.clone(),
        side: Side::Authority,
        manifest: manifest.write(),
        key_id: PublicKey::ed25519(signer.public_key()).unwrap().key_id(),
        signature: vec![],
    };
    evidence.signature = signer.sign(&to_sign::evidence(&evidence, &evidence.root_hex())).unwrap();
    Entry::Evidence(evidence).write()
}

fn token(folder: &Path, audience: &str) -> String {
    let file = |name: &str| folder.join("operator").join(name).to_str().unwrap().to_owned();
    let (key, passphrase) = (file("token-issuer.key"), file("passphrase"));
    let mut arguments = vec!["token", "new", "--issuer", "operator", "--subject", "test", "--audience", audience];
    arguments.extend(["--namespace", "backup", "--scope", "entries", "--key-file", &key]);
    arguments.extend(["--passphrase-file", &passphrase]);
    let output = countermark(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

#[test]
fn the_log_of_the_version_before_kinds_goes_on_where_it_was() {
    let (folder, config) = old_folder("issue-3");
    let trust = TrustFile::parse(&fs::read(folder.path().join("trust.json")).unwrap()).unwrap();
    let log = Log::serve(&config);
    let status = log.get_json("/v1/backup/status");
    assert_eq!((status["kind"].as_str(), status["size"].as_u64()), (Some("fleet-keys"), Some(3)), "{status}");
    assert_eq!(status["newest_active"]["epoch"], 1, "{status}");

    // Everything that was signed then verifies now, from the first entry on.
    let trust_file = folder.path().join("trust.json");
    let audit = json(&["audit", "--log", &log.url(), "--trust", trust_file.to_str().unwrap()]);
    assert_eq!(audit["findings"].as_array().unwrap().len(), 0, "{audit}");
    assert_eq!(audit["entries"]["countermark/certified-statement/v1"], 1, "{audit}");

    // It grows, answers the same entry with the same index, and is found by its new keys after a restart.
    let (entry, token) = (evidence(folder.path(), &trust), token(folder.path(), "countermark.localhost"));
    let path = "/v1/backup/entries?wait=committed";
    let first = log.post_json(path, &token, &entry);
    assert_eq!((first["index"].as_u64(), first["duplicate"].as_bool()), (Some(3), Some(false)), "{first}");
    log.stop();
    let log = Log::serve(&config);
    let again = log.post_json(path, &token, &entry);
    assert_eq!((again["index"].as_u64(), again["duplicate"].as_bool()), (Some(3), Some(true)), "{again}");
    log.stop();
}

#[test]
fn a_copy_that_was_made_while_the_service_stood_still_is_restored() {
    let (folder, config) = old_folder("issue-3");
    let trust = TrustFile::parse(&fs::read(folder.path().join("trust.json")).unwrap()).unwrap();
    let (entry, token) = (evidence(folder.path(), &trust), token(folder.path(), "countermark.localhost"));
    let path = "/v1/backup/entries?wait=committed";
    let log = Log::serve(&config);
    let before = log.post_json(path, &token, &entry);
    log.stop();
    let (databases, backup) = (folder.path().join("authority/databases"), folder.path().join("backup"));
    copy(&databases, &backup);

    // The disk is lost, the register is not.
    fs::remove_dir_all(&databases).unwrap();
    copy(&backup, &databases);
    let log = Log::serve(&config);
    let after = log.post_json(path, &token, &entry);
    assert_eq!((&after["index"], after["duplicate"].as_bool()), (&before["index"], Some(true)), "{after}");
    log.stop();
}
