use super::*;
use proptest::prelude::*;

// The examples of the specification.
const REQUEST: &str = "old 20852014\n\
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
\n\
example.com/behind-the-sofa\n\
20852163\n\
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
\n\
\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
\u{2014} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
const RESPONSE: &str = "\
\u{2014} witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n\
\u{2014} witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==\n\
\u{2014} witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==\n";
const HASH: &str = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";

#[test]
fn the_specification_s_request_reads_and_writes_back() {
    let request = AddCheckpointRequest::parse(REQUEST.as_bytes()).unwrap();
    assert_eq!(request.old.get(), 20_852_014);
    assert_eq!(request.proof.hashes().len(), 4);
    assert!(request.checkpoint.starts_with(b"example.com/behind-the-sofa\n20852163\n"));
    assert!(crate::checkpoint::SignedCheckpoint::parse(&request.checkpoint).is_ok());
    assert_eq!(request.to_bytes(), REQUEST.as_bytes());
}

#[test]
fn malformed_requests_are_refused_by_name() {
    let check = |bytes: &[u8], expect: WitnessWireError| {
        assert_eq!(AddCheckpointRequest::parse(bytes), Err(expect), "{}", bytes.escape_ascii());
    };
    let max = ADD_CHECKPOINT_BYTES_MAX;
    check(&vec![b'\n'; max + 1], WitnessWireError::TooLarge { found: max + 1, max });
    check(b"", WitnessWireError::Newline);
    check(b"old 0\n\ncheckpoint", WitnessWireError::Newline);
    check(b"old 0\n", WitnessWireError::NoCheckpoint);
    check(b"old 0\n\n", WitnessWireError::NoCheckpoint);
    check(b"old 0\ncheckpoint\n", WitnessWireError::NoCheckpoint);
    check(b"old \xff\n\ncheckpoint\n", WitnessWireError::Characters);
    for old in
        ["\n\nc\n", "old\n\nc\n", "old \n\nc\n", "old 01\n\nc\n", "old -1\n\nc\n", "old  1\n\nc\n", "old 1 \n\nc\n"]
    {
        check(old.as_bytes(), WitnessWireError::OldSize);
    }
    check(b"old 9223372036854775808\n\nc\n", WitnessWireError::OldSize);
    check(b"Old 0\n\nc\n", WitnessWireError::OldSize);
    check(b"old 0\r\n\nc\n", WitnessWireError::OldSize);
    check(format!("old 1\n{HASH}AAAA\n\nc\n").as_bytes(), WitnessWireError::Hash { number: 2 });
    check(format!("old 1\n{}\n\nc\n", HASH.replace("kaw=", "kax=")).as_bytes(), WitnessWireError::Hash { number: 1 });
    let too_many = WitnessWireError::Proof(ProofError::TooManyHashes { found: 64 });
    check(format!("old 1\n{}\nc\n", HASH.repeat(64)).as_bytes(), too_many);
    assert!(AddCheckpointRequest::parse(format!("old 1\n{}\nc\n", HASH.repeat(63)).as_bytes()).is_ok());
}

#[test]
fn the_specification_s_response_reads_and_writes_back() {
    let lines = parse_cosignature_lines(RESPONSE.as_bytes()).unwrap();
    assert_eq!(lines.iter().map(NoteSignature::to_line).collect::<String>(), RESPONSE);
    assert_eq!(lines[2].name.as_str(), "witness.example/w2");
}

#[test]
fn malformed_responses_are_refused_by_name() {
    let check = |bytes: &[u8], expect: WitnessWireError| assert_eq!(parse_cosignature_lines(bytes), Err(expect));
    let max = COSIGNATURES_BYTES_MAX;
    check(&vec![b'\n'; max + 1], WitnessWireError::TooLarge { found: max + 1, max });
    check(b"", WitnessWireError::Newline);
    check(RESPONSE.trim_end().as_bytes(), WitnessWireError::Newline);
    check(b"\xff\n", WitnessWireError::Characters);
    let wrong = |number| WitnessWireError::SignatureLine { number, source: NoteError::SignatureLine };
    check(b"\n", wrong(1));
    check(format!("{RESPONSE}\n").as_bytes(), wrong(4));
    check(format!("{RESPONSE}- w AAAAAAA=\n").as_bytes(), wrong(4));
    let found = SIGNATURES_MAX + 1;
    check(
        "\u{2014} w AAAAAAA=\n".repeat(found).as_bytes(),
        WitnessWireError::TooManySignatures { found, max: SIGNATURES_MAX },
    );
    assert!(parse_cosignature_lines("\u{2014} w AAAAAAA=\n".repeat(SIGNATURES_MAX).as_bytes()).is_ok());
}

#[test]
fn a_conflict_body_is_a_decimal_and_a_newline() {
    let size = TreeSize::new(20_852_014).unwrap();
    assert_eq!(conflict_body(size), "20852014\n");
    for size in [TreeSize::ZERO, size, TreeSize::MAX] {
        assert_eq!(parse_conflict_body(&conflict_body(size)), Ok(size));
    }
    for body in ["", "\n", "1", "01\n", "1\n\n", " 1\n", "1\r\n", "-1\n", "9223372036854775808\n", "one\n"] {
        assert_eq!(parse_conflict_body(body), Err(WitnessWireError::ConflictSize), "{body:?}");
    }
}

#[test]
fn the_monitoring_path_is_the_hash_of_the_origin() {
    // printf %s example.com/behind-the-sofa | sha256sum
    let origin = Origin::new("example.com/behind-the-sofa").unwrap();
    let expect = "5fd2dc0beb4ce54da5050cf6d5c75248b023abad441c3cecde3976fbe9da4fe4/checkpoint";
    assert_eq!(monitoring_path(&origin), expect);
}

proptest! {
    #[test]
    fn any_request_reads_back(
        old in 0_u64..1 << 63,
        hashes in prop::collection::vec(any::<[u8; 32]>(), 0..=63),
        text in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let proof = ConsistencyProof::new(hashes.into_iter().map(Hash).collect()).unwrap();
        let checkpoint = [text.as_slice(), b"\n"].concat();
        let request = AddCheckpointRequest { old: TreeSize::new(old).unwrap(), proof, checkpoint };
        prop_assert_eq!(AddCheckpointRequest::parse(&request.to_bytes()), Ok(request));
    }

    #[test]
    fn random_bytes_never_panic_and_what_reads_writes_back(head in "(old )?[0-9A-P=\n]{0,60}", tail in prop::collection::vec(any::<u8>(), 0..60)) {
        let bytes = [head.as_bytes(), &tail].concat();
        if let Ok(request) = AddCheckpointRequest::parse(&bytes) {
            prop_assert_eq!(request.to_bytes(), bytes);
        }
        let _ = parse_cosignature_lines(&tail);
    }
}
