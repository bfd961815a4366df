//! The next batch, computed and signed in memory: indexes, hashes, tiles, root, checkpoint. Pure: no port is called here.
//!
//! It is not a decision: what is staged was admitted before, and nothing staged exists until a store committed it.
//!
//! Invariant: a [`SignedBatch`] can only be made by [`StagedBatch::sign`], which has verified, by the code that verifies
//! foreign proofs, that the new tree extends the old one, that its root commits to every new entry, and that the checkpoint carries
//! the log's own signature. Bit flips have ended real logs.

mod tree;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use countermark_bundle::identity::Digest;
use countermark_keys::{SignError, Signer};
use countermark_tlog::checkpoint::{Checkpoint, CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::cosignature::{Cosignature, CosignatureError, message_of};
use countermark_tlog::edge::EdgeError;
use countermark_tlog::hash::{Hash, LeafHash, RootHash, empty_root, leaf_hash, node_hash};
use countermark_tlog::note::{NoteError, NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::proof::{ProofError, verify_consistency, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tree::{HashReader, NodeCoord, ProveError, prove_consistency, prove_inclusion};
use thiserror::Error;

use crate::ports::{StoredHead, TileBytes};

pub use tree::{Tree, TreeError};

/// An admitted entry that has no index yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// What makes two submissions the same entry.
    pub identity: Digest,
    /// Its hash as a leaf.
    pub leaf_hash: LeafHash,
    /// The exact bytes, 1 to 65,535.
    pub bytes: Arc<[u8]>,
}

impl NewEntry {
    /// An entry that is known by its identity.
    #[must_use]
    pub fn new(identity: Digest, bytes: Arc<[u8]>) -> Self {
        Self { identity, leaf_hash: leaf_hash(&bytes), bytes }
    }

    /// An opaque entry, known by its leaf hash, which the caller has computed.
    #[must_use]
    pub fn raw(leaf_hash: LeafHash, bytes: Arc<[u8]>) -> Self {
        Self { identity: Digest(leaf_hash.0.0), leaf_hash, bytes }
    }
}

/// An entry with its place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedEntry {
    /// Its index.
    pub index: LeafIndex,
    /// Its hash as a leaf.
    pub leaf_hash: LeafHash,
    /// What makes two submissions the same entry.
    pub identity: Digest,
    /// The exact bytes.
    pub bytes: Arc<[u8]>,
}

/// Why no batch was staged.
#[derive(Debug, Error)]
pub enum StageError {
    /// A batch of nothing: only a log that is being made may have no entry.
    #[error("a batch has at least one entry")]
    Empty,
    /// The tree has the largest size.
    #[error(transparent)]
    Full(#[from] EdgeError),
}

/// Why a staged batch was not signed, or is not released.
#[derive(Debug, Error)]
pub enum SignBatchError {
    /// The key holder gave no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A key of the log that cannot sign a tree head.
    #[error("the checkpoint cannot be signed: {0}")]
    Message(CosignatureError),
    /// The checkpoint that was signed is no note.
    #[error("the signed checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint that was signed does not verify under the log's key.
    #[error("the signed checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint that was signed is of another head than the staged one.
    #[error("the signed checkpoint is of size {found}, staged was {expected}")]
    OtherHead {
        /// The staged size.
        expected: TreeSize,
        /// The signed size.
        found: TreeSize,
    },
    /// A proof could not be made from the staged nodes.
    #[error("the staged tree lacks a node: {0}")]
    Prove(#[from] ProveError<MissingNode>),
    /// A peak of the old tree is missing.
    #[error("the staged tree lacks a peak: {0}")]
    Peak(#[from] MissingNode),
    /// A proof of the staged tree does not verify.
    #[error("the staged tree does not verify: {0}")]
    Proof(#[from] ProofError),
    /// The old tree and the new entries make another root than was signed.
    #[error("the old tree and the new entries make the root {}, signed was {}", recomputed.0.to_base64(), signed.0.to_base64())]
    Root {
        /// What was signed.
        signed: RootHash,
        /// What the bytes make.
        recomputed: RootHash,
    },
}

/// A node that a proof needs and the staged nodes do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("node {} of level {} is neither a peak of the old tree nor new", node.index, node.level)]
pub struct MissingNode {
    /// The node.
    pub node: NodeCoord,
}

/// A batch with indexes and hashes; unsigned.
#[derive(Debug)]
pub struct StagedBatch {
    origin: Origin,
    old_size: TreeSize,
    old_root: RootHash,
    entries: Vec<StagedEntry>,
    full_tiles: Vec<TileBytes>,
    changed_partial_tiles: Vec<TileBytes>,
    emptied_levels: Vec<u8>,
    tree: Tree,
    /// The peaks of the old tree and every new node: all that proofs about this batch need.
    nodes: HashMap<NodeCoord, Hash>,
    old_peaks: HashMap<NodeCoord, Hash>,
}

/// Gives the entries the indexes after the tree's last leaf and computes everything that follows from it. A first batch,
/// on the empty tree, may have no entry.
pub fn stage(origin: &Origin, tree: &Tree, entries: Vec<NewEntry>) -> Result<StagedBatch, StageError> {
    if entries.is_empty() && tree.size() != TreeSize::ZERO {
        return Err(StageError::Empty);
    }
    let mut next = tree.clone();
    let old_peaks: HashMap<NodeCoord, Hash> = tree.peaks().collect();
    let mut nodes = old_peaks.clone();
    nodes.reserve(entries.len().saturating_mul(2));
    let mut full_tiles = Vec::new();
    let mut touched = BTreeSet::from([0]);
    let mut staged = Vec::with_capacity(entries.len());
    for NewEntry { identity, leaf_hash, bytes } in entries {
        let index = next.append(
            leaf_hash,
            |coord, hash| {
                nodes.insert(coord, hash);
            },
            |tile, bytes| {
                // The tile above has one hash more.
                touched.insert(tile.level() + 1);
                full_tiles.push((tile, bytes));
            },
        )?;
        staged.push(StagedEntry { index, leaf_hash, identity, bytes });
    }
    let changed_partial_tiles: Vec<_> = next
        .partial_tiles()
        .filter(|(tile, _)| touched.contains(&tile.level()))
        .map(|(tile, bytes)| (tile, bytes.to_vec()))
        .collect();
    let is_partial = |level: &u8| changed_partial_tiles.iter().any(|(tile, _)| tile.level() == *level);
    let emptied_levels = touched.into_iter().filter(|level| !is_partial(level)).collect();
    Ok(StagedBatch {
        origin: origin.clone(),
        old_size: tree.size(),
        old_root: tree.root(),
        entries: staged,
        full_tiles,
        changed_partial_tiles,
        emptied_levels,
        tree: next,
        nodes,
        old_peaks,
    })
}

/// A key of the log at work: its holder, and the name under which it is known.
#[derive(Clone, Copy)]
pub struct LogKey<'a> {
    /// Who signs.
    pub signer: &'a dyn Signer,
    /// Type 0x01, or 0x06 beside it.
    pub vkey: &'a VerifierKey,
}

impl LogKey<'_> {
    fn sign(&self, text: &str) -> Result<NoteSignature, SignBatchError> {
        match self.vkey.kind() {
            SignatureType::Ed25519 => Ok(NoteSignature::new(self.vkey, &self.signer.sign(text.as_bytes())?)),
            SignatureType::CosignatureEd25519 | SignatureType::CosignatureMlDsa44 => {
                // SPEC: C2SP tlog-cosignature: 0 where the signer does not say that the tree is the newest at a time. It
                // is for the witnesses to say that.
                let message = message_of(self.vkey, 0, text).map_err(SignBatchError::Message)?;
                let cosignature = Cosignature { timestamp: 0, signature: self.signer.sign(&message)? };
                Ok(cosignature.to_note_signature(self.vkey))
            }
        }
    }
}

impl StagedBatch {
    /// Signs the head with every key, the Ed25519 key first, and verifies everything that the signatures will stand for.
    pub fn sign(self, keys: &[LogKey<'_>]) -> Result<SignedBatch, SignBatchError> {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: self.tree.size(), root: self.tree.root() };
        let text = checkpoint.text();
        let lines = keys.iter().map(|key| key.sign(&text)).collect::<Result<_, _>>()?;
        let note = SignedNote::new(&text, lines)?.to_bytes();
        self.verify(&note, keys)?;
        let head = StoredHead { size: checkpoint.size, root: checkpoint.root, checkpoint: note };
        Ok(SignedBatch { staged: self, head })
    }

    /// The second code path: reads the note back and verifies what it says as a stranger would.
    fn verify(&self, note: &[u8], keys: &[LogKey<'_>]) -> Result<(), SignBatchError> {
        let signed = SignedCheckpoint::parse(note)?;
        // Each alone: with all of them, one that signed would be enough.
        for key in keys {
            signed.verify_log(std::slice::from_ref(key.vkey))?;
        }
        let Checkpoint { origin, size, root } = signed.checkpoint();
        if *origin != self.origin || *size != self.tree.size() {
            return Err(SignBatchError::OtherHead { expected: self.tree.size(), found: *size });
        }
        let growth = prove_consistency(self.old_size, *size, self)?;
        verify_consistency(self.old_size, self.old_root, *size, *root, &growth)?;
        // One path, as a stranger is given it; all the others are in what follows.
        if let Some(entry) = self.entries.last() {
            let path = prove_inclusion(entry.index, *size, self)?;
            verify_inclusion(leaf_hash(&entry.bytes), entry.index, *size, *root, &path)?;
        }
        let recomputed = self.recompute()?;
        if recomputed == *root { Ok(()) } else { Err(SignBatchError::Root { signed: *root, recomputed }) }
    }

    /// The root that the old tree's peaks and the bytes of the new entries make, by the definition and not by the edge
    /// that staged them: the signed root then commits to exactly these entries in exactly this order, at the cost of one
    /// hash for each and not of a path for each.
    fn recompute(&self) -> Result<RootHash, MissingNode> {
        let size = self.tree.size().get();
        if size == 0 {
            return Ok(empty_root());
        }
        self.subtree(0, size).map(RootHash)
    }

    // SPEC: RFC 6962 §2.1: MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])), k the largest power of two below n.
    fn subtree(&self, start: u64, end: u64) -> Result<Hash, MissingNode> {
        let old = self.old_size.get();
        let leaves = end - start;
        if end <= old {
            // What lies in the old tree as a whole, and its parent does not, is one of its peaks.
            let level = u8::try_from(leaves.ilog2()).expect("a logarithm of 64 bits is below 64");
            let node = NodeCoord { level, index: start >> level };
            return self.old_peaks.get(&node).copied().ok_or(MissingNode { node });
        }
        if leaves == 1 {
            let entry = usize::try_from(start - old).ok().and_then(|position| self.entries.get(position));
            let entry = entry.ok_or(MissingNode { node: NodeCoord { level: 0, index: start } })?;
            return Ok(leaf_hash(&entry.bytes).0);
        }
        let split = start + (1 << (leaves - 1).ilog2());
        Ok(node_hash(&self.subtree(start, split)?, &self.subtree(split, end)?))
    }
}

impl HashReader for StagedBatch {
    type Error = MissingNode;

    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, MissingNode> {
        nodes.iter().map(|node| self.nodes.get(node).copied().ok_or(MissingNode { node: *node })).collect()
    }
}

/// A batch whose head is signed and verified. It is in memory only: its signature may not leave the process before the
/// batch is committed and the head registered.
#[derive(Debug)]
pub struct SignedBatch {
    staged: StagedBatch,
    head: StoredHead,
}

impl SignedBatch {
    /// The log.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.staged.origin
    }

    /// The size before the batch.
    #[must_use]
    pub const fn old_size(&self) -> TreeSize {
        self.staged.old_size
    }

    /// The signed head after the batch.
    #[must_use]
    pub const fn head(&self) -> &StoredHead {
        &self.head
    }

    /// The entries in order of their indexes, at least one.
    #[must_use]
    pub fn entries(&self) -> &[StagedEntry] {
        &self.staged.entries
    }

    /// The hash tiles that became full, 8,192 bytes each.
    #[must_use]
    pub fn full_tiles(&self) -> &[TileBytes] {
        &self.staged.full_tiles
    }

    /// The partial tiles that the batch changed, by rising level.
    #[must_use]
    pub fn changed_partial_tiles(&self) -> &[TileBytes] {
        &self.staged.changed_partial_tiles
    }

    /// The tile levels that have no partial tile after the batch and may have had one before.
    #[must_use]
    pub fn emptied_levels(&self) -> &[u8] {
        &self.staged.emptied_levels
    }

    /// The tree after the batch.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.staged.tree
    }
}

#[cfg(test)]
mod tests;
