use tempfile::TempDir;

use super::contract::{head, origin};
use super::*;

fn opened() -> (TempDir, FileRegister) {
    let folder = tempfile::tempdir().unwrap();
    let register = FileRegister::open(folder.path()).unwrap();
    (folder, register)
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

#[tokio::test]
async fn files_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let overwrite = {
        let path = path.clone();
        move |name: String, bytes: Vec<u8>| fs::write(path.join(name), bytes).unwrap()
    };
    contract::check(|| Arc::new(FileRegister::open(&path).unwrap()), async |name, bytes| overwrite(name, bytes)).await;
}
