//! Changing the password: the same backup key in a new record, without a wait, because the old record was opened.

use std::sync::Arc;

use countermark_bundle::identity::Timestamp;
use countermark_vault_core::opaque::NormalisedPassword;

use super::error::BackupError;
use super::guess::log_in;
use super::register::enrol;
use super::session::{Needs, Session};
use super::vault::Operation;

/// What became of the old password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// When the new password takes the old one's place; `None` if it did.
    pub waits_until: Option<Timestamp>,
    /// The budget of guesses.
    pub attempts_left: u32,
}

/// Changes the password.
pub(super) struct ChangePassword {
    pub old: Arc<NormalisedPassword>,
    pub new: Arc<NormalisedPassword>,
}

impl Operation for ChangePassword {
    type Outcome = Changed;

    const NEEDS: Needs = Needs::Active;

    async fn carry_out(&self, session: &mut Session<'_>) -> Result<Changed, BackupError> {
        let recovered = log_in(session, &self.old).await?;
        let (key, attempts_left) = (Arc::new(recovered.key), recovered.attempts_left);
        // What else opens the key goes on doing so.
        let waits_until = enrol(session, &self.new, &key, recovered.other_wraps).await?;
        Ok(Changed { waits_until, attempts_left })
    }
}
