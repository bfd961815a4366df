//! The access tokens that the countersigner submits with. It makes them itself, one for each submission.

use std::collections::BTreeSet;
use std::fmt;

use countermark_bundle::identity::{Name, Namespace, Timestamp};
use countermark_keys::Signer;
use countermark_signer_policy::access_token::{self, Audience, Claims, Issuer, MintError, Scope};
use thiserror::Error;

/// How long a token lives: longer than a submission with its wait.
const LIFETIME_SECONDS: u64 = 120;

/// Fault: no access token was made.
#[derive(Debug, Error)]
#[error("no access token")]
pub struct TokenFault(#[from] MintError);

/// Makes access tokens.
pub struct AccessTokens {
    /// The key of the operator's token issuer.
    pub signer: Box<dyn Signer>,
    /// The operator's token issuer, as the log's key set names it.
    pub issuer: Issuer,
    /// The countersigner, as the log knows it.
    pub subject: Name,
    /// The log's service.
    pub audience: Audience,
}

impl AccessTokens {
    /// A token to submit entries to one namespace, good for two minutes.
    pub fn mint(&self, namespace: &Namespace, now: Timestamp) -> Result<String, TokenFault> {
        let claims = Claims {
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            audience: self.audience.clone(),
            issued_at: now,
            expires_at: now.plus(LIFETIME_SECONDS),
            token_id: None,
            namespaces: BTreeSet::from([namespace.clone()]),
            scopes: BTreeSet::from([Scope::Entries]),
        };
        Ok(access_token::mint(self.signer.as_ref(), &claims)?)
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
