use alloc::vec::Vec;
use alloc::{format, vec};

use super::*;
use crate::noise::tests::{Agreement, Session, session_key, unusable_keys};

/// Gives the bytes of a published vector as randomness.
struct Published([u8; 32]);

impl RandomSource for Published {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

fn key(digits: &str) -> [u8; 32] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

// The keys and payloads of all of cacophony's vectors.
const PROLOGUE: &[u8] = b"John Galt";
const INITIATOR_STATIC: &str = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
const INITIATOR_EPHEMERAL: &str = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
const RESPONDER_STATIC: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
const RESPONDER_EPHEMERAL: &str = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
const PAYLOADS: [&[u8]; 6] = [
    b"Ludwig von Mises",
    b"Murray Rothbard",
    b"F. A. Hayek",
    b"Carl Menger",
    b"Jean-Baptiste Say",
    b"Eugen B\xf6hm von Bawerk",
];

fn published(digits: &str) -> Arc<dyn SessionKey> {
    Arc::new(Session(key(digits), Agreement::Works))
}

/// Runs both ends over the payloads: the messages in hex, and the handshake's hash.
fn run(initiator: Handshake, responder: Handshake) -> (Vec<alloc::string::String>, alloc::string::String) {
    let (mut initiator, mut responder) = (initiator.into_inner(), responder.into_inner());
    let mut messages = Vec::new();
    let mut buffer = vec![0; 65_535];
    let mut read = vec![0; 65_535];
    for (index, payload) in PAYLOADS[..2].iter().copied().enumerate() {
        let (from, to) = if index == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        let written = from.write_message(payload, &mut buffer).unwrap();
        let length = to.read_message(&buffer[..written], &mut read).unwrap();
        assert_eq!(read[..length], *payload);
        messages.push(hex::encode(&buffer[..written]));
    }
    let hash = hex::encode(initiator.get_handshake_hash());
    assert_eq!(hash, hex::encode(responder.get_handshake_hash()));
    let (mut initiator, mut responder) =
        (initiator.into_transport_mode().unwrap(), responder.into_transport_mode().unwrap());
    for (index, payload) in PAYLOADS.iter().copied().enumerate().skip(2) {
        let (from, to) =
            if index % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        let written = from.write_message(payload, &mut buffer).unwrap();
        let length = to.read_message(&buffer[..written], &mut read).unwrap();
        assert_eq!(read[..length], *payload);
        messages.push(hex::encode(&buffer[..written]));
    }
    (messages, hash)
}

#[test]
fn sessions_are_those_of_the_published_nk_vector() {
    // SPEC: cacophony's vectors, Noise_NK_25519_ChaChaPoly_SHA256.
    let responder = published(RESPONDER_STATIC);
    let client =
        Handshake::client(PROLOGUE, &responder.public_key(), &mut Published(key(INITIATOR_EPHEMERAL))).unwrap();
    let server = Handshake::server(PROLOGUE, responder, &mut Published(key(RESPONDER_EPHEMERAL))).unwrap();
    let (messages, hash) = run(client, server);
    assert_eq!(
        messages,
        [
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944\
             8134d00711fdb390a0d178fa008f6d47d2891e5ea18ae136c3b4c23ac384efb0",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843\
             8ea16e3701bc0d77744f117bee22451c9afa7f4cdbbcff00c04a8ee0913c88",
            "a62de29ce27cb80245d440d986ed816c156e9d757d7008df2198b0",
            "174a35f11c689f4530d7208618e0564ae12f2f50ba8eb4df5382ff",
            "337e475ebb8eae60f91974c4e455a5af38d1d8628d1803b160d60442874b0a1777",
            "047e80e060b7bb08b53c5a23dfe9920cae135b9d1dc6302fc475003062723700366346ac9d",
        ]
    );
    assert_eq!(hash, "2efa38a9c7c93ac98f3a097af25c2f58b9e7673787717bc27e98827118c2c1a5");
}

#[test]
fn links_are_those_of_the_published_kk_vector() {
    // SPEC: cacophony's vectors, Noise_KK_25519_ChaChaPoly_SHA256.
    let [one, two] = [INITIATOR_STATIC, RESPONDER_STATIC].map(published);
    let (one_public, two_public) = (one.public_key(), two.public_key());
    let mut rng = Published(key(INITIATOR_EPHEMERAL));
    let initiator = Handshake::peer(PROLOGUE, one, &two_public, PeerSide::Initiates, &mut rng).unwrap();
    let mut rng = Published(key(RESPONDER_EPHEMERAL));
    let responder = Handshake::peer(PROLOGUE, two, &one_public, PeerSide::Responds, &mut rng).unwrap();
    let (messages, hash) = run(initiator, responder);
    assert_eq!(
        messages,
        [
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944\
             0177015efc1fe7a37c629af7120a96274e6ab7afcc9261901d0e09ae32a5bb96",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843\
             b274d3429adc47ca093ba63ef90f8da89fda108db471dccfa4894aa7b00003",
            "966b05bc69ec01b8454d3160a214e6f24a3d884eb31ec2408af63f",
            "0ad887fba4f611bbb4afe44ba3556b8164332ca7d5934634d63d80",
            "012b28ae646ae7830e2c5472cb023eab071c1db3d8413ec69b513b83832f974c2d",
            "bb3e6a48160d9c5971d37f975727294e0d868342db31832e54d07191ab0ca3c3703b5ed3d9",
        ]
    );
    assert_eq!(hash, "24c6b51ecb76277140ca018b5985bc9f03de321dae2d34dcae433dafef0131d9");
}

#[test]
fn drawn_bytes_are_given_once_and_whole() {
    let mut drawn = Drawn(Some(Zeroizing::new([9; 32])));
    let mut bytes = [0; 32];
    drawn.try_fill_bytes(&mut bytes).unwrap();
    assert_eq!(bytes, [9; 32]);
    assert_eq!(drawn.try_fill_bytes(&mut bytes), Err(snow::Error::Rng));
    let mut drawn = Drawn(Some(Zeroizing::new([9; 32])));
    assert_eq!(drawn.try_fill_bytes(&mut [0; 31]), Err(snow::Error::Rng));
}

fn dh(session_key: Option<Arc<dyn SessionKey>>) -> DeviceDh {
    DeviceDh { session_key, public: [0; KEY_BYTES], held: Held::Nothing }
}

#[test]
fn a_handle_that_is_not_the_devices_key_agrees_on_nothing() {
    for (device, handle) in [(Some(session_key(1)), session_key(2)), (None, session_key(1))] {
        let mut dh = dh(device);
        dh.set(&handle.public_key());
        assert_eq!(dh.dh(&session_key(3).public_key(), &mut [0; 32]), Err(snow::Error::Dh));
    }
}

#[test]
fn no_secret_of_zeros_leaves_the_agreement_and_the_private_key_is_never_given() {
    let mut ephemeral = dh(None);
    ephemeral.generate(&mut Drawn(Some(Zeroizing::new([9; 32])))).unwrap();
    let mut fixed = dh(Some(session_key(1)));
    fixed.set(&session_key(1).public_key());
    for held in [ephemeral, fixed] {
        let mut out = [7; 56];
        // Of the keys that are refused before, those of low order give zeros; the others are good ones misspelt.
        let low_order = [[0; 32], key("0100000000000000000000000000000000000000000000000000000000000000")];
        for peer in low_order.into_iter().chain(unusable_keys()[4..8].iter().copied()) {
            assert_eq!(held.dh(&peer, &mut out), Err(snow::Error::Dh), "{peer:02x?}");
        }
        assert_eq!(out, [7; 56]);
        assert_eq!(held.dh(&[9; 31], &mut out), Err(snow::Error::Dh));
        assert!(held.privkey().is_empty());
        held.dh(&session_key(3).public_key(), &mut out).unwrap();
        assert_ne!(out[..32], [7; 32]);
        assert_eq!(out[32..], [7; 24]);
    }
}

#[test]
fn only_the_named_curve_is_resolved() {
    let resolver = DeviceResolver { session_key: None, drawn: Cell::new(None) };
    assert!(resolver.resolve_dh(&DHChoice::Curve448).is_none());
    assert!(resolver.resolve_rng().is_none());
    let name = resolver.resolve_dh(&DHChoice::Curve25519).map(|dh| (dh.name(), dh.priv_len()));
    assert_eq!(name, Some(("25519", 32)));
}

#[test]
fn a_step_out_of_turn_is_a_fault() {
    let mut server = Handshake::server(b"", session_key(1), &mut Published([5; 32])).unwrap();
    assert_eq!(server.write().unwrap_err(), NoiseError::State);
    assert!(matches!(server.finish(), Err(NoiseError::State)));
    assert_eq!(format!("{:?}", pattern("Noise_NK_25519").map(|_| ())), "Err(State)");
}
