use super::*;
use crate::authenticate::authenticate;
use crate::ports::CosignedHead;
use crate::testkit::following;
use crate::testkit::log::{TestLog, request};

const STORED_AT: u64 = 1_000;

fn log() -> TestLog {
    TestLog::new("log.example/a")
}

fn seconds(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

fn size(leaves: usize) -> TreeSize {
    TreeSize::new(leaves.try_into().unwrap()).unwrap()
}

/// The state after `leaves` entries of the log were cosigned.
fn cosigned(log: &TestLog, leaves: usize) -> HeadState {
    HeadState::Cosigned(CosignedHead {
        id: HeadId { size: size(leaves), root: log.root(leaves) },
        cosigned_at: seconds(STORED_AT),
        checkpoint: log.checkpoint(leaves).into_bytes(),
        cosignatures: String::new(),
    })
}

fn check(state: &HeadState, body: &[u8]) -> Result<AdmittedHead, Refusal> {
    let request = authenticate(body, &following(&[&log()])).unwrap();
    decide(state, request, seconds(STORED_AT + 1))
}

#[test]
fn every_honest_growth_is_admitted_and_no_fork_is() {
    let log = log();
    for old in 0..20 {
        let state = if old == 0 { HeadState::NeverCosigned } else { cosigned(&log, old) };
        for new in old..20 {
            let admitted = check(&state, &log.request(old, new)).unwrap();
            assert_eq!(admitted.checkpoint().id().root, log.root(new), "{old} to {new}");
            // A log that changed its last cosigned entry cannot show any proof from there.
            if let Some(last) = old.checked_sub(1) {
                let refusal = check(&state, &log.forked_at(last).request(old, new)).unwrap_err();
                match refusal {
                    Refusal::Fork { .. } => assert_eq!(old, new),
                    Refusal::Proof(_) => assert!(new > old),
                    other => panic!("{old} to {new}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn a_proof_that_is_changed_in_any_bit_shortened_or_lengthened_is_refused() {
    let log = log();
    let (old, new) = (5, 13);
    let honest = log.proof(old, new);
    let note = log.checkpoint(new);
    let state = cosigned(&log, old);
    let refuse = |proof: &[countermark_tlog::hash::Hash], case: &str| {
        let refusal = check(&state, &request(old, proof, &note)).unwrap_err();
        assert!(matches!(refusal, Refusal::Proof(_)), "{case}: {refusal:?}");
    };
    check(&state, &request(old, &honest, &note)).unwrap();
    for index in 0..honest.len() {
        for bit in 0..256 {
            let mut proof = honest.clone();
            proof[index].0[bit / 8] ^= 1 << (bit % 8);
            refuse(&proof, &format!("bit {bit} of hash {index}"));
        }
        let mut proof = honest.clone();
        proof.remove(index);
        refuse(&proof, &format!("without hash {index}"));
    }
    let mut proof = honest.clone();
    proof.push(honest[0]);
    refuse(&proof, "one hash more");
}

#[test]
fn the_first_head_and_a_renewal_need_an_empty_proof() {
    let log = log();
    let stray = [log.root(1).0];
    let cases = [(HeadState::NeverCosigned, 0, 7), (HeadState::NeverCosigned, 0, 0), (cosigned(&log, 7), 7, 7)];
    for (state, old, new) in cases {
        let note = log.checkpoint(new);
        check(&state, &request(old, &[], &note)).unwrap();
        let refusal = check(&state, &request(old, &stray, &note)).unwrap_err();
        assert!(matches!(refusal, Refusal::Proof(ProofError::TooLong { .. })), "{old} to {new}: {refusal:?}");
    }
}

#[test]
fn refusals_come_in_the_order_of_the_specification() {
    let log = log();
    let other_empty = log.note(&log.text(1).replace("\n1\n", "\n0\n"));
    let cases: [(&str, HeadState, Vec<u8>, Refusal); 9] = [
        (
            "old above size comes before the stored size",
            cosigned(&log, 3),
            log_request(9, 7),
            Refusal::OldAboveSize { old: size(9), size: size(7) },
        ),
        (
            "old below the stored size",
            cosigned(&log, 5),
            log_request(3, 7),
            Refusal::OtherOldSize { old: size(3), stored: size(5) },
        ),
        (
            "old above the stored size",
            cosigned(&log, 2),
            log_request(3, 7),
            Refusal::OtherOldSize { old: size(3), stored: size(2) },
        ),
        (
            "old and never cosigned",
            HeadState::NeverCosigned,
            log_request(3, 7),
            Refusal::OtherOldSize { old: size(3), stored: size(0) },
        ),
        (
            "a smaller head than the stored one",
            cosigned(&log, 7),
            log_request(3, 5),
            Refusal::OtherOldSize { old: size(3), stored: size(7) },
        ),
        (
            "a stale old size comes before a bad proof",
            cosigned(&log, 5),
            request(3, &[], &log.checkpoint(7)),
            Refusal::OtherOldSize { old: size(3), stored: size(5) },
        ),
        (
            "another empty root after a stale old size",
            cosigned(&log, 5),
            request(0, &[], &other_empty),
            Refusal::OtherOldSize { old: size(0), stored: size(5) },
        ),
        (
            "another empty root",
            HeadState::NeverCosigned,
            request(0, &[], &other_empty),
            Refusal::OtherEmptyRoot { found: log.root(1) },
        ),
        (
            "another root for the stored size",
            cosigned(&log, 5),
            log.forked_at(2).request(5, 5),
            Refusal::Fork { origin: log.origin(), size: size(5), stored: log.root(5), found: log.forked_at(2).root(5) },
        ),
    ];
    for (case, state, body, expect) in cases {
        assert_eq!(check(&state, &body).unwrap_err(), expect, "{case}");
    }
}

/// Any proof: what is tested is refused before it is looked at.
fn log_request(old: usize, new: usize) -> Vec<u8> {
    request(old, &[], &log().checkpoint(new))
}

#[test]
fn an_empty_log_is_cosigned_and_grown_from() {
    let log = log();
    let first = check(&HeadState::NeverCosigned, &log.request(0, 0)).unwrap();
    assert_eq!(first.checkpoint().id().root, empty_root());
    check(&cosigned(&log, 0), &log.request(0, 0)).unwrap();
    check(&cosigned(&log, 0), &log.request(0, 4)).unwrap();
}

#[test]
fn a_clock_that_goes_back_stands_still_in_cosignatures() {
    let log = log();
    let state = cosigned(&log, 5);
    let cases = [(STORED_AT - 1, STORED_AT), (STORED_AT, STORED_AT), (STORED_AT + 1, STORED_AT + 1)];
    for (now, expect) in cases {
        let request = authenticate(&log.request(5, 7), &following(&[&log])).unwrap();
        let admitted = decide(&state, request, seconds(now)).unwrap();
        assert_eq!(admitted.cosign_at(), seconds(expect), "at {now}");
    }
}
