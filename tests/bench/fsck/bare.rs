//! The hashes that nobody can do without: one of each entry, one of each node.

use std::thread;

use sha2::{Digest as _, Sha256};

type Hash = [u8; 32];

/// The root over bundles in memory. Each thread has a part of whole subtrees; nothing is compared or read.
pub fn root(bundles: &[Vec<u8>], threads: usize) -> Hash {
    // A power of two, so that a part is a subtree.
    let part = bundles.len().div_ceil(threads).next_power_of_two();
    let part = if part >= bundles.len() { part / 2 } else { part };
    let tops: Vec<Vec<Hash>> = thread::scope(|scope| {
        let workers: Vec<_> = bundles.chunks(part.max(1)).map(|part| scope.spawn(|| peaks(part))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    // The last part may hold fewer bundles than the others, and a last bundle that is not full.
    let mut rest = tops;
    let last = rest.pop().unwrap();
    let mut right = fold(&last);
    let full: Vec<Hash> = rest.into_iter().map(|peaks| peaks[0]).collect();
    for peak in perfect(&full).into_iter().rev() {
        right = node(&peak, &right);
    }
    right
}

/// The hashes over perfect subtrees of a row, largest first.
fn perfect(row: &[Hash]) -> Vec<Hash> {
    let mut peaks: Vec<(usize, Hash)> = Vec::new();
    for hash in row {
        let mut top = (1, *hash);
        while let Some((width, left)) = peaks.pop_if(|(width, _)| *width == top.0) {
            top = (2 * width, node(&left, &top.1));
        }
        peaks.push(top);
    }
    peaks.into_iter().map(|(_, hash)| hash).collect()
}

fn peaks(bundles: &[Vec<u8>]) -> Vec<Hash> {
    let mut leaves = Vec::with_capacity(256);
    let mut over_full = Vec::with_capacity(bundles.len());
    for bundle in bundles {
        leaves.clear();
        let mut rest = bundle.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            leaves.push(Sha256::new().chain_update([0]).chain_update(entry).finalize().into());
            rest = after;
        }
        let top = perfect(&leaves);
        if leaves.len() == 256 {
            over_full.push(top[0]);
        } else {
            return perfect(&over_full).into_iter().chain(top).collect();
        }
    }
    perfect(&over_full)
}

fn fold(peaks: &[Hash]) -> Hash {
    peaks.iter().rev().copied().reduce(|right, left| node(&left, &right)).unwrap()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}
