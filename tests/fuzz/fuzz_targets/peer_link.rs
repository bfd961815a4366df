//! Links between members: handshakes, hellos and pieces of a stranger.
#![no_main]

use std::sync::Arc;

use countermark_fuzz::{Counting, Identity, SessionSecret, peer_context, peer_keys};
use countermark_vault_core::noise::peer::{Initiator, Responder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let context = peer_context();
    let (one, other) = (Arc::new(SessionSecret(3)), Arc::new(SessionSecret(4)));
    let accept = |opening: &[u8]| {
        Responder::accept(
            context.clone(),
            opening,
            other.clone(),
            &Identity(102),
            peer_keys(3, 101),
            &mut Counting::default(),
        )
    };
    assert!(accept(bytes).is_err(), "nobody who fuzzes has the caller's keys");
    let start = || Initiator::start(context.clone(), one.clone(), peer_keys(4, 102), &mut Counting::default()).unwrap();
    let (initiator, _) = start();
    assert!(initiator.finish(bytes, &Identity(101)).is_err());

    let (initiator, opening) = start();
    let (unproven, answer) = accept(&opening).unwrap();
    assert!(unproven.check_hello(bytes).is_err());
    let (unproven, answer_again) = accept(&opening).unwrap();
    assert_eq!(answer, answer_again, "randomness is counted here");
    let (mut caller, hello) = initiator.finish(&answer, &Identity(101)).unwrap();
    let mut called = unproven.check_hello(&hello).unwrap();
    for piece in caller.seal(bytes).unwrap() {
        if let Some(whole) = called.open(&piece).unwrap() {
            assert_eq!(whole.as_slice(), bytes);
        }
    }
    assert!(caller.open(bytes).is_err());
});
