//! The fold over every entry: the tree and the namespace's state at once. It fetches nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use countermark_bundle::entry::{Entry, EntryError};
use countermark_bundle::namespace_state::{NamespaceState, RuleViolation};
use countermark_bundle::trust::TrustFile;
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{LeafHash, RootHash, leaf_hash};
use countermark_tlog::policy::Policy;
use countermark_tlog::size::{LeafIndex, TreeSize};

use super::report::{Finding, Severity};
use super::tiles::{ExpectedTile, TileBuilder};
use super::{AuditError, KnownHead, rules};
use crate::fetch::EntryBundle;

/// The most findings that are kept; the rest is counted.
const FINDINGS_MAX: usize = 1000;
/// How entries that cannot be read are counted.
const UNREADABLE: &str = "unreadable";

/// The state of an audit after some number of entries.
pub(super) struct Replay {
    edge: RightEdge,
    state: NamespaceState,
    /// The witness policy in force, and the serial number of the change that brought it.
    policy: Arc<Policy>,
    serial: u64,
    /// Heads that the replay has yet to come past, by size.
    known: BTreeMap<TreeSize, Vec<RootHash>>,
    mark_at: Option<TreeSize>,
    tiles: TileBuilder,
    seen: Seen,
}

/// What the replay has met.
#[derive(Default)]
pub(super) struct Seen {
    pub entries: BTreeMap<&'static str, u64>,
    pub findings: Vec<Finding>,
    pub findings_omitted: u64,
    pub known_heads: u64,
    pub changes: Vec<Change>,
    pub mark: Option<Mark>,
}

/// A change of authority, and the policy under whose quorum it must have been included.
pub(super) struct Change {
    pub index: LeafIndex,
    pub leaf: LeafHash,
    pub before: Arc<Policy>,
}

/// The log as it was at the size of the bundle that it serves.
pub(super) struct Mark {
    pub size: TreeSize,
    pub root: RootHash,
}

impl Replay {
    /// Before the first entry. `mark_at` is a size to remember the state of.
    pub fn new(trust: &TrustFile, known: Vec<KnownHead>, mark_at: Option<TreeSize>) -> Result<Self, AuditError> {
        let state = NamespaceState::new(trust)?;
        let policy = Arc::new(state.authority().policy().clone());
        let mut by_size: BTreeMap<TreeSize, Vec<RootHash>> = BTreeMap::new();
        for KnownHead { size, root } in known {
            by_size.entry(size).or_default().push(root);
        }
        let mut replay = Self {
            edge: RightEdge::empty(),
            serial: state.authority().serial(),
            state,
            policy,
            known: by_size,
            mark_at,
            tiles: TileBuilder::default(),
            seen: Seen::default(),
        };
        replay.check_known()?;
        Ok(replay)
    }

    /// Entries replayed.
    pub const fn size(&self) -> TreeSize {
        self.edge.size()
    }

    /// The root of the entries replayed.
    pub fn root(&self) -> RootHash {
        self.edge.root()
    }

    /// The witness policy in force now.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The namespace's state, and what was met on the way.
    pub fn into_parts(self) -> (NamespaceState, Seen) {
        (self.state, self.seen)
    }

    /// Folds the entries of the next bundle. Returns the full tiles that they completed.
    pub fn fold(&mut self, bundle: &EntryBundle) -> Result<Vec<ExpectedTile>, AuditError> {
        for entry in bundle.entries() {
            let leaf = leaf_hash(entry);
            let tiles = &mut self.tiles;
            let index = self.edge.append(leaf, &mut |node, hash| tiles.add(node, hash))?;
            self.judge(index, leaf, entry)?;
            self.check_known()?;
        }
        Ok(self.tiles.take_full()?)
    }

    /// The partial tiles of the right edge.
    pub fn partial_tiles(&mut self) -> Result<Vec<ExpectedTile>, AuditError> {
        Ok(self.tiles.take_partial()?)
    }

    fn judge(&mut self, index: LeafIndex, leaf: LeafHash, bytes: &[u8]) -> Result<(), AuditError> {
        let kind = match self.state.apply(bytes) {
            Ok(entry) => entry.type_name(),
            Err(RuleViolation::Entry(source @ EntryError::UnknownType { .. })) => {
                return Err(AuditError::UnknownEntryType { index, source });
            }
            Err(violation) => {
                self.seen.add(Finding {
                    severity: Severity::Violation,
                    index: Some(index),
                    rule: rules::name(&violation),
                    class: rules::class(&violation),
                    detail: violation.to_string(),
                });
                // It has no effect, as no verifier would let it have one, but it stands in the tree.
                self.state.skip();
                Entry::parse(bytes).map_or(UNREADABLE, |entry| entry.type_name())
            }
        };
        *self.seen.entries.entry(kind).or_default() += 1;
        let authority = self.state.authority();
        if authority.serial() != self.serial {
            self.serial = authority.serial();
            let before = std::mem::replace(&mut self.policy, Arc::new(authority.policy().clone()));
            self.seen.changes.push(Change { index, leaf, before });
        }
        Ok(())
    }

    /// Compares the tree with what was known of it at this size.
    fn check_known(&mut self) -> Result<(), AuditError> {
        let size = self.size();
        if self.mark_at == Some(size) {
            self.seen.mark = Some(Mark { size, root: self.root() });
        }
        for known in self.known.remove(&size).unwrap_or_default() {
            let found = self.root();
            if found != known {
                return Err(AuditError::Fork { size, known, found });
            }
            self.seen.known_heads += 1;
        }
        Ok(())
    }
}

impl Seen {
    /// Keeps a finding, or counts it.
    pub fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_omitted += 1;
        }
    }
}
