//! Whose backup key it is: the account token, and the key that it is bound to.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::ExitClass;
use countermark_vault_core::account::AccountId;
use countermark_vault_core::account_token::{AccountClaims, TokenRefusal, UntrustedToken};

/// The key that an account token is bound to: Ed25519, held by the app or its device.
pub trait AccountProof: Send + Sync {
    /// Signs `message` as it is: 64 bytes, RFC 8032.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ProofFault>;
}

/// Fault: whoever holds the proof key gave no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account's proof key did not sign")]
pub struct ProofFault;

/// Why a token is not one that a session can be opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not a compact JWT of the right size.
    #[error("the account token: {0}")]
    Form(TokenRefusal),
    /// A JWT with other claims than an account token's.
    #[error("the account token does not contain the claims of an account token")]
    Claims,
}

impl AccountError {
    /// The class that a process exits with.
    #[must_use]
    pub const fn exit_class(&self) -> ExitClass {
        match self {
            Self::Form(_) | Self::Claims => ExitClass::Malformed,
        }
    }
}

/// An account, as the app knows it. The token's signature is the fleet's to check, not ours: it is our own token.
#[derive(Clone)]
pub struct Account {
    pub(super) token: Arc<UntrustedToken>,
    pub(super) proof: Arc<dyn AccountProof>,
    id: AccountId,
}

impl Account {
    /// Takes the token that the account service gave, and the key that it is bound to.
    pub fn new(token: &str, proof: Arc<dyn AccountProof>) -> Result<Self, AccountError> {
        let token = UntrustedToken::parse(token.as_bytes()).map_err(AccountError::Form)?;
        let claims = token.as_str().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims = claims.and_then(|json| serde_json::from_slice::<AccountClaims>(&json).ok());
        let claims = claims.ok_or(AccountError::Claims)?;
        Ok(Self { id: AccountId::of(&claims.iss, &claims.sub), token: Arc::new(token), proof })
    }

    /// Who this is to the vault.
    #[must_use]
    pub const fn id(&self) -> AccountId {
        self.id
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(…)")
    }
}
