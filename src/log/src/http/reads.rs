//! Reads of `/v1/{ns}/…`: entries, receipts, proofs, statements, bundles, heads, and what a stranger needs to begin.
//!
//! Hashes of the tree stand in base64, as in checkpoints; leaf hashes, digests and key identities in hex, as in the
//! formats.

pub(super) mod checkpoints;
pub(super) mod documents;
pub(super) mod keys;
pub(super) mod proofs;
pub(super) mod receipts;
pub(super) mod statements;

use std::fmt::Arguments;
use std::sync::Arc;

use countermark_bundle::identity::{Digest, Epoch};
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use countermark_tlog::hash::{Hash, LeafHash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};

use super::extract::Shown;
use super::parameters::{self, Parameters};
use super::problem::{Problem, ProblemKind};
use crate::published::Published;

/// What an entry can be asked for by.
pub(super) const FINDERS: [&str; 4] = ["index", "leaf_hash", "digest", "epoch"];

/// The state of a log that certifies statements.
pub(super) fn fleet_keys(published: &Published) -> Result<&NamespaceState, Problem> {
    published.state.fleet_keys().ok_or_else(other_kind)
}

fn other_kind() -> Problem {
    Problem::new(ProblemKind::OtherKind, "a raw log has opaque entries, no statements and no trust file")
}

fn certified(published: &Published, epoch: Epoch) -> Result<&StatementRecord, Problem> {
    fleet_keys(published)?.statement(epoch).ok_or_else(|| no_such_epoch(epoch))
}

pub(super) fn no_such_epoch(epoch: Epoch) -> Problem {
    Problem::new(ProblemKind::NoSuchEpoch, format_args!("no statement of epoch {epoch} is published"))
}

async fn entry_bytes(shown: &Shown, index: LeafIndex) -> Result<Arc<[u8]>, Problem> {
    if !index.is_in(shown.published.size) {
        return Err(beyond(&shown.published, format_args!("entry {index}")));
    }
    shown.served.handle.entry(index).await?.ok_or_else(unreadable)
}

/// The leaf hash of an entry and its path in a tree of a size that was published or passed.
async fn leaf_and_path(shown: &Shown, index: LeafIndex, size: TreeSize) -> Result<(LeafHash, InclusionProof), Problem> {
    within(&shown.published, index, size)?;
    shown.served.handle.inclusion_and_leaf(index, size).await?.ok_or_else(unreadable)
}

/// Refuses an entry that a published tree of this size does not have.
fn within(published: &Published, index: LeafIndex, size: TreeSize) -> Result<(), Problem> {
    if size > published.size {
        return Err(beyond(published, format_args!("a tree of size {size}")));
    }
    if !index.is_in(published.size) {
        return Err(beyond(published, format_args!("entry {index}")));
    }
    if !index.is_in(size) {
        let detail = format!("a tree of size {size} has no entry {index}");
        return Err(Problem::new(ProblemKind::MalformedParameter, detail));
    }
    Ok(())
}

async fn consistency_proof(shown: &Shown, from: TreeSize, to: TreeSize) -> Result<ConsistencyProof, Problem> {
    let published = &shown.published;
    if to > published.size || from > published.size {
        return Err(beyond(published, format_args!("a tree of size {}", from.max(to))));
    }
    if from > to {
        let detail = format!("no tree of size {from} is the beginning of one of size {to}");
        return Err(Problem::new(ProblemKind::SizesOutOfOrder, detail));
    }
    shown.served.handle.consistency(from, to).await?.ok_or_else(unreadable)
}

/// Where the published entry is that a query asks for, by exactly one of [`FINDERS`].
async fn find(shown: &Shown, parameters: &Parameters<'_>) -> Result<LeafIndex, Problem> {
    let given: Vec<&str> = FINDERS.into_iter().filter(|name| parameters.text(name).is_some()).collect();
    let [by] = given.as_slice() else {
        return Err(parameters::missing("index, leaf_hash, digest or epoch, one of them"));
    };
    if let Some(index) = parameters.leaf_index("index")? {
        return Ok(index);
    }
    if let Some(hash) = parameters.digest("leaf_hash")? {
        return index_of(shown, LeafHash(Hash(hash.0))).await;
    }
    if let Some(digest) = parameters.digest("digest")? {
        let mut statements = fleet_keys(&shown.published)?.statements();
        let found = statements.find(|(_, record)| record.statement.digest() == digest);
        let unknown =
            || Problem::new(ProblemKind::UnknownDigest, format_args!("no published statement has the digest {digest}"));
        return found.map(|(_, record)| record.index).ok_or_else(unknown);
    }
    let epoch = parameters.epoch("epoch")?.ok_or_else(|| parameters::missing(by))?;
    certified(&shown.published, epoch).map(|record| record.index)
}

/// Where the published entry of a leaf hash is.
async fn index_of(shown: &Shown, hash: LeafHash) -> Result<LeafIndex, Problem> {
    let index = shown.served.handle.index_of_leaf_hash(hash).await?;
    index.filter(|index| index.is_in(shown.published.size)).ok_or_else(|| {
        let text = Digest(hash.0.0);
        Problem::new(ProblemKind::UnknownLeaf, format_args!("no published entry has the leaf hash {text}"))
    })
}

fn beyond(published: &Published, what: Arguments<'_>) -> Problem {
    let detail = format!("{what} is not published, the log has published {}", published.size);
    Problem::new(ProblemKind::BeyondPublishedHead, detail)
}

/// The published tree is never larger than the committed one, so what it has can be read.
fn unreadable() -> Problem {
    tracing::error!("the published tree has something that could not be read");
    Problem::new(ProblemKind::Fault, "the server failed to read the log")
}
