use countermark_bundle::countersignature::verify;

use super::*;
use crate::ledger::NewRow;
use crate::ledger::memory::MemoryLedger;
use crate::ports::Ledger;
use crate::testing::*;

/// Receipts of epochs 1 and 2, and the ledger row of epoch 1.
async fn receipts_and_row() -> (VerifiedReceipt, VerifiedReceipt, LedgerRow) {
    let log = World::new().log;
    log.certify(1);
    log.certify(2);
    let view = view_of(&log).await;
    let (first, second) = (receipt_of(&log, &view, 1).await, receipt_of(&log, &view, 2).await);
    let row = MemoryLedger::default().commit_row(&NewRow::new(&first, decision(), at(NOW))).await.unwrap();
    (first, second, row)
}

#[tokio::test]
async fn a_countersignature_covers_origin_epoch_digest_place_and_certificate() {
    let (receipt, _, row) = receipts_and_row().await;
    let signatures = Signatures::default();
    let key = OperatorKey::new(Box::new(Keys::operator().recorded_by(&signatures))).unwrap();
    let countersignature = key.countersign(&receipt, &row).unwrap();
    let tuple = Countersigned {
        origin: &origin(),
        epoch: epoch(1),
        statement: receipt.digest(),
        leaf_index: index(1),
        certificate_signature: &receipt.certificate().signature,
    };
    verify(&tuple, &[countersignature], &[key.public().clone()], 1).unwrap();
    let message = signatures.messages().remove(0);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[..3], ["countermark/countersignature/v1", ORIGIN, "1"]);
    assert_eq!(lines.len(), 6);
}

#[tokio::test]
async fn a_receipt_with_the_row_of_another_statement_is_not_countersigned() {
    let (_, other, row) = receipts_and_row().await;
    let key = OperatorKey::new(Box::new(Keys::operator())).unwrap();
    assert!(matches!(key.countersign(&other, &row), Err(CountersignError::OtherRow { .. })));
}

#[tokio::test]
async fn a_signature_that_does_not_verify_is_not_released() {
    let (receipt, _, row) = receipts_and_row().await;
    let broken = Keys::second_operator().claiming(&Keys::operator());
    let key = OperatorKey::new(Box::new(broken)).unwrap();
    assert!(matches!(key.countersign(&receipt, &row), Err(CountersignError::SelfCheck(_))));
    let key = OperatorKey::new(Box::new(Keys::operator().unplugged())).unwrap();
    assert!(matches!(key.countersign(&receipt, &row), Err(CountersignError::Sign(_))));
}

#[test]
fn a_key_of_another_purpose_does_not_countersign() {
    let refused = OperatorKey::new(Box::new(Keys::officer())).unwrap_err();
    assert!(matches!(refused, OperatorKeyError::WrongRole { found: Role::Officer }));
    let misplaced = Keys::operator().claiming(&Keys::officer());
    assert!(matches!(OperatorKey::new(Box::new(misplaced)), Err(OperatorKeyError::Key(_))));
}
