//! Deleting the user's records: at once with the password, after the cool-off without it.

use std::sync::Arc;

use countermark_bundle::identity::Timestamp;
use countermark_vault_core::opaque::NormalisedPassword;
use countermark_vault_core::session::client::steps;
use countermark_vault_core::session::message::Request;

use super::error::{BackupError, Deed};
use super::guess::log_in;
use super::register::waiting;
use super::session::{Needs, Session};
use super::vault::Operation;

/// What became of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// When they are deleted; `None` if they are. Until then a right guess cancels it.
    pub waits_until: Option<Timestamp>,
}

/// Deletes the records.
pub(super) struct Delete {
    pub password: Option<Arc<NormalisedPassword>>,
}

impl Operation for Delete {
    type Outcome = Deleted;

    const NEEDS: Needs = Needs::Serving;

    async fn carry_out(&self, session: &mut Session<'_>) -> Result<Deleted, BackupError> {
        if let Some(password) = &self.password {
            log_in(session, password).await?;
        }
        let answer = session.ask_for(Deed::Deletion, &Request::Delete).await?;
        let until = steps::deleted(answer).map_err(|error| session.failed(error, Deed::Deletion))?;
        Ok(Deleted { waits_until: waiting(until)? })
    }
}
