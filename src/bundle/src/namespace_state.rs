//! The hard rules of every entry, folded over the log from its first one.
//!
//! The log admits with [`NamespaceState::check`] and the auditor replays with [`NamespaceState::apply`]: one code, so
//! the two can never differ. A policy can forbid more; it can never permit what is refused here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::{LeafIndex, TreeSize};

use crate::approval::{self, ApprovalError, Approved, Officer};
use crate::authority::{Authority, AuthorityChangeError};
use crate::certificate::{Certificate, CertificateError};
use crate::countersignature::{self, CountersignatureError, Countersigned};
use crate::entry::{Activation, CertifiedStatement, Entry, EntryError, Evidence, PolicyChange, Revocation};
use crate::identity::{Digest, Epoch, Name, Namespace, Side};
use crate::key::{self, KeyId, PublicKey, SignatureError};
use crate::statement::{ParsedStatement, Statement, StatementError};
use crate::to_sign;
use crate::trust::{Limits, TrustFile};

/// How many entries must follow an activation before it may be renewed, so that a bundle's tail stays short.
pub const RENEWAL_AFTER: u64 = 4;

/// Which rule an entry breaks.
#[derive(Debug, thiserror::Error)]
pub enum RuleViolation {
    /// Not an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// For another log.
    #[error("the entry is for {found}, this log is {expected}")]
    OtherLog {
        /// This log.
        expected: Origin,
        /// The one it names.
        found: Origin,
    },
    /// The log begins with something else than its policy.
    #[error("the first entry of a log is its policy-change entry")]
    NoPolicy,
    /// The statement inside is none.
    #[error("the statement: {0}")]
    Statement(#[from] StatementError),
    /// Epochs rise by one per certified statement.
    #[error("the statement has epoch {found}, the next one is {expected}")]
    Epoch {
        /// The next epoch.
        expected: Epoch,
        /// What was found.
        found: Epoch,
    },
    /// The statement does not name the last certified one.
    #[error("the statement names another previous statement than the last certified one")]
    Chain {
        /// The last certified statement.
        expected: Option<Digest>,
        /// What was found.
        found: Option<Digest>,
    },
    /// Longer than the trust file allows.
    #[error("the statement lives {found} seconds, at most {limit} are allowed")]
    StatementLifetime {
        /// Seconds found.
        found: u64,
        /// Seconds allowed.
        limit: u64,
    },
    /// A revoked fleet or key never returns.
    #[error("{what} was revoked and never returns")]
    Returns {
        /// The fleet or key.
        what: Returning,
    },
    /// The decision names another policy than the one in force.
    #[error("the decision was made under policy {found}, in force is {expected}")]
    Policy {
        /// In force.
        expected: Digest,
        /// What was found.
        found: Digest,
    },
    /// The certificate does not certify.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Certificates rise in time.
    #[error("the certificate's time does not rise: {found} ms after {last} ms")]
    CertificateTime {
        /// The last certificate's time.
        last: u64,
        /// This one's.
        found: u64,
    },
    /// Too few officers, or an approval that does not count.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// An activation of something that was never certified, or of other bytes, or at another place.
    #[error("the activation does not match a certified statement of epoch {epoch}")]
    NotCertified {
        /// The epoch that it names.
        epoch: Epoch,
    },
    /// Activations strictly rise.
    #[error("epoch {found} is not above the newest active epoch {newest}")]
    ActivationOrder {
        /// The newest active epoch.
        newest: Epoch,
        /// The one to activate.
        found: Epoch,
    },
    /// Another renewal number than the next one.
    #[error("renewal {found} of epoch {epoch}, the next one is {expected}")]
    Renewal {
        /// The epoch.
        epoch: Epoch,
        /// The next renewal number.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// A renewal before enough entries followed the last activation.
    #[error("a renewal of epoch {epoch} is admitted once {RENEWAL_AFTER} entries follow its last activation")]
    RenewalTooEarly {
        /// The epoch.
        epoch: Epoch,
    },
    /// An activation of a revoked epoch.
    #[error("epoch {epoch} was revoked")]
    RevokedEpoch {
        /// The epoch.
        epoch: Epoch,
    },
    /// The countersignatures do not activate.
    #[error(transparent)]
    Countersignature(#[from] CountersignatureError),
    /// Signed by a key that is not one of that side's for this purpose.
    #[error("signed by {found}, which is not a {purpose} key of the {side}", side = side.as_str())]
    UnknownKey {
        /// Whose it should be.
        side: Side,
        /// What for.
        purpose: &'static str,
        /// The key that it names.
        found: KeyId,
    },
    /// A signature that does not verify.
    #[error("the {purpose} signature: {source}")]
    Signature {
        /// What for.
        purpose: &'static str,
        /// What is wrong.
        source: SignatureError,
    },
    /// Policy changes are numbered.
    #[error("the policy change has serial {found}, the next one is {expected}")]
    PolicySerial {
        /// The next number.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// A change of authority that is not valid.
    #[error("the change of authority: {0}")]
    AuthorityChange(#[from] AuthorityChangeError),
}

/// What was revoked and came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returning {
    /// A fleet.
    Fleet(Name),
    /// A member's key.
    Key(KeyId),
}

impl core::fmt::Display for Returning {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Fleet(fleet) => write!(f, "fleet {fleet}"),
            Self::Key(key) => write!(f, "key {key}"),
        }
    }
}

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

    /// How many entries were applied.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.size).expect("an index was checked for every entry applied")
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
                self.policy_in_force()?;
                Ok(Effect::Authority(alloc::boxed::Box::new(self.authority.after(change)?)))
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
        Ok(Effect::Policy(PolicyInForce {
            serial: change.serial,
            digest: change.policy,
            officers: change.officers.clone(),
            approvals_needed: change.approvals_needed,
        }))
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
        let last = self.newest_certified();
        let expected = self.next_epoch().ok_or(EntryError::List { list: "epochs" })?;
        if statement.epoch != expected {
            return Err(RuleViolation::Epoch { expected, found: statement.epoch });
        }
        let expected = last.map(|record| record.statement.digest());
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
            Some(newest) if epoch < newest || (epoch == newest && expected == 0) => {
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
    Authority(alloc::boxed::Box<Authority>),
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
