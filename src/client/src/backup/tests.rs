//! The four operations with an honest fleet, and what they leave behind.

mod failures;
mod hostile;
mod http;

use std::sync::Arc;

use countermark_bundle::statement::FleetStatus;
use countermark_bundle::testing::{NOW, at};
use countermark_bundle::verify::VerifiedBundle;
use countermark_vault_core::session::EXCHANGES;

use super::testing::*;
use super::*;
use crate::backup::password::normalise;

/// A fleet of three, and the bundle that its users believe.
struct Setup {
    fleet: Arc<Fleet>,
    members: Vec<Arc<TestMember>>,
    transports: Vec<Arc<dyn Transport>>,
    bundle: VerifiedBundle,
}

impl Setup {
    fn new() -> Self {
        Self::with(Fleet::new())
    }

    fn with(fleet: Arc<Fleet>) -> Self {
        let members: Vec<_> = (1..=3).map(|number| TestMember::new(&fleet, number)).collect();
        let transports = members.iter().map(|member| Arc::clone(member) as Arc<dyn Transport>).collect();
        Self { bundle: verified(&fleet.world), fleet, members, transports }
    }

    fn vault(&self) -> Vault<'_> {
        self.vault_of(account("alice"))
    }

    fn vault_of(&self, account: Account) -> Vault<'_> {
        Vault::new(&self.bundle, &self.transports, account, at(NOW)).cheap()
    }

    /// How long every session was that the members saw.
    fn lengths(&self) -> Vec<usize> {
        self.members.iter().flat_map(|member| member.frames()).collect()
    }

    fn sessions(&self) -> usize {
        self.lengths().len()
    }

    async fn registered(&self, text: &str) -> BackupKey {
        let key = new_key().unwrap();
        let done = self.vault().register(password(text), &key).await.unwrap();
        assert_eq!(done.outcome, Registered { waits_until: None });
        key
    }

    async fn recovered(&self, text: &str) -> Result<BackupKey, BackupError> {
        Ok(self.vault().recover(password(text)).await?.outcome.key)
    }
}

fn password(text: &str) -> NormalisedPassword {
    normalise(text).unwrap()
}

fn every_session_has_the_same_length(setup: &Setup) {
    let expect = usize::try_from(EXCHANGES).unwrap();
    assert!(setup.lengths().iter().all(|frames| *frames == expect), "{:?}", setup.lengths());
}

#[tokio::test]
async fn a_key_that_was_registered_is_recovered_with_its_password() {
    let setup = Setup::new();
    let key = setup.registered("correct horse").await;
    let done = setup.vault().recover(password("correct horse")).await.unwrap();
    assert_eq!(done.outcome.key, key);
    assert_eq!(done.outcome.attempts_left, GUESSES);
    assert_eq!((done.fleet_id.as_str(), done.member_id.as_str()), ("fleet-1", "member-1"));
    assert_eq!((done.address.as_str(), done.passed_over.len()), ("member-1.example", 0));
    assert_eq!(setup.fleet.proposed(), ["enrol", "try", "confirm", "charge", "succeed"]);
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn the_password_opens_in_whatever_form_it_was_typed() {
    let setup = Setup::new();
    let key = setup.registered("cafe\u{301} \u{3000}x").await;
    assert_eq!(setup.recovered("caf\u{e9} \u{a0}x").await.unwrap(), key);
}

#[tokio::test]
async fn a_wrong_password_spends_a_guess_and_a_right_one_gives_all_back() {
    let setup = Setup::new();
    let key = setup.registered("right").await;
    for left in [GUESSES - 1, GUESSES - 2] {
        let error = setup.recovered("wrong").await.unwrap_err();
        assert!(matches!(error, BackupError::WrongPassword { attempts_left } if attempts_left == left), "{error}");
        assert_eq!((error.attempts_left(), error.name()), (Some(left), "wrong-password"));
    }
    let done = setup.vault().recover(password("right")).await.unwrap();
    assert_eq!((done.outcome.key, done.outcome.attempts_left), (key, GUESSES));
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn the_last_wrong_password_erases_the_record() {
    let setup = Setup::new();
    setup.registered("right").await;
    for _ in 0..GUESSES {
        setup.recovered("wrong").await.unwrap_err();
    }
    let error = setup.recovered("right").await.unwrap_err();
    assert_eq!(error.exhausted_until(), Some(at(NOW + COOL_OFF_SECONDS)), "{error}");
    let error = setup.vault().register(password("new"), &new_key().unwrap()).await.unwrap_err();
    assert_eq!(error.name(), "exhausted");
    setup.fleet.wait(COOL_OFF_SECONDS);
    let key = setup.registered("new").await;
    assert_eq!(setup.recovered("new").await.unwrap(), key);
}

#[tokio::test]
async fn an_account_without_a_record_looks_like_one_with_a_wrong_password() {
    let setup = Setup::new();
    let error = setup.recovered("anything").await.unwrap_err();
    assert!(matches!(error, BackupError::WrongPassword { attempts_left } if attempts_left == GUESSES - 1), "{error}");
    assert_eq!(setup.fleet.proposed(), ["charge", "fail"]);
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn a_second_registration_waits_and_the_old_password_cancels_it() {
    let setup = Setup::new();
    let old = setup.registered("old").await;
    let new = new_key().unwrap();
    let waits = Registered { waits_until: Some(at(NOW + COOL_OFF_SECONDS)) };
    assert_eq!(setup.vault().register(password("new"), &new).await.unwrap().outcome, waits);
    assert_eq!(setup.recovered("old").await.unwrap(), old);
    setup.fleet.wait(COOL_OFF_SECONDS);
    assert_eq!(setup.recovered("old").await.unwrap(), old, "the login cancelled the new record");
    setup.vault().register(password("new"), &new).await.unwrap();
    setup.fleet.wait(COOL_OFF_SECONDS);
    assert_eq!(setup.recovered("new").await.unwrap(), new);
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn a_changed_password_opens_the_same_key_at_once() {
    let setup = Setup::new();
    let key = setup.registered("old").await;
    setup.fleet.proposed();
    let done = setup.vault().change_password(password("old"), password("new")).await.unwrap();
    assert_eq!(done.outcome, Changed { waits_until: None, attempts_left: GUESSES });
    assert_eq!(setup.fleet.proposed(), ["charge", "succeed", "enrol", "try", "confirm"]);
    assert_eq!(setup.recovered("new").await.unwrap(), key);
    assert_eq!(setup.recovered("old").await.unwrap_err().name(), "wrong-password");
    let error = setup.vault().change_password(password("old"), password("x")).await.unwrap_err();
    assert_eq!(error.name(), "wrong-password");
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn a_deletion_is_done_at_once_with_the_password_and_waits_without() {
    let setup = Setup::new();
    let key = setup.registered("right").await;
    let done = setup.vault().delete(None).await.unwrap();
    assert_eq!(done.outcome, Deleted { waits_until: Some(at(NOW + COOL_OFF_SECONDS)) });
    assert_eq!(setup.recovered("right").await.unwrap(), key, "the login cancelled the deletion");
    assert_eq!(setup.vault().delete(Some(password("wrong"))).await.unwrap_err().name(), "wrong-password");
    let done = setup.vault().delete(Some(password("right"))).await.unwrap();
    assert_eq!(done.outcome, Deleted { waits_until: None });
    assert_eq!(setup.recovered("right").await.unwrap_err().name(), "wrong-password");
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn users_do_not_open_each_others_records() {
    let setup = Setup::new();
    setup.registered("right").await;
    let error = setup.vault_of(account("bob")).recover(password("right")).await.unwrap_err();
    assert_eq!(error.name(), "wrong-password");
    assert_eq!(setup.fleet.users(), 2);
}

#[tokio::test]
async fn a_draining_fleet_gives_back_and_takes_nothing() {
    let setup = Setup::with(Fleet::with(world(FleetStatus::Draining)));
    let error = setup.vault().register(password("x"), &new_key().unwrap()).await.unwrap_err();
    assert_eq!((error.name(), error.exit_class()), ("draining", countermark_bundle::ExitClass::NotActive));
    assert_eq!(setup.sessions(), 0, "no session is opened for what the bundle says is in vain");
    assert_eq!(setup.recovered("x").await.unwrap_err().name(), "wrong-password");
}

#[test]
fn the_futures_may_move_between_threads() {
    fn sent<T: Send>(_: &T) {}
    let setup = Setup::new();
    let (vault, key) = (setup.vault(), new_key().unwrap());
    sent(&vault.register(password("x"), &key));
    sent(&vault.recover(password("x")));
    sent(&vault.change_password(password("x"), password("y")));
    sent(&vault.delete(None));
}

#[test]
fn nothing_secret_is_printed() {
    let setup = Setup::new();
    let text = format!("{:?} {:?} {:?} {:?}", account("alice"), setup.vault(), new_key().unwrap(), password("hunter2"));
    assert_eq!(text, "Account(…) Vault(…) BackupKey(…) NormalisedPassword(…)");
}
