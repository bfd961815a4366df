use countermark_keys::Role;
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote};
use tempfile::TempDir;

use super::*;
use crate::testing::TestSigner;

const ORIGIN: &str = "log.example/backup";

fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

fn head_of(origin: &Origin, size: u64) -> StoredHead {
    let head = Checkpoint { origin: origin.clone(), size: TreeSize::new(size).unwrap(), root: RootHash(Hash([1; 32])) };
    let signer = TestSigner::new(Role::Log, 1);
    let key = signer.vkey(origin.as_str(), SignatureType::Ed25519);
    let line = NoteSignature::new(&key, &signer.make_signature(head.text().as_bytes()));
    let checkpoint = SignedNote::new(&head.text(), vec![line]).unwrap().to_bytes();
    StoredHead { size: head.size, root: head.root, checkpoint }
}

fn head(size: u64) -> StoredHead {
    head_of(&origin(), size)
}

fn opened() -> (TempDir, FileRegister) {
    let folder = tempfile::tempdir().unwrap();
    let register = FileRegister::open(folder.path()).unwrap();
    (folder, register)
}

/// The one file in a register's folder that ends with `.json`.
fn only_file(folder: &TempDir) -> PathBuf {
    let mut files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "json")).unwrap()
}

#[tokio::test]
async fn a_head_is_replaced_only_by_who_knows_it() {
    let (folder, register) = opened();
    let origin = origin();
    assert_eq!(register.read(&origin).await.unwrap(), None);
    register.compare_and_swap(&origin, None, &head(1)).await.unwrap();
    for wrong in [None, Some(head(2))] {
        match register.compare_and_swap(&origin, wrong.as_ref(), &head(3)).await {
            Err(RegisterError::Conflict { found }) => assert_eq!(found, Some(head(1))),
            other => panic!("{other:?}"),
        }
    }
    register.compare_and_swap(&origin, Some(&head(1)), &head(4)).await.unwrap();
    let reopened = FileRegister::open(folder.path()).unwrap();
    assert_eq!(reopened.read(&origin).await.unwrap(), Some(head(4)));
}

#[tokio::test]
async fn of_two_processes_one_wins() {
    let (folder, register) = opened();
    let origin = origin();
    register.compare_and_swap(&origin, None, &head(1)).await.unwrap();
    let mut racing = tokio::task::JoinSet::new();
    for size in 2..18 {
        let (register, origin) = (FileRegister::open(folder.path()).unwrap(), origin.clone());
        racing.spawn(async move { register.compare_and_swap(&origin, Some(&head(1)), &head(size)).await.is_ok() });
    }
    let won = racing.join_all().await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
}

#[tokio::test]
async fn logs_have_files_of_their_own() {
    let (_folder, register) = opened();
    let other = Origin::new("log.example/other").unwrap();
    register.compare_and_swap(&origin(), None, &head(1)).await.unwrap();
    assert_eq!(register.read(&other).await.unwrap(), None);
    register.compare_and_swap(&other, None, &head_of(&other, 7)).await.unwrap();
    assert_eq!(register.read(&origin()).await.unwrap(), Some(head(1)));
}

#[tokio::test]
async fn a_damaged_file_is_a_fault_and_never_an_absence() {
    let (folder, register) = opened();
    let origin = origin();
    register.compare_and_swap(&origin, None, &head(5)).await.unwrap();
    let path = only_file(&folder);
    let whole = fs::read_to_string(&path).unwrap();
    let other = head_of(&Origin::new("log.example/other").unwrap(), 5);
    let cases = [
        String::new(),
        whole[..whole.len() / 2].to_owned(),
        format!("{whole}x"),
        whole.replace("\"size\":5", "\"size\":6"),
        whole.replace("\"size\":5", "\"size\":5,\"more\":1"),
        whole.replace("\"size\":5", "\"size\":-5"),
        whole.replace("\"origin\":\"log.example/backup\"", "\"origin\":\"log.example/other\""),
        whole.replace(
            &serde_json::to_string(&String::from_utf8(head(5).checkpoint).unwrap()).unwrap(),
            &serde_json::to_string(&String::from_utf8(other.checkpoint).unwrap()).unwrap(),
        ),
        "x".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1),
    ];
    for damaged in cases {
        assert_ne!(damaged, whole);
        fs::write(&path, &damaged).unwrap();
        assert!(register.read(&origin).await.is_err(), "{damaged}");
        let swapped = register.compare_and_swap(&origin, Some(&head(5)), &head(6)).await;
        assert!(matches!(swapped, Err(RegisterError::Fault(_))), "{swapped:?}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(register.read(&origin).await.unwrap(), Some(head(5)));
}

#[tokio::test]
async fn what_a_crash_left_behind_is_not_read() {
    let (folder, register) = opened();
    fs::write(folder.path().join(".head.abc"), "half a file").unwrap();
    assert_eq!(register.read(&origin()).await.unwrap(), None);
    register.compare_and_swap(&origin(), None, &head(1)).await.unwrap();
    assert_eq!(register.read(&origin()).await.unwrap(), Some(head(1)));
}

#[test]
fn a_register_is_never_made_by_opening_it() {
    let folder = tempfile::tempdir().unwrap();
    let missing = FileRegister::open(&folder.path().join("register"));
    assert!(matches!(missing, Err(OpenRegisterError::Missing { .. })), "{missing:?}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = FileRegister::open(&file);
    assert!(matches!(refused, Err(OpenRegisterError::Io { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_folder_that_vanished_is_a_fault() {
    let (folder, register) = opened();
    folder.close().unwrap();
    let swapped = register.compare_and_swap(&origin(), None, &head(1)).await;
    assert!(matches!(swapped, Err(RegisterError::Fault(_))), "{swapped:?}");
}
