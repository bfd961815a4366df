use super::*;
use crate::testing::{Lie, TestLog, World, index, size};

#[tokio::test]
async fn an_entry_is_proven_by_its_index_and_by_its_leaf_hash() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let (world, len) = (log.world(), log.world().len());
    let leaf = leaf_hash(world.grown.entry(7).unwrap());
    for sought in [Sought::Index(index(7)), Sought::Leaf(leaf)] {
        let proven = prove_inclusion(&log.reader, &world.trust, sought).await.unwrap();
        assert_eq!((proven.index, proven.leaf_hash), (index(7), leaf));
        assert_eq!((proven.proof, proven.head.size()), (world.grown.inclusion(7, len), size(len)));
    }
}

#[tokio::test]
async fn an_inclusion_that_the_log_cannot_prove_is_not_proven() {
    let log = TestLog::serve(World::grown_to(20)).await;
    let (world, len) = (log.world(), log.world().len());
    let prove = async |sought| prove_inclusion(&log.reader, &world.trust, sought).await.unwrap_err();
    let beyond = prove(Sought::Index(index(len))).await;
    assert!(matches!(beyond, ProveError::BeyondHead { .. }) && beyond.exit_class() == ExitClass::NotChecked);
    let unknown = prove(Sought::Leaf(leaf_hash(b"never logged"))).await;
    assert!(matches!(&unknown, ProveError::Fetch(error) if error.is_not_found()));
    // Another entry at that place.
    log.lie("v1/backup/entries/7", Lie::Bytes(world.grown.entry(8).unwrap().clone()));
    let swapped = prove(Sought::Index(index(7))).await;
    assert!(matches!(swapped, ProveError::Proof(_)) && swapped.exit_class() == ExitClass::Proof);
    // A wrong index for a leaf hash.
    let leaf = leaf_hash(world.grown.entry(9).unwrap());
    let lie = format!(r#"{{"index":8,"size":{len},"leaf_hash":"{leaf}","path":[]}}"#);
    log.lie(&format!("v1/backup/proofs/inclusion?leaf_hash={leaf}&size={len}"), Lie::Bytes(lie.into_bytes()));
    assert_eq!(prove(Sought::Leaf(leaf)).await.exit_class(), ExitClass::Proof);
    log.lie("backup/checkpoint", Lie::Status(503, ""));
    assert!(matches!(prove(Sought::Leaf(leaf)).await, ProveError::Head(_)));
}

#[tokio::test]
async fn growth_is_proven_between_any_two_sizes() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let (world, len) = (log.world(), log.world().len());
    for (from, to) in [(0, None), (1, None), (7, Some(256)), (256, Some(257)), (len, None), (9, Some(9))] {
        for from_root in [None, Some(world.grown.root(from))] {
            let to_size = to.map(size);
            let proven = prove_consistency(&log.reader, &world.trust, size(from), from_root, to_size).await.unwrap();
            let to = to.unwrap_or(len);
            assert_eq!((proven.from_root, proven.to_root), (world.grown.root(from), world.grown.root(to)));
            assert_eq!((proven.from, proven.to), (size(from), size(to)));
        }
    }
}

#[tokio::test]
async fn inconsistent_growth_is_not_proven() {
    let log = TestLog::serve(World::grown_to(20)).await;
    let (world, len) = (log.world(), log.world().len());
    let prove = async |from: u64, root, to: Option<u64>| {
        prove_consistency(&log.reader, &world.trust, size(from), root, to.map(size)).await.unwrap_err()
    };
    // A head that the caller kept, of another history.
    let kept = prove(7, Some(world.grown.root(8)), None).await;
    assert!(matches!(kept, ProveError::Proof(ProofError::FromRootMismatch { .. } | ProofError::RootMismatch { .. })));
    assert_eq!(kept.exit_class(), ExitClass::Proof);
    let shrinks = prove(9, None, Some(8)).await;
    assert!(matches!(shrinks, ProveError::Proof(ProofError::Shrinks { .. })));
    assert!(matches!(prove(9, None, Some(len + 1)).await, ProveError::BeyondHead { .. }));
    let lie = format!(r#"{{"from":7,"to":{len},"proof":[]}}"#);
    log.lie(&format!("v1/backup/proofs/consistency?from=7&to={len}"), Lie::Bytes(lie.into_bytes()));
    assert!(matches!(prove(7, None, None).await, ProveError::Proof(ProofError::TooShort { .. })));
    let edge = format!("backup/tile/0/000.p/{len}");
    log.lie(&edge, Lie::Bytes(vec![0; usize::try_from(len * 32).unwrap()]));
    assert!(matches!(prove(7, None, None).await, ProveError::Tree(TreeError::Root { .. })));
}

#[tokio::test]
async fn a_trust_file_that_breaks_a_rule_proves_nothing() {
    let mut world = World::active();
    world.trust.keys.certificate.clear();
    let log = TestLog::serve(world).await;
    let error = prove_inclusion(&log.reader, &log.world().trust, Sought::Index(index(0))).await.unwrap_err();
    assert!(matches!(error, ProveError::Trust(_)) && error.exit_class() == ExitClass::Malformed);
}
