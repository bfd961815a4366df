use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::hash::{LeafHash, leaf_hash};
use crate::note::testkit::TestKey;
use crate::sample_tree::{naive_root, naive_subproof};
use crate::tile::TileCoord;
use crate::tree::NodeCoord;

const ORIGIN: &str = "log.example/l";

/// One face of a log: its entries are those of the other face up to `fork_at`.
struct Face(Vec<LeafHash>);

impl Face {
    fn new(fork_at: usize, leaves: usize, name: &str) -> Self {
        let entry = |leaf: usize| if leaf < fork_at { format!("entry {leaf}") } else { format!("{name} {leaf}") };
        Self((0..leaves).map(|leaf| leaf_hash(entry(leaf).as_bytes())).collect())
    }

    fn root(&self, size: usize) -> RootHash {
        naive_root(&self.0[..size])
    }

    fn text(&self, size: usize) -> String {
        format!("{ORIGIN}\n{size}\n{}\n", self.root(size).0.to_base64())
    }

    fn head(&self, size: usize) -> SignedCheckpoint {
        signed(&self.text(size), &[log()])
    }

    /// Complete hashes from a smaller size to a larger one.
    fn hashes(&self, from: usize, to: usize) -> Vec<Hash> {
        let mut hashes = naive_subproof(from, &self.0[..to], true);
        if from.is_power_of_two() {
            hashes.insert(0, self.root(from).0);
        }
        hashes
    }

    fn tiles(&self, plan: &RelationPlan) -> BTreeMap<TileCoord, Vec<u8>> {
        let node = |node: NodeCoord| {
            let width = 1_usize << node.level;
            let start = usize::try_from(node.index).unwrap() * width;
            naive_root(&self.0[start..start + width]).0.0
        };
        plan.tiles().iter().map(|tile| (*tile, tile.nodes().flat_map(node).collect())).collect()
    }
}

fn log() -> TestKey {
    TestKey::log(ORIGIN, 1)
}

fn keys() -> [VerifierKey; 1] {
    [log().vkey]
}

fn signed(text: &str, keys: &[TestKey]) -> SignedCheckpoint {
    let note = SignedNote::new(text, keys.iter().map(|key| key.sign(text)).collect()).unwrap();
    SignedCheckpoint::parse_allowing_extensions(&note.to_bytes()).unwrap()
}

fn relate(face: &Face, one: &SignedCheckpoint, other: &SignedCheckpoint) -> Relation {
    let plan = RelationPlan::new(one.checkpoint().size, other.checkpoint().size).unwrap();
    plan.relate(one, other, &face.tiles(&plan)).unwrap()
}

#[test]
fn two_roots_of_one_size_are_a_fork() {
    let (left, right) = (Face::new(5, 9, "left"), Face::new(5, 9, "right"));
    let Ok(Relation::Fork(evidence)) = relate_equal_sizes(&left.head(9), &right.head(9)) else { panic!() };
    let read = UntrustedForkEvidence::parse(&evidence.to_bytes()).unwrap();
    assert_eq!(read, *evidence);
    let verified = read.verify(&keys()).unwrap();
    assert_eq!(verified.kind(), ForkKind::TwoRoots);
    assert_eq!(verified.origin().as_str(), ORIGIN);
    // The order in which they were found is not in the evidence.
    assert_eq!(relate_equal_sizes(&right.head(9), &left.head(9)), Ok(Relation::Fork(evidence)));
}

#[test]
fn a_larger_tree_that_does_not_begin_with_the_smaller_is_a_fork() {
    for (from, to) in [(6, 9), (8, 9), (1, 2), (7, 8), (3, 300), (256, 300), (257, 300), (299, 300)] {
        let (left, right) = (Face::new(from - 1, to, "left"), Face::new(from - 1, to, "right"));
        let Relation::Fork(evidence) = relate(&right, &left.head(from), &right.head(to)) else { panic!("{from} {to}") };
        let verified = UntrustedForkEvidence::parse(&evidence.to_bytes()).unwrap().verify(&keys()).unwrap();
        assert_eq!(verified.kind(), ForkKind::NotGrown { beginning: right.root(from) });
        assert_eq!((verified.smaller().size.get(), verified.larger().size.get()), (from as u64, to as u64));
        // By the tiles of the other face nothing can be said.
        assert_eq!(relate(&left, &left.head(from), &right.head(to)), Relation::Unresolved);
        // And of one face there is nothing to say.
        assert_eq!(relate(&left, &left.head(from), &left.head(to)), Relation::Grown);
    }
}

#[test]
fn the_empty_head_relates_to_every_head() {
    let face = Face::new(0, 3, "");
    assert_eq!(relate(&face, &face.head(0), &face.head(3)), Relation::Grown);
    let made = UntrustedForkEvidence::new(&face.head(0), &face.head(3), vec![face.root(2).0]).unwrap();
    assert_eq!(made.verify(&keys()), Err(ForkError::FromEmpty));
}

#[test]
fn evidence_that_proves_nothing_is_refused_by_name() {
    let (left, right) = (Face::new(3, 9, "left"), Face::new(3, 9, "right"));
    let made = |one: &SignedCheckpoint, other: &SignedCheckpoint, hashes: Vec<Hash>| {
        UntrustedForkEvidence::new(one, other, hashes).unwrap().verify(&keys()).unwrap_err()
    };
    let stray = left.root(3).0;
    assert_eq!(made(&left.head(9), &right.head(9), vec![stray]), ForkError::NeedlessHashes { found: 1 });
    assert_eq!(made(&left.head(6), &left.head(9), left.hashes(6, 9)), ForkError::OnlyGrew);
    assert_eq!(made(&left.head(8), &left.head(9), left.hashes(8, 9)), ForkError::OnlyGrew);
    let found = made(&left.head(6), &right.head(9), left.hashes(6, 9));
    assert_eq!(found, ForkError::OtherTree { expected: right.root(9), found: left.root(9) });
    assert_eq!(made(&left.head(6), &right.head(9), Vec::new()), ProofError::TooShort { found: 0 }.into());
    let long = [right.hashes(6, 9), vec![stray]].concat();
    assert_eq!(made(&left.head(6), &right.head(9), long), ProofError::TooLong { found: 5 }.into());
    let stranger = TestKey::log(ORIGIN, 9);
    let evidence = UntrustedForkEvidence::new(&left.head(9), &right.head(9), Vec::new()).unwrap();
    let refused = evidence.clone().verify(std::slice::from_ref(&stranger.vkey));
    assert!(matches!(refused, Err(ForkError::NotSigned { .. })), "{refused:?}");
    // One head that the log signed is not enough.
    let forged = signed(&right.text(9), &[stranger]);
    let refused = UntrustedForkEvidence::new(&left.head(9), &forged, Vec::new()).unwrap().verify(&keys());
    assert!(matches!(refused, Err(ForkError::NotSigned { .. })), "{refused:?}");
}

#[test]
fn malformed_evidence_is_refused_by_name() {
    let check = |bytes: &[u8], expect: ForkParseError| {
        assert_eq!(UntrustedForkEvidence::parse(bytes), Err(expect), "{}", bytes.escape_ascii());
    };
    let (left, right) = (Face::new(3, 9, "left"), Face::new(3, 9, "right"));
    let note = |head: &SignedCheckpoint| String::from_utf8(head.to_bytes()).unwrap();
    let (small, large) = (note(&left.head(6)), note(&right.head(9)));
    let found = FORK_EVIDENCE_BYTES_MAX + 1;
    check(&vec![b'x'; found], ForkParseError::TooLarge { found });
    check(b"\xff", ForkParseError::Characters);
    check(b"", ForkParseError::Structure);
    check(format!("{HEADER}\n\n{small}").as_bytes(), ForkParseError::Structure);
    check(format!("{HEADER}2\n\n{small}\n{large}").as_bytes(), ForkParseError::Header);
    check(format!("{HEADER}\nAAAA\n\n{small}\n{large}").as_bytes(), ForkParseError::Hash { number: 1 });
    let hash = format!("{}\n", left.root(3).0.to_base64());
    let many = hash.repeat(FORK_HASHES_MAX + 1);
    check(
        format!("{HEADER}\n{many}\n{small}\n{large}").as_bytes(),
        ForkParseError::TooManyHashes { found: FORK_HASHES_MAX + 1 },
    );
    check(format!("{HEADER}\n\n{large}\n{small}").as_bytes(), ForkParseError::Order);
    check(format!("{HEADER}\n\n{small}\n{small}").as_bytes(), ForkParseError::Order);
    let broken = UntrustedForkEvidence::parse(format!("{HEADER}\n\n{small}\n{large}x\n").as_bytes());
    assert!(matches!(broken, Err(ForkParseError::Checkpoint { number: 2, .. })), "{broken:?}");
    let other_origin = large.replace(ORIGIN, "other.example");
    let first = Origin::new(ORIGIN).unwrap();
    let second = Origin::new("other.example").unwrap();
    check(format!("{HEADER}\n\n{small}\n{other_origin}").as_bytes(), ForkParseError::Origins { first, second });
    let witness = TestKey::witness("w.example", 3);
    let cosigned = right.head(9).with_signature(witness.cosign(&right.text(9), 1000));
    let name = witness.vkey.name().clone();
    let with_cosignature = format!("{HEADER}\n\n{small}\n{}", note(&cosigned));
    check(with_cosignature.as_bytes(), ForkParseError::OtherSigner { number: 2, name });
    // Made by us, it goes without the cosignature.
    let made = UntrustedForkEvidence::new(&cosigned, &left.head(9), Vec::new()).unwrap();
    assert_eq!(
        UntrustedForkEvidence::parse(&made.to_bytes()).unwrap().verify(&keys()).unwrap().kind(),
        ForkKind::TwoRoots
    );
    // A head under no key of the log cannot stand in evidence.
    let unsigned = SignedNote::new(&right.text(9), vec![witness.cosign(&right.text(9), 1000)]).unwrap();
    let unsigned = SignedCheckpoint::parse(&unsigned.to_bytes()).unwrap();
    let refused = UntrustedForkEvidence::new(&unsigned, &left.head(9), Vec::new());
    assert!(matches!(refused, Err(ForkParseError::Checkpoint { .. })), "{refused:?}");
}

#[test]
fn extension_lines_are_part_of_what_was_signed_and_no_fork_by_themselves() {
    let (left, right) = (Face::new(3, 9, "left"), Face::new(3, 9, "right"));
    let extended = signed(&format!("{}extension\n", left.text(9)), &[log()]);
    let made = UntrustedForkEvidence::new(&extended, &right.head(9), Vec::new()).unwrap();
    assert!(UntrustedForkEvidence::parse(&made.to_bytes()).unwrap().verify(&keys()).is_ok());
    assert_eq!(UntrustedForkEvidence::new(&extended, &left.head(9), Vec::new()), Err(ForkParseError::Order));
}

#[test]
fn a_log_with_two_keys_is_convicted_by_either() {
    let (left, right) = (Face::new(3, 9, "left"), Face::new(3, 9, "right"));
    let second = TestKey::ml_dsa(ORIGIN, 2);
    let both = |text: &str| {
        let lines = vec![log().sign(text), second.cosign(text, 0)];
        SignedCheckpoint::parse(&SignedNote::new(text, lines).unwrap().to_bytes()).unwrap()
    };
    let evidence = UntrustedForkEvidence::new(&both(&left.text(9)), &both(&right.text(9)), Vec::new()).unwrap();
    for keys in [vec![log().vkey], vec![second.vkey.clone()], vec![log().vkey, second.vkey.clone()]] {
        assert!(evidence.clone().verify(&keys).is_ok(), "{keys:?}");
    }
}

#[test]
fn every_byte_flipped_once_is_refused() {
    let (left, right) = (Face::new(5, 9, "left"), Face::new(5, 9, "right"));
    let two_roots = UntrustedForkEvidence::new(&left.head(9), &right.head(9), Vec::new()).unwrap();
    let not_grown = UntrustedForkEvidence::new(&left.head(6), &right.head(9), right.hashes(6, 9)).unwrap();
    let from_power = UntrustedForkEvidence::new(&left.head(8), &right.head(9), right.hashes(8, 9)).unwrap();
    for evidence in [two_roots, not_grown, from_power] {
        let bytes = evidence.to_bytes();
        assert!(evidence.verify(&keys()).is_ok());
        for at in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut spoilt = bytes.clone();
                spoilt[at] ^= flip;
                let read = UntrustedForkEvidence::parse(&spoilt).ok();
                let accepted = read.and_then(|evidence| evidence.verify(&keys()).ok());
                assert_eq!(accepted, None, "byte {at} flipped by {flip:#x}");
            }
        }
    }
}

/// Hashes that a slanderer would try: nodes of the tree, roots, nothing, and noise, in any order.
fn slander(face: &Face, from: usize, to: usize, picks: &[(u8, u8)]) -> Vec<Hash> {
    let true_hashes = if from == 0 { Vec::new() } else { face.hashes(from, to) };
    let pick = |(kind, value): &(u8, u8)| {
        let value = usize::from(*value);
        match kind % 4 {
            0 => true_hashes.get(value % true_hashes.len().max(1)).copied().unwrap_or(face.root(to).0),
            1 => face.root(value % (face.0.len() + 1)).0,
            2 => face.0[value % face.0.len()].0,
            _ => leaf_hash(&[*kind, u8::try_from(value).unwrap()]).0,
        }
    };
    picks.iter().map(pick).collect()
}

proptest! {
    /// The invariant of the module: from two heads of a log that only grew, no evidence verifies.
    #[test]
    fn an_honest_log_is_never_framed(
        sizes in (0_usize..70, 0_usize..70),
        picks in proptest::collection::vec(any::<(u8, u8)>(), 0..9),
        spoil in proptest::option::of((any::<proptest::sample::Index>(), any::<(u8, u8)>())),
    ) {
        let face = Face::new(0, 70, "");
        let (from, to) = (sizes.0.min(sizes.1), sizes.0.max(sizes.1));
        let mut tries = vec![slander(&face, from, to, &picks)];
        // Nearly true: the true hashes with one of them replaced, one left out, and RFC 6962's own form.
        if from > 0 && from < to {
            let truth = face.hashes(from, to);
            tries.push(naive_subproof(from, &face.0[..to], true));
            if let Some((at, pick)) = spoil {
                let at = at.index(truth.len());
                let mut replaced = truth.clone();
                replaced[at] = slander(&face, from, to, &[pick])[0];
                tries.push(replaced);
                let mut short = truth.clone();
                short.remove(at);
                tries.push(short);
            }
            tries.push(truth);
        }
        for hashes in tries {
            let made = UntrustedForkEvidence::new(&face.head(from), &face.head(to), hashes);
            if let Ok(evidence) = made {
                let outcome = evidence.verify(&keys());
                prop_assert!(outcome.is_err(), "{outcome:?}");
            }
        }
    }

    #[test]
    fn a_fork_between_any_two_sizes_is_shown_by_the_larger_face(from in 1_usize..70, to in 1_usize..70, at in 0_usize..70) {
        let (from, to) = (from.min(to), from.max(to));
        let at = at % from;
        let (left, right) = (Face::new(at, from, "left"), Face::new(at, to, "right"));
        let relation = if from == to {
            relate_equal_sizes(&left.head(from), &right.head(to)).unwrap()
        } else {
            relate(&right, &left.head(from), &right.head(to))
        };
        let Relation::Fork(evidence) = relation else { panic!("{relation:?}") };
        prop_assert!(evidence.verify(&keys()).is_ok());
    }

    #[test]
    fn bytes_from_outside_never_panic_and_have_one_encoding(
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        at in any::<proptest::sample::Index>(),
    ) {
        let (left, right) = (Face::new(5, 9, "left"), Face::new(5, 9, "right"));
        let mut near = UntrustedForkEvidence::new(&left.head(6), &right.head(9), right.hashes(6, 9)).unwrap().to_bytes();
        let at = at.index(near.len());
        near.splice(at..at, bytes.iter().take(2).copied());
        for bytes in [bytes, near] {
            if let Ok(evidence) = UntrustedForkEvidence::parse(&bytes) {
                prop_assert_eq!(evidence.to_bytes(), bytes);
            }
        }
    }
}
