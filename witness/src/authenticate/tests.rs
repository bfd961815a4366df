use super::*;
use crate::testkit::following;
use crate::testkit::log::{TestLog, request};

fn log() -> TestLog {
    TestLog::new("log.example/a")
}

fn check(body: &[u8]) -> Result<AuthenticRequest, AuthenticateError> {
    authenticate(body, &following(&[&log()]))
}

#[test]
fn a_checkpoint_that_the_log_signed_is_authentic() {
    let log = log();
    let request = check(&log.request(3, 7)).unwrap();
    assert_eq!(request.old.get(), 3);
    assert_eq!(request.proof.hashes(), log.proof(3, 7));
    assert_eq!(request.checkpoint.origin(), &log.origin());
    assert_eq!(request.checkpoint.id().size.get(), 7);
    assert_eq!(request.checkpoint.id().root, log.root(7));
    assert_eq!(request.checkpoint.text(), log.text(7));
}

#[test]
fn only_lines_of_the_logs_keys_are_kept() {
    let log = log();
    let stranger = TestLog::new("stranger.example").with_key(3).line(&log.text(7)).to_line();
    // A stranger under the log's own name: another key identifier, so not the log's key.
    let namesake = log.with_key(4).line(&log.text(7)).to_line();
    let noisy = format!("{}{stranger}{namesake}", log.checkpoint(7));
    let request = check(&request(0, &[], &noisy)).unwrap();
    assert_eq!(request.checkpoint.to_bytes(), log.checkpoint(7).as_bytes());
}

#[test]
fn every_verified_line_of_several_keys_is_kept() {
    let log = log();
    let second = log.with_key(2);
    let mut logs = FollowedLogs::default();
    let vkeys = [log.vkey(), second.vkey()].map(|key| key.to_string());
    logs.follow(&log.origin, &vkeys, crate::REQUESTS_PER_DAY).unwrap();
    let note = log.checkpoint(7) + &second.line(&log.text(7)).to_line();
    let request = authenticate(&request(0, &[], &note), &logs).unwrap();
    assert_eq!(request.checkpoint.to_bytes(), note.as_bytes());
}

#[test]
fn extension_lines_are_part_of_what_was_signed() {
    let log = log();
    let text = log.text(7) + "an extension\nanother\n";
    let request = check(&request(0, &[], &log.note(&text))).unwrap();
    assert_eq!(request.checkpoint.text(), text);
}

#[test]
fn a_wrong_empty_root_is_left_to_the_decision_once_the_log_signed_it() {
    let log = log();
    let text = log.text(1).replace("\n1\n", "\n0\n");
    let authentic = check(&request(0, &[], &log.note(&text))).unwrap();
    assert_eq!(authentic.checkpoint.id().size, TreeSize::ZERO);
    assert_eq!(authentic.checkpoint.id().root, log.root(1));
    // Nothing else is let through on this way.
    let unsigned = log.with_key(9).note(&text);
    let error = check(&request(0, &[], &unsigned)).unwrap_err();
    assert!(matches!(error, AuthenticateError::NotSigned { .. }), "{error:?}");
    let unknown = text.replace("log.example/a", "log.example/b");
    let error = check(&request(0, &[], &log.note(&unknown))).unwrap_err();
    assert!(matches!(error, AuthenticateError::UnknownOrigin { .. }), "{error:?}");
    let bad_origin = text.replace("log.example/a", "log example");
    let error = check(&request(0, &[], &log.note(&bad_origin))).unwrap_err();
    assert!(matches!(error, AuthenticateError::MalformedCheckpoint(CheckpointError::Origin)), "{error:?}");
}

#[test]
fn refusals_come_in_the_order_of_the_specification() {
    type Expected = fn(&AuthenticateError) -> bool;
    let log = log();
    let unknown = TestLog::new("log.example/b");
    let cases: [(&str, Vec<u8>, Expected); 7] = [
        ("no request", b"new 1\n".to_vec(), |e| matches!(e, AuthenticateError::MalformedRequest(_))),
        ("no checkpoint", request(0, &[], "hello\n"), |e| matches!(e, AuthenticateError::MalformedCheckpoint(_))),
        ("malformed and unknown", request(0, &[], &unknown.note("log.example/b\n01\nAA==\n")), |e| {
            matches!(e, AuthenticateError::MalformedCheckpoint(_))
        }),
        ("unknown and unsigned", request(0, &[], &log.note(&unknown.text(7))), |e| {
            matches!(e, AuthenticateError::UnknownOrigin { .. })
        }),
        ("unknown key", log.with_key(9).request(0, 7), |e| {
            matches!(e, AuthenticateError::NotSigned { source: NoteError::NoKnownSignature, .. })
        }),
        ("known key, other text", request(0, &[], &log.checkpoint(7).replace("\n7\n", "\n8\n")), |e| {
            matches!(e, AuthenticateError::NotSigned { source: NoteError::BadSignature { .. }, .. })
        }),
        ("one key twice", request(0, &[], &(log.checkpoint(7) + &log.line(&log.text(7)).to_line())), |e| {
            matches!(e, AuthenticateError::NotSigned { source: NoteError::DuplicateSignature { .. }, .. })
        }),
    ];
    for (case, body, expected) in cases {
        let error = check(&body).unwrap_err();
        assert!(expected(&error), "{case}: {error:?}");
    }
}

#[test]
fn no_flipped_bit_of_a_checkpoint_is_authentic() {
    let body = log().request(0, 5);
    let begin = "old 0\n\n".len();
    for index in begin..body.len() {
        for bit in 0..8 {
            let mut flipped = body.clone();
            flipped[index] ^= 1 << bit;
            assert!(check(&flipped).is_err(), "bit {bit} of byte {index}");
        }
    }
}
