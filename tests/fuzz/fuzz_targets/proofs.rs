//! Inclusion and consistency proofs with hashes of a stranger.
#![no_main]

use countermark_tlog::hash::{Hash, RootHash, leaf_hash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof, verify_consistency, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};
use libfuzzer_sys::fuzz_target;

// Two numbers, a root, a path.
fuzz_target!(|input: &[u8]| {
    let Some((numbers, hashes)) = input.split_first_chunk::<16>() else { return };
    let [small, large] = [&numbers[..8], &numbers[8..]].map(|number| u64::from_be_bytes(number.try_into().unwrap()));
    let mut hashes = hashes.chunks_exact(32).map(|hash| Hash::from_slice(hash).unwrap());
    let Some(root) = hashes.next().map(RootHash) else { return };
    let path: Vec<Hash> = hashes.collect();
    if let (Some(index), Some(size)) = (LeafIndex::new(small), TreeSize::new(large)) {
        if let Ok(proof) = InclusionProof::new(path.clone())
            && verify_inclusion(leaf_hash(b"entry"), index, size, root, &proof).is_ok()
        {
            assert!(small < large);
        }
    }
    if let (Some(from), Some(to)) = (TreeSize::new(small), TreeSize::new(large)) {
        if let Ok(proof) = ConsistencyProof::new(path)
            && verify_consistency(from, root, to, root, &proof).is_ok()
        {
            // Every tree begins with the empty one.
            assert!(small == large || small == 0, "two trees with one root");
        }
    }
});
