use super::*;
use crate::checkpoint::CheckpointError;
use crate::note::testkit::{TestKey, head_of_one};
use crate::witness_wire::WitnessWireError;

const HASH: &str = "mbsQCg+dEIMGlpqeGgk94JutQwKKS2Lo5IuDhKmDjiU=";

fn text() -> alloc::string::String {
    head_of_one("example.com/behind-the-sofa", b"entry").text()
}

fn line(seed: u8) -> alloc::string::String {
    TestKey::witness("w.example", seed).cosign(&text(), 1).to_line()
}

#[track_caller]
fn check(body: &str, expect: WitnessWireError) {
    assert_eq!(SignSubtreeRequest::parse(body.as_bytes()), Err(expect), "{body:?}");
}

#[test]
fn a_request_with_everything_and_one_with_nothing_optional_read_back_as_they_are() {
    let (text, a, b) = (text(), line(1), line(2));
    let whole = format!("subtree 8 13\n{HASH}\n{a}{HASH}\n{HASH}\n\n{text}\n{a}{b}");
    let read = SignSubtreeRequest::parse(whole.as_bytes()).unwrap();
    assert_eq!((read.start, read.end), (8, 13));
    assert_eq!((read.cosignatures.len(), read.proof.hashes().len(), read.signatures.len()), (1, 2, 2));
    assert_eq!(read.text, text);
    assert_eq!(read.to_bytes(), whole.as_bytes());

    let bare = format!("subtree 0 1\n{HASH}\n\n{text}");
    let read = SignSubtreeRequest::parse(bare.as_bytes()).unwrap();
    assert_eq!((read.cosignatures.len(), read.proof.hashes().len(), read.signatures.len()), (0, 0, 0));
    assert_eq!(read.to_bytes(), bare.as_bytes());
}

#[test]
fn extension_lines_are_a_part_of_the_text() {
    let text = format!("{}an extension\n", text());
    for body in [format!("subtree 0 1\n{HASH}\n\n{text}"), format!("subtree 0 1\n{HASH}\n\n{text}\n{}", line(1))] {
        let read = SignSubtreeRequest::parse(body.as_bytes()).unwrap();
        assert_eq!((read.text.as_str(), read.to_bytes()), (text.as_str(), body.into_bytes()));
    }
}

#[test]
fn every_other_form_is_refused_by_name() {
    let text = text();
    for range in
        ["", "subtree", "subtree 8", "subtree 8 13 ", "subtree 08 13", "subtree  8 13", "subtree 8 +13", "old 8"]
    {
        check(&format!("{range}\n{HASH}\n\n{text}"), WitnessWireError::SubtreeRange);
    }
    check(&format!("subtree 8 13\n\n{text}"), WitnessWireError::SubtreeHash);
    check(&format!("subtree 8 13\n{}\n\n{text}", &HASH[1..]), WitnessWireError::SubtreeHash);
    check(&format!("subtree 8 13\n{HASH}\n{HASH}x\n\n{text}"), WitnessWireError::Hash { number: 1 });
    check(&format!("subtree 8 13\n{HASH}\n{HASH}\n{}\n{text}", line(1)), WitnessWireError::Hash { number: 2 });
    check(&format!("subtree 8 13\n{HASH}\n"), WitnessWireError::NoCheckpoint);
    check(&format!("subtree 8 13\n{HASH}\n\n"), WitnessWireError::NoCheckpoint);
    check(&format!("subtree 8 13\n{HASH}\n\n{}", text.trim_end()), WitnessWireError::Newline);
    check(&format!("subtree 8 13\n{HASH}\n\norigin\n"), WitnessWireError::Checkpoint(CheckpointError::Lines));
    let nine = |line: &str| line.repeat(9);
    let many = WitnessWireError::TooManySignatures { found: 9, max: 8 };
    check(&format!("subtree 8 13\n{HASH}\n{}\n{text}", nine(&line(1))), many.clone());
    check(&format!("subtree 8 13\n{HASH}\n\n{text}\n{}", nine(&line(1))), many);
    let hashes = format!("{HASH}\n").repeat(64);
    let long = WitnessWireError::Proof(crate::proof::ProofError::TooManyHashes { found: 64 });
    check(&format!("subtree 8 13\n{HASH}\n{hashes}\n{text}"), long);
    let large = "x".repeat(ADD_CHECKPOINT_BYTES_MAX) + "\n";
    check(&large, WitnessWireError::TooLarge { found: large.len(), max: ADD_CHECKPOINT_BYTES_MAX });
}
