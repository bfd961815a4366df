use super::*;
use crate::note::testkit::{TestKey, ml_dsa_witness};
use crate::policy::Policy;
use alloc::format;
use alloc::string::String;
use proptest::prelude::*;

/// A policy of witnesses `0`, `1`… with the given key names, and the given lines.
fn policy(names: &[&str], lines: &str) -> Policy {
    let witness = |(n, name): (u8, &&str)| format!("witness {n} {}\n", TestKey::witness(name, n).vkey);
    let witnesses: Vec<String> = (0..).zip(names).map(witness).collect();
    Policy::parse(format!("{}{lines}\n", witnesses.concat()).as_bytes()).unwrap()
}

fn name(n: usize) -> String {
    format!("w{n}.example")
}

/// A policy of `n` different witnesses.
fn different(n: usize, lines: &str) -> Policy {
    let names: Vec<String> = (0..n).map(name).collect();
    policy(&names.iter().map(String::as_str).collect::<Vec<_>>(), lines)
}

fn threshold(k: usize, n: usize) -> Policy {
    different(n, &format!("group g {k} {}\nquorum g", numbers(0..n)))
}

fn numbers(range: core::ops::Range<usize>) -> String {
    range.map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
}

fn key_names(names: &[usize]) -> Vec<KeyName> {
    names.iter().map(|&n| KeyName::new(&name(n)).unwrap()).collect()
}

#[test]
fn a_threshold_quorum_tolerates_the_faults_that_its_overlap_and_its_slack_allow() {
    let cases = [
        (1, 1, 0),
        (2, 2, 0),
        (2, 3, 0),
        (3, 3, 0),
        (3, 4, 1),
        (4, 4, 0),
        (3, 5, 0),
        (4, 5, 1),
        (4, 6, 1),
        (5, 7, 2),
        (6, 7, 1),
        (7, 10, 3),
        (11, 16, 5),
        (9, 16, 1),
    ];
    for (k, n, faults) in cases {
        assert_eq!(threshold(k, n).fault_tolerance(), Ok(FaultTolerance { witnesses: n, faults }), "{k} of {n}");
    }
}

#[test]
fn nested_groups_are_analysed_as_a_whole() {
    let check = |n: usize, lines: &str, expect: usize| {
        let found = different(n, lines).fault_tolerance();
        assert_eq!(found, Ok(FaultTolerance { witnesses: n, faults: expect }), "{lines}");
    };
    // Two of three and any of three: the two-of-three share one, the others need not share any.
    check(6, "group x 2 0 1 2\ngroup y any 3 4 5\ngroup q all x y\nquorum q", 0);
    // Three of four organisations, each any of its own.
    check(4, "group a any 0\ngroup b any 1\ngroup c any 2\ngroup q 3 a b c 3\nquorum q", 1);
    // Two of three groups, each two of three: any two satisfying sets share one witness of one group.
    check(9, "group a 2 0 1 2\ngroup b 2 3 4 5\ngroup c 2 6 7 8\ngroup q 2 a b c\nquorum q", 0);
    // Two three-of-four, both needed.
    check(8, "group a 3 0 1 2 3\ngroup b 3 4 5 6 7\ngroup q all a b\nquorum q", 1);
    check(1, "group a all 0\ngroup b any a\nquorum b", 0);
    check(1, "quorum 0", 0);
}

#[test]
fn the_keys_of_one_witness_in_an_any_group_are_one_witness() {
    let lines = "group a any 0 1\ngroup b any 2 3 4\ngroup q 3 a b 5 6\nquorum q";
    let policy = policy(&["a", "a", "b", "b", "b", "c", "d"], lines);
    assert_eq!(policy.fault_tolerance(), Ok(FaultTolerance { witnesses: 4, faults: 1 }));
    // The key types do not matter: one name is one witness.
    let keys = [TestKey::witness("a", 1).vkey, ml_dsa_witness("a", 2)];
    let text = format!("witness 0 {}\nwitness 1 {}\ngroup a any 0 1\nquorum a\n", keys[0], keys[1]);
    let found = Policy::parse(text.as_bytes()).unwrap().fault_tolerance();
    assert_eq!(found, Ok(FaultTolerance { witnesses: 1, faults: 0 }));
}

#[test]
fn a_witness_that_could_count_twice_is_refused() {
    let check = |names: &[&str], lines: &str| {
        let expect = QuorumAnalysisError::SplitWitness { name: KeyName::new("a").unwrap() };
        assert_eq!(policy(names, lines).fault_tolerance(), Err(expect), "{lines}");
    };
    check(&["a", "a", "b"], "group q 2 0 1 2\nquorum q");
    check(&["a", "a"], "group q all 0 1\nquorum q");
    check(&["a", "a", "b"], "group x any 0\ngroup q 2 x 1 2\nquorum q");
    check(&["a", "a", "b", "c"], "group x any 0 2\ngroup y any 1 3\ngroup q all x y\nquorum q");
}

#[test]
fn lines_that_the_quorum_does_not_name_do_not_count() {
    let policy = policy(&["a", "a", "b", "c", "d", "e"], "group q 3 0 2 3 4\ngroup other any 1 5\nquorum q");
    assert_eq!(policy.fault_tolerance(), Ok(FaultTolerance { witnesses: 4, faults: 1 }));
}

#[test]
fn quorums_that_need_not_overlap_are_refused_with_two_that_do_not() {
    let check = |policy: Policy, first: &[usize], second: &[usize]| {
        let expect = QuorumAnalysisError::DisjointQuorums { first: key_names(first), second: key_names(second) };
        assert_eq!(policy.fault_tolerance(), Err(expect));
    };
    check(threshold(1, 2), &[0], &[1]);
    check(threshold(2, 4), &[0, 1], &[2, 3]);
    check(different(3, "group x all 0 1\ngroup q any x 2\nquorum q"), &[0, 1], &[2]);
}

#[test]
fn what_cannot_be_analysed_is_refused_by_name() {
    assert_eq!(different(3, "quorum none").fault_tolerance(), Err(QuorumAnalysisError::NoWitnesses));
    let found = ANALYSED_WITNESSES_MAX + 1;
    assert_eq!(threshold(12, found).fault_tolerance(), Err(QuorumAnalysisError::TooManyWitnesses { found }));
}

#[test]
fn fewer_faults_than_required_are_refused() {
    let found = FaultTolerance { witnesses: 4, faults: 1 };
    for required in [0, 1] {
        assert_eq!(threshold(3, 4).require_fault_tolerance(required), Ok(found));
    }
    let expect = QuorumAnalysisError::TooFewFaults { required: 2, found };
    assert_eq!(threshold(3, 4).require_fault_tolerance(2), Err(expect));
    assert_eq!(different(1, "quorum none").require_fault_tolerance(0), Err(QuorumAnalysisError::NoWitnesses));
}

/// The definition, read literally: all pairs of satisfying sets, all sets of missing witnesses.
fn tolerated(policy: &Policy, n: usize) -> Option<usize> {
    let met =
        |set: usize| policy.quorum_met(&|key| (0..n).any(|w| set >> w & 1 == 1 && key.name().as_str() == name(w)));
    let all = (1_usize << n) - 1;
    let satisfying: Vec<usize> = (0..=all).filter(|&set| met(set)).collect();
    let size = |set: usize| usize::try_from(set.count_ones()).unwrap();
    let holds = |f: usize| {
        satisfying.iter().all(|a| satisfying.iter().all(|b| size(a & b) > f))
            && (0..=all).filter(|&missing| size(missing) == f).all(|missing| met(all & !missing))
    };
    (0..=n).rev().find(|&f| holds(f))
}

proptest! {
    #[test]
    fn the_analysis_agrees_with_the_definition(
        groups in prop::collection::vec((1_usize..4, 0_usize..4), 1..4),
        top in 0_usize..4,
    ) {
        let (mut lines, mut n) = (Vec::new(), 0);
        for (index, (count, k)) in groups.iter().enumerate() {
            // A group's name is a number too, beyond those of the witnesses.
            lines.push(format!("group {} {} {}\n", 100 + index, 1 + k % count, numbers(n..n + count)));
            n += count;
        }
        let members = numbers(100..100 + groups.len());
        lines.push(format!("group q {} {members}\nquorum q", 1 + top % groups.len()));
        let lines = lines.concat();
        let policy = different(n, &lines);
        match policy.fault_tolerance() {
            Ok(found) => prop_assert_eq!(tolerated(&policy, n), Some(found.faults)),
            Err(QuorumAnalysisError::DisjointQuorums { first, second }) => {
                prop_assert_eq!(tolerated(&policy, n), None);
                for set in [&first, &second] {
                    prop_assert!(policy.quorum_met(&|key| set.contains(key.name())));
                }
                prop_assert!(first.iter().all(|name| !second.contains(name)));
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
