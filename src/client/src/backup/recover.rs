//! Recovering the backup key with the password.

use std::sync::Arc;

use countermark_vault_core::opaque::NormalisedPassword;
use countermark_vault_core::wrap::BackupKey;

use super::error::BackupError;
use super::guess::log_in;
use super::session::{Needs, Session};
use super::vault::Operation;

/// What the password opened.
#[derive(Debug)]
pub struct Recovered {
    /// The backup key, whose commitment matched.
    pub key: BackupKey,
    /// The budget of guesses, full again.
    pub attempts_left: u32,
}

/// Recovers the key.
pub(super) struct Recover {
    pub password: Arc<NormalisedPassword>,
}

impl Operation for Recover {
    type Outcome = Recovered;

    const NEEDS: Needs = Needs::Serving;

    async fn carry_out(&self, session: &mut Session<'_>) -> Result<Recovered, BackupError> {
        let recovered = log_in(session, &self.password).await?;
        Ok(Recovered { key: recovered.key, attempts_left: recovered.attempts_left })
    }
}
