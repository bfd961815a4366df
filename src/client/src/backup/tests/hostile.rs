//! Members, hosts and relays that lie: what a client does not believe, and what it never sends.

use countermark_bundle::ExitClass;
use countermark_vault_core::machine::{Evaluation, Response, Wrap, WrapKind};
use countermark_vault_core::opaque::server::new_setup;
use countermark_vault_core::wrap::{UnwrapError, WrapContext, wrap};

use super::*;
use crate::backup::randomness::OsRandom;

/// What a recovery at this member alone ends with.
async fn alone(setup: &Setup, fault: Fault) -> BackupError {
    setup.members[0].fault(fault);
    let only = &setup.transports[..1];
    let vault = Vault::new(&setup.bundle, only, account("alice"), at(NOW)).cheap();
    let error = vault.recover(password("right")).await.unwrap_err();
    setup.members[0].mend();
    error
}

fn first(error: &BackupError) -> &BackupError {
    if let BackupError::NoMember { failures } = error { &failures[0].error } else { error }
}

#[tokio::test]
async fn a_member_that_cannot_prove_its_keys_gets_nothing_but_an_opening() {
    let cases: [(Fault, &str); 4] = [
        (Fault::OtherIdentity, "another identity key signed"),
        (Fault::OtherSessionKey, "another session key answered"),
        (Fault::Named("member-2"), "another member's name"),
        (Fault::OtherStatement, "another statement"),
    ];
    for (fault, what) in cases {
        let setup = Setup::new();
        let error = alone(&setup, fault).await;
        assert!(matches!(first(&error), BackupError::Unproven(_) | BackupError::Unreachable(_)), "{what}: {error}");
        assert!(setup.lengths().iter().all(|frames| *frames == 0), "{what}: no frame was sent");
    }
}

#[tokio::test]
async fn a_signature_by_another_identity_key_is_a_proof_that_failed() {
    let error = alone(&Setup::new(), Fault::OtherIdentity).await;
    assert_eq!((error.name(), error.exit_class()), ("member-not-proven", ExitClass::Proof), "{error}");
}

#[tokio::test]
async fn a_member_that_the_bundle_does_not_state_is_not_talked_to() {
    let setup = Setup::new();
    let error = alone(&setup, Fault::Named("member-9")).await;
    assert_eq!(error.name(), "not-stated", "{error}");
    assert_eq!(setup.sessions(), 0);
}

#[tokio::test]
async fn an_answer_to_the_opening_that_was_cut_stretched_or_changed_is_refused() {
    let changes: [fn(Vec<u8>) -> Vec<u8>; 6] = [
        |bytes| bytes[..bytes.len() - 1].to_vec(),
        |bytes| [bytes, vec![0]].concat(),
        |_| Vec::new(),
        // The identifier, the handshake, the signature inside.
        |mut bytes| {
            bytes[0] ^= 1;
            bytes
        },
        |mut bytes| {
            bytes[16] ^= 1;
            bytes
        },
        |mut bytes| {
            bytes[100] ^= 1;
            bytes
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let setup = Setup::new();
        let error = alone(&setup, Fault::Opened(change)).await;
        assert!(matches!(first(&error), BackupError::Unproven(_)), "change {number}: {error}");
        assert_eq!(setup.lengths(), [0], "change {number}");
    }
}

#[tokio::test]
async fn a_frame_that_was_cut_stretched_or_changed_ends_the_session_where_it_stands() {
    let changes: [fn(Vec<u8>) -> Vec<u8>; 3] = [
        |bytes| bytes[..bytes.len() - 1].to_vec(),
        |bytes| [bytes, vec![0]].concat(),
        |mut bytes| {
            bytes[1000] ^= 1;
            bytes
        },
    ];
    for change in changes {
        let setup = Setup::new();
        let error = alone(&setup, Fault::Answered(1, change)).await;
        assert!(matches!(first(&error), BackupError::Broken(_)), "{error}");
        let error = alone(&setup, Fault::Answered(2, change)).await;
        assert!(matches!(error, BackupError::UnknownOutcome { deed: Deed::Guess, cause: Some(_) }), "{error}");
        assert_eq!(setup.lengths(), [1, 2], "nothing is sent on a channel that refused a frame");
    }
}

#[tokio::test]
async fn a_frame_that_is_answered_with_an_earlier_answer_is_refused() {
    let setup = Setup::new();
    setup.registered("right").await;
    let error = alone(&setup, Fault::Replays).await;
    assert!(matches!(error, BackupError::UnknownOutcome { deed: Deed::Guess, cause: Some(_) }), "{error}");
}

#[tokio::test]
async fn a_member_that_evaluates_with_a_decoy_learns_nothing_and_gives_nothing() {
    let setup = Setup::new();
    setup.registered("right").await;
    let decoy = new_setup(&mut OsRandom).unwrap();
    let swap = move |response| match response {
        Response::Charged { attempts_left, .. } => {
            Response::Charged { attempts_left, evaluation: Evaluation::Decoy(decoy.clone()) }
        }
        other => other,
    };
    let error = alone(&setup, Fault::Tampered(Arc::new(swap))).await;
    assert!(matches!(error, BackupError::WrongPassword { .. }), "{error}");
}

/// A fault that changes the wraps that a right password gets.
fn wraps(change: impl Fn(Vec<Wrap>) -> Vec<Wrap> + Send + Sync + 'static) -> Fault {
    Fault::Tampered(Arc::new(move |response| match response {
        Response::Succeeded { attempts_left, wraps } => Response::Succeeded { attempts_left, wraps: change(wraps) },
        other => other,
    }))
}

fn place(fleet: &str, subject: &str) -> WrapContext {
    use countermark_bundle::testing::{name, origin};
    WrapContext { origin: origin(), fleet_id: name(fleet), account: account(subject).id() }
}

/// A wrap of another key, made by somebody who knows everything but the password.
fn foreign(kind: WrapKind) -> Wrap {
    wrap(kind, &[9; 64], &new_key().unwrap(), &place("fleet-1", "alice"), &mut OsRandom).unwrap()
}

#[tokio::test]
async fn a_wrap_that_was_exchanged_or_changed_gives_no_key() {
    type Change = fn(Vec<Wrap>) -> Vec<Wrap>;
    let not_ours: [Change; 5] = [
        |_| vec![foreign(WrapKind::VaultPassword)],
        // Another commitment, another kind's name, a changed ciphertext: all stand in what was authenticated.
        |mut wraps| {
            wraps[0].commitment[0] ^= 1;
            wraps
        },
        |mut wraps| {
            let last = wraps[0].ciphertext.len() - 1;
            wraps[0].ciphertext[last] ^= 1;
            wraps
        },
        |mut wraps| {
            wraps[0].ciphertext[0] ^= 1;
            wraps
        },
        |mut wraps| {
            let mut kinds = vec![foreign(WrapKind::DigitKey)];
            kinds[0].kind = WrapKind::VaultPassword;
            kinds.append(&mut wraps);
            kinds
        },
    ];
    for (number, change) in not_ours.into_iter().enumerate() {
        let setup = Setup::new();
        setup.registered("right").await;
        let error = alone(&setup, wraps(change)).await;
        assert!(matches!(error, BackupError::Wrap(UnwrapError::NotOurs)), "change {number}: {error}");
        assert_eq!((error.name(), error.exit_class()), ("wrap-mismatch", ExitClass::Proof));
    }
    let malformed: Change = |mut wraps| {
        wraps[0].ciphertext.pop();
        wraps
    };
    let setup = Setup::new();
    setup.registered("right").await;
    let error = alone(&setup, wraps(malformed)).await;
    assert!(matches!(error, BackupError::Wrap(UnwrapError::Malformed)), "{error}");
}

#[tokio::test]
async fn a_wrap_of_another_user_gives_no_key_even_under_the_same_password() {
    let setup = Setup::new();
    setup.registered("right").await;
    // Bob's record, given to Alice: another account in every transcript.
    setup.vault_of(account("bob")).register(password("right"), &new_key().unwrap()).await.unwrap();
    let stolen = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&stolen);
    setup.members[0].fault(wraps(move |wraps| {
        *keep.lock().unwrap() = Some(wraps.clone());
        wraps
    }));
    setup.vault_of(account("bob")).recover(password("right")).await.unwrap();
    setup.members[0].mend();
    let error = alone(&setup, wraps(move |_| stolen.lock().unwrap().clone().unwrap())).await;
    assert!(matches!(error, BackupError::Wrap(UnwrapError::NotOurs)), "{error}");
}

#[tokio::test]
async fn wraps_that_contradict_one_another_or_are_missing_give_no_key() {
    type Change = fn(Vec<Wrap>) -> Vec<Wrap>;
    let changes: [Change; 2] = [
        |mut wraps| {
            wraps.push(foreign(WrapKind::DigitKey));
            wraps
        },
        |_| vec![foreign(WrapKind::Passkey)],
    ];
    for change in changes {
        let setup = Setup::new();
        setup.registered("right").await;
        let error = alone(&setup, wraps(change)).await;
        assert!(matches!(error, BackupError::Wraps { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_record_that_does_not_open_is_never_confirmed() {
    let setup = Setup::new();
    let other = Setup::new();
    other.registered("another").await;
    let decoy = new_setup(&mut OsRandom).unwrap();
    // The member tries another record than the one that was just enrolled.
    let swap = move |response| match response {
        Response::Tried { record } => {
            let mut record = (*record).clone();
            record.setup = decoy.clone();
            Response::Tried { record: Arc::new(record) }
        }
        other => other,
    };
    setup.members[0].fault(Fault::Tampered(Arc::new(swap)));
    let error = setup.vault().register(password("right"), &new_key().unwrap()).await.unwrap_err();
    assert_eq!((error.name(), error.exit_class()), ("not-opened", ExitClass::Proof), "{error}");
    assert_eq!(setup.fleet.proposed(), ["enrol", "try"]);
}

#[tokio::test]
async fn an_answer_to_another_question_breaks_the_protocol() {
    let setup = Setup::new();
    let swap = |response| match response {
        Response::Deleted { .. } => Response::Done,
        other => other,
    };
    setup.members[0].fault(Fault::Tampered(Arc::new(swap)));
    let error = setup.vault().delete(None).await.unwrap_err();
    assert!(matches!(error, BackupError::MemberFault { deed: Deed::Deletion }), "{error}");
    let late = |response| match response {
        Response::Deleted { .. } => Response::Deleted {
            waits_until: Some(countermark_vault_core::machine::ReplicatedTime::from_unix(u64::MAX)),
        },
        other => other,
    };
    setup.members[0].mend();
    setup.members[0].fault(Fault::Tampered(Arc::new(late)));
    let error = setup.vault().delete(None).await.unwrap_err();
    assert_eq!((error.name(), error.exit_class()), ("protocol", ExitClass::Malformed), "{error}");
}
