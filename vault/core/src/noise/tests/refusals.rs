//! What is refused before there is a session, and inside one.

use super::*;

#[test]
fn every_changed_byte_of_the_opening_is_refused() {
    let (_opening, bytes) = open();
    for (index, changed) in flipped(&bytes) {
        let refused = answer(&context(), &changed, 2).unwrap_err();
        let expected = match index {
            0..32 => matches!(refused, NoiseError::OtherStatement { adopted, .. } if adopted == context().statement),
            // A changed key may also be one that is refused as such.
            32..64 => matches!(refused, NoiseError::NotAuthentic | NoiseError::PeerKey),
            _ => refused == NoiseError::NotAuthentic,
        };
        assert!(expected, "byte {index}: {refused:?}");
    }
}

#[test]
fn every_changed_byte_of_the_answer_is_refused() {
    let (_opening, bytes) = open();
    let (answer, _member) = answer(&context(), &bytes, 2).unwrap();
    for (index, changed) in flipped(&answer) {
        let (opening, _bytes) = open();
        let refused = opening.finish(&changed, &testing::public(MEMBER)).unwrap_err();
        assert!(matches!(refused, NoiseError::NotAuthentic | NoiseError::PeerKey), "byte {index}: {refused:?}");
    }
}

#[test]
fn every_changed_byte_of_a_frame_is_refused_and_closes_the_channel() {
    let (mut client, _member) = pair();
    let frame = client.seal(b"message").unwrap();
    for (index, changed) in flipped(&frame) {
        let (_client, mut member) = pair();
        assert_eq!(member.open(&changed).unwrap_err(), NoiseError::NotAuthentic, "byte {index}");
        assert_eq!(member.open(&frame).unwrap_err(), NoiseError::Closed);
        assert_eq!(member.seal(b"").unwrap_err(), NoiseError::Closed);
    }
}

#[test]
fn other_lengths_are_refused() {
    let (_opening, bytes) = open();
    let (good, _member) = answer(&context(), &bytes, 2).unwrap();
    for length in [0, 1, 31, 32, 79] {
        let expect = NoiseError::Length { expected: OPENING_BYTES, found: length };
        assert_eq!(answer(&context(), &bytes[..length], 2).unwrap_err(), expect);
        assert_eq!(server::untrusted_statement(&bytes[..length]).unwrap_err(), expect);
    }
    assert!(answer(&context(), &[&bytes[..], &[0]].concat(), 2).is_err());
    for length in [0, 16, 64, OPENED_BYTES - 1] {
        let (opening, _bytes) = open();
        let refused = opening.finish(&good[..length], &testing::public(MEMBER)).unwrap_err();
        assert_eq!(refused, NoiseError::Length { expected: OPENED_BYTES, found: length });
    }
    for length in [0, TAG_BYTES, FRAME_BYTES - 1, FRAME_BYTES + 1] {
        let (_client, mut member) = pair();
        let refused = member.open(&vec![0; length]).unwrap_err();
        assert_eq!(refused, NoiseError::Length { expected: FRAME_BYTES, found: length });
        assert_eq!(member.seal(b"").unwrap_err(), NoiseError::Closed);
    }
}

#[test]
fn a_message_that_no_frame_holds_is_refused_and_the_channel_lives() {
    let (mut client, mut member) = pair();
    for length in [MESSAGE_BYTES_MAX + 1, 65_535, 65_536] {
        let refused = client.seal(&vec![0; length]).unwrap_err();
        assert_eq!(refused, NoiseError::TooLong { max: MESSAGE_BYTES_MAX, found: length });
    }
    let frame = client.seal(b"shorter").unwrap();
    assert_eq!(*member.open(&frame).unwrap(), b"shorter");
}

#[test]
fn ends_that_do_not_agree_on_the_context_get_no_channel() {
    let (_opening, bytes) = open();
    let other_origin = countermark_tlog::checkpoint::Origin::new("log.example/other").unwrap();
    for member in [
        SessionContext { origin: other_origin, ..context() },
        SessionContext { fleet_id: testing::name("fleet-2"), ..context() },
        SessionContext { member_id: testing::name("member-8"), ..context() },
    ] {
        assert_eq!(answer(&member, &bytes, 2).unwrap_err(), NoiseError::NotAuthentic, "{member:?}");
    }
}

#[test]
fn another_statement_is_refused_even_where_the_relay_rewrites_its_digest() {
    let (_opening, mut bytes) = open();
    let member = SessionContext { statement: Digest::of(b"the next statement"), ..context() };
    let refused = answer(&member, &bytes, 2).unwrap_err();
    assert_eq!(refused, NoiseError::OtherStatement { adopted: member.statement, found: context().statement });
    bytes[..32].copy_from_slice(&member.statement.0);
    assert_eq!(answer(&member, &bytes, 2).unwrap_err(), NoiseError::NotAuthentic);
}

#[test]
fn a_member_with_another_session_key_does_not_read_the_opening() {
    let (_opening, bytes) = open();
    let refused = server::accept(&context(), &bytes, session_key(8), &Identity(MEMBER), ID, &mut Seeded(2));
    assert_eq!(refused.unwrap_err(), NoiseError::NotAuthentic);
}

#[test]
fn a_member_with_another_identity_key_is_refused() {
    let (opening, bytes) = open();
    let (by_other, _member) =
        server::accept(&context(), &bytes, session_key(MEMBER), &Identity(8), ID, &mut Seeded(2)).unwrap();
    assert_eq!(opening.finish(&by_other, &testing::public(MEMBER)).unwrap_err(), NoiseError::Identity);
    let (opening, bytes) = open();
    let (good, _member) = answer(&context(), &bytes, 2).unwrap();
    assert_eq!(opening.finish(&good, &testing::public(8)).unwrap_err(), NoiseError::Identity);
    let agrees = PublicKey::new(KeyAlgorithm::X25519, &session_key(MEMBER).public_key()).unwrap();
    assert_eq!(open().0.finish(&good, &agrees).unwrap_err(), NoiseError::Identity, "a key that cannot sign");
}

/// The answer of a member that knows the session key and says `hello` inside, made of the session's hash.
fn saying(hello: impl FnOnce(&[u8; 32]) -> Vec<u8>) -> NoiseError {
    let (opening, bytes) = open();
    let prologue = to_sign::session_prologue(&context());
    let mut handshake = Handshake::server(&prologue, session_key(MEMBER), &mut Seeded(2)).unwrap();
    handshake.read(&bytes[32..]).unwrap();
    let message = handshake.write().unwrap();
    let mut channel = Channel::after(handshake).unwrap();
    let frame = channel.seal(&hello(&channel.handshake_hash())).unwrap();
    let answer = [ID.as_bytes().as_slice(), &message, &frame].concat();
    opening.finish(&answer, &testing::public(MEMBER)).unwrap_err()
}

#[test]
fn a_hello_over_anything_but_this_session_is_refused() {
    let signed = |message: &[u8], id: SessionId| [testing::sign(MEMBER, message), id.as_bytes().to_vec()].concat();
    let other_hash = saying(|_hash| signed(&to_sign::session_hello(&context(), &[0; 32]), ID));
    assert_eq!(other_hash, NoiseError::Identity);
    let other_member = SessionContext { member_id: testing::name("member-8"), ..context() };
    let other_member = saying(|hash| signed(&to_sign::session_hello(&other_member, hash), ID));
    assert_eq!(other_member, NoiseError::Identity);
    let other_id = saying(|hash| signed(&to_sign::session_hello(&context(), hash), SessionId([1; 16])));
    assert_eq!(other_id, NoiseError::NotAuthentic);
    assert_eq!(saying(|_hash| vec![0; 63]), NoiseError::Identity);
    assert_eq!(saying(|hash| testing::sign(MEMBER, hash)), NoiseError::NotAuthentic, "without an identifier");
}

#[test]
fn keys_of_low_order_and_in_other_encodings_are_refused_on_both_ends() {
    let (_opening, bytes) = open();
    let (good, _member) = answer(&context(), &bytes, 2).unwrap();
    for key in unusable_keys() {
        let refused = Opening::start(context(), &key, &mut Seeded(1)).unwrap_err();
        assert_eq!(refused, NoiseError::PeerKey, "static {key:02x?}");
        let mut opening = bytes;
        opening[32..64].copy_from_slice(&key);
        assert_eq!(answer(&context(), &opening, 2).unwrap_err(), NoiseError::PeerKey, "opening {key:02x?}");
        let mut answer = good.clone();
        answer[16..48].copy_from_slice(&key);
        let refused = open().0.finish(&answer, &testing::public(MEMBER)).unwrap_err();
        assert_eq!(refused, NoiseError::PeerKey, "answer {key:02x?}");
    }
}

#[test]
fn without_randomness_there_is_no_session() {
    let key = session_key(MEMBER).public_key();
    let (_opening, bytes) = open();
    let accept = |rng: &mut dyn RandomSource| {
        server::accept(&context(), &bytes, session_key(MEMBER), &Identity(MEMBER), ID, rng).unwrap_err()
    };
    let zeros = NoiseError::Device(DeviceFault { part: "random source" });
    assert_eq!(Opening::start(context(), &key, &mut Broken).unwrap_err(), NoiseError::Device(FAULT));
    assert_eq!(Opening::start(context(), &key, &mut Zeros).unwrap_err(), zeros);
    assert_eq!(accept(&mut Broken), NoiseError::Device(FAULT));
    assert_eq!(accept(&mut Zeros), zeros);
}

#[test]
fn a_device_that_fails_or_gives_zeros_is_a_fault_and_no_session() {
    let (_opening, bytes) = open();
    for agreement in [Agreement::Fails, Agreement::GivesZeros] {
        let key = Arc::new(Session([MEMBER; 32], agreement));
        let failed = server::accept(&context(), &bytes, key, &Identity(MEMBER), ID, &mut Seeded(2)).unwrap_err();
        assert_eq!(failed, NoiseError::Device(DeviceFault { part: "session key" }));
    }
    let failed = server::accept(&context(), &bytes, session_key(MEMBER), &Broken, ID, &mut Seeded(2)).unwrap_err();
    assert_eq!(failed, NoiseError::Device(FAULT));
}
