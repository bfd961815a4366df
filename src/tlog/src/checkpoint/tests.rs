use super::*;
use crate::note::testkit::{TestKey, head_of_one, spoilt};
use proptest::prelude::*;

const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
const EMPTY_ROOT: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

#[test]
fn the_specification_s_example_reads_and_writes_back() {
    let bytes = format!(
        "example.com/behind-the-sofa\n20852163\n{ROOT}\n\n\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    );
    let signed = SignedCheckpoint::parse(bytes.as_bytes()).unwrap();
    let checkpoint = signed.checkpoint();
    assert_eq!(checkpoint.origin.as_str(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size.get(), 20_852_163);
    assert_eq!(checkpoint.root.0.to_base64(), ROOT);
    assert_eq!(checkpoint.text(), signed.note().text());
    assert_eq!(signed.to_bytes(), bytes.as_bytes());
}

#[test]
fn malformed_texts_are_refused_by_name() {
    let check = |text: &str, expect: CheckpointError| assert_eq!(Checkpoint::parse(text), Err(expect), "{text:?}");
    check("", CheckpointError::Lines);
    check("log.example\n1\n", CheckpointError::Lines);
    check(&format!("log.example\n1\n{ROOT}"), CheckpointError::Lines);
    check(&format!("log.example\n1\n{ROOT}\n\n"), CheckpointError::Lines);
    check(&format!("log.example\n1\n{ROOT}\n\nmore\n"), CheckpointError::Lines);
    check(&format!("log.example\n1\n{ROOT}\nmore\nlines\n"), CheckpointError::Extensions { count: 2 });
    check(&format!("log example\n1\n{ROOT}\n"), CheckpointError::Origin);
    check(&format!("log+example\n1\n{ROOT}\n"), CheckpointError::Origin);
    check(&format!("\n1\n{ROOT}\n"), CheckpointError::Origin);
    check(&format!("{}\n1\n{ROOT}\n", "o".repeat(256)), CheckpointError::Origin);
    for size in ["", "-1", "+1", "01", "1 ", " 1", "0x1", "9223372036854775808", "99999999999999999999"] {
        check(&format!("log.example\n{size}\n{ROOT}\n"), CheckpointError::Size);
    }
    for root in ["", "AAAA", &ROOT[..43], &ROOT.replace("I=", "J="), &format!("{ROOT} "), &ROOT.replace('/', "_")] {
        check(&format!("log.example\n1\n{root}\n"), CheckpointError::Root);
    }
    check(&format!("log.example\n0\n{ROOT}\n"), CheckpointError::EmptyRoot);
    assert!(Checkpoint::parse(&format!("log.example\n0\n{EMPTY_ROOT}\n")).is_ok());
    assert!(Checkpoint::parse(&format!("log.example\n9223372036854775807\n{ROOT}\n")).is_ok());
}

#[test]
fn extension_lines_are_read_only_where_asked_for_and_stay_signed() {
    let log = TestKey::log("log.example", 1);
    let text = format!("log.example\n1\n{ROOT}\nmore\n");
    let note = SignedNote::new(&text, vec![log.sign(&text)]).unwrap().to_bytes();
    assert_eq!(SignedCheckpoint::parse(&note), Err(CheckpointError::Extensions { count: 1 }));
    let signed = SignedCheckpoint::parse_allowing_extensions(&note).unwrap();
    assert_eq!(signed.verify_log(std::slice::from_ref(&log.vkey)), Ok(log.vkey));
    assert_eq!(signed.to_bytes(), note);
    let (_, extensions) = Checkpoint::parse_allowing_extensions(&text).unwrap();
    assert_eq!(extensions, ["more"]);
}

#[test]
fn bytes_that_are_no_note_are_no_checkpoint() {
    assert_eq!(SignedCheckpoint::parse(b"log.example\n"), Err(CheckpointError::Note(NoteError::Structure)));
}

#[test]
fn only_a_log_key_named_as_the_origin_verifies_a_checkpoint() {
    let (log, unknown) = (TestKey::log("log.example", 1), TestKey::log("log.example", 2));
    let (renamed, witness) = (TestKey::log("other.example", 1), TestKey::witness("log.example", 1));
    let text = head_of_one("log.example", b"entry").text();
    let signed = |line| SignedCheckpoint::parse(&SignedNote::new(&text, vec![line]).unwrap().to_bytes()).unwrap();
    let good = signed(log.sign(&text));
    assert_eq!(good.verify_log(&[unknown.vkey.clone(), log.vkey.clone()]), Ok(log.vkey.clone()));
    for key in [renamed.vkey, witness.vkey] {
        let expect = CheckpointError::LogKey { name: key.name().clone(), origin: good.checkpoint().origin.clone() };
        assert_eq!(good.verify_log(&[log.vkey.clone(), key]), Err(expect));
    }
    assert_eq!(good.verify_log(&[]), Err(CheckpointError::Note(NoteError::NoKnownSignature)));
    assert_eq!(good.verify_log(&[unknown.vkey]), Err(CheckpointError::Note(NoteError::NoKnownSignature)));
    let expect = NoteError::BadSignature { name: log.vkey.name().clone(), id: log.vkey.id() };
    assert_eq!(signed(spoilt(log.sign(&text))).verify_log(&[log.vkey]), Err(CheckpointError::Note(expect)));
}

#[test]
fn a_cosigned_checkpoint_keeps_one_line_for_each_key() {
    let (log, witness) = (TestKey::log("log.example", 1), TestKey::witness("w.example", 2));
    let text = head_of_one("log.example", b"entry").text();
    let note = SignedNote::new(&text, vec![log.sign(&text)]).unwrap();
    let signed = SignedCheckpoint::parse(&note.to_bytes()).unwrap();
    let signed = signed.with_signature(witness.cosign(&text, 1)).with_signature(witness.cosign(&text, 2));
    assert_eq!(signed.note().signatures(), [log.sign(&text), witness.cosign(&text, 2)]);
}

proptest! {
    #[test]
    fn any_head_reads_back(size in 1_u64..1 << 63, root: [u8; 32], origin in "[!-*,-~]{1,255}") {
        let size = TreeSize::new(size).unwrap();
        let head = Checkpoint { origin: Origin::new(&origin).unwrap(), size, root: RootHash(Hash(root)) };
        prop_assert_eq!(Checkpoint::parse(&head.text()), Ok(head));
    }

    #[test]
    fn random_texts_never_panic_and_what_reads_writes_back(text in "[a\n0-9=]{0,60}") {
        if let Ok(head) = Checkpoint::parse(&text) {
            prop_assert_eq!(head.text(), text);
        }
    }
}
