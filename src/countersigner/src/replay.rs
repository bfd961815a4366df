//! The log replayed from its first entry: its right edge, and the namespace's state under the hard rules.
//!
//! It is pure and believes nothing by itself: whoever feeds it compares [`Replay::root`] with a verified head before
//! anything else is read from it.

use std::collections::BTreeMap;

use countermark_bundle::approval::Officer;
use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::entry::{Activation, Entry};
use countermark_bundle::identity::{Digest, Epoch, Namespace};
use countermark_bundle::key::{KeyId, PublicKey};
use countermark_bundle::namespace_state::{NamespaceState, RuleViolation};
use countermark_bundle::trust::TrustFile;
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{RootHash, leaf_hash};
use countermark_tlog::size::{LeafIndex, TreeSize};

/// Who could certify and approve when a statement was certified: a later change of either does not reach back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionRules {
    /// The namespace that certificates name.
    pub namespace: Namespace,
    /// The authority's certificate keys.
    pub certificate_keys: Vec<PublicKey>,
    /// The officers.
    pub officers: Vec<Officer>,
    /// How many of them had to approve.
    pub approvals_needed: u64,
}

/// A statement that an activation in the log says we countersigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnActivation {
    /// Where the activation stands.
    pub at: LeafIndex,
    /// The epoch.
    pub epoch: Epoch,
    /// The digest.
    pub digest: Digest,
    /// Where the certified statement stands.
    pub statement_index: LeafIndex,
}

/// The first entry that broke a hard rule.
#[derive(Debug)]
pub struct BrokenRule {
    /// Where it stands.
    pub index: LeafIndex,
    /// The rule.
    pub violation: RuleViolation,
}

/// The log from its first entry to some size.
#[derive(Debug, Clone)]
pub struct Replay {
    namespace: Namespace,
    own_key: KeyId,
    edge: RightEdge,
    state: NamespaceState,
    admitted: BTreeMap<Epoch, AdmissionRules>,
    own_activations: Vec<OwnActivation>,
}

impl Replay {
    /// The empty log, under the keys that the namespace was created with.
    pub fn new(trust: &TrustFile, own_key: KeyId) -> Result<Self, AuthorityKeysError> {
        Ok(Self {
            namespace: trust.namespace(),
            own_key,
            edge: RightEdge::empty(),
            state: NamespaceState::new(trust)?,
            admitted: BTreeMap::new(),
            own_activations: Vec::new(),
        })
    }

    /// How many entries were appended.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.edge.size()
    }

    /// The root over all of them.
    #[must_use]
    pub fn root(&self) -> RootHash {
        self.edge.root()
    }

    /// What they amount to.
    #[must_use]
    pub const fn state(&self) -> &NamespaceState {
        &self.state
    }

    /// Under which rules a statement was certified.
    #[must_use]
    pub fn admission_rules(&self, epoch: Epoch) -> Option<&AdmissionRules> {
        self.admitted.get(&epoch)
    }

    /// The activations with a countersignature of our key, in the order of the log.
    #[must_use]
    pub fn own_activations(&self) -> &[OwnActivation] {
        &self.own_activations
    }

    /// Appends the next entry. A broken rule is returned and not believed yet: the bytes may not be the log's at all.
    /// After it the replay is good for its root alone.
    pub fn append(&mut self, bytes: &[u8]) -> Option<BrokenRule> {
        let index = self.append_leaf(bytes);
        let rules = self.rules_in_force();
        match self.state.apply(bytes) {
            Ok(Entry::CertifiedStatement(certified)) => {
                if let (Ok(parsed), Some(rules)) = (certified.parsed(), rules) {
                    self.admitted.insert(parsed.statement().epoch, rules);
                }
            }
            Ok(Entry::Activation(activation)) => self.note_own(index, &activation),
            Ok(Entry::Revocation(_) | Entry::Evidence(_) | Entry::PolicyChange(_) | Entry::AuthorityChange(_)) => {}
            Err(violation) => return Some(BrokenRule { index, violation }),
        }
        None
    }

    /// Appends to the tree alone, after a rule was broken.
    pub fn append_unread(&mut self, bytes: &[u8]) {
        self.append_leaf(bytes);
    }

    fn append_leaf(&mut self, bytes: &[u8]) -> LeafIndex {
        let appended = self.edge.append(leaf_hash(bytes), &mut |_, _| {});
        appended.expect("nobody replays 2^63 entries")
    }

    fn rules_in_force(&self) -> Option<AdmissionRules> {
        self.state.policy().map(|policy| AdmissionRules {
            namespace: self.namespace.clone(),
            certificate_keys: self.state.authority().keys().certificate.clone(),
            officers: policy.officers.clone(),
            approvals_needed: policy.approvals_needed,
        })
    }

    fn note_own(&mut self, at: LeafIndex, activation: &Activation) {
        if activation.countersignatures.iter().any(|one| one.key_id == self.own_key) {
            self.own_activations.push(OwnActivation {
                at,
                epoch: activation.epoch,
                digest: activation.statement,
                statement_index: activation.leaf_index,
            });
        }
    }
}
