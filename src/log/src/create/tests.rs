use std::fs;

use super::*;
use crate::config::house::{House, origin, register_file};
use crate::ports::StoreReader as _;
use countermark_tlog::size::LeafIndex;

async fn make(house: &House, if_absent: bool) -> Result<Vec<Created>, CreateError> {
    create(&house.config(), if_absent, &house.outside()).await
}

async fn refused(house: &House, if_absent: bool) -> CreateNamespaceError {
    *make(house, if_absent).await.unwrap_err().source
}

fn new(namespace: &str) -> Created {
    Created::New { origin: origin(namespace), size: TreeSize::new(1).unwrap() }
}

fn existing(namespace: &str) -> Created {
    Created::Existing { origin: origin(namespace) }
}

#[tokio::test]
async fn every_namespace_gets_a_log_that_begins_with_its_policy() {
    let house = House::new(&["backup", "keys"]);
    assert_eq!(make(&house, false).await.unwrap(), [new("backup"), new("keys")]);
    assert!(register_file(&house, "backup").exists());
    let path = house.path("databases/backup.sqlite");
    let Found::Log = look(&path, &origin("backup")).await.unwrap() else { panic!("the log is there") };
    let store = SqliteStore::open(open_sqlite(&path, Database::Log, Open::Existing).await.unwrap()).await.unwrap();
    let first = store.entries(&origin("backup"), LeafIndex::new(0).unwrap(), 9).await.unwrap();
    assert_eq!(first.len(), 1);
    let Entry::PolicyChange(change) = Entry::parse(&first[0]).unwrap() else { panic!("a policy change") };
    assert_eq!((change.serial, change.approvals_needed, change.officers.len()), (1, 2, 2));
    assert_eq!(change.policy, PolicySet::shipped(countermark_bundle::Side::Authority).digest());
}

#[tokio::test]
async fn a_log_that_exists_is_refused_or_left_as_it_is() {
    let house = House::new(&["backup"]);
    make(&house, true).await.unwrap();
    let refusal = refused(&house, false).await;
    assert!(
        matches!(&refusal, CreateNamespaceError::Exists { path, .. } if path.ends_with("backup.sqlite")),
        "{refusal}"
    );
    assert_eq!(make(&house, true).await.unwrap(), [existing("backup")]);
}

#[tokio::test]
async fn a_namespace_that_is_added_later_is_made_beside_the_old_one() {
    let house = House::new(&["backup", "keys"]);
    let first = house.text.split("\n[[namespace]]").take(2).collect::<Vec<_>>().join("\n[[namespace]]");
    create(&house.parse(&first).unwrap(), false, &house.outside()).await.unwrap();
    assert_eq!(make(&house, true).await.unwrap(), [existing("backup"), new("keys")]);
}

#[tokio::test]
async fn a_lost_database_does_not_become_a_new_log() {
    let house = House::new(&["backup"]);
    make(&house, false).await.unwrap();
    for file in fs::read_dir(house.path("databases")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    for if_absent in [false, true] {
        let refusal = refused(&house, if_absent).await;
        assert!(matches!(refusal, CreateNamespaceError::Lost { .. }), "{refusal}");
    }
    assert_eq!(fs::read_dir(house.path("databases")).unwrap().count(), 0, "nothing was left behind");
    // Not even when the head register is lost with it, as long as one witness remembers.
    let note = fs::read(register_file(&house, "backup")).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&note).unwrap();
    house.witnesses.show(&house.endpoints[2].url, document["checkpoint"].as_str().unwrap().as_bytes());
    fs::remove_file(register_file(&house, "backup")).unwrap();
    let refusal = refused(&house, true).await;
    let CreateNamespaceError::Log(source) = refusal else { panic!("{refusal}") };
    assert!(matches!(*source, sequencer::CreateError::AlreadyWitnessed { .. }), "{source}");
}

#[tokio::test]
async fn a_create_that_broke_off_after_the_file_is_finished_by_the_next() {
    for if_absent in [false, true] {
        let house = House::new(&["backup"]);
        fs::create_dir(house.path("databases")).unwrap();
        let path = house.path("databases/backup.sqlite");
        open_sqlite(&path, Database::Log, Open::CreateNew).await.unwrap().close().await;
        assert_eq!(make(&house, if_absent).await.unwrap(), [new("backup")]);
    }
}

#[tokio::test]
async fn a_create_that_broke_off_before_the_register_is_whole_for_the_next() {
    let house = House::new(&["backup"]);
    make(&house, false).await.unwrap();
    fs::remove_file(register_file(&house, "backup")).unwrap();
    assert!(matches!(refused(&house, false).await, CreateNamespaceError::Exists { .. }));
    assert_eq!(make(&house, true).await.unwrap(), [existing("backup")]);
}

#[tokio::test]
async fn an_empty_database_of_a_registered_log_does_not_become_a_new_log() {
    let house = House::new(&["backup"]);
    make(&house, false).await.unwrap();
    for file in fs::read_dir(house.path("databases")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let path = house.path("databases/backup.sqlite");
    open_sqlite(&path, Database::Log, Open::CreateNew).await.unwrap().close().await;
    let refusal = refused(&house, true).await;
    let CreateNamespaceError::Log(source) = refusal else { panic!("{refusal}") };
    assert!(matches!(*source, sequencer::CreateError::AlreadyRegistered { .. }), "{source}");
}

#[tokio::test]
async fn the_database_of_another_log_is_refused() {
    let house = House::new(&["backup", "keys"]);
    make(&house, false).await.unwrap();
    let (from, to) = (house.path("databases/backup.sqlite"), house.path("databases/keys.sqlite"));
    fs::remove_file(&to).unwrap();
    for sidecar in ["-wal", "-shm"] {
        let _ = fs::remove_file(house.path(&format!("databases/keys.sqlite{sidecar}")));
    }
    fs::copy(&from, &to).unwrap();
    let refusal = refused(&house, true).await;
    assert!(
        matches!(&refusal, CreateNamespaceError::OtherLog { found, .. } if found == "log.example/backup"),
        "{refusal}"
    );
}

#[tokio::test]
async fn nothing_is_made_without_the_key_and_the_officers_of_the_first_entry() {
    let house = House::new(&["backup"]);
    let without = |line: &str| house.text.lines().filter(|text| !text.starts_with(line)).collect::<Vec<_>>().join("\n");
    let config = house.parse(&without("administration_key_file")).unwrap();
    let refusal = create(&config, false, &house.outside()).await.unwrap_err();
    assert!(matches!(*refusal.source, CreateNamespaceError::NoAdministrationKey), "{refusal}");
    let text = without("officers").replace("approvals_needed = 2", "");
    let refusal = create(&house.parse(&text).unwrap(), false, &house.outside()).await.unwrap_err();
    assert!(matches!(*refusal.source, CreateNamespaceError::NoOfficers), "{refusal}");
    assert!(!house.path("databases/backup.sqlite").exists(), "nothing was left behind");
}

#[tokio::test]
async fn what_stands_in_the_way_is_named() {
    let house = House::new(&["backup"]);
    fs::create_dir(house.path("databases")).unwrap();
    fs::write(house.path("databases/backup.sqlite-wal"), "").unwrap();
    let refusal = refused(&house, false).await;
    assert!(matches!(refusal, CreateNamespaceError::Database(OpenError::JournalWithoutDatabase { .. })), "{refusal}");
    let house = House::new(&["backup"]);
    fs::write(house.path("databases"), "").unwrap();
    let refusal = refused(&house, false).await;
    assert!(matches!(refusal, CreateNamespaceError::Folder { .. }), "{refusal}");
    let house = House::new(&["backup"]);
    let config = house.config();
    fs::remove_file(house.path("backup/certificate.key")).unwrap();
    let refusal = create(&config, false, &house.outside()).await.unwrap_err();
    assert!(matches!(*refusal.source, CreateNamespaceError::Open(_)), "{refusal}");
    assert_eq!(refusal.namespace, "backup");
}
