//! Inclusion and consistency proofs with hashes of a stranger.
#![no_main]

use countermark_tlog::hash::{Hash, RootHash, leaf_hash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof, verify_consistency, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, u64, [u8; 32], Vec<[u8; 32]>)| {
    let (small, large, hash, path) = input;
    let path: Vec<Hash> = path.into_iter().map(Hash).collect();
    let root = RootHash(Hash(hash));
    if let (Some(index), Some(size)) = (LeafIndex::new(small), TreeSize::new(large)) {
        if let Ok(proof) = InclusionProof::new(path.clone())
            && verify_inclusion(leaf_hash(b"entry"), index, size, &proof, root).is_ok()
        {
            assert!(small < large);
        }
    }
    if let (Some(from), Some(to)) = (TreeSize::new(small), TreeSize::new(large)) {
        if let Ok(proof) = ConsistencyProof::new(path)
            && verify_consistency(from, root, to, root, &proof).is_ok()
        {
            assert!(small == large, "two trees with one root");
        }
    }
});
