use super::*;
use crate::testing::*;

fn verify(note: &[u8]) -> Result<VerifiedHead, HeadError> {
    VerifiedHead::verify(note, &trust().authority().unwrap())
}

#[test]
fn a_head_has_the_time_that_a_quorum_alone_vouches_for() {
    let log = World::new().log;
    let head = verify(&log.note(&[NOW + 5, NOW + 1, NOW + 9, NOW + 7])).unwrap();
    assert_eq!(head.head_time(), at(NOW + 5));
    assert_eq!(head.size(), size(1));
}

#[test]
fn a_kept_head_never_goes_back_in_time() {
    let log = World::new().log;
    let later = verify(&log.note(&[NOW + 9; 3])).unwrap().kept(None);
    let kept = verify(&log.note(&[NOW + 1; 3])).unwrap().kept(Some(&later));
    assert_eq!(kept.head_time, at(NOW + 9));
}

#[test]
fn two_of_four_witnesses_are_no_quorum() {
    let log = World::new().log;
    let error = verify(&log.note(&[NOW; 2])).unwrap_err();
    assert!(matches!(error, HeadError::Policy(PolicyError::QuorumNotMet { .. })));
}

#[test]
fn a_checkpoint_of_another_log_is_refused() {
    let note = World::new().log.note(&[NOW; 3]);
    let other = String::from_utf8(note).unwrap().replace(ORIGIN, "log.example/other");
    assert!(matches!(verify(other.as_bytes()), Err(HeadError::Policy(PolicyError::UnknownOrigin { .. }))));
}

#[test]
fn bytes_that_are_no_checkpoint_are_refused() {
    assert!(matches!(verify(b"log.example/backup\n"), Err(HeadError::Checkpoint(_))));
}

#[test]
fn every_flipped_byte_of_the_signed_text_is_noticed() {
    let note = World::new().log.note(&[NOW; 3]);
    let text = note.windows(2).position(|pair| pair == b"\n\n").unwrap();
    for place in 0..text {
        let mut flipped = note.clone();
        flipped[place] ^= 1;
        assert!(verify(&flipped).is_err(), "byte {place}");
    }
}

#[test]
fn a_quorum_of_nobody_is_refused() {
    let mut trust = trust();
    let (log_line, _) = trust.keys.policy.split_once('\n').unwrap();
    trust.keys.policy = format!("{log_line}\nquorum none\n");
    let note = World::new().log.note(&[]);
    let error = VerifiedHead::verify(&note, &trust.authority().unwrap()).unwrap_err();
    assert!(matches!(error, HeadError::QuorumNone));
}

#[test]
fn a_head_time_beyond_the_calendar_is_refused() {
    let found = 253_402_300_800;
    let error = verify(&World::new().log.note(&[found; 3])).unwrap_err();
    assert!(matches!(error, HeadError::Time { found: time } if time == found));
}
