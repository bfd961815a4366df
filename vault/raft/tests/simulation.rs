//! The seeded simulation: the shipped machine, log, storage and Raft on simulated disks, devices, clocks and networks,
//! in one thread and with a clock that jumps. Nothing here is a model of what is shipped.
//!
//! What must hold is checked after each event: no user's password is evaluated more often than its budget has guesses;
//! nothing that was acknowledged is forgotten; members that applied the same entries have the same machine; the fleet's
//! time does not go back and is not past every honest clock; a member refuses an older copy of its disk; and a fleet
//! whose misfortunes are over serves again soon.
//!
//! One seed is replayed, and what happens is printed, by
//! `COUNTERMARK_SIM_SEED=<n> cargo nextest run -p countermark-vault-raft --no-capture -E 'test(one_seed)'`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "simulation"]
mod simulation {
    pub mod clients;
    pub mod clock;
    pub mod cluster;
    pub mod device;
    #[expect(dead_code, reason = "the storage's tests use the rest")]
    pub mod disk;
    pub mod nemesis;
    pub mod network;
    pub mod observer;
    pub mod random;
    pub mod run;
    mod scenarios;
    pub mod trace;

    /// What is wrong with the fleet on purpose, so that the simulation has something to find.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Sabotage {
        Nothing,
        /// Disks say that they synced and did not.
        LyingDisks,
        /// Members wake up with an older disk and a counter that agrees with it.
        ForgetfulMembers,
        /// Users' passwords are evaluated before the charge is committed.
        EarlyEvaluations,
    }
}

use simulation::Sabotage;
use simulation::run::run;

/// Replays one seed.
const SEED_VARIABLE: &str = "COUNTERMARK_SIM_SEED";

fn check_seeds(seeds: std::ops::Range<u64>) {
    let (mut entries, mut steps) = (0, 0);
    for seed in seeds.clone() {
        let outcome = run(seed, Sabotage::Nothing, false);
        if let Some(violation) = outcome.violation {
            panic!(
                "seed {seed}: {violation}\nreplay: {SEED_VARIABLE}={seed} cargo nextest run -p countermark-vault-raft \
                 --no-capture -E 'test(one_seed)'"
            );
        }
        entries += outcome.entries;
        steps += outcome.steps;
    }
    println!("seeds {seeds:?}: {entries} entries, {steps} steps");
}

/// A seed that shows the sabotage, of a few.
fn finds(sabotage: Sabotage) -> Option<String> {
    (0..40).find_map(|seed| run(seed, sabotage, false).violation)
}

#[test]
fn nothing_forbidden_happens_in_seeds_0_to_49() {
    check_seeds(0..50);
}

#[test]
fn nothing_forbidden_happens_in_seeds_50_to_99() {
    check_seeds(50..100);
}

#[test]
fn nothing_forbidden_happens_in_seeds_100_to_149() {
    check_seeds(100..150);
}

#[test]
fn nothing_forbidden_happens_in_seeds_150_to_199() {
    check_seeds(150..200);
}

#[test]
fn one_seed_is_replayed_as_it_was() {
    let chosen = std::env::var(SEED_VARIABLE).ok().map(|seed| seed.parse().unwrap());
    let seed = chosen.unwrap_or(7);
    let outcome = run(seed, Sabotage::Nothing, chosen.is_some());
    assert_eq!(run(seed, Sabotage::Nothing, false), outcome);
    assert_eq!(outcome.violation, None);
}

#[test]
fn the_simulation_finds_disks_that_do_not_sync() {
    let found = finds(Sabotage::LyingDisks).unwrap();
    assert!(found.contains("refuses its disk"), "{found}");
}

#[test]
fn the_simulation_finds_members_that_forget() {
    finds(Sabotage::ForgetfulMembers).unwrap();
}

#[test]
fn the_simulation_finds_evaluations_before_the_commit() {
    let found = finds(Sabotage::EarlyEvaluations).unwrap();
    assert!(found.contains("whose budget is"), "{found}");
}
