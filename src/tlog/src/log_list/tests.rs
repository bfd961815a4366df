use super::*;
use crate::note::testkit::TestKey;

fn keys() -> [String; 3] {
    let keys = [TestKey::log("one.example", 1), TestKey::log("two.example/key", 2), TestKey::ml_dsa("pq.example", 3)];
    keys.map(|key| key.vkey.to_string())
}

#[test]
fn a_list_as_the_network_publishes_it_is_read() {
    let [one, two, pq] = keys();
    let list = format!(
        "#\n# List:      10qps-1Mlogs\n# Revision:  123\n#\nlogs/v0\n\n# 1st\nvkey {one}\norigin none\nqpd 86400\n\
         bastion_is_optional_here_and_so_is_origin\n"
    );
    let refused = parse(list.as_bytes()).unwrap_err();
    assert_eq!((refused.line, refused.problem), (11, LogListProblem::Keyword { expected: "contact" }));

    let list = format!(
        "# header\nlogs/v0\n\nvkey {one}\norigin none\nbastion https://bastion.example/\nqpd 86400\n\
         contact https://one.example/contact\n\n  vkey {two}\r\n\torigin another/origin\nqpd 24 \ncontact sysadmin (at) \
         two.example | see there\nvkey {pq}\nqpd 1\ncontact x"
    );
    let logs = parse(list.as_bytes()).unwrap();
    let short: Vec<_> =
        logs.iter().map(|log| (log.origin.as_str(), log.requests_per_day, log.contact.as_str())).collect();
    assert_eq!(
        short,
        [
            ("one.example", 86_400, "https://one.example/contact"),
            ("another/origin", 24, "sysadmin (at) two.example | see there"),
            ("pq.example", 1, "x"),
        ]
    );
    assert_eq!(logs.iter().map(|log| log.vkey.to_string()).collect::<Vec<_>>(), keys());
}

#[test]
fn a_list_may_name_nobody() {
    for list in ["logs/v0", "logs/v0\n", "\n# nobody yet\nlogs/v0\n#\n"] {
        assert_eq!(parse(list.as_bytes()), Ok(vec![]), "{list:?}");
    }
}

#[test]
fn every_rule_is_broken_once_and_refused_with_its_line() {
    let [one, ..] = keys();
    let witness = TestKey::witness("w.example", 1).vkey;
    let cases = [
        (String::new(), 1, LogListProblem::Header),
        ("logs/v1\n".to_string(), 1, LogListProblem::Header),
        (format!("vkey {one}\n"), 1, LogListProblem::Header),
        ("logs/v0\nqpd 1\n".to_string(), 2, LogListProblem::Keyword { expected: "vkey" }),
        ("logs/v0\nvkey\n".to_string(), 2, LogListProblem::Items { keyword: "vkey" }),
        ("logs/v0\nvkey x\n".to_string(), 2, LogListProblem::Vkey(NoteError::VerifierKeyForm)),
        (format!("logs/v0\nvkey {one} more\n"), 2, LogListProblem::Vkey(NoteError::VerifierKeyForm)),
        (format!("logs/v0\nvkey {witness}\n"), 2, LogListProblem::KeyType { found: SignatureType::CosignatureEd25519 }),
        (format!("logs/v0\nvkey {one}\norigin\n"), 3, LogListProblem::Items { keyword: "origin" }),
        (format!("logs/v0\nvkey {one}\nbastion\n"), 3, LogListProblem::Items { keyword: "bastion" }),
        (format!("logs/v0\nvkey {one}\ncontact x\n"), 3, LogListProblem::Keyword { expected: "qpd" }),
        (format!("logs/v0\nvkey {one}\nbastion none\norigin none\n"), 4, LogListProblem::Keyword { expected: "qpd" }),
        (format!("logs/v0\nvkey {one}\nqpd 0\n"), 3, LogListProblem::RequestsPerDay),
        (format!("logs/v0\nvkey {one}\nqpd -1\n"), 3, LogListProblem::RequestsPerDay),
        (format!("logs/v0\nvkey {one}\nqpd 1 2\n"), 3, LogListProblem::Items { keyword: "qpd" }),
        (format!("logs/v0\nvkey {one}\nqpd 1\nvkey {one}\n"), 4, LogListProblem::Keyword { expected: "contact" }),
        (format!("logs/v0\nvkey {one}\nqpd 1\ncontact\n"), 4, LogListProblem::Items { keyword: "contact" }),
        (format!("logs/v0\nvkey {one}"), 2, LogListProblem::Incomplete { expected: "qpd" }),
        (format!("logs/v0\nvkey {one}\nqpd 1\n"), 4, LogListProblem::Incomplete { expected: "contact" }),
    ];
    for (list, line, problem) in cases {
        assert_eq!(parse(list.as_bytes()), Err(LogListError { line, problem }), "{list:?}");
    }
    let refused = parse(b"logs/v0\n\xff\n").unwrap_err();
    assert_eq!((refused.line, refused.problem), (2, LogListProblem::Characters));
}

#[test]
fn the_bounds_hold() {
    let [one, ..] = keys();
    let log = format!("vkey {one}\nqpd 1\ncontact x\n");
    assert_eq!(parse(format!("logs/v0\n{}", log.repeat(LOG_LIST_LOGS_MAX)).as_bytes()).unwrap().len(), 10_000);
    let many = parse(format!("logs/v0\n{}", log.repeat(LOG_LIST_LOGS_MAX + 1)).as_bytes()).unwrap_err();
    assert_eq!(many.problem, LogListProblem::TooManyLogs);
    let large = parse(&vec![b'\n'; LOG_LIST_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(large.problem, LogListProblem::TooLarge { found: LOG_LIST_BYTES_MAX + 1 });
}
