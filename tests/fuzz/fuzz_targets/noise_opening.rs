//! Openings of sessions at a member, answers at a client, frames in an open channel.
#![no_main]

use std::sync::Arc;

use countermark_fuzz::{Counting, Identity, SessionSecret, key, session_context};
use countermark_vault_core::device::SessionKey as _;
use countermark_vault_core::noise::client::Opening;
use countermark_vault_core::noise::{SessionId, server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let context = session_context();
    let member = Arc::new(SessionSecret(3));
    let identity = Identity(101);
    let id = SessionId::from([9; 16]);
    let _ = server::untrusted_statement(bytes);
    if let Ok((_, mut channel)) =
        server::accept(&context, bytes, member.clone(), &identity, id, &mut Counting::default())
    {
        assert!(channel.open(bytes).is_err());
    }
    let (opening, sent) = Opening::start(context.clone(), &member.public_key(), &mut Counting::default()).unwrap();
    assert!(opening.finish(bytes, &key(101)).is_err(), "nobody who fuzzes has the member's keys");
    // Behind a true handshake: frames of somebody who sits in between.
    let (opening, _) = Opening::start(context.clone(), &member.public_key(), &mut Counting::default()).unwrap();
    let (answer, mut at_member) =
        server::accept(&context, &sent, member, &identity, id, &mut Counting::default()).unwrap();
    let (_, mut at_client) = opening.finish(&answer, &key(101)).unwrap();
    assert!(at_member.open(bytes).is_err());
    assert!(at_client.open(bytes).is_err());
});
