//! What a fleet is founded on, as this member's own files say it.
//!
//! The first leader's files found the fleet. Every member compares the founding with its own files and serves nobody if
//! they differ, so that whoever changes one member's files (its host) changes what nobody is served by.

use std::sync::Arc;

use countermark_bundle::identity::Name;
use countermark_vault_core::machine::{AccountIssuer, Founding};
use countermark_vault_core::secret::Secret;

use crate::config::FleetConfig;

/// What every member of a fleet must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundingTerms {
    /// The trust file that the fleet was formed under.
    pub(crate) trust: Arc<[u8]>,
    /// Which fleet of the statement it is.
    pub(crate) fleet_id: Name,
    /// Whose account tokens count, sorted.
    pub(crate) account_issuers: Vec<AccountIssuer>,
    /// How long waiting takes.
    pub(crate) cool_off_seconds: u64,
}

impl FoundingTerms {
    /// The terms of a configuration, under the trust file that the fleet was formed with.
    pub(crate) fn new(trust: Arc<[u8]>, fleet_id: Name, config: &FleetConfig) -> Self {
        let issuer = |issuer: &crate::config::AccountIssuer| {
            // An Ed25519 key has 32 bytes.
            let public_key = issuer.key.bytes().try_into().ok()?;
            Some(AccountIssuer { issuer: issuer.issuer.clone(), public_key })
        };
        let mut account_issuers: Vec<AccountIssuer> = config.account_issuers.iter().filter_map(issuer).collect();
        account_issuers.sort();
        Self { trust, fleet_id, account_issuers, cool_off_seconds: config.cool_off_seconds }
    }

    /// A founding on these terms.
    pub(crate) fn found(&self, decoy_setup: Secret) -> Founding {
        Founding {
            trust: self.trust.to_vec(),
            fleet_id: self.fleet_id.clone(),
            decoy_setup,
            account_issuers: self.account_issuers.clone(),
            cool_off_seconds: self.cool_off_seconds,
        }
    }

    /// Whether the fleet was founded on these terms.
    pub(crate) fn are_those_of(&self, founding: &Founding) -> bool {
        let Founding { trust, fleet_id, decoy_setup: _, account_issuers, cool_off_seconds } = founding;
        *trust == *self.trust
            && *fleet_id == self.fleet_id
            && *account_issuers == self.account_issuers
            && *cool_off_seconds == self.cool_off_seconds
    }
}
