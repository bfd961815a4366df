//! The policies of one signer: loaded, validated, named by their digest, asked.

mod files;
mod load;

use std::collections::BTreeMap;
use std::fmt;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Effect, Entities, EntityId, EntityTypeName, EntityUid, PolicyId, Schema,
};
use countermark_bundle::entry::Decision;
use countermark_bundle::identity::{Digest, Name};

use crate::facts::Facts;
use crate::request::Request;

pub use load::LoadError;

/// Policies that were validated against the schema. Every one of them has a name and a reason.
pub struct PolicySet {
    digest: Digest,
    schema: Schema,
    all: cedar_policy::PolicySet,
    permits: cedar_policy::PolicySet,
    rules: BTreeMap<PolicyId, Rule>,
}

/// What the code must know of a policy.
struct Rule {
    name: Name,
    reason: String,
    effect: Effect,
}

/// Why a statement is not signed: final, and the submitter's to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The digest of the policy set that decided.
    pub policy: Digest,
    /// Every rule that stands in the way, sorted: those that forbid, and, if nothing permits, those that could have.
    pub rules: Vec<String>,
    /// The reason of each rule, in the order of `rules`. A rule that could not be evaluated refuses, and its reason says
    /// why it could not.
    pub reasons: Vec<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by policy {}", self.policy)?;
        for (index, (rule, reason)) in self.rules.iter().zip(&self.reasons).enumerate() {
            write!(f, "{} {rule}: {reason}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl PolicySet {
    /// SHA-256 over the schema and every policy file: what an entry in the log names as the policy in force.
    ///
    /// The message is the line `countermark/signer-policy/v1`, then for each file, sorted by name, the name and the
    /// content, each behind its length in bytes as eight bytes, big-endian.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Every rule with its reason, sorted by name.
    #[must_use]
    pub fn rules(&self) -> Vec<(&Name, &str)> {
        self.rules.values().map(|rule| (&rule.name, rule.reason.as_str())).collect()
    }

    /// Decides. The decision names the rule that permits; of several, the first by name.
    pub fn decide(&self, request: &Request<'_>) -> Result<Decision, Refusal> {
        let refusal = |broken: BTreeMap<String, String>| {
            let (rules, reasons) = broken.into_iter().unzip();
            Refusal { policy: self.digest, rules, reasons }
        };
        let asked = match self.cedar_request(request) {
            Ok(asked) => asked,
            Err(reason) => return Err(refusal(BTreeMap::from([("request".to_owned(), reason)]))),
        };
        let answer = Authorizer::new().is_authorized(&asked, &self.all, &Entities::empty());
        let mut broken = BTreeMap::new();
        // Cedar skips a policy that it cannot evaluate, and a skipped `forbid` would permit: here it refuses.
        for error in answer.diagnostics().errors() {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            broken.insert(error.policy_id().to_string(), format!("could not be evaluated: {}", error.inner()));
        }
        let determining = |effect| {
            let rules = answer.diagnostics().reason().filter_map(|id| self.rules.get(id));
            rules.filter(move |rule| rule.effect == effect)
        };
        for rule in determining(Effect::Forbid) {
            broken.insert(rule.name.to_string(), rule.reason.clone());
        }
        if answer.decision() == cedar_policy::Decision::Deny && !self.is_permitted(&asked) {
            for rule in self.rules.values().filter(|rule| rule.effect == Effect::Permit) {
                broken.entry(rule.name.to_string()).or_insert_with(|| rule.reason.clone());
            }
        }
        if !broken.is_empty() {
            return Err(refusal(broken));
        }
        let rule = determining(Effect::Permit).map(|rule| &rule.name).min();
        rule.map(|rule| Decision { policy: self.digest, rule: rule.clone() }).ok_or_else(|| refusal(BTreeMap::new()))
    }

    /// Whether some policy permits, leaving aside those that forbid: so that a refusal can name everything at once.
    fn is_permitted(&self, asked: &cedar_policy::Request) -> bool {
        let answer = Authorizer::new().is_authorized(asked, &self.permits, &Entities::empty());
        answer.decision() == cedar_policy::Decision::Allow
    }

    fn cedar_request(&self, request: &Request<'_>) -> Result<cedar_policy::Request, String> {
        let action = entity("Action", request.action.as_str());
        let facts = serde_json::to_value(Facts::of(request)).map_err(|error| error.to_string())?;
        let context =
            Context::from_json_value(facts, Some((&self.schema, &action))).map_err(|error| error.to_string())?;
        cedar_policy::Request::new(
            entity("Submitter", request.submitter),
            action,
            entity("Namespace", request.namespace.as_str()),
            context,
            Some(&self.schema),
        )
        .map_err(|error| error.to_string())
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// An entity has no attributes and no parents here: everything that is known stands in the context.
fn entity(kind: &str, id: &str) -> EntityUid {
    let kind: EntityTypeName = kind.parse().expect("the entity types are identifiers");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

#[cfg(test)]
mod tests;
