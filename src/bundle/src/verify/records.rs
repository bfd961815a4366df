//! The records of a bundle: which of them is the statement, which its activation, and what the tail does.

use alloc::vec::Vec;
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::policy::Policy;
use countermark_tlog::proof::verify_inclusion;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tlog_proof::TlogProof;

use super::Distrust;
use crate::authority::Authority;
use crate::entry::{Activation, CertifiedStatement, Entry, Revocation};
use crate::key;
use crate::namespace_state::{RuleViolation, check_evidence, check_policy_change, check_revocation};
use crate::statement::ParsedStatement;
use crate::validation_bundle::{Record, TAIL_MAX, ValidationBundle};

/// Every record with its parsed entry, in order.
pub(super) struct Records<'a>(Vec<(&'a Record, Entry)>);

/// The statement and the activation that the bundle is about.
pub(super) struct Chosen<'a> {
    pub statement: ParsedStatement,
    pub certified: &'a CertifiedStatement,
    pub certified_index: LeafIndex,
    pub activation: &'a Activation,
    activation_index: LeafIndex,
}

impl<'a> Records<'a> {
    /// Reads every entry. A verifier that meets an unknown type stops.
    pub fn read(bundle: &'a ValidationBundle) -> Result<Self, Distrust> {
        let read = |record: &'a Record| {
            let index = record.index;
            let entry = Entry::parse(&record.entry).map_err(|source| Distrust::Entry { index, source })?;
            let changes_authority = matches!(entry, Entry::AuthorityChange(_));
            // A receipt that nobody reads would be a place to hide bytes in.
            if record.witnessed.is_some() && !changes_authority {
                return Err(Distrust::Unexpected { index });
            }
            Ok((record, entry))
        };
        bundle.records.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a Record, &Entry)> {
        self.0.iter().map(|(record, entry)| (*record, entry))
    }

    /// What the statement says about head age, believed by nobody yet.
    pub fn stated_head_age(&self) -> Option<u64> {
        self.0.iter().find_map(|(_, entry)| match entry {
            Entry::CertifiedStatement(certified) => {
                certified.parsed().ok().map(|parsed| parsed.statement().max_head_age_seconds)
            }
            Entry::Activation(_)
            | Entry::Revocation(_)
            | Entry::Evidence(_)
            | Entry::PolicyChange(_)
            | Entry::AuthorityChange(_) => None,
        })
    }

    /// Every record stands in the tree, under this checkpoint.
    pub fn check_paths(&self, checkpoint: &Checkpoint) -> Result<(), Distrust> {
        for (record, _) in &self.0 {
            let leaf = leaf_hash(&record.entry);
            verify_inclusion(leaf, record.index, checkpoint.size, checkpoint.root, &record.path())
                .map_err(|source| Distrust::Path { index: record.index, source })?;
        }
        Ok(())
    }

    /// Before the tail stand changes of authority, one certified statement and its newest activation, nothing else.
    pub fn choose(&self) -> Result<Chosen<'_>, Distrust> {
        let mut certified: Option<(&CertifiedStatement, LeafIndex)> = None;
        for (record, entry) in &self.0 {
            match entry {
                Entry::AuthorityChange(_) => {}
                Entry::CertifiedStatement(found) if certified.is_none() => certified = Some((found, record.index)),
                Entry::Activation(activation) => {
                    let (certified, certified_index) = certified.ok_or(Distrust::NoStatement)?;
                    let statement = certified
                        .parsed()
                        .map_err(|source| Distrust::Entry { index: certified_index, source: source.into() })?;
                    let activation_index = record.index;
                    return Ok(Chosen { statement, certified, certified_index, activation, activation_index });
                }
                Entry::CertifiedStatement(_) | Entry::Revocation(_) | Entry::Evidence(_) | Entry::PolicyChange(_) => {
                    return Err(Distrust::Unexpected { index: record.index });
                }
            }
        }
        Err(if certified.is_some() { Distrust::NotActivated } else { Distrust::NoStatement })
    }

    fn tail(&self, chosen: &Chosen<'_>) -> impl Iterator<Item = &(&'a Record, Entry)> {
        let after = chosen.activation_index;
        self.0.iter().filter(move |(record, _)| record.index > after)
    }

    pub fn tail_len(&self, chosen: &Chosen<'_>) -> usize {
        self.tail(chosen).count()
    }

    /// The tail is every entry up to the checkpoint's size, and changes nothing that is relied on. Returns the
    /// revocations in it, which step 13 looks at.
    pub fn check_tail(
        &self,
        chosen: &Chosen<'_>,
        size: TreeSize,
        authority: &Authority,
    ) -> Result<Vec<(&Revocation, &[u8])>, Distrust> {
        let mut expected = chosen.activation_index.get();
        let mut revocations = Vec::new();
        for (record, entry) in self.tail(chosen) {
            expected = expected.saturating_add(1);
            if record.index.get() != expected {
                return Err(Distrust::TailGap { expected, found: record.index.get() });
            }
            if let Some(revocation) = check_tail_entry(record.index, entry, chosen, authority)? {
                revocations.push((revocation, record.entry.as_slice()));
            }
        }
        if expected.saturating_add(1) != size.get() {
            return Err(Distrust::TailGap { expected: expected.saturating_add(1), found: size.get() });
        }
        let len = self.tail_len(chosen);
        if len > TAIL_MAX { Err(Distrust::TailTooLong { found: len }) } else { Ok(revocations) }
    }
}

fn check_tail_entry<'e>(
    index: LeafIndex,
    entry: &'e Entry,
    chosen: &Chosen<'_>,
    authority: &Authority,
) -> Result<Option<&'e Revocation>, Distrust> {
    let keys = authority.keys();
    let broken = |source: RuleViolation| Distrust::TailEntry { index, source: alloc::boxed::Box::new(source) };
    match entry {
        Entry::Activation(activation) => {
            let epoch = chosen.statement.statement().epoch;
            return Err(Distrust::Superseded { by: activation.epoch, epoch });
        }
        Entry::CertifiedStatement(certified) => {
            let parsed = certified.parsed().map_err(|source| broken(source.into()))?;
            let (epoch, digest) = (parsed.statement().epoch, parsed.digest());
            let current = chosen.statement.statement().epoch;
            if epoch <= current {
                let expected = current.next().unwrap_or(current);
                return Err(broken(RuleViolation::Epoch { expected, found: epoch }));
            }
            let namespace = crate::identity::Namespace::of_origin(authority.origin())
                .map_err(|_| Distrust::Unexpected { index })?;
            certified
                .certificate
                .verify(&keys.certificate, &namespace, epoch, digest)
                .map_err(|source| broken(source.into()))?;
        }
        Entry::Revocation(revocation) => {
            check_revocation(revocation, keys.revocation.of(revocation.side)).map_err(broken)?;
            return Ok(Some(revocation));
        }
        Entry::Evidence(evidence) => {
            check_evidence(evidence, keys.administration.of(evidence.side)).map_err(broken)?;
        }
        Entry::PolicyChange(change) => {
            check_policy_change(change, &keys.administration.authority).map_err(broken)?;
        }
        // Its own rules were checked in step 3. What is left: no key that this bundle relies on may be gone.
        Entry::AuthorityChange(_) => {
            let certificate = (&keys.certificate, chosen.certified.certificate.key_id);
            let operator = chosen.activation.countersignatures.iter().map(|one| (&keys.operator.keys, one.key_id));
            let mut relied_on = operator.chain([certificate]);
            if let Some((_, key_id)) = relied_on.find(|(keys, key_id)| key::find(keys, *key_id).is_none()) {
                return Err(Distrust::KeyRetired { key_id });
            }
        }
    }
    Ok(None)
}

/// A change of authority carries a receipt under the quorum in force before it.
pub(super) fn check_witnessed(record: &Record, before: &Policy) -> Result<(), Distrust> {
    let index = record.index;
    let witnessed = record.witnessed.as_ref().ok_or(Distrust::Unwitnessed { index })?;
    let proof = TlogProof::parse(witnessed.as_bytes()).map_err(|source| Distrust::WitnessedForm { index, source })?;
    if proof.index != index {
        return Err(Distrust::Unwitnessed { index });
    }
    proof.verify(before, leaf_hash(&record.entry)).map_err(|source| Distrust::Witnessed { index, source })?;
    Ok(())
}
