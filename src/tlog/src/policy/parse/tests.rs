use super::*;
use crate::note::testkit::{TestKey, ml_dsa_witness};
use alloc::format;
use alloc::string::String;
use proptest::prelude::*;

/// Puts keys in the place of `{L1}`…`{L3}` (logs), `{W1}`…`{W6}` (witnesses), `{P1}`, `{P2}` (ML-DSA witnesses), and
/// the keys of `{L1}` as a witness (`{LW}`), of `{W1}` as a log (`{WL}`) and under another name (`{W1'}`, `{L1'}`).
fn filled(text: &str) -> Vec<u8> {
    let mut text = String::from(text);
    for n in 1..=6_u8 {
        text = text.replace(&format!("{{L{n}}}"), &TestKey::log(&format!("log{n}.example"), n).vkey.to_string());
        text = text.replace(&format!("{{W{n}}}"), &TestKey::witness(&format!("w{n}.example"), 10 + n).vkey.to_string());
        text = text.replace(&format!("{{P{n}}}"), &ml_dsa_witness(&format!("w{n}.example"), n).to_string());
    }
    text = text.replace("{LW}", &TestKey::witness("w.example", 1).vkey.to_string());
    text = text.replace("{WL}", &TestKey::log("log.example", 11).vkey.to_string());
    text = text.replace("{L1'}", &TestKey::log("log.example", 1).vkey.to_string());
    text = text.replace("{W1'}", &TestKey::witness("w.example", 11).vkey.to_string());
    text.into_bytes()
}

#[test]
fn the_specification_s_example_is_a_policy() {
    let policy = filled(
        "log {L1}\n\nwitness X1 {W1}\nwitness X2 {W2}\nwitness X3 {W3}\ngroup X-witnesses 2 X1 X2 X3\n\n\
         witness Y1 {W4}\nwitness Y2 {W5}\nwitness Y3 {W6}\ngroup Y-witnesses any Y1 Y2 Y3\n\n\
         group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
    );
    let policy = Policy::parse(&policy).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    let met = |names: &[&str]| policy.quorum_met(&|key| names.contains(&key.name().as_str()));
    assert!(met(&["w1.example", "w3.example", "w5.example"]));
    assert!(!met(&["w1.example", "w5.example", "w6.example"]));
    assert!(!met(&["w1.example", "w2.example", "w3.example"]));
    assert!(!met(&[]));
}

#[test]
fn good_policies_are_read() {
    for text in [
        "quorum none\n",
        "\n \t \n# comment \u{e9}\n \t# comment\nquorum none\n",
        "\tquorum \t none \t\n",
        "quorum none\nlog {L1}\n",
        "log {L1} https://log.example/\nlog {L2}\nquorum none\n",
        "witness none-of-them {W1}\nquorum none-of-them\n",
        "witness a {W1} https://\u{e9}.example/\nquorum a\n",
        "witness any {W1}\nwitness all {W2}\ngroup 1 any any all\nquorum 1\n",
        "witness K {W1}\nwitness \u{212a} {W2}\ngroup g all K \u{212a}\nquorum g\n",
        "witness a {W1}\nwitness b {P1}\ngroup g any a b\nquorum g\n",
        "witness a {W1}\ngroup g 1 a\ngroup h all g\nquorum h\nwitness b {W2}\n",
        "witness a {W1}\ngroup g any a\nquorum a\n",
    ] {
        let policy = filled(text);
        assert!(Policy::parse(&policy).is_ok(), "{text:?}: {:?}", Policy::parse(&policy));
    }
    let policy = Policy::parse(&filled("log {L1} u\u{e9}\nwitness n {W1} v\nquorum n\n")).unwrap();
    assert_eq!(policy.logs()[0].vkey, TestKey::log("log1.example", 1).vkey);
    assert_eq!(policy.logs()[0].url.as_deref(), Some("u\u{e9}".as_bytes()));
    assert_eq!(
        (policy.witnesses()[0].name.as_slice(), policy.witnesses()[0].url.as_deref()),
        (&b"n"[..], Some(&b"v"[..]))
    );
}

#[test]
fn names_and_comments_and_urls_are_octets() {
    let mut policy = b"# \xff\nwitness \xff\xfe ".to_vec();
    policy.extend(filled("{W1} http://"));
    policy.extend(b"\xff\nquorum \xff\xfe\n");
    let policy = Policy::parse(&policy).unwrap();
    assert_eq!(policy.witnesses()[0].name, b"\xff\xfe");
    assert_eq!(policy.witnesses()[0].url.as_deref(), Some(&b"http://\xff"[..]));
}

#[test]
fn bad_policies_are_refused_with_line_and_reason() {
    let key_type = |found| PolicyProblem::KeyType { found };
    let cases: &[(&str, usize, PolicyProblem)] = &[
        ("", 1, PolicyProblem::NoQuorum),
        ("log {L1}\n\n", 3, PolicyProblem::NoQuorum),
        ("# quorum none\n", 2, PolicyProblem::NoQuorum),
        ("\nquorum none", 2, PolicyProblem::NoFinalNewline),
        ("quorum none\n ", 2, PolicyProblem::NoFinalNewline),
        ("quorum none\r\n", 1, PolicyProblem::Octet { found: b'\r' }),
        ("# \0\nquorum none\n", 1, PolicyProblem::Octet { found: 0 }),
        ("quorum\x0bnone\n", 1, PolicyProblem::Octet { found: 0x0b }),
        ("# \x7f\nquorum none\n", 1, PolicyProblem::Octet { found: 0x7f }),
        ("Quorum none\n", 1, PolicyProblem::Keyword),
        ("quorum\u{a0}none\n", 1, PolicyProblem::Keyword),
        ("\u{feff}quorum none\n", 1, PolicyProblem::Keyword),
        ("log\n", 1, PolicyProblem::Items),
        ("log {L1} url # comment\n", 1, PolicyProblem::Items),
        ("witness a\n", 1, PolicyProblem::Items),
        ("witness a {W1} url more\n", 1, PolicyProblem::Items),
        ("group\n", 1, PolicyProblem::Items),
        ("group g\n", 1, PolicyProblem::Items),
        ("group g any\n", 1, PolicyProblem::Items),
        ("quorum\n", 1, PolicyProblem::Items),
        ("quorum none none\n", 1, PolicyProblem::Items),
        ("log log.example\n", 1, PolicyProblem::VerifierKey(NoteError::VerifierKeyForm)),
        ("log \u{e9}+00000000+AA==\n", 1, PolicyProblem::VerifierKey(NoteError::UnknownSignatureType { found: 0 })),
        ("log {W1}\n", 1, key_type(SignatureType::CosignatureEd25519)),
        ("witness a {L1}\n", 1, key_type(SignatureType::Ed25519)),
        ("log {L1}\nlog {L1}\n", 2, PolicyProblem::DuplicateKey),
        ("log {L1}\nlog {L1'}\n", 2, PolicyProblem::DuplicateKey),
        ("witness a {W1}\nwitness b {W1}\n", 2, PolicyProblem::DuplicateKey),
        ("witness a {W1}\nwitness b {W1'}\n", 2, PolicyProblem::DuplicateKey),
        ("log {L1}\nwitness a {LW}\n", 2, PolicyProblem::DuplicateKey),
        ("witness a {W1}\nlog {WL}\n", 2, PolicyProblem::DuplicateKey),
        ("witness none {W1}\n", 1, PolicyProblem::ReservedName),
        ("witness a {W1}\ngroup none any a\n", 2, PolicyProblem::ReservedName),
        ("witness a {W1}\nwitness a {W2}\n", 2, PolicyProblem::DuplicateName),
        ("witness a {W1}\ngroup a any a\n", 2, PolicyProblem::DuplicateName),
        ("witness a {W1}\nwitness b {W2}\ngroup g any a\ngroup g any b\n", 4, PolicyProblem::DuplicateName),
        ("quorum a\nwitness a {W1}\n", 1, PolicyProblem::UndefinedName),
        ("quorum any\n", 1, PolicyProblem::UndefinedName),
        ("group g any a\nwitness a {W1}\n", 1, PolicyProblem::UndefinedName),
        ("group g any g\n", 1, PolicyProblem::UndefinedName),
        ("group g any none\n", 1, PolicyProblem::UndefinedName),
        ("witness a {W1}\ngroup g any a A\n", 2, PolicyProblem::UndefinedName),
        ("witness a {W1}\ngroup g any a a\n", 2, PolicyProblem::MemberTwice),
        ("witness a {W1}\ngroup g any a\ngroup h any a\n", 3, PolicyProblem::MemberTwice),
        ("witness a {W1}\ngroup g any a\ngroup h any g\ngroup i any g\n", 4, PolicyProblem::MemberTwice),
        ("quorum none\nquorum none\n", 2, PolicyProblem::SecondQuorum),
    ];
    for (text, line, problem) in cases {
        let expect = PolicyParseError { line: *line, problem: problem.clone() };
        assert_eq!(Policy::parse(&filled(text)), Err(expect), "{text:?}");
    }
}

#[test]
fn a_verifier_key_that_is_not_utf_8_is_refused() {
    let problem = PolicyProblem::VerifierKey(NoteError::VerifierKeyForm);
    assert_eq!(Policy::parse(b"log \xff+00000000+AA==\n"), Err(PolicyParseError { line: 1, problem }));
}

#[test]
fn a_threshold_is_a_strict_decimal_within_the_members() {
    let parse = |threshold: &str| {
        Policy::parse(&filled(&format!("witness a {{W1}}\nwitness b {{W2}}\ngroup g {threshold} a b\nquorum g\n")))
    };
    for threshold in ["1", "2", "any", "all"] {
        assert!(parse(threshold).is_ok(), "{threshold}");
    }
    for threshold in ["0", "3", "01", "+1", "-1", "1.0", "0x1", "ANY", "a", "\u{661}", "18446744073709551617"] {
        let expect = PolicyParseError { line: 3, problem: PolicyProblem::Threshold };
        assert_eq!(parse(threshold), Err(expect), "{threshold}");
    }
}

#[test]
fn sixty_four_lines_of_each_kind_are_read_and_no_more() {
    let log = |n: u8| format!("log {}\n", TestKey::log(&format!("log{n}.example"), n).vkey);
    let witness = |n: u8| format!("witness w{n} {}\n", TestKey::witness(&format!("w{n}.example"), 100 + n).vkey);
    let group = |n: u8| format!("group g{n} any w{n}\n");
    let lines = |kind: &dyn Fn(u8) -> String, count: u8| (0..count).map(kind).collect::<String>();
    let most = [lines(&log, 64), lines(&witness, 64), lines(&group, 64)].concat();
    assert!(Policy::parse(format!("{most}quorum none\n").as_bytes()).is_ok());
    let full = [lines(&witness, 64), lines(&group, 64), String::from("group more any g0\n")].concat();
    for (text, line) in [(lines(&log, 65), 65), (lines(&witness, 65), 65), (full, 129)] {
        let expect = PolicyParseError { line, problem: PolicyProblem::TooManyLines };
        assert_eq!(Policy::parse(text.as_bytes()), Err(expect));
    }
}

#[test]
fn a_policy_has_at_most_64_kib() {
    let mut policy = "#".repeat(POLICY_BYTES_MAX - 13) + "\nquorum none\n";
    assert!(Policy::parse(policy.as_bytes()).is_ok());
    policy.insert(0, '#');
    let problem = PolicyProblem::TooLarge { found: POLICY_BYTES_MAX + 1 };
    assert_eq!(Policy::parse(policy.as_bytes()), Err(PolicyParseError { line: 1, problem }));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Policy::parse(&bytes);
    }

    #[test]
    fn random_lines_of_known_words_never_panic(words in prop::collection::vec(0_usize..15, 0..40)) {
        let items = ["log", "witness", "group", "quorum", "none", "any", "all", "2", "a", "b", "{L1}", "{W1}", "{W2}", "#", "\n"];
        let text = words.iter().map(|&word| items[word]).collect::<Vec<_>>().join(" ");
        let _ = Policy::parse(&filled(&format!("{text}\n")));
    }
}
