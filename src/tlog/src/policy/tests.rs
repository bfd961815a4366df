use super::*;
use crate::cosignature::TIMESTAMP_MAX;
use crate::note::testkit::{TestKey, head_of_one, spoilt};
use crate::note::{NoteSignature, SignedNote};
use alloc::format;
use alloc::string::String;
use alloc::vec;

const ORIGIN: &str = "log.example";

/// Witnesses and the seconds since 1970 at which they cosigned.
type Stamps = [(u8, u64)];

fn log() -> TestKey {
    TestKey::log(ORIGIN, 1)
}

fn witness(n: u8) -> TestKey {
    TestKey::witness(&format!("w{n}.example"), 10 + n)
}

/// One log, witnesses 1 to `n` named `w1`… and the given lines.
fn policy(n: u8, lines: &str) -> Policy {
    let witnesses: Vec<String> = (1..=n).map(|n| format!("witness w{n} {}\n", witness(n).vkey)).collect();
    Policy::parse(format!("log {}\n{}{lines}\n", log().vkey, witnesses.concat()).as_bytes()).unwrap()
}

fn text() -> String {
    head_of_one(ORIGIN, b"entry").text()
}

fn checkpoint(lines: Vec<NoteSignature>) -> SignedCheckpoint {
    SignedCheckpoint::parse(&SignedNote::new(&text(), lines).unwrap().to_bytes()).unwrap()
}

/// A checkpoint signed by the log and cosigned by witnesses at times.
fn cosigned(stamps: &Stamps) -> SignedCheckpoint {
    let mut lines = vec![log().sign(&text())];
    lines.extend(stamps.iter().map(|(n, time)| witness(*n).cosign(&text(), *time)));
    checkpoint(lines)
}

fn bad(key: &TestKey) -> NoteError {
    NoteError::BadSignature { name: key.vkey.name().clone(), id: key.vkey.id() }
}

#[test]
fn a_witnessed_checkpoint_says_who_signed_and_when() {
    let policy = policy(3, "group g 2 w1 w2 w3\nquorum g");
    let signed = cosigned(&[(3, 30), (1, 10)]);
    let witnessed = policy.verify(&signed).unwrap();
    assert_eq!(witnessed.checkpoint(), signed.checkpoint());
    assert_eq!(witnessed.log_key(), &log().vkey);
    assert_eq!(witnessed.cosigned(), [(witness(3).vkey, 30), (witness(1).vkey, 10)]);
    assert_eq!(witnessed.time(), Some(10));
}

#[test]
fn the_head_time_is_the_latest_at_which_a_quorum_had_cosigned() {
    let three_of_four = "group g 3 w1 w2 w3 w4\nquorum g";
    let two_and_any = "group x 2 w1 w2 w3\ngroup y any w4 w5\ngroup g all x y\nquorum g";
    let cases: &[(&str, &Stamps, Option<u64>)] = &[
        ("quorum none", &[], None),
        ("quorum none", &[(1, 10), (2, 20)], None),
        ("quorum w1", &[(1, 10)], Some(10)),
        // A witness outside the quorum moves nothing, in neither direction.
        ("quorum w1", &[(1, 10), (2, 20), (3, 5)], Some(10)),
        (three_of_four, &[(1, 10), (2, 20), (3, 30)], Some(10)),
        (three_of_four, &[(1, 10), (2, 20), (3, 30), (4, 40)], Some(20)),
        (three_of_four, &[(4, 10), (3, 10), (2, 10), (1, 10)], Some(10)),
        // One liar in the far future, or in the far past, does not move it beyond what honest witnesses say.
        (three_of_four, &[(1, 10), (2, 11), (3, 12), (4, TIMESTAMP_MAX)], Some(11)),
        (three_of_four, &[(1, 10), (2, 11), (3, 12), (4, 1)], Some(10)),
        (two_and_any, &[(1, 10), (2, 20), (3, 30), (4, 15), (5, 40)], Some(20)),
        (two_and_any, &[(1, 10), (2, 20), (3, 30), (4, 15)], Some(15)),
    ];
    for (quorum, stamps, expect) in cases {
        let time = policy(5, quorum).verify(&cosigned(stamps)).unwrap().time();
        assert_eq!(time, *expect, "{quorum} {stamps:?}");
    }
}

#[test]
fn too_few_cosignatures_are_refused_with_those_found() {
    let policy = policy(4, "group g 3 w1 w2 w3 w4\nquorum g");
    let check = |signed: &SignedCheckpoint, found: &[u8]| {
        let found = found.iter().map(|n| witness(*n).vkey.name().clone()).collect();
        assert_eq!(policy.verify(signed), Err(PolicyError::QuorumNotMet { found }));
    };
    check(&cosigned(&[]), &[]);
    check(&cosigned(&[(2, 10), (1, 10)]), &[2, 1]);
    // Timestamps that never count do not spoil the checkpoint either.
    check(&cosigned(&[(1, 10), (2, 0), (3, u64::MAX), (4, 10)]), &[1, 4]);
    // An unknown witness is ignored, also if its line is bad.
    let mut lines = cosigned(&[(1, 10), (2, 10), (9, 10)]).note().signatures().to_vec();
    lines.push(spoilt(witness(8).cosign(&text(), 10)));
    check(&checkpoint(lines), &[1, 2]);
}

#[test]
fn a_cosignature_of_another_checkpoint_spoils_this_one() {
    let policy = policy(1, "quorum none");
    let other = head_of_one(ORIGIN, b"other").text();
    let signed = checkpoint(vec![log().sign(&text()), witness(1).cosign(&other, 10)]);
    assert_eq!(policy.verify(&signed), Err(PolicyError::WitnessSignature(bad(&witness(1)))));
}

#[test]
fn one_bad_cosignature_spoils_a_checkpoint_that_has_a_quorum_without_it() {
    let policy = policy(3, "group g 2 w1 w2 w3\nquorum g");
    let mut lines = cosigned(&[(1, 10), (2, 10)]).note().signatures().to_vec();
    lines.push(spoilt(witness(3).cosign(&text(), 10)));
    assert_eq!(policy.verify(&checkpoint(lines)), Err(PolicyError::WitnessSignature(bad(&witness(3)))));
}

#[test]
fn two_lines_of_one_witness_or_log_are_refused() {
    let policy = policy(2, "group g 2 w1 w2\nquorum g");
    let of = |key: &TestKey| NoteError::DuplicateSignature { name: key.vkey.name().clone(), id: key.vkey.id() };
    let twice = cosigned(&[(1, 10), (1, 11), (2, 10)]);
    assert_eq!(policy.verify(&twice), Err(PolicyError::WitnessSignature(of(&witness(1)))));
    let twice = checkpoint(vec![log().sign(&text()), log().sign(&text())]);
    assert_eq!(policy.verify(&twice), Err(PolicyError::LogSignature(of(&log()))));
}

#[test]
fn an_origin_that_the_policy_does_not_list_is_unknown() {
    let policy = Policy::parse(format!("log {}\nquorum none\n", TestKey::log("other.example", 1).vkey).as_bytes());
    let expect = PolicyError::UnknownOrigin { origin: Origin::new(ORIGIN).unwrap() };
    assert_eq!(policy.unwrap().verify(&cosigned(&[])), Err(expect.clone()));
    assert_eq!(Policy::parse(b"quorum none\n").unwrap().verify(&cosigned(&[])), Err(expect));
}

#[test]
fn the_log_s_own_signature_is_required() {
    let policy = policy(1, "quorum w1");
    let cosignature = witness(1).cosign(&text(), 10);
    let check = |lines, expect| assert_eq!(policy.verify(&checkpoint(lines)), Err(PolicyError::LogSignature(expect)));
    check(vec![cosignature.clone()], NoteError::NoKnownSignature);
    check(vec![TestKey::log(ORIGIN, 2).sign(&text()), cosignature.clone()], NoteError::NoKnownSignature);
    check(vec![spoilt(log().sign(&text())), cosignature], bad(&log()));
}

#[test]
fn any_listed_key_of_the_origin_suffices_and_each_is_checked() {
    let (old, new) = (log(), TestKey::log(ORIGIN, 2));
    let text_of_policy = format!("log {}\nlog {}\nquorum none\n", old.vkey, new.vkey);
    let policy = Policy::parse(text_of_policy.as_bytes()).unwrap();
    let text = text();
    for key in [&old, &new] {
        assert_eq!(policy.verify(&checkpoint(vec![key.sign(&text)])).unwrap().log_key(), &key.vkey);
    }
    let spoiler = checkpoint(vec![old.sign(&text), spoilt(new.sign(&text))]);
    assert_eq!(policy.verify(&spoiler), Err(PolicyError::LogSignature(bad(&new))));
}

#[test]
fn a_log_s_signature_is_never_a_cosignature() {
    // The log's name as a witness's name: another key and another type, so another line.
    let namesake = TestKey::witness(ORIGIN, 7);
    let text_of_policy = format!("log {}\nwitness w {}\nquorum w\n", log().vkey, namesake.vkey);
    let policy = Policy::parse(text_of_policy.as_bytes()).unwrap();
    assert_eq!(policy.verify(&cosigned(&[])), Err(PolicyError::QuorumNotMet { found: vec![] }));
    let signed = cosigned(&[]).with_signature(namesake.cosign(&text(), 10));
    assert_eq!(policy.verify(&signed).unwrap().cosigned(), [(namesake.vkey, 10)]);
}

#[test]
fn a_witness_counts_once_with_either_of_its_keys_or_with_both() {
    let (first, second) = (TestKey::ml_dsa("w1.example", 7), witness(2));
    let lines = format!(
        "log {}\nwitness a {}\nwitness a-pq {}\ngroup w1 any a a-pq\nwitness b {}\ngroup g 2 w1 b\nquorum g\n",
        log().vkey,
        witness(1).vkey,
        first.vkey,
        second.vkey
    );
    let policy = Policy::parse(lines.as_bytes()).unwrap();
    assert!(policy.verify(&cosigned(&[(1, 10), (2, 10)])).is_ok());
    let pq = first.cosign(&text(), 12);
    assert!(policy.verify(&cosigned(&[(2, 10)]).with_signature(pq.clone())).is_ok());
    // Two signatures of one witness are one witness.
    let one = policy.verify(&cosigned(&[(1, 10)]).with_signature(pq.clone()));
    assert_eq!(one, Err(PolicyError::QuorumNotMet { found: vec![first.vkey.name().clone()] }));
    let both = policy.verify(&cosigned(&[(1, 10), (2, 10)]).with_signature(pq.clone())).unwrap();
    assert_eq!((both.cosigned().len(), both.witnesses().len()), (3, 2));
    let spoiled = policy.verify(&cosigned(&[(1, 10), (2, 10)]).with_signature(spoilt(pq)));
    assert!(matches!(spoiled, Err(PolicyError::WitnessSignature(_))), "{spoiled:?}");
}

#[test]
fn a_log_may_be_listed_with_its_ml_dsa_key() {
    let key = TestKey::ml_dsa(ORIGIN, 9);
    let policy = Policy::parse(format!("log {}\nquorum none\n", key.vkey).as_bytes()).unwrap();
    let signed = cosigned(&[]).with_signature(key.cosign(&text(), 5));
    assert_eq!(policy.verify(&signed).unwrap().log_key(), &key.vkey);
    assert!(matches!(policy.verify(&cosigned(&[])), Err(PolicyError::LogSignature(NoteError::NoKnownSignature))));
}
