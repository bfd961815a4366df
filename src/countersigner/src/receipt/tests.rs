use countermark_tlog::tlog_proof::TlogProof;

use super::*;
use crate::testing::*;

/// A log with one certified statement at index 1, and the entry as it serves it.
async fn served() -> (World, crate::follow::View, UntrustedEntry) {
    let world = World::new();
    world.log.certify(1);
    let view = view_of(&world.log).await;
    let entry = UntrustedEntry::fetch(&world.log, index(1), view.head().unwrap()).await.unwrap();
    (world, view, entry)
}

fn verify(view: &crate::follow::View, entry: UntrustedEntry) -> Result<VerifiedReceipt, ReceiptError> {
    let rules = view.replay().admission_rules(epoch(1));
    entry.verify(view.head().unwrap(), view.replay().state(), rules)
}

#[tokio::test]
async fn a_receipt_is_a_tlog_proof_that_verifies_offline() {
    let (_, view, entry) = served().await;
    let leaf = leaf_hash(&entry.bytes);
    let receipt = verify(&view, entry).unwrap();
    let proof = TlogProof::parse(receipt.proof()).unwrap();
    proof.verify(trust().authority().unwrap().policy(), leaf).unwrap();
    assert_eq!((receipt.epoch(), receipt.index()), (epoch(1), index(1)));
    assert_eq!(receipt.approvers(), [name("officer")]);
}

#[tokio::test]
async fn every_flipped_byte_of_entry_and_path_is_noticed() {
    let (_, view, entry) = served().await;
    for place in 0..entry.bytes.len() {
        let mut flipped = entry.clone();
        flipped.bytes[place] ^= 1;
        assert!(matches!(verify(&view, flipped), Err(ReceiptError::Inclusion { .. })), "byte {place}");
    }
    for (number, _) in entry.path.hashes().iter().enumerate() {
        let mut hashes = entry.path.hashes().to_vec();
        hashes[number].0[7] ^= 1;
        let flipped = UntrustedEntry { path: InclusionProof::new(hashes).unwrap(), ..entry.clone() };
        assert!(matches!(verify(&view, flipped), Err(ReceiptError::Inclusion { .. })), "hash {number}");
    }
    let elsewhere = UntrustedEntry { index: index(0), ..entry };
    assert!(matches!(verify(&view, elsewhere), Err(ReceiptError::Inclusion { .. })));
}

#[tokio::test]
async fn an_entry_of_another_type_is_no_receipt() {
    let (world, view, _) = served().await;
    let policy = UntrustedEntry::fetch(&world.log, index(0), view.head().unwrap()).await.unwrap();
    assert!(matches!(verify(&view, policy), Err(ReceiptError::OtherType { .. })));
}

#[tokio::test]
async fn an_included_entry_that_was_not_replayed_is_no_receipt() {
    let (world, view, entry) = served().await;
    let empty = view_of(&World::new().log).await;
    let error = entry.clone().verify(view.head().unwrap(), empty.replay().state(), None).unwrap_err();
    assert!(matches!(error, ReceiptError::NotReplayed { .. }));
    // The same statement a second time, which the hard rules forbid.
    world.log.push_unchecked(&entry.bytes);
    let head = VerifiedHead::verify(&world.log.note(&[NOW; 3]), &trust().authority().unwrap()).unwrap();
    let twice = UntrustedEntry::fetch(&world.log, index(2), &head).await.unwrap();
    let rules = view.replay().admission_rules(epoch(1));
    let error = twice.verify(&head, view.replay().state(), rules).unwrap_err();
    assert!(matches!(error, ReceiptError::NotReplayed { .. }));
}

#[tokio::test]
async fn bytes_that_are_no_entry_are_no_receipt() {
    let world = World::new();
    world.log.push_unchecked(b"{}");
    let head = VerifiedHead::verify(&world.log.note(&[NOW; 3]), &trust().authority().unwrap()).unwrap();
    let entry = UntrustedEntry::fetch(&world.log, index(1), &head).await.unwrap();
    let view = view_of(&World::new().log).await;
    let error = entry.verify(&head, view.replay().state(), None).unwrap_err();
    assert!(matches!(error, ReceiptError::Entry { .. }));
}

#[tokio::test]
async fn certificate_and_approvals_count_under_the_rules_in_force_there() {
    let (_, view, entry) = served().await;
    let (head, state) = (view.head().unwrap(), view.replay().state());
    let rules = view.replay().admission_rules(epoch(1)).unwrap();
    let others = AdmissionRules { certificate_keys: vec![Keys::log().public().clone()], ..rules.clone() };
    let error = entry.clone().verify(head, state, Some(&others)).unwrap_err();
    assert!(matches!(error, ReceiptError::Certificate(CertificateError::UnknownKey { .. })));
    let more = AdmissionRules { approvals_needed: 2, ..rules.clone() };
    let error = entry.verify(head, state, Some(&more)).unwrap_err();
    assert!(matches!(error, ReceiptError::Approval(ApprovalError::TooFew { .. })));
}

#[tokio::test]
async fn an_entry_that_cannot_be_fetched_says_why() {
    let (world, view, _) = served().await;
    let head = view.head().unwrap();
    let fetch = async |at| UntrustedEntry::fetch(&world.log, index(at), head).await.unwrap_err();
    assert!(matches!(fetch(2).await, FetchError::Outside { .. }));
    world.log.shorten_tiles(true);
    assert!(matches!(fetch(1).await, FetchError::Path(ProofReadError::Tile(_))));
    world.log.truncate_bundles();
    assert!(matches!(fetch(1).await, FetchError::Bundle(_)));
    world.log.unreachable(true);
    assert!(matches!(fetch(1).await, FetchError::Read(_)));
}
