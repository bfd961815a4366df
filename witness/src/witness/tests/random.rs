//! Seeded random histories: a log that forks at will, requests that run at once, a store that fails.

use tokio::task::JoinSet;

use super::*;

const HISTORIES: u64 = 60;
const ROUNDS: usize = 40;
const LEAVES_MAX: u64 = 12;

/// SplitMix64: enough randomness to choose cases, and the same for a seed everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }

    fn leaves(&mut self) -> usize {
        usize::try_from(self.below(LEAVES_MAX + 1)).unwrap()
    }

    fn fate(&mut self) -> Fate {
        match self.below(6) {
            0 => Fate::FailUnsaved,
            1 => Fate::FailSaved,
            _ => Fate::Pass,
        }
    }
}

/// One head that carries a cosignature which somebody has seen.
struct AnsweredHead {
    branch: usize,
    leaves: usize,
}

/// Whether one of two heads is the beginning of the other, by the roots alone.
fn consistent(branches: &[TestLog], one: &AnsweredHead, two: &AnsweredHead) -> bool {
    let smaller = one.leaves.min(two.leaves);
    branches[one.branch].root(smaller) == branches[two.branch].root(smaller)
}

async fn check_history(seed: u64) {
    let mut random = Random(seed);
    let bench = Bench::new();
    // With evidence kept, a history would end at its first contradiction.
    bench.store.forget_forks();
    let branches: Vec<TestLog> =
        [usize::MAX, 2, 5, 9].into_iter().map(|fork_at| bench.log.forked_at(fork_at)).collect();
    let mut heads: Vec<AnsweredHead> = Vec::new();
    let mut size_before = 0;
    for round in 0..ROUNDS {
        bench.store.next_reads([random.fate(), random.fate()]);
        bench.store.next_swaps([random.fate(), random.fate()]);
        let mut requests = JoinSet::new();
        for _ in 0..3 {
            let branch = usize::try_from(random.below(4)).unwrap();
            // Half of the requests start from the size that is stored, as an honest client's do.
            let stored = usize::try_from(size_before).unwrap();
            let old = if random.below(2) == 0 { stored } else { random.leaves() };
            let leaves = random.leaves().max(old);
            let (witness, body) = (Arc::clone(&bench.witness), branches[branch].request(old, leaves));
            requests.spawn(async move { (branch, leaves, witness.add_checkpoint(&body).await) });
        }
        while let Some(answered) = requests.join_next().await {
            let (branch, leaves, answer) = answered.unwrap();
            if let Ok(lines) = answer {
                time_of(&lines, &branches[branch].text(leaves));
                heads.push(AnsweredHead { branch, leaves });
            }
        }
        // Fates that no call used up would fail the look below.
        bench.store.forget_fates();
        let stored = bench.stored().await;
        assert!(stored.size().get() >= size_before, "seed {seed}, round {round}: rolled back");
        size_before = stored.size().get();
    }
    for (one, two) in heads.iter().flat_map(|one| heads.iter().map(move |two| (one, two))) {
        assert!(
            consistent(&branches, one, two),
            "seed {seed}: cosigned {} of branch {} and {} of branch {}",
            one.leaves,
            one.branch,
            two.leaves,
            two.branch
        );
    }
    assert!(!heads.is_empty(), "seed {seed}: the history shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_random_histories_no_two_cosigned_heads_contradict_each_other() {
    for seed in 0..HISTORIES {
        check_history(seed).await;
    }
}
