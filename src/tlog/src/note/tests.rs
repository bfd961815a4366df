use super::testkit::{TestKey, head_of_one, ml_dsa_witness, spoilt};
use super::*;
use proptest::prelude::*;

// From the documentation of golang.org/x/mod/sumdb/note.
const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NEUMANN_LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
// The example of the specification.
const QUASIMODO: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn neumann_note() -> String {
    format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}\n")
}

fn bad(key: &VerifierKey) -> NoteError {
    NoteError::BadSignature { name: key.name().clone(), id: key.id() }
}

#[test]
fn the_note_of_go_verifies_and_round_trips() {
    let key = VerifierKey::parse(NEUMANN).unwrap();
    assert_eq!(key.to_string(), NEUMANN);
    assert_eq!(
        (key.name().as_str(), key.id(), key.kind()),
        ("PeterNeumann", KeyId(0xc74f_20a3), SignatureType::Ed25519)
    );
    assert_eq!(key.key_bytes().len(), 32);
    let note = SignedNote::parse(neumann_note().as_bytes()).unwrap();
    assert_eq!(note.text(), NEUMANN_TEXT);
    assert_eq!(note.signatures().len(), 1);
    assert_eq!(note.verify([&key]), Ok(vec![key.clone()]));
    assert_eq!(note.to_bytes(), neumann_note().as_bytes());
    assert_eq!(note.signature_of(&key).unwrap().to_line(), format!("{NEUMANN_LINE}\n"));
}

#[test]
fn every_flipped_byte_spoils_the_note_of_go() {
    let key = VerifierKey::parse(NEUMANN).unwrap();
    for at in 0..neumann_note().len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bytes = neumann_note().into_bytes();
            bytes[at] ^= flip;
            let verified = SignedNote::parse(&bytes).and_then(|note| note.verify([&key]));
            assert!(verified.is_err(), "byte {at} flipped by {flip:02x}");
        }
    }
}

#[test]
fn text_and_signatures_part_at_the_last_empty_line() {
    let note = SignedNote::parse(QUASIMODO.as_bytes()).unwrap();
    assert!(note.text().ends_with("sole:\n\ned è subito sera.\n"));
    assert_eq!(note.signatures().len(), 1);
    assert_eq!(note.to_bytes(), QUASIMODO.as_bytes());

    let key = TestKey::log("log.example", 1);
    // A text that ends like a note: its signature line is text, not a signature.
    let text = format!("text\n\n{}", key.sign("text\n").to_line());
    let other = TestKey::log("other.example", 2);
    let note = SignedNote::new(&text, vec![other.sign(&text)]).unwrap();
    let note = SignedNote::parse(&note.to_bytes()).unwrap();
    assert_eq!(note.text(), text);
    assert_eq!(note.verify([&key.vkey]), Err(NoteError::NoKnownSignature));
    assert_eq!(note.verify([&other.vkey]), Ok(vec![other.vkey.clone()]));
}

#[test]
fn a_verifier_key_has_one_form() {
    let check = |text: &str, expect: NoteError| assert_eq!(VerifierKey::parse(text), Err(expect), "{text:?}");
    let encoded = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    check("", NoteError::VerifierKeyForm);
    check("PeterNeumann+c74f20a3", NoteError::VerifierKeyForm);
    check(&format!("PeterNeumann+C74F20A3+{encoded}"), NoteError::VerifierKeyForm);
    check(&format!("PeterNeumann+74f20a3+{encoded}"), NoteError::VerifierKeyForm);
    check(&format!("PeterNeumann+0c74f20a3+{encoded}"), NoteError::VerifierKeyForm);
    check(&format!("PeterNeumann+ 74f20a3+{encoded}"), NoteError::VerifierKeyForm);
    check("PeterNeumann+c74f20a3+", NoteError::VerifierKeyForm);
    check(&format!("PeterNeumann+c74f20a3+{encoded}="), NoteError::VerifierKeyForm);
    check(&format!("PeterNeumann+c74f20a3+{encoded}\n"), NoteError::VerifierKeyForm);
    check(&format!("+c74f20a3+{encoded}"), NoteError::KeyName);
    check(&format!("Peter Neumann+c74f20a3+{encoded}"), NoteError::KeyName);
    check("PeterNeumann+c74f20a3+Ag==", NoteError::UnknownSignatureType { found: 2 });
    check("PeterNeumann+c74f20a3+AQ==", NoteError::KeyBytes { kind: SignatureType::Ed25519 });
    check("PeterNeumann+c74f20a3+Bg==", NoteError::KeyBytes { kind: SignatureType::CosignatureMlDsa44 });
    let (expected, found) = (KeyId(0xc74f_20a3), KeyId(0xc74f_20a4));
    check(&format!("PeterNeumann+c74f20a4+{encoded}"), NoteError::KeyIdMismatch { expected, found });
}

#[test]
fn the_key_id_binds_name_type_and_key() {
    let ids: Vec<KeyId> = [TestKey::log("a", 1), TestKey::log("b", 1), TestKey::witness("a", 1), TestKey::log("a", 2)]
        .iter()
        .map(|key| key.vkey.id())
        .collect();
    for (place, id) in ids.iter().enumerate() {
        assert!(!ids[..place].contains(id), "{ids:?}");
    }
    for key in [TestKey::log("a", 1).vkey, TestKey::witness("a", 1).vkey, ml_dsa_witness("a", 1)] {
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
}

#[test]
fn a_small_order_point_is_no_key() {
    let mut identity = [0; 32];
    identity[0] = 1;
    for kind in [SignatureType::Ed25519, SignatureType::CosignatureEd25519] {
        assert_eq!(VerifierKey::new(KeyName::new("weak").unwrap(), kind, &identity), Err(NoteError::KeyBytes { kind }));
    }
}

#[test]
fn a_key_name_has_no_spaces_controls_or_plus() {
    for name in ["a", "log.example/2026", "\u{e9}", &"n".repeat(255)] {
        assert_eq!(KeyName::new(name).unwrap().to_string(), name);
    }
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}", "a\n", "\t", "a\u{0}", "a\u{7f}", &"n".repeat(256)] {
        assert_eq!(KeyName::new(name), Err(NoteError::KeyName), "{name:?}");
    }
}

#[test]
fn malformed_notes_are_refused_by_name() {
    let check = |note: &[u8], expect: NoteError| assert_eq!(SignedNote::parse(note), Err(expect));
    let line = format!("{NEUMANN_LINE}\n");
    check(b"", NoteError::Structure);
    check(b"text\n", NoteError::Structure);
    check(b"text\n\n", NoteError::Structure);
    check(b"\n\n", NoteError::Structure);
    check(format!("text\n{line}").as_bytes(), NoteError::Structure);
    check(format!("text\n\n{NEUMANN_LINE}").as_bytes(), NoteError::Structure);
    check(format!("text\n\n{line}\n").as_bytes(), NoteError::Structure);
    check(b"text\n\n\xff\n", NoteError::Characters);
    check(format!("te\rxt\n\n{line}").as_bytes(), NoteError::Characters);
    check(format!("te\txt\n\n{line}").as_bytes(), NoteError::Characters);
    check(format!("te\0xt\n\n{line}").as_bytes(), NoteError::Characters);
    check(format!("text\n\n{line}{line}more\n").as_bytes(), NoteError::SignatureLine);
    check(&vec![b'a'; NOTE_BYTES_MAX + 1], NoteError::TooLarge);
    check(format!("text\n\n{}", line.repeat(SIGNATURES_MAX + 1)).as_bytes(), NoteError::TooLarge);
    assert!(SignedNote::parse(format!("text\n\n{}", line.repeat(SIGNATURES_MAX)).as_bytes()).is_ok());
}

#[test]
fn a_note_is_put_together_only_from_what_can_be_read() {
    let line = NoteSignature::parse_line(NEUMANN_LINE).unwrap();
    assert_eq!(SignedNote::new("no newline", vec![line.clone()]), Err(NoteError::Structure));
    assert_eq!(SignedNote::new("", vec![line.clone()]), Err(NoteError::Structure));
    assert_eq!(SignedNote::new("text\n", vec![]), Err(NoteError::Structure));
    assert_eq!(SignedNote::new("te\rxt\n", vec![line.clone()]), Err(NoteError::Characters));
    assert_eq!(SignedNote::new("text\n", vec![line; SIGNATURES_MAX + 1]), Err(NoteError::TooLarge));
}

#[test]
fn a_signature_line_has_one_form() {
    for line in [
        "",
        "PeterNeumann x08go/ZJ",
        "- PeterNeumann x08go/ZJ",
        "\u{2014}PeterNeumann x08go/ZJ",
        "\u{2014} PeterNeumann",
        "\u{2014} PeterNeumann ",
        "\u{2014} PeterNeumann  x08go/ZJ",
        "\u{2014} PeterNeumann x08go/ZJ ",
        "\u{2014} PeterNeumann x08go_ZJ",
        "\u{2014} PeterNeumann x08go/ZJk",
        "\u{2014} PeterNeumann x08gow==",
        "\u{2014} PeterNeumann x08=",
    ] {
        assert_eq!(NoteSignature::parse_line(line), Err(NoteError::SignatureLine), "{line:?}");
    }
    assert_eq!(NoteSignature::parse_line("\u{2014}  x08go/ZJ"), Err(NoteError::KeyName));
    assert_eq!(NoteSignature::parse_line("\u{2014} a+b x08go/ZJ"), Err(NoteError::KeyName));
}

#[test]
fn lines_of_unknown_keys_are_ignored() {
    let (known, unknown) = (TestKey::log("log.example", 1), TestKey::log("log.example", 2));
    let note = SignedNote::new("text\n", vec![spoilt(unknown.sign("text\n")), known.sign("text\n")]).unwrap();
    assert_eq!(note.verify([&known.vkey]), Ok(vec![known.vkey.clone()]));
    // Same identifier under another name, and the other way round, are other keys.
    let mut renamed = spoilt(known.sign("text\n"));
    renamed.name = KeyName::new("other.example").unwrap();
    assert_eq!(note.clone().with_signature(renamed).verify([&known.vkey]), Ok(vec![known.vkey.clone()]));
    assert_eq!(note.verify([]), Err(NoteError::NoKnownSignature));
}

#[test]
fn one_bad_signature_of_a_known_key_spoils_the_note() {
    let (good, spoiler) = (TestKey::log("a.example", 1), TestKey::log("b.example", 2));
    let witness = TestKey::witness("w.example", 3);
    let keys = [&good.vkey, &spoiler.vkey, &witness.vkey];
    let verify = |line: NoteSignature| SignedNote::new("text\n", vec![good.sign("text\n"), line]).unwrap().verify(keys);
    assert_eq!(verify(spoilt(spoiler.sign("text\n"))), Err(bad(&spoiler.vkey)));
    assert_eq!(verify(spoiler.sign("other\n")), Err(bad(&spoiler.vkey)));
    assert_eq!(verify(spoilt(witness.cosign("text\n", 1))), Err(bad(&witness.vkey)));
    assert_eq!(verify(NoteSignature::new(&spoiler.vkey, &[0; 63])), Err(bad(&spoiler.vkey)));
    // A witness key's plain signature is not a cosignature.
    assert_eq!(verify(witness.sign("text\n")), Err(bad(&witness.vkey)));
    assert_eq!(verify(witness.cosign("text\n", 1)), Ok(vec![good.vkey.clone(), witness.vkey.clone()]));
}

#[test]
fn two_lines_of_a_known_key_are_refused_and_of_an_unknown_key_ignored() {
    let (known, unknown) = (TestKey::log("a.example", 1), TestKey::log("b.example", 2));
    let (line, other) = (known.sign("text\n"), unknown.sign("text\n"));
    let note = SignedNote::new("text\n", vec![other.clone(), line.clone(), other, line.clone()]).unwrap();
    let (name, id) = (known.vkey.name().clone(), known.vkey.id());
    assert_eq!(note.verify([&known.vkey]), Err(NoteError::DuplicateSignature { name, id }));
    assert_eq!(note.with_signature(line).verify([&known.vkey]), Ok(vec![known.vkey.clone()]));
}

#[test]
fn a_spoilt_ml_dsa_line_of_a_known_key_spoils_the_note() {
    let text = head_of_one("log.example", b"entry").text();
    let (ed25519, ml_dsa) = (TestKey::log("log.example", 1), TestKey::ml_dsa("log.example", 7));
    let both = SignedNote::new(&text, vec![ed25519.sign(&text), ml_dsa.cosign(&text, 0)]).unwrap();
    assert_eq!(both.verify([&ed25519.vkey, &ml_dsa.vkey]), Ok(vec![ed25519.vkey.clone(), ml_dsa.vkey.clone()]));
    let bad = NoteError::BadSignature { name: ml_dsa.vkey.name().clone(), id: ml_dsa.vkey.id() };
    for line in [spoilt(ml_dsa.cosign(&text, 0)), NoteSignature::new(&ml_dsa.vkey, &[0; 2428])] {
        let note = SignedNote::new(&text, vec![ed25519.sign(&text), line]).unwrap();
        assert_eq!(note.verify([&ed25519.vkey, &ml_dsa.vkey]), Err(bad.clone()));
        // To whom that key is not known, it is any line.
        assert_eq!(note.verify([&ed25519.vkey]), Ok(vec![ed25519.vkey.clone()]));
    }
}

#[test]
fn verified_keys_come_in_the_order_of_their_lines() {
    let (a, b) = (TestKey::log("a.example", 1), TestKey::log("b.example", 2));
    let note = SignedNote::new("text\n", vec![b.sign("text\n"), a.sign("text\n")]).unwrap();
    assert_eq!(note.verify([&a.vkey, &b.vkey]), Ok(vec![b.vkey, a.vkey]));
}

proptest! {
    #[test]
    fn any_note_that_can_be_put_together_reads_back(text in "[ -~\u{a0}-\u{2fff}\n]{0,80}", seeds in prop::collection::vec(any::<u8>(), 1..5)) {
        let text = format!("{text}\n");
        let lines = seeds.iter().map(|&seed| TestKey::log("log.example", seed).sign(&text)).collect();
        let note = SignedNote::new(&text, lines).unwrap();
        prop_assert_eq!(SignedNote::parse(&note.to_bytes()), Ok(note));
    }

    #[test]
    fn random_bytes_never_panic_and_what_reads_writes_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(note) = SignedNote::parse(&bytes) {
            prop_assert_eq!(note.to_bytes(), bytes);
        }
    }

    #[test]
    fn random_texts_never_panic_and_what_reads_writes_back(text in "[\u{2014}a+ =\n1]{0,40}") {
        let text = format!("a\n\n{text}\n");
        if let Ok(note) = SignedNote::parse(text.as_bytes()) {
            prop_assert_eq!(note.to_bytes(), text.as_bytes());
        }
        let _ = VerifierKey::parse(&text);
    }
}
