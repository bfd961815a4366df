//! The vault as an app sees it: four operations, each at the first member that can be used.

use std::future::Future;
use std::sync::Arc;

use countermark_bundle::identity::{Name, Timestamp};
use countermark_bundle::verify::VerifiedBundle;
use countermark_vault_core::opaque::{Hardness, NormalisedPassword};
use countermark_vault_core::wrap::BackupKey;
use zeroize::Zeroizing;

use super::account::Account;
use super::change_password::{ChangePassword, Changed};
use super::delete::{Delete, Deleted};
use super::error::{BackupError, MemberFailure};
use super::recover::{Recover, Recovered};
use super::register::{Register, Registered};
use super::session::{Caller, Needs, Session};
use super::transport::Transport;

/// Something that is done in one session.
pub(super) trait Operation: Sync {
    /// What comes of it.
    type Outcome: Send;

    /// What it needs of the fleet.
    const NEEDS: Needs;

    /// Does it.
    fn carry_out(&self, session: &mut Session<'_>) -> impl Future<Output = Result<Self::Outcome, BackupError>> + Send;
}

/// A fleet, as a verified bundle states it, and a user of it.
pub struct Vault<'a> {
    bundle: &'a VerifiedBundle,
    members: &'a [Arc<dyn Transport>],
    account: Account,
    now: Timestamp,
    hardness: Hardness,
}

/// What was done, and by whom.
#[derive(Debug)]
pub struct Done<T> {
    /// What came of it.
    pub outcome: T,
    /// The fleet.
    pub fleet_id: Name,
    /// The member that answered.
    pub member_id: Name,
    /// Where it was reached.
    pub address: String,
    /// Members that were tried before and could not be used.
    pub passed_over: Vec<MemberFailure>,
}

impl<'a> Vault<'a> {
    /// The vault that `bundle` states, reached by `members` in the order of preference, as `account` at `now`.
    #[must_use]
    pub const fn new(
        bundle: &'a VerifiedBundle,
        members: &'a [Arc<dyn Transport>],
        account: Account,
        now: Timestamp,
    ) -> Self {
        Self { bundle, members, account, now, hardness: Hardness::Rfc9106 }
    }

    /// The same with cheap password hashing.
    #[cfg(test)]
    pub(super) fn cheap(self) -> Self {
        Self { hardness: Hardness::TestOnly, ..self }
    }

    /// Keeps `key` under `password`. It replaces what is kept already only after the fleet's cool-off.
    pub async fn register(
        &self,
        password: NormalisedPassword,
        key: &BackupKey,
    ) -> Result<Done<Registered>, BackupError> {
        let key = Arc::new(BackupKey::from_bytes(Zeroizing::new(*key.expose())));
        self.carry_out(&Register { password: Arc::new(password), key }).await
    }

    /// Gives the key that is kept under `password`. Spends a guess if the password is wrong.
    pub async fn recover(&self, password: NormalisedPassword) -> Result<Done<Recovered>, BackupError> {
        self.carry_out(&Recover { password: Arc::new(password) }).await
    }

    /// Keeps the same key under `new` from now on. Spends a guess if `old` is wrong.
    pub async fn change_password(
        &self,
        old: NormalisedPassword,
        new: NormalisedPassword,
    ) -> Result<Done<Changed>, BackupError> {
        self.carry_out(&ChangePassword { old: Arc::new(old), new: Arc::new(new) }).await
    }

    /// Deletes what is kept: at once with the password, after the fleet's cool-off without it. Spends a guess if the
    /// password is wrong.
    pub async fn delete(&self, password: Option<NormalisedPassword>) -> Result<Done<Deleted>, BackupError> {
        self.carry_out(&Delete { password: password.map(Arc::new) }).await
    }

    /// Does it at the first member that can be used. After anything may have been spent or changed, no other is asked.
    async fn carry_out<O: Operation>(&self, operation: &O) -> Result<Done<O::Outcome>, BackupError> {
        let mut passed_over = Vec::new();
        for member in self.members {
            match self.at(member.as_ref(), operation).await {
                Ok((outcome, fleet_id, member_id)) => {
                    let address = member.address().to_string();
                    return Ok(Done { outcome, fleet_id, member_id, address, passed_over });
                }
                Err(error) if error.is_free() => {
                    passed_over.push(MemberFailure { address: member.address().to_string(), error });
                }
                Err(error) => return Err(error),
            }
        }
        Err(BackupError::NoMember { failures: passed_over })
    }

    async fn at<O: Operation>(
        &self,
        member: &dyn Transport,
        operation: &O,
    ) -> Result<(O::Outcome, Name, Name), BackupError> {
        let Self { bundle, account, now, hardness, members: _ } = self;
        let caller = Caller { bundle, account, now: *now, hardness: *hardness };
        let mut session = Session::open(member, caller, O::NEEDS).await?;
        let outcome = operation.carry_out(&mut session).await;
        let (fleet_id, member_id) = (session.context().fleet_id.clone(), session.context().member_id.clone());
        // A relay that counts learns nothing from how it ended.
        session.fill().await;
        Ok((outcome?, fleet_id, member_id))
    }
}

impl std::fmt::Debug for Vault<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}
