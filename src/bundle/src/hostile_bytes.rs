//! Bytes from outside never panic: random ones, and valid documents with random damage, through every parser and, where
//! they still parse, through everything that is done with them next.

use crate::approval::{self, Approved, Officer};
use crate::attestation::UntrustedAttestation;
use crate::entry::Entry;
use crate::evidence::Manifest;
use crate::identity::{Digest, Epoch, Name, Namespace, Timestamp};
use crate::link::ConsistencyLink;
use crate::namespace_state::NamespaceState;
use crate::statement::ParsedStatement;
use crate::testing::*;
use crate::trust::{Floor, TrustFile};
use crate::validation_bundle::ValidationBundle;
use crate::verify::verify;
use crate::worked_examples::{Examples, examples};
use proptest::prelude::*;
use proptest::sample::Index;
use std::string::String;
use std::sync::LazyLock;
use std::vec::Vec;

static EXAMPLES: LazyLock<Examples> = LazyLock::new(examples);
static STATE: LazyLock<NamespaceState> = LazyLock::new(|| World::active().state);
static TRUST: LazyLock<TrustFile> = LazyLock::new(|| TrustFile::parse(&EXAMPLES["trust"]).unwrap());
static FLOOR: LazyLock<Floor> = LazyLock::new(|| Floor::parse(&EXAMPLES["floor"]).unwrap());
static LINK: LazyLock<ConsistencyLink> = LazyLock::new(|| ConsistencyLink::parse(&EXAMPLES["link"]).unwrap());

/// A change to a document. Places and lengths fit every document.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Delete(Index, u8),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index, u8),
    Truncate(Index),
    /// Another number or word in place of the next value.
    Replace(Index, &'static str),
}

const VALUES: [&str; 16] = [
    "0",
    "1",
    "-1",
    "1.5",
    "1e400",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551615",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"AA==\"",
    "\"0000000000000000000000000000000000000000000000000000000000000000\"",
    "\"\\ud800\"",
];

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1_u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (at(), any::<u8>()).prop_map(|(at, len)| Damage::Delete(at, len)),
        (at(), proptest::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), at(), any::<u8>()).prop_map(|(from, to, len)| Damage::Repeat(from, to, len)),
        at().prop_map(Damage::Truncate),
        (at(), proptest::sample::select(&VALUES)).prop_map(|(at, value)| Damage::Replace(at, value)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        let end = |from: usize, count: u8| len.min(from + usize::from(count));
        match self {
            Self::Flip(at, bits) => bytes[at.index(len)] ^= bits,
            Self::Delete(at, count) => drop(bytes.drain(at.index(len)..end(at.index(len), *count))),
            Self::Insert(at, new) => drop(bytes.splice(at.index(len)..at.index(len), new.iter().copied())),
            Self::Repeat(from, to, count) => {
                let piece = bytes[from.index(len)..end(from.index(len), *count)].to_vec();
                drop(bytes.splice(to.index(len)..to.index(len), piece));
            }
            Self::Truncate(at) => bytes.truncate(at.index(len)),
            Self::Replace(at, value) => {
                let Some(colon) = bytes[at.index(len)..].iter().position(|byte| *byte == b':') else { return };
                let from = at.index(len) + colon + 1;
                let value_len = bytes[from..].iter().position(|byte| b",}]".contains(byte)).unwrap_or(0);
                drop(bytes.splice(from..from + value_len, value.bytes()));
            }
        }
    }
}

/// One of the worked examples, damaged once to four times.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (any::<Index>(), proptest::collection::vec(damage(), 1..=4)).prop_map(|(which, damages)| {
        let mut bytes = EXAMPLES.values().nth(which.index(EXAMPLES.len())).unwrap().clone();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        bytes
    })
}

/// Every parser, and what follows it.
fn read(bytes: &[u8]) {
    if let Ok(parsed) = ParsedStatement::parse(bytes) {
        assert_eq!((parsed.bytes(), parsed.digest()), (bytes, Digest::of(bytes)));
        assert_eq!(ParsedStatement::parse(&parsed.statement().write()).unwrap().statement(), parsed.statement());
        has_one_form(bytes, &parsed.statement().write());
        let _ = STATE.check_statement(&parsed);
    }
    if let Ok(attestation) = UntrustedAttestation::parse(bytes) {
        let _ = attestation.verify(&[ed25519_signer(10).public().clone()]);
    }
    if let Ok(entry) = Entry::parse(bytes) {
        let again = Entry::parse(&entry.write()).unwrap();
        assert_eq!((&again, again.identity()), (&entry, entry.identity()));
        has_one_form(bytes, &entry.write());
    }
    let _ = STATE.clone().apply(bytes);
    if let Ok(manifest) = Manifest::parse(bytes) {
        let _ = manifest.root();
        has_one_form(bytes, &manifest.write());
    }
    if let Ok(trust) = TrustFile::parse(bytes) {
        assert_eq!(trust.write(), bytes);
        let (_, state) = (trust.authority().unwrap(), NamespaceState::new(&trust).unwrap());
        assert_eq!(state.size().get(), 0);
        let _ = verify(&EXAMPLES["validation-bundle"], None, &trust, &trust.initial_floor(), at(NOW));
    }
    if let Ok(floor) = Floor::parse(bytes) {
        assert_eq!(floor.write(), bytes);
        let _ = verify(&EXAMPLES["validation-bundle"], Some(&LINK), &TRUST, &floor, at(NOW));
    }
    if let Ok(bundle) = ValidationBundle::parse(bytes) {
        assert_eq!(bundle.write(), bytes);
        bundle.records.iter().for_each(|record| drop(record.path()));
    }
    let _ = verify(bytes, Some(&LINK), &TRUST, &FLOOR, at(NOW));
    if let Ok(link) = ConsistencyLink::parse(bytes) {
        let _ = link.proof();
        has_one_form(bytes, &link.write());
        let _ = verify(&EXAMPLES["validation-bundle"], Some(&link), &TRUST, &FLOOR, at(NOW));
    }
}

/// What was read and what is written are the same tree: white space, order and escapes are all that is free.
fn has_one_form(read: &[u8], written: &[u8]) {
    let tree = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(tree(read), tree(written));
}

fn read_text(text: &str) {
    if let Ok(time) = Timestamp::parse(text) {
        assert_eq!(std::format!("{time}"), text);
    }
    let _ = (Name::parse(text).is_ok(), Namespace::parse(text).is_ok(), Digest::from_hex(text).is_some());
    let officers = [Officer { subject: name("officer-0"), key: ed25519_signer(8).public().clone() }];
    let origin = origin();
    let approved = Approved { origin: &origin, epoch: Epoch::FIRST, digest: Digest::of(b"") };
    let _ = approval::verify(text, &officers, approved, at(NOW));
}

/// The first approval of the worked example.
fn approval_text() -> String {
    let Ok(Entry::CertifiedStatement(certified)) = Entry::parse(&EXAMPLES["certified-statement"]) else {
        panic!("certified-statement.json is another entry")
    };
    certified.approvals[0].clone()
}

fn config(cases: u32) -> ProptestConfig {
    // What fails is printed in its smallest form; the source tree is not written to.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn the_undamaged_examples_are_read_by_what_damages_them() {
    EXAMPLES.values().for_each(|bytes| read(bytes));
    read_text(&approval_text());
}

proptest! {
    #![proptest_config(config(1024))]

    #[test]
    fn a_damaged_document_never_panics(bytes in damaged()) {
        read(&bytes);
        read_text(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        read(&bytes);
        read_text(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_damaged_approval_never_panics(damages in proptest::collection::vec(damage(), 1..=4)) {
        let mut bytes = approval_text().into_bytes();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        read_text(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_text_is_never_a_time_unless_it_is_written_like_one(text in "[0-9:TZ+. -]{0,24}|\\PC{0,24}") {
        read_text(&text);
    }
}
