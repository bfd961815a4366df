use alloc::{format, vec};

use countermark_tlog::checkpoint::Origin;

use super::*;
use crate::device::DeviceFault;
use crate::noise::tests::{
    Agreement, Broken, FAULT, Identity, Seeded, Session, Zeros, flipped, session_key, unusable_keys,
};
use crate::testing;

const ONE: u8 = 1;
const TWO: u8 = 2;

fn context() -> PeerContext {
    PeerContext {
        origin: testing::origin(),
        fleet_id: testing::name("fleet-1"),
        initiator: testing::name("member-1"),
        responder: testing::name("member-2"),
    }
}

fn keys(seed: u8) -> PeerKeys {
    PeerKeys { session_public: session_key(seed).public_key(), identity: testing::public(seed) }
}

fn start() -> (Initiator, Vec<u8>) {
    Initiator::start(context(), session_key(ONE), keys(TWO), &mut Seeded(1)).unwrap()
}

fn accept(context: PeerContext, opening: &[u8], initiator: PeerKeys) -> Result<(UnprovenPeer, Vec<u8>), NoiseError> {
    Responder::accept(context, opening, session_key(TWO), &Identity(TWO), initiator, &mut Seeded(2))
}

/// The initiator's end, proven; the responder's end, which waits for the hello that comes third.
fn before_hello() -> (PeerChannel, UnprovenPeer, Vec<u8>) {
    let (initiator, opening) = start();
    let (unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    let (channel, hello) = initiator.finish(&answer, &Identity(ONE)).unwrap();
    (channel, unproven, hello)
}

fn pair() -> (PeerChannel, PeerChannel) {
    let (one, unproven, hello) = before_hello();
    (one, unproven.check_hello(&hello).unwrap())
}

/// Sends one message; gives the number of its pieces.
fn send(from: &mut PeerChannel, to: &mut PeerChannel, message: &[u8]) -> usize {
    let pieces = from.seal(message).unwrap();
    let (last, before) = pieces.split_last().unwrap();
    for piece in before {
        assert_eq!(piece.len(), PIECE_BYTES_MAX);
        assert!(to.open(piece).unwrap().is_none());
    }
    assert!(last.len() <= PIECE_BYTES_MAX);
    assert!(to.open(last).unwrap().is_some_and(|received| *received == message));
    pieces.len()
}

#[test]
fn members_agree_and_talk_in_both_directions() {
    let (mut one, mut two) = pair();
    assert_eq!(one.handshake_hash(), two.handshake_hash());
    for number in 0..10_u8 {
        assert_eq!(send(&mut one, &mut two, &[number]), 1);
        assert_eq!(send(&mut two, &mut one, &[number, 0]), 1);
    }
}

#[test]
fn messages_of_every_size_travel() {
    let (mut one, mut two) = pair();
    let first = PIECE_PLAINTEXT_BYTES - LENGTH_BYTES;
    for (length, pieces) in [
        (0, 1),
        (1, 1),
        (first, 1),
        (first + 1, 2),
        (65_519, 2),
        (65_520, 2),
        (first + PIECE_PLAINTEXT_BYTES, 2),
        (first + PIECE_PLAINTEXT_BYTES + 1, 3),
        (5 * 1024 * 1024, 81),
    ] {
        let message: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
        assert_eq!(send(&mut one, &mut two, &message), pieces, "{length} bytes");
        assert_eq!(send(&mut two, &mut one, &message), pieces, "{length} bytes");
    }
}

#[test]
fn more_than_a_message_holds_is_refused_and_the_channel_lives() {
    let (mut one, mut two) = pair();
    let found = PEER_MESSAGE_BYTES_MAX + 1;
    let refused = one.seal(&vec![0; found]).unwrap_err();
    assert_eq!(refused, NoiseError::TooLong { max: PEER_MESSAGE_BYTES_MAX, found });
    assert_eq!(send(&mut one, &mut two, b"shorter"), 1);
}

#[test]
fn the_sizes_are_those_of_the_format() {
    let (initiator, opening) = start();
    let (_unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    let (_channel, hello) = initiator.finish(&answer, &Identity(ONE)).unwrap();
    assert_eq!((opening.len(), answer.len(), hello.len()), (48, 128, 80));
    assert_eq!((PEER_OPENING_BYTES, PEER_ANSWER_BYTES, PEER_HELLO_BYTES), (48, 128, 80));
}

#[test]
fn every_changed_byte_of_the_opening_is_refused() {
    let (_initiator, opening) = start();
    for (index, changed) in flipped(&opening) {
        let refused = accept(context(), &changed, keys(ONE)).unwrap_err();
        assert!(matches!(refused, NoiseError::NotAuthentic | NoiseError::PeerKey), "byte {index}: {refused:?}");
    }
}

#[test]
fn every_changed_byte_of_the_answer_is_refused() {
    let (_initiator, opening) = start();
    let (_unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    for (index, changed) in flipped(&answer) {
        let refused = start().0.finish(&changed, &Identity(ONE)).unwrap_err();
        assert!(matches!(refused, NoiseError::NotAuthentic | NoiseError::PeerKey), "byte {index}: {refused:?}");
    }
}

#[test]
fn every_changed_byte_of_the_hello_is_refused() {
    let (_channel, _unproven, hello) = before_hello();
    for (index, changed) in flipped(&hello) {
        let (_channel, unproven, _hello) = before_hello();
        assert_eq!(unproven.check_hello(&changed).unwrap_err(), NoiseError::NotAuthentic, "byte {index}");
    }
}

#[test]
fn every_changed_byte_of_a_piece_is_refused_and_closes_the_channel() {
    let (mut one, _two) = pair();
    let pieces = one.seal(b"message").unwrap();
    for (index, changed) in flipped(&pieces[0]) {
        let (_one, mut two) = pair();
        assert_eq!(two.open(&changed).unwrap_err(), NoiseError::NotAuthentic, "byte {index}");
        assert_eq!(two.open(&pieces[0]).unwrap_err(), NoiseError::Closed);
        assert_eq!(two.seal(b"").unwrap_err(), NoiseError::Closed);
    }
}

#[test]
fn other_lengths_are_refused() {
    for length in [0, 32, 47, 49] {
        let refused = accept(context(), &vec![9; length], keys(ONE)).unwrap_err();
        assert_eq!(refused, NoiseError::Length { expected: 48, found: length });
    }
    for length in [0, 48, 127, 129] {
        let refused = start().0.finish(&vec![9; length], &Identity(ONE)).unwrap_err();
        assert_eq!(refused, NoiseError::Length { expected: 128, found: length });
    }
    for length in [0, 16, 79, 81] {
        let (_channel, unproven, _hello) = before_hello();
        let refused = unproven.check_hello(&vec![9; length]).unwrap_err();
        assert_eq!(refused, NoiseError::Length { expected: 80, found: length });
    }
    for length in [0, 15, 16, 65_535] {
        let (_one, mut two) = pair();
        assert_eq!(two.open(&vec![9; length]).unwrap_err(), NoiseError::NotAuthentic, "{length}");
    }
}

#[test]
fn ends_that_do_not_agree_on_the_context_get_no_link() {
    let (_initiator, opening) = start();
    for other in [
        PeerContext { origin: Origin::new("log.example/other").unwrap(), ..context() },
        PeerContext { fleet_id: testing::name("fleet-2"), ..context() },
        PeerContext { initiator: testing::name("member-3"), ..context() },
        PeerContext { responder: testing::name("member-3"), ..context() },
        PeerContext { initiator: context().responder, responder: context().initiator, ..context() },
    ] {
        assert_eq!(accept(other.clone(), &opening, keys(ONE)).unwrap_err(), NoiseError::NotAuthentic, "{other:?}");
    }
}

#[test]
fn a_member_with_another_session_key_is_refused_on_both_ends() {
    let wrong = |right: u8| PeerKeys { session_public: session_key(9).public_key(), ..keys(right) };
    let (_initiator, opening) = start();
    assert_eq!(accept(context(), &opening, wrong(ONE)).unwrap_err(), NoiseError::NotAuthentic);
    let (_initiator, opening) = Initiator::start(context(), session_key(ONE), wrong(TWO), &mut Seeded(1)).unwrap();
    assert_eq!(accept(context(), &opening, keys(ONE)).unwrap_err(), NoiseError::NotAuthentic);
}

#[test]
fn a_member_with_another_identity_key_is_refused_on_both_ends() {
    let (initiator, opening) = start();
    let (_unproven, answer) =
        Responder::accept(context(), &opening, session_key(TWO), &Identity(9), keys(ONE), &mut Seeded(2)).unwrap();
    assert_eq!(initiator.finish(&answer, &Identity(ONE)).unwrap_err(), NoiseError::Identity);

    let (initiator, opening) = start();
    let (unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    let (_channel, hello) = initiator.finish(&answer, &Identity(9)).unwrap();
    assert_eq!(unproven.check_hello(&hello).unwrap_err(), NoiseError::Identity);
}

#[test]
fn a_hello_over_another_handshake_or_for_the_other_side_is_refused() {
    // The initiator's keys are in the wrong hands of somebody who says what no honest member signs.
    let said = |hello: &dyn Fn(&[u8; 32]) -> Vec<u8>| {
        let (initiator, opening) = start();
        let (unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
        let mut handshake = initiator.handshake;
        handshake.read(&answer[..HANDSHAKE_BYTES]).unwrap();
        let mut transport = Transport::after(handshake).unwrap();
        let hello = testing::sign(ONE, &hello(transport.handshake_hash()));
        unproven.check_hello(&transport.seal(&hello).unwrap()).map(|_channel| ())
    };
    let refused = Err(NoiseError::Identity);
    assert_eq!(said(&|hash| to_sign::peer_hello(&context(), PeerSide::Initiates, hash)), Ok(()));
    assert_eq!(said(&|hash| to_sign::peer_hello(&context(), PeerSide::Responds, hash)), refused);
    assert_eq!(said(&|_hash| to_sign::peer_hello(&context(), PeerSide::Initiates, &[0; 32])), refused);
    let other = PeerContext { fleet_id: testing::name("fleet-2"), ..context() };
    assert_eq!(said(&|hash| to_sign::peer_hello(&other, PeerSide::Initiates, hash)), refused);
}

#[test]
fn nothing_but_the_hello_comes_first() {
    let (mut one, unproven, hello) = before_hello();
    // As long as a hello, authentic, and sent without it.
    let pieces = one.seal(&[0; SIGNATURE_BYTES - LENGTH_BYTES]).unwrap();
    assert_eq!(pieces[0].len(), hello.len());
    assert_eq!(unproven.check_hello(&pieces[0]).unwrap_err(), NoiseError::NotAuthentic);

    let (_one, unproven, hello) = before_hello();
    let mut two = unproven.check_hello(&hello).unwrap();
    assert_eq!(two.open(&hello).unwrap_err(), NoiseError::NotAuthentic, "taken twice");
}

#[test]
fn the_answers_hello_does_not_pass_for_the_initiators() {
    let (initiator, opening) = start();
    let (unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    let (_channel, _hello) = initiator.finish(&answer, &Identity(ONE)).unwrap();
    assert_eq!(unproven.check_hello(&answer[HANDSHAKE_BYTES..]).unwrap_err(), NoiseError::NotAuthentic);
}

#[test]
fn a_replayed_opening_gives_a_link_that_nobody_can_prove() {
    let (initiator, opening) = start();
    let (_first, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    let (_channel, hello) = initiator.finish(&answer, &Identity(ONE)).unwrap();
    let (second, second_answer) =
        Responder::accept(context(), &opening, session_key(TWO), &Identity(TWO), keys(ONE), &mut Seeded(3)).unwrap();
    assert_ne!(answer, second_answer);
    assert_eq!(second.check_hello(&hello).unwrap_err(), NoiseError::NotAuthentic);
}

#[test]
fn a_piece_is_not_replayed_reordered_or_reflected() {
    let (mut one, mut two) = pair();
    let [first, second] = [b"1", b"2"].map(|message| one.seal(message).unwrap().remove(0));
    two.open(&first).unwrap();
    assert_eq!(two.open(&first).unwrap_err(), NoiseError::NotAuthentic, "replayed");
    assert_eq!(two.open(&second).unwrap_err(), NoiseError::Closed);

    let (mut one, mut two) = pair();
    let pieces = one.seal(&vec![1; 100_000]).unwrap();
    assert_eq!(two.open(&pieces[1]).unwrap_err(), NoiseError::NotAuthentic, "reordered");

    let (mut one, _two) = pair();
    let first = one.seal(b"1").unwrap();
    assert_eq!(one.open(&first[0]).unwrap_err(), NoiseError::NotAuthentic, "reflected");
}

/// What the other end says to plaintexts that no honest end seals.
fn joined(plaintexts: &[&[u8]]) -> Result<Option<Zeroizing<Vec<u8>>>, NoiseError> {
    let (mut one, mut two) = pair();
    let mut last = Ok(None);
    for plaintext in plaintexts {
        let sealed = one.transport.seal(plaintext).unwrap();
        last = two.open(&sealed);
    }
    last
}

#[test]
fn a_message_has_one_division_into_pieces() {
    let full = [&70_000_u32.to_be_bytes()[..], &vec![0; PIECE_PLAINTEXT_BYTES - LENGTH_BYTES]].concat();
    let rest = vec![0; 70_000 - (PIECE_PLAINTEXT_BYTES - LENGTH_BYTES)];
    assert!(joined(&[&full, &rest]).unwrap().is_some_and(|message| message.len() == 70_000));
    let bad: [&[&[u8]]; 9] = [
        &[b""],
        &[&[0, 0, 0]],
        &[&[0, 0, 0, 0, 9]],
        &[&[0, 0, 0, 2, 9]],
        &[&[0, 0, 0, 1]],
        &[&full[..full.len() - 1]],
        &[&full, b""],
        &[&full, &rest[1..]],
        &[&full, &[0; 4_486]],
    ];
    for (index, plaintexts) in bad.iter().enumerate() {
        assert_eq!(joined(plaintexts).unwrap_err(), NoiseError::Padding, "case {index}");
    }
    assert_eq!(joined(&[b"", b"\0\0\0\0"]).unwrap_err(), NoiseError::Closed, "after a refusal");
}

#[test]
fn an_announced_message_beyond_the_limit_is_refused_before_room_is_taken() {
    for found in [PEER_MESSAGE_BYTES_MAX + 1, 0xffff_ffff] {
        let length = u32::try_from(found).unwrap().to_be_bytes();
        let refused = joined(&[&length]).unwrap_err();
        assert_eq!(refused, NoiseError::TooLong { max: PEER_MESSAGE_BYTES_MAX, found });
    }
}

#[test]
fn keys_of_low_order_and_in_other_encodings_are_refused_on_both_ends() {
    let (_initiator, opening) = start();
    let (_unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    for key in unusable_keys() {
        let weak = |seed: u8| PeerKeys { session_public: key, ..keys(seed) };
        let refused = Initiator::start(context(), session_key(ONE), weak(TWO), &mut Seeded(1)).unwrap_err();
        assert_eq!(refused, NoiseError::PeerKey, "responder's static {key:02x?}");
        let refused = accept(context(), &opening, weak(ONE)).unwrap_err();
        assert_eq!(refused, NoiseError::PeerKey, "initiator's static {key:02x?}");
        let mut changed = opening.clone();
        changed[..32].copy_from_slice(&key);
        let refused = accept(context(), &changed, keys(ONE)).unwrap_err();
        assert_eq!(refused, NoiseError::PeerKey, "opening {key:02x?}");
        let mut changed = answer.clone();
        changed[..32].copy_from_slice(&key);
        let refused = start().0.finish(&changed, &Identity(ONE)).unwrap_err();
        assert_eq!(refused, NoiseError::PeerKey, "answer {key:02x?}");
    }
}

#[test]
fn a_device_that_fails_is_a_fault_and_no_link() {
    let fault = NoiseError::Device(FAULT);
    let zeros = NoiseError::Device(DeviceFault { part: "random source" });
    let initiate =
        |rng: &mut dyn RandomSource| Initiator::start(context(), session_key(ONE), keys(TWO), rng).unwrap_err();
    assert_eq!(initiate(&mut Broken), fault);
    assert_eq!(initiate(&mut Zeros), zeros);
    let (_initiator, opening) = start();
    let respond = |rng: &mut dyn RandomSource| {
        Responder::accept(context(), &opening, session_key(TWO), &Identity(TWO), keys(ONE), rng).unwrap_err()
    };
    assert_eq!(respond(&mut Broken), fault);
    assert_eq!(respond(&mut Zeros), zeros);
    for agreement in [Agreement::Fails, Agreement::GivesZeros] {
        let own: Arc<dyn SessionKey> = Arc::new(Session([ONE; 32], agreement));
        let failed = Initiator::start(context(), own, keys(TWO), &mut Seeded(1)).unwrap_err();
        assert_eq!(failed, NoiseError::Device(DeviceFault { part: "session key" }));
    }
    let failed =
        Responder::accept(context(), &opening, session_key(TWO), &Broken, keys(ONE), &mut Seeded(2)).unwrap_err();
    assert_eq!(failed, fault);
    let (_unproven, answer) = accept(context(), &opening, keys(ONE)).unwrap();
    assert_eq!(start().0.finish(&answer, &Broken).unwrap_err(), fault);
}

#[test]
fn debug_output_names_no_key() {
    let (initiator, _opening) = start();
    let (channel, unproven, _hello) = before_hello();
    let printed = format!("{initiator:?} {unproven:?} {channel:?}");
    assert!(printed.ends_with("PeerChannel(redacted)"), "{printed}");
    assert_eq!(printed.matches("context: PeerContext").count(), 2, "{printed}");
}
