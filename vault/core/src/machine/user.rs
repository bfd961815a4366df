//! One user's records and budget.
//!
//! Invariant: between two successes, between a success and an exhaustion, and between two exhaustions, at most `limit`
//! guesses are charged, whatever records come and go meanwhile: the budget is the user's, not the record's.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::command::{AttemptId, Evaluation, Record, Refusal, RegistrationId, Response};
use super::time::ReplicatedTime;
use crate::secret::Secret;

/// How long the outcome of a guess is waited for. A guess that nobody reports is a wrong one.
pub const ATTEMPT_SECONDS: u64 = 120;
/// How long a pending record waits for its proof, and a login speaks for what follows it.
pub const SESSION_SECONDS: u64 = 600;
/// The most guesses of one user that wait for their outcome.
pub const UNDER_WAY_MAX: usize = 16;

/// What holds for every user of the fleet at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) now: ReplicatedTime,
    pub(super) limit: u32,
    pub(super) cool_off_seconds: u64,
    pub(super) takes_records: bool,
}

/// Everything that is kept about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    /// Guesses charged since the budget was full.
    spent: u32,
    /// Guesses whose outcome is not known, and until when it is waited for.
    under_way: Vec<(AttemptId, ReplicatedTime)>,
    /// The guess that opened the active record last, and until when it speaks for its session.
    login: Option<(AttemptId, ReplicatedTime)>,
    /// What guesses are evaluated against.
    active: Option<Arc<Record>>,
    /// Enrolled, not proved to open.
    pending: Option<Pending>,
    /// Proved to open, and waiting to replace the active record.
    waiting: Option<(Arc<Record>, ReplicatedTime)>,
    /// When the records are deleted, asked for without a login.
    deletion: Option<ReplicatedTime>,
    /// All guesses were spent; until when nothing begins.
    exhausted: Option<ReplicatedTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    registration: RegistrationId,
    record: Arc<Record>,
    tried: bool,
    until: ReplicatedTime,
}

impl User {
    /// Whether nothing is known that an unknown user has not.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// When something is next to be done without anybody asking.
    pub(super) fn due(&self) -> Option<ReplicatedTime> {
        let under_way = self.under_way.iter().map(|(_, until)| *until);
        let single = [
            self.pending.as_ref().map(|pending| pending.until),
            self.waiting.as_ref().map(|(_, at)| *at),
            self.login.map(|(_, until)| until),
            self.deletion,
            self.exhausted,
        ];
        under_way.chain(single.into_iter().flatten()).min()
    }

    /// Does what is due. Everything else begins with this, so that a rule holds from its moment on, whoever asks.
    ///
    /// The order matters: what was exhausted is gone before a waiting record could take its place, and a deletion goes
    /// before a replacement.
    pub(super) fn settle(&mut self, rules: &Rules) {
        let due = |at: ReplicatedTime| at <= rules.now;
        self.under_way.retain(|(_, until)| !due(*until));
        self.login = self.login.filter(|(_, until)| !due(*until));
        self.pending = self.pending.take().filter(|pending| !due(pending.until));
        if self.exhausted.is_some_and(due) {
            // The cool-off is over: the budget of a new start. There is no record that it could be used against.
            *self = Self::default();
        }
        self.erase_if_exhausted(rules);
        if self.deletion.is_some_and(due) {
            self.erase();
        }
        if let Some((record, at)) = self.waiting.take() {
            if due(at) {
                self.replace(record);
            } else {
                self.waiting = Some((record, at));
            }
        }
    }

    /// Spends a guess.
    pub(super) fn charge(&mut self, attempt: AttemptId, decoy: &Secret, rules: &Rules) -> Result<Response, Refusal> {
        self.refuse_exhausted()?;
        if self.left(rules) == 0 {
            return Err(Refusal::NoAttemptLeft);
        }
        if self.under_way.len() >= UNDER_WAY_MAX {
            return Err(Refusal::TooManyUnderWay);
        }
        // An attempt's name is charged once: a second evaluation under the same name would be a free one.
        if self.under_way.iter().any(|(known, _)| *known == attempt) {
            return Err(Refusal::UnknownAttempt);
        }
        self.spent = self.spent.saturating_add(1);
        self.under_way.push((attempt, rules.now.after(ATTEMPT_SECONDS)));
        let evaluation = self
            .active
            .as_ref()
            .map_or_else(|| Evaluation::Decoy(decoy.clone()), |record| Evaluation::Record(Arc::clone(record)));
        Ok(Response::Charged { attempts_left: self.left(rules), evaluation })
    }

    /// A right guess on the active record: the budget is full again, and whatever was asked for without the old secret is
    /// off.
    pub(super) fn succeed(&mut self, attempt: AttemptId, rules: &Rules) -> Result<Response, Refusal> {
        // Nothing is on the way to a record that is gone: erasing and replacing clear the list.
        let record = self.active.clone().ok_or(Refusal::UnknownAttempt)?;
        self.end(attempt)?;
        self.spent = 0;
        self.waiting = None;
        self.deletion = None;
        self.login = Some((attempt, rules.now.after(SESSION_SECONDS)));
        Ok(Response::Succeeded { attempts_left: self.left(rules), wraps: record.wraps.clone() })
    }

    /// A wrong guess. The last one erases the record.
    pub(super) fn fail(&mut self, attempt: AttemptId, rules: &Rules) -> Result<Response, Refusal> {
        self.end(attempt)?;
        self.erase_if_exhausted(rules);
        Ok(Response::Failed { attempts_left: self.left(rules) })
    }

    /// Keeps a record as pending, in the place of an older pending one.
    pub(super) fn enrol(
        &mut self,
        registration: RegistrationId,
        record: Arc<Record>,
        rules: &Rules,
    ) -> Result<Response, Refusal> {
        self.refuse_exhausted()?;
        if !rules.takes_records {
            return Err(Refusal::Draining);
        }
        self.pending = Some(Pending { registration, record, tried: false, until: rules.now.after(SESSION_SECONDS) });
        Ok(Response::Done)
    }

    /// Spends the one evaluation of a pending record.
    pub(super) fn try_pending(&mut self, registration: RegistrationId) -> Result<Response, Refusal> {
        let pending = self.pending_named(registration)?;
        if pending.tried {
            return Err(Refusal::TriedAlready);
        }
        pending.tried = true;
        Ok(Response::Tried { record: Arc::clone(&pending.record) })
    }

    /// The pending record was opened. It becomes the active one: at once if there is none or if the old one was opened
    /// too, after the cool-off otherwise. The budget stays what it was.
    pub(super) fn confirm(
        &mut self,
        registration: RegistrationId,
        login: Option<AttemptId>,
        rules: &Rules,
    ) -> Result<Response, Refusal> {
        self.refuse_exhausted()?;
        if !self.pending_named(registration)?.tried {
            return Err(Refusal::NotTried);
        }
        let opened = self.check_login(login)?;
        let Some(Pending { record, .. }) = self.pending.take() else { return Err(Refusal::UnknownRegistration) };
        if opened || self.active.is_none() {
            self.replace(record);
            return Ok(Response::Confirmed { waits_until: None });
        }
        let at = rules.now.after(rules.cool_off_seconds);
        self.waiting = Some((record, at));
        Ok(Response::Confirmed { waits_until: Some(at) })
    }

    /// Deletes the records: at once after a login or if nothing is there, after the cool-off otherwise.
    pub(super) fn delete(&mut self, login: Option<AttemptId>, rules: &Rules) -> Result<Response, Refusal> {
        if self.check_login(login)? || self.active.is_none() {
            self.erase();
            return Ok(Response::Deleted { waits_until: None });
        }
        // Asked again, the first request counts: otherwise it could be put off for ever.
        let at = *self.deletion.get_or_insert(rules.now.after(rules.cool_off_seconds));
        Ok(Response::Deleted { waits_until: Some(at) })
    }

    fn left(&self, rules: &Rules) -> u32 {
        rules.limit.saturating_sub(self.spent)
    }

    fn end(&mut self, attempt: AttemptId) -> Result<(), Refusal> {
        let found = self.under_way.iter().position(|(known, _)| *known == attempt).ok_or(Refusal::UnknownAttempt)?;
        self.under_way.remove(found);
        Ok(())
    }

    fn refuse_exhausted(&self) -> Result<(), Refusal> {
        self.exhausted.map_or(Ok(()), |until| Err(Refusal::Exhausted { until }))
    }

    fn erase_if_exhausted(&mut self, rules: &Rules) {
        // A guess that is under way may still be the right one: erasing waits for it, for a bounded time.
        if self.exhausted.is_none() && self.left(rules) == 0 && self.under_way.is_empty() {
            *self =
                Self { spent: self.spent, exhausted: Some(rules.now.after(rules.cool_off_seconds)), ..Self::default() };
        }
    }

    fn pending_named(&mut self, registration: RegistrationId) -> Result<&mut Pending, Refusal> {
        self.pending.as_mut().filter(|pending| pending.registration == registration).ok_or(Refusal::UnknownRegistration)
    }

    /// Whether the session logged in. A login that is claimed and not known is refused, not taken for none: its session
    /// believes that it need not wait.
    fn check_login(&self, claimed: Option<AttemptId>) -> Result<bool, Refusal> {
        match (claimed, self.login) {
            (None, _) => Ok(false),
            (Some(claimed), Some((known, _))) if claimed == known => Ok(true),
            (Some(_), _) => Err(Refusal::UnknownLogin),
        }
    }

    /// Puts a record in the active one's place. Guesses on the way were about the old one.
    fn replace(&mut self, record: Arc<Record>) {
        self.active = Some(record);
        self.under_way.clear();
        self.login = None;
        self.waiting = None;
        self.deletion = None;
    }

    /// Forgets every record; what was spent stays spent.
    fn erase(&mut self) {
        *self = Self { spent: self.spent, exhausted: self.exhausted, ..Self::default() };
    }
}
