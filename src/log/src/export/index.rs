//! Where the entry of a leaf hash is, for a log that has no database: 16 bytes for each entry, in memory.
//!
//! It answers with candidates: the first 8 bytes of a hash are kept, and whoever asks compares the rest with the tile.
//!
//! Invariant: each run is sorted, and at least twice as long as the next one, so a lookup searches few of them and an
//! entry is moved a logarithmic number of times.

use countermark_tlog::hash::LeafHash;
use countermark_tlog::size::LeafIndex;

/// The beginning of a leaf hash, and where the entry is.
type Slot = (u64, u64);

/// Leaf hashes and their places.
#[derive(Debug, Default)]
pub(crate) struct LeafHashes {
    runs: Vec<Vec<Slot>>,
}

impl LeafHashes {
    /// Takes the leaf hashes from `first` on.
    pub(crate) fn extend(&mut self, first: u64, hashes: &[LeafHash]) {
        let mut run: Vec<Slot> = hashes.iter().zip(first..).map(|(hash, index)| (beginning(*hash), index)).collect();
        while let Some(last) = self.runs.pop_if(|last| last.len() < run.len().saturating_mul(2)) {
            run.extend(last);
        }
        if !run.is_empty() {
            run.sort_unstable();
            self.runs.push(run);
        }
    }

    /// Where an entry of this leaf hash may be, by rising index.
    pub(crate) fn candidates(&self, hash: LeafHash) -> Vec<LeafIndex> {
        let wanted = beginning(hash);
        let mut found: Vec<LeafIndex> = Vec::new();
        for run in &self.runs {
            let from = run.partition_point(|(beginning, _)| *beginning < wanted);
            let same = run.iter().skip(from).take_while(|(beginning, _)| *beginning == wanted);
            found.extend(same.filter_map(|(_, index)| LeafIndex::new(*index)));
        }
        found.sort_unstable();
        found
    }
}

fn beginning(hash: LeafHash) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.0.as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use countermark_tlog::hash::{Hash, leaf_hash};

    use super::*;

    fn numbered(number: u64) -> LeafHash {
        leaf_hash(&number.to_be_bytes())
    }

    #[test]
    fn every_entry_is_found_however_the_log_grew() {
        for steps in [&[1_000][..], &[1; 300], &[3, 700, 1, 1, 2, 90, 256, 5]] {
            let mut index = LeafHashes::default();
            let mut size = 0;
            for step in steps {
                let hashes: Vec<LeafHash> = (size..size + step).map(numbered).collect();
                index.extend(size, &hashes);
                size += step;
            }
            for number in 0..size {
                let found: Vec<u64> = index.candidates(numbered(number)).into_iter().map(LeafIndex::get).collect();
                assert_eq!(found, [number], "{steps:?}");
            }
            assert_eq!(index.candidates(numbered(size)), []);
            assert!(index.runs.len() <= 11, "{} runs", index.runs.len());
        }
    }

    #[test]
    fn hashes_that_begin_alike_are_all_candidates() {
        let alike = |last: u8| {
            let mut bytes = [7; 32];
            bytes[31] = last;
            LeafHash(Hash(bytes))
        };
        let mut index = LeafHashes::default();
        index.extend(0, &[alike(1), numbered(1), alike(2)]);
        index.extend(3, &[alike(3)]);
        let found: Vec<u64> = index.candidates(alike(9)).into_iter().map(LeafIndex::get).collect();
        assert_eq!(found, [0, 2, 3]);
    }
}
