use super::*;
use crate::checkpoint::{Checkpoint, Origin};
use crate::hash::{RootHash, leaf_hash, node_hash};
use crate::note::testkit::TestKey;
use crate::note::{NoteError, SignedNote};
use crate::size::TreeSize;
use proptest::prelude::*;

// The example of the specification, with its extra data cut to whole base64 and its signatures left out.
const EXAMPLE: &str = "c2sp.org/tlog-proof@v1\n\
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\n\
index 73894\n\
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\n\
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=\n\
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n\
\n\
example.com/fancylog\n\
109482\n\
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\
\n";
const HASH: &str = "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n";

/// A log of two entries, cosigned by two witnesses of whom the policy wants both; the proof of the second entry.
fn logged() -> (Policy, TlogProof, LeafHash) {
    let log = TestKey::log("log.example", 1);
    let witnesses = [TestKey::witness("w1.example", 2), TestKey::witness("w2.example", 3)];
    let policy = format!(
        "log {}\nwitness 1 {}\nwitness 2 {}\ngroup both all 1 2\nquorum both\n",
        log.vkey, witnesses[0].vkey, witnesses[1].vkey
    );
    let (left, right) = (leaf_hash(b"first"), leaf_hash(b"second"));
    let head = Checkpoint {
        origin: Origin::new("log.example").unwrap(),
        size: TreeSize::new(2).unwrap(),
        root: RootHash(node_hash(&left.0, &right.0)),
    };
    let text = head.text();
    let mut lines = vec![log.sign(&text)];
    lines.extend(witnesses.iter().map(|witness| witness.cosign(&text, 1000)));
    let proof = TlogProof {
        extra: None,
        index: LeafIndex::new(1).unwrap(),
        proof: InclusionProof::new(vec![left.0]).unwrap(),
        checkpoint: SignedNote::new(&text, lines).unwrap().to_bytes(),
    };
    (Policy::parse(policy.as_bytes()).unwrap(), proof, right)
}

#[test]
fn the_specification_s_example_reads_and_writes_back() {
    let proof = TlogProof::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(proof.extra.as_deref(), Some(&b"age-v1.2.1-darwin-arm64.tar.gz"[..]));
    assert_eq!(proof.index.get(), 73894);
    assert_eq!(proof.proof.hashes().len(), 5);
    assert!(proof.checkpoint.starts_with(b"example.com/fancylog\n109482\n"));
    assert_eq!(proof.to_bytes(), EXAMPLE.as_bytes());
}

#[test]
fn malformed_proofs_are_refused_by_name() {
    let check = |bytes: &[u8], expect: TlogProofParseError| {
        assert_eq!(TlogProof::parse(bytes), Err(expect), "{}", bytes.escape_ascii());
    };
    let text = |lines: &str| format!("{HEADER}\n{lines}\n\nc\n").into_bytes();
    let found = TLOG_PROOF_BYTES_MAX + 1;
    check(&vec![b'\n'; found], TlogProofParseError::TooLarge { found });
    check(b"", TlogProofParseError::NoCheckpoint);
    check(format!("{HEADER}\nindex 0\n").as_bytes(), TlogProofParseError::NoCheckpoint);
    check(format!("{HEADER}\nindex 0\n\n").as_bytes(), TlogProofParseError::NoCheckpoint);
    check(b"\xff\n\nc\n", TlogProofParseError::Characters);
    check(b"c2sp.org/tlog-proof@v2\nindex 0\n\nc\n", TlogProofParseError::Header);
    check(b"c2sp.org/tlog-proof@v1\r\nindex 0\n\nc\n", TlogProofParseError::Header);
    check(b"\nindex 0\n\nc\n", TlogProofParseError::Header);
    for extra in ["extra ?\nindex 0", "extra YQ\nindex 0", "extra YR==\nindex 0", "extra  YQ==\nindex 0"] {
        check(&text(extra), TlogProofParseError::Extra);
    }
    for index in ["index", "index ", "index 01", "index -1", "index +1", "index 1 ", "index 9223372036854775808"] {
        check(&text(index), TlogProofParseError::Index);
    }
    for index in ["extra YQ==", "extra YQ==\nextra YQ==\nindex 0", "extra", "index\t0", "0"] {
        check(&text(index), TlogProofParseError::Index);
    }
    check(format!("{HEADER}\n\nc\n").as_bytes(), TlogProofParseError::Index);
    check(&text("index 0\nAAAA"), TlogProofParseError::Hash { number: 1 });
    check(&text(&format!("index 0\n{HASH}index 1")), TlogProofParseError::Hash { number: 2 });
    let too_many = TlogProofParseError::Path(ProofError::TooManyHashes { found: 64 });
    check(&text(format!("index 0\n{}", HASH.repeat(64)).trim_end()), too_many);
}

#[test]
fn an_entry_under_a_witnessed_checkpoint_verifies() {
    let (policy, proof, leaf) = logged();
    let proof = TlogProof::parse(&proof.to_bytes()).unwrap();
    let witnessed = proof.verify(&policy, leaf).unwrap();
    assert_eq!(witnessed.checkpoint().size.get(), 2);
    assert_eq!(witnessed.time(), Some(1000));
}

#[test]
fn the_extra_data_is_not_authenticated() {
    let (policy, mut proof, leaf) = logged();
    for extra in [Some(b"anything".to_vec()), Some(vec![])] {
        proof.extra = extra;
        assert_eq!(TlogProof::parse(&proof.to_bytes()).as_ref(), Ok(&proof));
        assert!(proof.verify(&policy, leaf).is_ok());
    }
}

#[test]
fn a_proof_is_refused_for_its_checkpoint_its_policy_or_its_path() {
    let (policy, proof, leaf) = logged();
    let broken = TlogProof { checkpoint: b"text\n".to_vec(), ..proof.clone() };
    let expect = TlogProofError::Checkpoint(CheckpointError::Note(NoteError::Structure));
    assert_eq!(broken.verify(&policy, leaf), Err(expect));

    let stranger = TestKey::log("other.example", 9).vkey;
    let other = Policy::parse(format!("log {stranger}\nquorum none\n").as_bytes()).unwrap();
    let expect = PolicyError::UnknownOrigin { origin: Origin::new("log.example").unwrap() };
    assert_eq!(proof.verify(&other, leaf), Err(TlogProofError::Policy(expect)));

    let inclusion = |proof: &TlogProof, leaf| {
        assert!(matches!(proof.verify(&policy, leaf), Err(TlogProofError::Inclusion(_))));
    };
    inclusion(&proof, leaf_hash(b"first"));
    inclusion(&TlogProof { index: LeafIndex::new(0).unwrap(), ..proof.clone() }, leaf);
    inclusion(&TlogProof { index: LeafIndex::new(2).unwrap(), ..proof.clone() }, leaf);
    inclusion(&TlogProof { proof: InclusionProof::new(vec![]).unwrap(), ..proof.clone() }, leaf);
}

#[test]
fn every_flipped_byte_spoils_a_proof_of_which_everything_is_needed() {
    let (policy, proof, leaf) = logged();
    let good = proof.to_bytes();
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            let verified = TlogProof::parse(&bytes).is_ok_and(|proof| proof.verify(&policy, leaf).is_ok());
            assert!(!verified, "byte {at} flipped by {flip:02x}");
        }
    }
}

#[test]
fn every_shortened_proof_is_refused() {
    let (policy, proof, leaf) = logged();
    let good = proof.to_bytes();
    for len in 0..good.len() {
        let verified = TlogProof::parse(&good[..len]).is_ok_and(|proof| proof.verify(&policy, leaf).is_ok());
        assert!(!verified, "first {len} bytes");
    }
}

proptest! {
    #[test]
    fn any_proof_reads_back(
        extra in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        index in 0_u64..1 << 63,
        hashes in prop::collection::vec(any::<[u8; 32]>(), 0..=63),
        checkpoint in prop::collection::vec(any::<u8>(), 1..100),
    ) {
        let proof = InclusionProof::new(hashes.into_iter().map(Hash).collect()).unwrap();
        let proof = TlogProof { extra, index: LeafIndex::new(index).unwrap(), proof, checkpoint };
        prop_assert_eq!(TlogProof::parse(&proof.to_bytes()), Ok(proof));
    }

    #[test]
    fn random_bytes_never_panic_and_what_reads_writes_back(lines in "(extra |index )?[0-9A-P=\n]{0,60}", tail in prop::collection::vec(any::<u8>(), 0..60)) {
        let bytes = [HEADER.as_bytes(), b"\n", lines.as_bytes(), &tail].concat();
        if let Ok(proof) = TlogProof::parse(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes);
        }
        let _ = TlogProof::parse(&tail);
    }
}
