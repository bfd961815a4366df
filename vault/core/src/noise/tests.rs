//! Sessions between a client and a member; the devices that all tests of channels share.

use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};

use super::channel::Channel;
use super::client::Opening;
use super::resolver::Handshake;
use super::*;
use crate::device::{IdentityKey, SessionKey};
pub(super) use crate::opaque::testing::{FAULT, Seeded};
use crate::testing;
use crate::to_sign;

mod refusals;

/// Stands for a part of the device that fails.
pub(super) struct Broken;

impl RandomSource for Broken {
    fn fill(&mut self, _bytes: &mut [u8]) -> Result<(), DeviceFault> {
        Err(FAULT)
    }
}

impl IdentityKey for Broken {
    fn public_key(&self) -> [u8; 32] {
        [0; 32]
    }

    fn sign(&self, _message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        Err(FAULT)
    }
}

/// A source that says that it drew and did not.
pub(super) struct Zeros;

impl RandomSource for Zeros {
    fn fill(&mut self, _bytes: &mut [u8]) -> Result<(), DeviceFault> {
        Ok(())
    }
}

/// What a session key of the tests does when it is asked for a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    Works,
    Fails,
    GivesZeros,
}

/// A session key from a seed.
pub(super) struct Session(pub(super) [u8; 32], pub(super) Agreement);

impl SessionKey for Session {
    fn public_key(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(self.0)).to_bytes()
    }

    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
        let shared = x25519_dalek::StaticSecret::from(self.0).diffie_hellman(&x25519_dalek::PublicKey::from(*peer));
        match self.1 {
            Agreement::Works => Ok(Zeroizing::new(shared.to_bytes())),
            Agreement::Fails => Err(FAULT),
            Agreement::GivesZeros => Ok(Zeroizing::new([0; 32])),
        }
    }
}

/// An identity key from a seed; its public key is `testing::public` of the seed.
pub(super) struct Identity(pub(super) u8);

impl IdentityKey for Identity {
    fn public_key(&self) -> [u8; 32] {
        testing::public(self.0).bytes().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        Ok(testing::sign(self.0, message).try_into().unwrap())
    }
}

pub(super) fn session_key(seed: u8) -> Arc<dyn SessionKey> {
    Arc::new(Session([seed; 32], Agreement::Works))
}

/// Both ends' keys of low order, and encodings that are not the one encoding of a good key.
pub(super) fn unusable_keys() -> Vec<[u8; 32]> {
    let mut keys = Vec::new();
    for digits in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let mut key = [0; 32];
        hex::decode_to_slice(digits, &mut key).unwrap();
        keys.push(key);
        key[31] |= 0x80;
        keys.push(key);
    }
    keys
}

/// Every way to change `bytes` in one place: each byte once in its lowest and once in its highest bit.
pub(super) fn flipped(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len()).flat_map(move |index| {
        [0x01, 0x80].map(|bit| {
            let mut changed = bytes.to_vec();
            changed[index] ^= bit;
            (index, changed)
        })
    })
}

const MEMBER: u8 = 7;
const ID: SessionId = SessionId([0xa5; 16]);

fn context() -> SessionContext {
    SessionContext {
        origin: testing::origin(),
        statement: Digest::of(b"statement"),
        fleet_id: testing::name("fleet-1"),
        member_id: testing::name("member-7"),
    }
}

fn open() -> (Opening, [u8; OPENING_BYTES]) {
    Opening::start(context(), &session_key(MEMBER).public_key(), &mut Seeded(1)).unwrap()
}

/// The member's answer, with the member's randomness from `seed`.
fn answer(context: &SessionContext, opening: &[u8], seed: u64) -> Result<(Vec<u8>, Channel), NoiseError> {
    server::accept(context, opening, session_key(MEMBER), &Identity(MEMBER), ID, &mut Seeded(seed))
}

/// Both ends of an open session: the client's, the member's.
fn pair() -> (Channel, Channel) {
    let (opening, bytes) = open();
    let (answer, member) = answer(&context(), &bytes, 2).unwrap();
    let (id, client) = opening.finish(&answer, &testing::public(MEMBER)).unwrap();
    assert_eq!(id, ID);
    (client, member)
}

#[test]
fn both_ends_agree_and_talk_in_frames_of_one_size() {
    let (mut client, mut member) = pair();
    assert_eq!(client.handshake_hash(), member.handshake_hash());
    for length in [0, 1, 2, 255, 256, MESSAGE_BYTES_MAX] {
        let message = vec![0xc3; length];
        let frame = client.seal(&message).unwrap();
        assert_eq!(frame.len(), FRAME_BYTES);
        assert_eq!(*member.open(&frame).unwrap(), message);
        let frame = member.seal(&message).unwrap();
        assert_eq!(frame.len(), FRAME_BYTES);
        assert_eq!(*client.open(&frame).unwrap(), message);
    }
}

#[test]
fn the_sizes_are_those_of_the_format() {
    let (_opening, bytes) = open();
    let (answer, _member) = answer(&context(), &bytes, 2).unwrap();
    assert_eq!((OPENING_BYTES, OPENED_BYTES, FRAME_BYTES), (80, 2128, 2064));
    assert_eq!((bytes.len(), answer.len()), (OPENING_BYTES, OPENED_BYTES));
    assert_eq!(server::untrusted_statement(&bytes), Ok(context().statement));
}

#[test]
fn no_two_sessions_have_one_hash_or_one_opening() {
    let key = session_key(MEMBER).public_key();
    let hashes: Vec<_> = (0..8)
        .map(|seed| {
            let (opening, bytes) = Opening::start(context(), &key, &mut Seeded(seed)).unwrap();
            let (answer, _member) = answer(&context(), &bytes, 100 + seed).unwrap();
            (bytes, opening.finish(&answer, &testing::public(MEMBER)).unwrap().1.handshake_hash())
        })
        .collect();
    for (index, one) in hashes.iter().enumerate() {
        assert!(hashes[..index].iter().all(|other| other.0 != one.0 && other.1 != one.1));
    }
}

#[test]
fn a_replayed_opening_gives_another_channel() {
    let (opening, bytes) = open();
    let (first_answer, mut first) = answer(&context(), &bytes, 2).unwrap();
    let (second_answer, mut second) = answer(&context(), &bytes, 3).unwrap();
    assert_ne!(first.handshake_hash(), second.handshake_hash());
    assert_ne!(first_answer[16..], second_answer[16..]);
    let (_id, mut client) = opening.finish(&first_answer, &testing::public(MEMBER)).unwrap();
    let frame = client.seal(b"to the first").unwrap();
    assert_eq!(second.open(&frame).unwrap_err(), NoiseError::NotAuthentic);
    assert_eq!(*first.open(&frame).unwrap(), b"to the first");
    let frame = second.seal(b"from the second").unwrap_err();
    assert_eq!(frame, NoiseError::Closed);
}

#[test]
fn a_frame_is_not_replayed_reordered_or_reflected() {
    let (mut client, mut member) = pair();
    let [one, two] = [b"1", b"2"].map(|message| client.seal(message).unwrap());
    member.open(&one).unwrap();
    assert_eq!(member.open(&one).unwrap_err(), NoiseError::NotAuthentic, "replayed");
    assert_eq!(member.open(&two).unwrap_err(), NoiseError::Closed);

    let (mut client, mut member) = pair();
    let [_one, two] = [b"1", b"2"].map(|message| client.seal(message).unwrap());
    assert_eq!(member.open(&two).unwrap_err(), NoiseError::NotAuthentic, "reordered");

    let (mut client, _member) = pair();
    let one = client.seal(b"1").unwrap();
    assert_eq!(client.open(&one).unwrap_err(), NoiseError::NotAuthentic, "reflected");
}

#[test]
fn the_hello_is_not_taken_twice() {
    let (opening, bytes) = open();
    let (answer, _member) = answer(&context(), &bytes, 2).unwrap();
    let (_id, mut client) = opening.finish(&answer, &testing::public(MEMBER)).unwrap();
    assert_eq!(client.open(&answer[64..]).unwrap_err(), NoiseError::NotAuthentic);
}

#[test]
fn a_session_identifier_has_one_spelling() {
    let id = SessionId::draw(&mut Seeded(1)).unwrap();
    assert_eq!(SessionId::from_hex(&id.to_hex()), Some(id));
    assert_eq!(format!("{id} {id:?}"), format!("{0} SessionId({0})", id.to_hex()));
    for bad in ["", "a5", &id.to_hex().to_uppercase(), &format!("{id}00"), &"zz".repeat(16)] {
        assert_eq!(SessionId::from_hex(bad), None, "{bad}");
    }
    assert_eq!(SessionId::draw(&mut Broken).unwrap_err(), FAULT);
}

#[test]
fn every_end_moves_between_threads() {
    fn moves<T: Send + Sync>() {}
    moves::<Opening>();
    moves::<Channel>();
    moves::<peer::Initiator>();
    moves::<peer::UnprovenPeer>();
    moves::<peer::PeerChannel>();
}

#[test]
fn debug_output_names_no_key() {
    let (opening, _bytes) = open();
    let (client, _member) = pair();
    let printed = format!("{opening:?} {client:?}");
    assert!(printed.ends_with("Channel(redacted)"), "{printed}");
    assert!(printed.contains("Opening { context: SessionContext"), "{printed}");
}
