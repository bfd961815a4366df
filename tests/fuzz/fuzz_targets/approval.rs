//! Approvals: whatever is taken was signed by an officer, for exactly this statement.
#![no_main]

use countermark_bundle::Epoch;
use countermark_bundle::approval::{Approved, Officer, verify, verify_all};
use countermark_bundle::identity::{Digest, Name};
use countermark_fuzz::{NOW, OFFICERS, key, statement_digest, trust};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let officers: Vec<Officer> = OFFICERS
        .iter()
        .map(|(subject, seed)| Officer { subject: Name::parse(subject).unwrap(), key: key(*seed) })
        .collect();
    let origin = &trust().origin;
    let approved = Approved { origin, epoch: Epoch::FIRST, digest: statement_digest() };
    let other = Approved { digest: Digest::of(b"another statement"), ..approved };
    if let Ok(subject) = verify(text, &officers, approved, NOW) {
        assert!(officers.iter().any(|officer| officer.subject == subject));
        assert!(verify(text, &officers, other, NOW).is_err());
    }
    let twice = [text.to_owned(), text.to_owned()];
    assert!(verify_all(&twice, &officers, 1, approved, NOW).is_err());
});
