use super::*;
use crate::hash::Hash;
use crate::note::SignedNote;
use crate::note::testkit::{TestKey, head_of_one};
use proptest::prelude::*;

fn head(origin: &str) -> SignedCheckpoint {
    let log = TestKey::log(origin, 1);
    let witness = TestKey::witness("w.example", 2);
    let text = head_of_one(origin, b"entry").text();
    let note = SignedNote::new(&text, vec![log.sign(&text), witness.cosign(&text, 1000)]).unwrap();
    SignedCheckpoint::parse(&note.to_bytes()).unwrap()
}

fn page(origins: &[&str]) -> HeadPage {
    let mut page = HeadPage::default();
    for origin in origins {
        assert!(page.push(head(origin)));
    }
    page
}

#[test]
fn a_page_of_heads_reads_and_writes_back() {
    for origins in [&[][..], &["a.example"], &["a.example", "b.example", "c.example"]] {
        let page = page(origins);
        assert_eq!(HeadPage::parse(&page.to_bytes()).unwrap(), page);
    }
}

#[test]
fn malformed_pages_are_refused_by_name() {
    let check = |bytes: &[u8], expect: GossipError| assert_eq!(HeadPage::parse(bytes), Err(expect));
    let note = String::from_utf8(head("a.example").to_bytes()).unwrap();
    let found = HEADS_BYTES_MAX + 1;
    check(&vec![b'x'; found], GossipError::TooLarge { found, max: HEADS_BYTES_MAX });
    check(b"\xff", GossipError::Characters);
    check(b"", GossipError::Structure);
    check(HEADER.as_bytes(), GossipError::Structure);
    check(b"countermark/gossip-heads/v2\n", GossipError::Structure);
    check(format!("{HEADER}\n{note}").as_bytes(), GossipError::Structure);
    let loose = HeadPage::parse(format!("{HEADER}\n\n{note}\n").as_bytes());
    assert!(matches!(loose, Err(GossipError::Head { number: 1, .. })), "{loose:?}");
    check(format!("{HEADER}\n\n{note}\nlog\n").as_bytes(), GossipError::Structure);
    let broken = HeadPage::parse(format!("{HEADER}\n\n{note}\nlog\n\nx\n").as_bytes());
    assert!(matches!(broken, Err(GossipError::Head { number: 2, .. })), "{broken:?}");
    let many: String = format!("\n{note}").repeat(HEADS_MAX + 1);
    check(format!("{HEADER}\n{many}").as_bytes(), GossipError::TooMany { max: HEADS_MAX });
}

#[test]
fn a_page_takes_as_many_heads_as_it_may_have() {
    let mut page = HeadPage::default();
    let taken = (0..=HEADS_MAX).filter(|_| page.push(head("a.example"))).count();
    assert_eq!(taken, HEADS_MAX);
    assert_eq!(HeadPage::parse(&page.to_bytes()).unwrap(), page);
}

#[test]
fn verdicts_read_and_write_back() {
    let all = [
        Verdict::Consistent,
        Verdict::Behind,
        Verdict::Ahead,
        Verdict::Unknown,
        Verdict::NotSigned,
        Verdict::Fork(ForkId(Hash([7; 32]))),
    ];
    assert_eq!(parse_verdicts(verdicts_body(&all).as_bytes()).unwrap(), all);
    assert_eq!(parse_verdicts(b"behind\nbehind \n"), Err(GossipError::Verdict { number: 2 }));
    assert_eq!(parse_verdicts(b"fork 00\n"), Err(GossipError::Verdict { number: 1 }));
    assert_eq!(parse_verdicts(b"behind"), Err(GossipError::Structure));
    let many = "ahead\n".repeat(HEADS_MAX + 1);
    assert_eq!(parse_verdicts(many.as_bytes()), Err(GossipError::TooMany { max: HEADS_MAX }));
    let longest = vec![all[5]; HEADS_MAX];
    assert_eq!(parse_verdicts(verdicts_body(&longest).as_bytes()).unwrap(), longest);
}

#[test]
fn names_of_evidence_read_and_write_back() {
    let ids: Vec<ForkId> = (0..=255).map(|byte| ForkId(Hash([byte; 32]))).collect();
    assert_eq!(parse_fork_ids(fork_ids_body(&ids).as_bytes()).unwrap(), ids);
    assert_eq!(parse_fork_ids(b"").unwrap(), []);
    assert_eq!(parse_fork_ids(b"FF\n"), Err(GossipError::ForkId { number: 1 }));
    let found = FORK_IDS_BYTES_MAX + 1;
    assert_eq!(parse_fork_ids(&vec![b'0'; found]), Err(GossipError::TooLarge { found, max: FORK_IDS_BYTES_MAX }));
}

proptest! {
    #[test]
    fn bytes_from_outside_never_panic_and_have_one_encoding(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<proptest::sample::Index>(),
    ) {
        let mut near = page(&["a.example", "b.example"]).to_bytes();
        let at = at.index(near.len());
        near.splice(at..at, bytes.iter().take(3).copied());
        for bytes in [bytes, near] {
            if let Ok(page) = HeadPage::parse(&bytes) {
                prop_assert_eq!(page.to_bytes(), bytes.clone());
            }
            if let Ok(verdicts) = parse_verdicts(&bytes) {
                prop_assert_eq!(verdicts_body(&verdicts).into_bytes(), bytes.clone());
            }
            if let Ok(ids) = parse_fork_ids(&bytes) {
                prop_assert_eq!(fork_ids_body(&ids).into_bytes(), bytes.clone());
            }
        }
    }
}
