//! Majorities that are missing, outcomes that nobody knows, tokens that are refused: each has its name, and only what
//! surely cost nothing is tried elsewhere.

use countermark_bundle::ExitClass;
use countermark_bundle::identity::Digest;
use countermark_vault_core::account_token::TokenRefusal;

use super::*;

#[tokio::test]
async fn a_guess_that_was_surely_not_charged_is_made_at_the_next_member() {
    let setup = Setup::new();
    let key = setup.registered("right").await;
    setup.fleet.fate(&[Fate::NotCommitted]);
    let done = setup.vault().recover(password("right")).await.unwrap();
    assert_eq!((done.outcome.key, done.member_id.as_str()), (key, "member-2"));
    assert_eq!(done.passed_over[0].error.name(), "no-majority");
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn without_a_majority_anywhere_the_answer_is_no_majority() {
    let setup = Setup::new();
    setup.fleet.fate(&[Fate::NotCommitted; 3]);
    let error = setup.recovered("x").await.unwrap_err();
    assert_eq!((error.name(), error.exit_class()), ("no-majority", ExitClass::Unreachable), "{error}");
    assert_eq!(setup.fleet.proposed(), ["charge"; 3]);
}

#[tokio::test]
async fn a_charge_with_an_unknown_outcome_is_reported_and_not_repeated() {
    let setup = Setup::new();
    setup.registered("right").await;
    setup.fleet.proposed();
    setup.fleet.fate(&[Fate::Unknown]);
    let error = setup.recovered("right").await.unwrap_err();
    assert!(matches!(error, BackupError::UnknownOutcome { deed: Deed::Guess, cause: None }), "{error}");
    assert_eq!((error.name(), error.exit_class()), ("unknown-outcome", ExitClass::NotChecked));
    assert_eq!(setup.fleet.proposed(), ["charge"]);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_an_unknown_outcome_of_what_it_was_about() {
    // The frames of a recovery: 1 authenticate, 2 guess, 3 login. Of a registration: 2 begin, 3 keep, 4 try, 5 confirm.
    let lost = |frame: usize, deed: Deed, registers: bool| async move {
        let setup = Setup::new();
        setup.registered("right").await;
        setup.members[0].fault(Fault::LostAt(frame));
        let before = setup.sessions();
        let vault = setup.vault();
        let error = if registers {
            vault.register(password("new"), &new_key().unwrap()).await.map(|_| ()).unwrap_err()
        } else {
            vault.recover(password("right")).await.map(|_| ()).unwrap_err()
        };
        assert!(
            matches!(&error, BackupError::UnknownOutcome { deed: found, cause: Some(_) } if *found == deed),
            "frame {frame}: {error}"
        );
        assert_eq!(setup.sessions(), before + 1, "no other member was asked");
    };
    lost(2, Deed::Guess, false).await;
    lost(3, Deed::Login, false).await;
    lost(3, Deed::Enrolment, true).await;
    lost(4, Deed::Enrolment, true).await;
    lost(5, Deed::Confirmation, true).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_before_anything_was_asked_for_passes_to_the_next_member() {
    for frame in [1, 2] {
        let setup = Setup::new();
        setup.members[0].fault(Fault::LostAt(frame));
        let done = setup.vault().register(password("x"), &new_key().unwrap()).await.unwrap();
        assert_eq!((done.member_id.as_str(), done.passed_over[0].error.name()), ("member-2", "unreachable"));
    }
}

#[tokio::test]
async fn a_lost_answer_to_filling_changes_no_outcome() {
    let setup = Setup::new();
    setup.members[0].fault(Fault::LostAt(6));
    setup.registered("right").await;
    setup.members[0].mend();
    setup.members[0].fault(Fault::LostAt(4));
    setup.recovered("right").await.unwrap();
}

#[tokio::test]
async fn a_right_guess_that_is_not_reported_for_want_of_a_majority_is_reported_once_more() {
    let setup = Setup::new();
    let key = setup.registered("right").await;
    setup.fleet.proposed();
    setup.fleet.fate(&[Fate::Committed, Fate::NotCommitted]);
    assert_eq!(setup.recovered("right").await.unwrap(), key);
    assert_eq!(setup.fleet.proposed(), ["charge", "succeed", "succeed"]);
    setup.fleet.fate(&[Fate::Committed, Fate::NotCommitted, Fate::NotCommitted]);
    let error = setup.recovered("right").await.unwrap_err();
    assert!(matches!(error, BackupError::NoMajority { deed: Deed::Login, spent: true }), "{error}");
    assert!(error.to_string().contains("a guess was spent"));
    assert_eq!(setup.fleet.proposed(), ["charge", "succeed", "succeed"], "and nobody else was asked");
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn a_wrong_password_is_a_wrong_password_even_if_its_report_is_lost() {
    let setup = Setup::new();
    setup.registered("right").await;
    setup.members[0].fault(Fault::LostAt(3));
    let error = setup.recovered("wrong").await.unwrap_err();
    assert!(matches!(error, BackupError::WrongPassword { attempts_left } if attempts_left == GUESSES - 1), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_refused_everywhere() {
    let setup = Setup::new();
    let mut expired = claims("alice");
    expired.exp = NOW;
    let mut elsewhere = claims("alice");
    elsewhere.aud = "log.example/backup fleet-2".to_string();
    let cases = [
        (account_with(&token(&claims("alice"), 99), PROOF), TokenRefusal::Signature),
        (account_with(&token(&expired, ISSUER), PROOF), TokenRefusal::Expired),
        (account_with(&token(&elsewhere, ISSUER), PROOF), TokenRefusal::Audience),
        (account_with(&token(&claims("alice"), ISSUER), 99), TokenRefusal::Proof),
    ];
    for (account, expect) in cases {
        let sessions = setup.sessions();
        let error = setup.vault_of(account).delete(None).await.unwrap_err();
        assert!(matches!(error, BackupError::TokenRefused(refusal) if refusal == expect), "{error}");
        assert_eq!(error.exit_class(), ExitClass::RefusedByPolicy);
        assert_eq!(setup.sessions(), sessions + 1);
    }
    assert_eq!(setup.fleet.proposed(), [""; 0]);
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn an_app_that_cannot_sign_asks_nothing() {
    let setup = Setup::new();
    let proof = Arc::new(SeedProof { seed: PROOF, broken: true });
    let account = Account::new(&token(&claims("alice"), ISSUER), proof).unwrap();
    let error = setup.vault_of(account).delete(None).await.unwrap_err();
    assert_eq!((error.name(), error.exit_class()), ("fault", ExitClass::OurFault));
    assert_eq!(setup.fleet.proposed(), [""; 0]);
    every_session_has_the_same_length(&setup);
}

#[test]
fn a_text_that_is_no_account_token_makes_no_account() {
    let proof = || Arc::new(SeedProof { seed: PROOF, broken: false });
    for text in ["", "a.b", "a.b.c.d", &"a".repeat(2000)] {
        assert!(matches!(Account::new(text, proof()), Err(AccountError::Form(_))), "{text:?}");
    }
    let no_claims = format!("e30.{}.e30", "e30");
    assert_eq!(Account::new(&no_claims, proof()).unwrap_err(), AccountError::Claims);
    assert_eq!(AccountError::Claims.exit_class(), ExitClass::Malformed);
}

#[tokio::test]
async fn a_bundle_that_became_stale_opens_no_session() {
    let setup = Setup::new();
    let late = setup.bundle.stale_at();
    let vault = Vault::new(&setup.bundle, &setup.transports, account("alice"), late).cheap();
    let error = vault.recover(password("x")).await.unwrap_err();
    assert_eq!((error.name(), error.exit_class()), ("stale", ExitClass::Stale), "{error}");
    assert_eq!(setup.sessions(), 0);
}

#[tokio::test]
async fn members_that_adopted_another_statement_are_passed_over() {
    let setup = Setup::new();
    setup.members[0].fault(Fault::OtherStatement);
    let done = setup.vault().delete(None).await.unwrap();
    assert_eq!(done.member_id.as_str(), "member-2");
    assert_ne!(setup.fleet.adopted(), Digest::of(b"another"));
}

#[tokio::test]
async fn no_member_at_all_is_an_error_and_not_a_wait() {
    let setup = Setup::new();
    let vault = Vault::new(&setup.bundle, &[], account("alice"), at(NOW)).cheap();
    let error = vault.recover(password("x")).await.unwrap_err();
    assert_eq!((error.name(), error.exit_class()), ("no-member", ExitClass::Unreachable));
    assert_eq!(error.to_string(), "no member could be used: none was named");
    for member in &setup.members {
        member.fault(Fault::Gone);
    }
    let error = setup.recovered("x").await.unwrap_err();
    assert!(matches!(&error, BackupError::NoMember { failures } if failures.len() == 3), "{error}");
    assert_eq!(error.name(), "unreachable");
}
