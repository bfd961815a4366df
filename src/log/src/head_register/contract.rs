//! What every head register must do; each back end runs the same cases.

use std::sync::Arc;

use countermark_keys::Role;
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote};
use countermark_tlog::size::TreeSize;
use tokio::task::JoinSet;

use super::document;
use crate::ports::{HeadRegister, RegisterError, StoredHead};
use crate::testing::TestSigner;

const ORIGIN: &str = "log.example/backup";

pub(super) fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

pub(super) fn head_of(origin: &Origin, size: u64) -> StoredHead {
    let head = Checkpoint { origin: origin.clone(), size: TreeSize::new(size).unwrap(), root: RootHash(Hash([1; 32])) };
    let signer = TestSigner::new(Role::Log, 1);
    let key = signer.vkey(origin.as_str(), SignatureType::Ed25519);
    let line = NoteSignature::new(&key, &signer.make_signature(head.text().as_bytes()));
    let checkpoint = SignedNote::new(&head.text(), vec![line]).unwrap().to_bytes();
    StoredHead { size: head.size, root: head.root, checkpoint }
}

pub(super) fn head(size: u64) -> StoredHead {
    head_of(&origin(), size)
}

/// Every case, on an empty register. `open` opens it again, as another process would; `overwrite` changes what it holds
/// behind its back.
pub(super) async fn check(open: impl Fn() -> Arc<dyn HeadRegister>, overwrite: impl AsyncFn(String, Vec<u8>)) {
    a_head_is_replaced_only_by_who_knows_it(&open).await;
    of_many_processes_one_wins(&open).await;
    logs_do_not_meet(&open).await;
    what_is_damaged_is_a_fault_and_never_an_absence(&open, &overwrite).await;
}

async fn conflicts(register: &dyn HeadRegister, expected: Option<&StoredHead>, found: Option<StoredHead>) {
    match register.compare_and_swap(&origin(), expected, &head(3)).await {
        Err(RegisterError::Conflict { found: named }) => assert_eq!(named, found),
        other => panic!("{other:?}"),
    }
}

async fn a_head_is_replaced_only_by_who_knows_it(open: impl Fn() -> Arc<dyn HeadRegister>) {
    let (register, origin) = (open(), origin());
    assert_eq!(register.read(&origin).await.unwrap(), None);
    conflicts(register.as_ref(), Some(&head(1)), None).await;
    register.compare_and_swap(&origin, None, &head(1)).await.unwrap();
    for wrong in [None, Some(head(2))] {
        conflicts(register.as_ref(), wrong.as_ref(), Some(head(1))).await;
    }
    register.compare_and_swap(&origin, Some(&head(1)), &head(4)).await.unwrap();
    conflicts(register.as_ref(), Some(&head(1)), Some(head(4))).await;
    assert_eq!(open().read(&origin).await.unwrap(), Some(head(4)));
}

async fn of_many_processes_one_wins(open: impl Fn() -> Arc<dyn HeadRegister>) {
    let other = Origin::new("log.example/raced").unwrap();
    for (expected, sizes) in [(None, 1..9), (Some(()), 11..19)] {
        let found = open().read(&other).await.unwrap();
        assert_eq!(found.is_some(), expected.is_some());
        let mut racing = JoinSet::new();
        for size in sizes {
            let (register, other, found) = (open(), other.clone(), found.clone());
            let swap = async move { register.compare_and_swap(&other, found.as_ref(), &head_of(&other, size)).await };
            racing.spawn(swap);
        }
        let outcomes = racing.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let now = open().read(&other).await.unwrap();
        for outcome in outcomes {
            if let Err(refused) = outcome {
                let RegisterError::Conflict { found } = refused else { panic!("{refused:?}") };
                assert_eq!(found, now, "who lost is told what won");
            }
        }
    }
}

async fn logs_do_not_meet(open: impl Fn() -> Arc<dyn HeadRegister>) {
    let register = open();
    let other = Origin::new("log.example/other").unwrap();
    assert_eq!(register.read(&other).await.unwrap(), None);
    register.compare_and_swap(&other, None, &head_of(&other, 7)).await.unwrap();
    assert_eq!(register.read(&origin()).await.unwrap(), Some(head(4)));
}

async fn what_is_damaged_is_a_fault_and_never_an_absence(
    open: impl Fn() -> Arc<dyn HeadRegister>,
    overwrite: impl AsyncFn(String, Vec<u8>),
) {
    let (register, origin) = (open(), origin());
    register.compare_and_swap(&origin, Some(&head(4)), &head(5)).await.unwrap();
    let whole = String::from_utf8(document::write(&origin, &head(5))).unwrap();
    let other = head_of(&Origin::new("log.example/other").unwrap(), 5);
    let json = |note: Vec<u8>| serde_json::to_string(&String::from_utf8(note).unwrap()).unwrap();
    let cases = [
        String::new(),
        whole[..whole.len() / 2].to_owned(),
        format!("{whole}x"),
        whole.replace("\"size\":5", "\"size\":6"),
        whole.replace("\"size\":5", "\"size\":5,\"more\":1"),
        whole.replace("\"size\":5", "\"size\":-5"),
        whole.replace("\"origin\":\"log.example/backup\"", "\"origin\":\"log.example/other\""),
        whole.replace(&json(head(5).checkpoint), &json(other.checkpoint.clone())),
        String::from_utf8(document::write(&Origin::new("log.example/other").unwrap(), &other)).unwrap(),
        "x".repeat(usize::try_from(document::BYTES_MAX).unwrap() + 1),
    ];
    for damaged in cases {
        assert_ne!(damaged, whole);
        overwrite(document::name(&origin), damaged.clone().into_bytes()).await;
        assert!(register.read(&origin).await.is_err(), "{damaged}");
        let swapped = register.compare_and_swap(&origin, Some(&head(5)), &head(6)).await;
        assert!(matches!(swapped, Err(RegisterError::Fault(_))), "{swapped:?}");
        let swapped = register.compare_and_swap(&origin, None, &head(6)).await;
        assert!(matches!(swapped, Err(RegisterError::Fault(_))), "{swapped:?}");
    }
    overwrite(document::name(&origin), whole.into_bytes()).await;
    assert_eq!(register.read(&origin).await.unwrap(), Some(head(5)));
}
