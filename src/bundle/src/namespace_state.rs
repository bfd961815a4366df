//! The hard rules of every entry, folded over the log from its first one.
//!
//! The log admits with [`NamespaceState::check`] and the auditor replays with [`NamespaceState::apply`]: one code, so
//! the two can never differ. A policy can forbid more; it can never permit what is refused here.

mod violation;

pub use violation::{Returning, RuleViolation};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use countermark_tlog::size::{LeafIndex, TreeSize};

use crate::approval::{self, Approved, Officer};
use crate::authority::{Authority, AuthorityChangeError, AuthorityKeysError};
use crate::certificate::Certificate;
use crate::countersignature::{self, Countersigned};
use crate::entry::{
    Activation, AuthorityChange, CertifiedStatement, Entry, EntryError, Evidence, PolicyChange, Revocation,
};
use crate::identity::{Digest, Epoch, Name, Namespace, Side};
use crate::key::{self, KeyId, PublicKey};
use crate::statement::{ParsedStatement, Statement};
use crate::to_sign;
use crate::trust::{Limits, TrustFile};

/// How many entries must follow an activation before it may be renewed, so that a bundle's tail stays short.
pub const RENEWAL_AFTER: u64 = 4;

/// What is known of one certified statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRecord {
    /// The statement and its exact bytes.
    pub statement: ParsedStatement,
    /// Where it stands in the log.
    pub index: LeafIndex,
    /// The third-party signature.
    pub certificate: Certificate,
    /// Where its activations stand, renewals after the first.
    pub activations: Vec<LeafIndex>,
}

/// The admission policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInForce {
    /// The number of the change that set it.
    pub serial: u64,
    /// Digest of the policy set.
    pub digest: Digest,
    /// Who may approve.
    pub officers: Vec<Officer>,
    /// How many of them must.
    pub approvals_needed: u64,
}

/// Everything that was revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Epochs.
    pub epochs: BTreeSet<Epoch>,
    /// Fleets.
    pub fleets: BTreeSet<Name>,
    /// Member keys.
    pub keys: BTreeSet<KeyId>,
}

impl Revoked {
    /// Adds a revocation's targets. Its signature is the caller's to check.
    pub fn add(&mut self, revocation: &Revocation) {
        self.epochs.extend(revocation.epochs.iter().copied());
        self.fleets.extend(revocation.fleets.iter().cloned());
        self.keys.extend(revocation.keys.iter().copied());
    }

    /// The first fleet or key of a statement that was revoked.
    #[must_use]
    pub fn touches(&self, statement: &Statement) -> Option<Returning> {
        let fleet = statement.fleets.iter().find(|fleet| self.fleets.contains(&fleet.fleet_id));
        let key = || statement.keys().find(|(_, _, key)| self.keys.contains(&key.key_id));
        fleet
            .map(|fleet| Returning::Fleet(fleet.fleet_id.clone()))
            .or_else(|| key().map(|(_, _, key)| Returning::Key(key.key_id)))
    }
}

/// The state of a namespace after some number of entries.
#[derive(Clone, Debug)]
pub struct NamespaceState {
    namespace: Namespace,
    limits: Limits,
    authority: Authority,
    policy: Option<PolicyInForce>,
    statements: BTreeMap<Epoch, StatementRecord>,
    newest_active: Option<Epoch>,
    revoked: Revoked,
    size: u64,
}

impl NamespaceState {
    /// The state of an empty log, under the keys that the namespace was created with: a trust file of serial 0.
    pub fn new(trust: &TrustFile) -> Result<Self, crate::authority::AuthorityKeysError> {
        Ok(Self {
            namespace: trust.namespace(),
            limits: trust.limits,
            authority: trust.authority()?,
            policy: None,
            statements: BTreeMap::new(),
            newest_active: None,
            revoked: Revoked::default(),
            size: 0,
        })
    }

    /// How many entries were applied or skipped.
    ///
    /// # Panics
    /// Never: no log reaches 2^63 entries.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.size).expect("a log ends below 2^63 entries")
    }

    /// The keys in force.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The admission policy in force; `None` only before the first entry.
    #[must_use]
    pub const fn policy(&self) -> Option<&PolicyInForce> {
        self.policy.as_ref()
    }

    /// A certified statement by its epoch.
    #[must_use]
    pub fn statement(&self, epoch: Epoch) -> Option<&StatementRecord> {
        self.statements.get(&epoch)
    }

    /// Every certified statement, by epoch.
    #[must_use]
    pub fn statements(&self) -> impl DoubleEndedIterator<Item = (Epoch, &StatementRecord)> {
        self.statements.iter().map(|(epoch, record)| (*epoch, record))
    }

    /// The last certified statement.
    #[must_use]
    pub fn newest_certified(&self) -> Option<&StatementRecord> {
        self.statements.values().next_back()
    }

    /// The newest active statement. A revoked one is still the newest: revoking never uncovers an older one.
    #[must_use]
    pub fn newest_active(&self) -> Option<&StatementRecord> {
        self.statements.get(&self.newest_active?)
    }

    /// Everything that was revoked.
    #[must_use]
    pub const fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// The epoch that the next statement must have; `None` at the end of the range.
    #[must_use]
    pub fn next_epoch(&self) -> Option<Epoch> {
        self.statements.keys().next_back().map_or(Some(Epoch::FIRST), |epoch| epoch.next())
    }

    /// The least certificate time that the next statement may have, in milliseconds since 1970.
    #[must_use]
    pub fn next_certificate_ms(&self) -> u64 {
        self.newest_certified().map_or(0, |record| record.certificate.timestamp_ms.saturating_add(1))
    }

    /// The number that the next activation of an epoch must have, and whether it is admitted already.
    #[must_use]
    pub fn next_renewal(&self, epoch: Epoch) -> Option<(u64, bool)> {
        let activations = &self.statements.get(&epoch)?.activations;
        let number = u64::try_from(activations.len()).ok()?;
        let due = activations.last().is_none_or(|last| self.size.saturating_sub(last.get()) > RENEWAL_AFTER);
        Some((number, due))
    }

    /// Checks an entry against every rule, as if it stood next in the log.
    pub fn check(&self, entry: &Entry) -> Result<(), RuleViolation> {
        self.checked(entry).map(|_| ())
    }

    /// Reads the next entry of the log, checks it against every rule and folds it in.
    pub fn apply(&mut self, bytes: &[u8]) -> Result<Entry, RuleViolation> {
        let entry = Entry::parse(bytes)?;
        let effect = self.checked(&entry)?;
        self.take(effect);
        Ok(entry)
    }

    /// Counts an entry that broke a rule and has no effect, so that an auditor can report it and go on.
    pub fn skip(&mut self) {
        self.size = self.size.saturating_add(1);
    }

    fn next_index(&self) -> LeafIndex {
        LeafIndex::new(self.size).expect("a log ends below 2^63 entries")
    }

    fn take(&mut self, effect: Effect) {
        let index = self.next_index();
        match effect {
            Effect::Certified(statement, certificate) => {
                let epoch = statement.statement().epoch;
                let record = StatementRecord { statement, index, certificate, activations: Vec::new() };
                self.statements.insert(epoch, record);
            }
            Effect::Activated(epoch) => {
                if let Some(record) = self.statements.get_mut(&epoch) {
                    record.activations.push(index);
                }
                self.newest_active = Some(epoch);
            }
            Effect::Revoked(revocation) => self.revoked.add(&revocation),
            Effect::Nothing => {}
            Effect::Policy(policy) => self.policy = Some(policy),
            Effect::Authority(authority) => self.authority = *authority,
        }
        self.skip();
    }

    fn checked(&self, entry: &Entry) -> Result<Effect, RuleViolation> {
        let (expected, found) = (self.authority.origin(), entry.origin());
        if expected != found {
            return Err(RuleViolation::OtherLog { expected: expected.clone(), found: found.clone() });
        }
        match entry {
            Entry::PolicyChange(change) => self.check_policy_change(change),
            Entry::CertifiedStatement(certified) => self.check_certified(certified),
            Entry::Activation(activation) => self.check_activation(activation),
            Entry::Revocation(revocation) => {
                self.policy_in_force()?;
                check_revocation(revocation, self.authority.keys().revocation.of(revocation.side))?;
                Ok(Effect::Revoked(revocation.clone()))
            }
            Entry::Evidence(evidence) => {
                self.policy_in_force()?;
                check_evidence(evidence, self.authority.keys().administration.of(evidence.side))?;
                Ok(Effect::Nothing)
            }
            Entry::AuthorityChange(change) => {
                let policy = self.policy_in_force()?;
                self.check_authority_change(change, policy)
            }
        }
    }

    fn policy_in_force(&self) -> Result<&PolicyInForce, RuleViolation> {
        self.policy.as_ref().ok_or(RuleViolation::NoPolicy)
    }

    fn check_policy_change(&self, change: &PolicyChange) -> Result<Effect, RuleViolation> {
        let expected = self.policy.as_ref().map_or(1, |policy| policy.serial.saturating_add(1));
        if change.serial != expected {
            return Err(RuleViolation::PolicySerial { expected, found: change.serial });
        }
        check_policy_change(change, &self.authority.keys().administration.authority)?;
        if let Some(officer) = change.officers.iter().find(|officer| self.authority.uses(&officer.key)) {
            let subject = officer.subject.clone();
            return Err(EntryError::OfficerKey { subject, rule: "has another purpose; one key, one purpose" }.into());
        }
        Ok(Effect::Policy(PolicyInForce {
            serial: change.serial,
            digest: change.policy,
            officers: change.officers.clone(),
            approvals_needed: change.approvals_needed,
        }))
    }

    fn check_authority_change(
        &self,
        change: &AuthorityChange,
        policy: &PolicyInForce,
    ) -> Result<Effect, RuleViolation> {
        let after = self.authority.after(change)?;
        if let Some(officer) = policy.officers.iter().find(|officer| after.uses(&officer.key)) {
            let two = AuthorityKeysError::TwoPurposes { key_id: officer.key.key_id() };
            return Err(AuthorityChangeError::Keys(two).into());
        }
        Ok(Effect::Authority(Box::new(after)))
    }

    /// The rules that a statement must obey before anybody approves or certifies it: epoch, chain, lifetime, nothing
    /// revoked.
    pub fn check_statement(&self, parsed: &ParsedStatement) -> Result<(), RuleViolation> {
        let statement = parsed.statement();
        if statement.origin != *self.authority.origin() {
            return Err(RuleViolation::OtherLog {
                expected: self.authority.origin().clone(),
                found: statement.origin.clone(),
            });
        }
        let (next, found) = (self.next_epoch(), statement.epoch);
        if next != Some(found) {
            // After the last epoch of the range there is no next one.
            return Err(RuleViolation::Epoch { expected: next.unwrap_or(found), found });
        }
        let expected = self.newest_certified().map(|record| record.statement.digest());
        if statement.previous != expected {
            return Err(RuleViolation::Chain { expected, found: statement.previous });
        }
        let (found, limit) = (statement.lifetime_seconds(), self.limits.max_statement_lifetime_seconds);
        if found > limit {
            return Err(RuleViolation::StatementLifetime { found, limit });
        }
        self.revoked.touches(statement).map_or(Ok(()), |what| Err(RuleViolation::Returns { what }))
    }

    fn check_certified(&self, certified: &CertifiedStatement) -> Result<Effect, RuleViolation> {
        let policy = self.policy_in_force()?;
        let parsed = certified.parsed()?;
        self.check_statement(&parsed)?;
        let (epoch, digest) = (parsed.statement().epoch, parsed.digest());
        if certified.decision.policy != policy.digest {
            return Err(RuleViolation::Policy { expected: policy.digest, found: certified.decision.policy });
        }
        let certificate = &certified.certificate;
        certificate.verify(&self.authority.keys().certificate, &self.namespace, epoch, digest)?;
        let least = self.next_certificate_ms();
        if certificate.timestamp_ms < least {
            return Err(RuleViolation::CertificateTime {
                last: least.saturating_sub(1),
                found: certificate.timestamp_ms,
            });
        }
        let approved = Approved { origin: &certified.origin, epoch, digest };
        let (officers, needed) = (&policy.officers, policy.approvals_needed);
        approval::verify_all(&certified.approvals, officers, needed, approved, certificate.time())?;
        Ok(Effect::Certified(parsed, certificate.clone()))
    }

    fn check_activation(&self, activation: &Activation) -> Result<Effect, RuleViolation> {
        self.policy_in_force()?;
        let epoch = activation.epoch;
        let record = self.statements.get(&epoch).ok_or(RuleViolation::NotCertified { epoch })?;
        if record.statement.digest() != activation.statement || record.index != activation.leaf_index {
            return Err(RuleViolation::NotCertified { epoch });
        }
        if self.revoked.epochs.contains(&epoch) {
            return Err(RuleViolation::RevokedEpoch { epoch });
        }
        if let Some(what) = self.revoked.touches(record.statement.statement()) {
            return Err(RuleViolation::Returns { what });
        }
        self.check_activation_order(activation)?;
        let operator = &self.authority.keys().operator;
        let tuple = Countersigned {
            origin: &activation.origin,
            epoch,
            statement: activation.statement,
            leaf_index: activation.leaf_index,
            certificate_signature: &record.certificate.signature,
        };
        countersignature::verify(&tuple, &activation.countersignatures, &operator.keys, operator.threshold)?;
        Ok(Effect::Activated(epoch))
    }

    fn check_activation_order(&self, activation: &Activation) -> Result<(), RuleViolation> {
        let epoch = activation.epoch;
        let (expected, due) = self.next_renewal(epoch).ok_or(RuleViolation::NotCertified { epoch })?;
        match self.newest_active {
            Some(newest) if epoch < newest => {
                return Err(RuleViolation::ActivationOrder { newest, found: epoch });
            }
            Some(_) | None => {}
        }
        if activation.renewal != expected {
            return Err(RuleViolation::Renewal { epoch, expected, found: activation.renewal });
        }
        if !due {
            return Err(RuleViolation::RenewalTooEarly { epoch });
        }
        Ok(())
    }
}

enum Effect {
    Certified(ParsedStatement, Certificate),
    Activated(Epoch),
    Revoked(Revocation),
    Policy(PolicyInForce),
    Authority(Box<Authority>),
    Nothing,
}

fn check_signed(
    keys: &[PublicKey],
    side: Side,
    purpose: &'static str,
    key_id: KeyId,
    message: &[u8],
    signature: &[u8],
) -> Result<(), RuleViolation> {
    key::find(keys, key_id)
        .ok_or(RuleViolation::UnknownKey { side, purpose, found: key_id })?
        .verify_ed25519(message, signature)
        .map_err(|source| RuleViolation::Signature { purpose, source })
}

/// Checks a revocation's own signature under the revocation keys of its side.
pub fn check_revocation(revocation: &Revocation, keys: &[PublicKey]) -> Result<(), RuleViolation> {
    let Revocation { side, key_id, signature, .. } = revocation;
    check_signed(keys, *side, "revocation", *key_id, &to_sign::revocation(revocation), signature)
}

/// Checks an evidence entry's own signature under the administration keys of its side.
pub fn check_evidence(evidence: &Evidence, keys: &[PublicKey]) -> Result<(), RuleViolation> {
    let message = to_sign::evidence(evidence, &evidence.root_hex());
    check_signed(keys, evidence.side, "administration", evidence.key_id, &message, &evidence.signature)
}

/// Checks a policy change's own signature under the authority's administration keys.
pub fn check_policy_change(change: &PolicyChange, keys: &[PublicKey]) -> Result<(), RuleViolation> {
    let message = to_sign::policy_change(change);
    check_signed(keys, Side::Authority, "administration", change.key_id, &message, &change.signature)
}

#[cfg(test)]
mod tests;
