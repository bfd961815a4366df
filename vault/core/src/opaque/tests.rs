//! A record and its password, and what each side refuses of the other.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::client::{Login, LoginError, Registration, RegistrationError};
use super::server::*;
use super::testing::*;
use super::*;
use crate::machine::{Evaluation, Record, SETUP_BYTES, UPLOAD_BYTES};
use crate::secret::Secret;
use crate::testing::{name, origin};

mod refusals;

const CHEAP: Hardness = Hardness::TestOnly;

/// A record, and what its password opens.
fn register(account: u8, text: &str, rng: &mut dyn RandomSource) -> (Record, ExportKey) {
    let setup = new_setup(rng).unwrap();
    let (registration, request) = Registration::start(&password(text), rng).unwrap();
    assert_eq!(request.len(), REGISTRATION_REQUEST_BYTES);
    let response = register_start(&setup, &parties(account), &request).unwrap();
    assert_eq!(response.len(), REGISTRATION_RESPONSE_BYTES);
    let (upload, key) = registration.finish(&password(text), &response, &parties(account), CHEAP, rng).unwrap();
    check_upload(&setup, &upload).unwrap();
    assert_eq!((setup.expose().len(), upload.expose().len()), (SETUP_BYTES, UPLOAD_BYTES));
    (Record { setup, upload, wraps: Vec::new() }, key)
}

fn recorded(record: &Record) -> Evaluation {
    Evaluation::Record(Arc::new(record.clone()))
}

/// A login up to the second message.
fn start(
    evaluation: &Evaluation,
    at: &Parties,
    text: &str,
    rng: &mut dyn RandomSource,
) -> (Login, ServerLogin, Vec<u8>) {
    let (login, ke1) = Login::start(&password(text), rng).unwrap();
    assert_eq!(ke1.len(), KE1_BYTES);
    let (server, ke2) = ServerLogin::start(evaluation, at, LoginRequest::parse(&ke1).unwrap(), rng).unwrap();
    assert_eq!(ke2.len(), KE2_BYTES);
    (login, server, ke2)
}

fn confirm(server: ServerLogin, ke3: &[u8]) -> Result<(), WrongPassword> {
    server.finish(&parties(1), KeyConfirmation::parse(ke3).unwrap())
}

#[test]
fn the_password_opens_the_record_and_another_one_does_not() {
    let rng = &mut Seeded(1);
    let (record, key) = register(1, "correct horse", rng);
    let (login, server, ke2) = start(&recorded(&record), &parties(1), "correct horse", rng);
    let (ke3, opened) = login.finish(&password("correct horse"), &ke2, &parties(1), CHEAP, rng).unwrap();
    assert_eq!(ke3.len(), KE3_BYTES);
    assert_eq!(opened, key);
    assert_eq!(confirm(server, &ke3), Ok(()));

    let (login, server, ke2) = start(&recorded(&record), &parties(1), "correct house", rng);
    let outcome = login.finish(&password("correct house"), &ke2, &parties(1), CHEAP, rng);
    assert_eq!(outcome, Err(LoginError::WrongPassword));
    assert_eq!(confirm(server, &ke3), Err(WrongPassword));
}

#[test]
fn two_records_of_one_password_have_nothing_in_common() {
    let rng = &mut Seeded(2);
    let (one, one_key) = register(1, "password", rng);
    let (two, two_key) = register(1, "password", rng);
    assert!(one.setup != two.setup && one.upload != two.upload && one_key != two_key);
    // An upload under another record's setup is worth nothing.
    let mixed = Record { setup: two.setup, ..one };
    let (login, _, ke2) = start(&recorded(&mixed), &parties(1), "password", rng);
    let outcome = login.finish(&password("password"), &ke2, &parties(1), CHEAP, rng);
    assert_eq!(outcome, Err(LoginError::WrongPassword));
}

#[test]
fn a_record_opens_only_for_its_account_and_its_fleet() {
    let rng = &mut Seeded(3);
    let (record, _) = register(1, "password", rng);
    let mut others = alloc::vec![parties(2)];
    let account = AccountId::from([1; 32]);
    others.push(Parties::new(account, &origin(), &name("fleet-2")));
    others.push(Parties::new(account, &Origin::new("log.example/other").unwrap(), &name("fleet-1")));
    for other in others {
        // Whichever side is wrong about it, or both.
        for (at, of) in [(&other, &parties(1)), (&parties(1), &other), (&other, &other)] {
            let (login, _, ke2) = start(&recorded(&record), at, "password", rng);
            let outcome = login.finish(&password("password"), &ke2, of, CHEAP, rng);
            assert_eq!(outcome, Err(LoginError::WrongPassword));
        }
    }
}

#[test]
fn a_decoy_answers_like_a_record_and_fails_only_at_the_client() {
    let rng = &mut Seeded(4);
    let decoy = Evaluation::Decoy(new_setup(rng).unwrap());
    let (record, _) = register(1, "password", rng);
    for evaluation in [decoy.clone(), recorded(&record)] {
        let (login, server, ke2) = start(&evaluation, &parties(1), "other password", rng);
        assert_eq!(ke2.len(), KE2_BYTES);
        let outcome = login.finish(&password("other password"), &ke2, &parties(1), CHEAP, rng);
        assert_eq!(outcome, Err(LoginError::WrongPassword));
        assert_eq!(confirm(server, &[0; KE3_BYTES]), Err(WrongPassword));
    }
    // As with a record, the same blinded password has the same evaluation, and everything else is fresh.
    let (_, ke1) = Login::start(&password("password"), rng).unwrap();
    for evaluation in [decoy, recorded(&record)] {
        let mut answer =
            || ServerLogin::start(&evaluation, &parties(1), LoginRequest::parse(&ke1).unwrap(), rng).unwrap().1;
        let (first, second) = (answer(), answer());
        let equal = first.iter().zip(&second).map(|(one, two)| one == two);
        assert!(equal.clone().take(ELEMENT_BYTES).all(|equal| equal));
        assert!(equal.skip(ELEMENT_BYTES).filter(|equal| *equal).count() < 20);
    }
}

#[test]
fn a_record_that_was_made_earlier_still_opens_and_is_as_hard_as_rfc_9106_recommends() {
    assert_eq!(Hardness::default().costs(), (65_536, 3, 4));
    // Setup, upload and export key. Whatever breaks this makes every record that a fleet keeps useless.
    let kept: Vec<Vec<u8>> = include_str!("golden.txt").lines().map(|line| hex::decode(line).unwrap()).collect();
    let [setup, upload, export_key] = kept.try_into().unwrap();
    let record = Record { setup: Secret::new(setup), upload: Secret::new(upload), wraps: Vec::new() };
    let rng = &mut Seeded(5);
    let (login, server, ke2) = start(&recorded(&record), &parties(1), "correct horse", rng);
    let (ke3, opened) = login.finish(&password("correct horse"), &ke2, &parties(1), Hardness::Rfc9106, rng).unwrap();
    assert_eq!(opened.expose(), export_key);
    assert_eq!(confirm(server, &ke3), Ok(()));
    // A record of one hardness is none of another.
    let (login, _, ke2) = start(&recorded(&record), &parties(1), "correct horse", rng);
    let outcome = login.finish(&password("correct horse"), &ke2, &parties(1), CHEAP, rng);
    assert_eq!(outcome, Err(LoginError::WrongPassword));
}

#[test]
fn a_password_has_1_to_1024_bytes() {
    let make = |bytes: usize| NormalisedPassword::new(Zeroizing::new(alloc::vec![b'a'; bytes])).map(|_| ());
    assert_eq!([0, 1, 1024, 1025].map(make), [Err(PasswordLengthError), Ok(()), Ok(()), Err(PasswordLengthError)]);
    let longest = "a".repeat(1024);
    let rng = &mut Seeded(6);
    let (record, _) = register(1, &longest, rng);
    let (login, _, ke2) = start(&recorded(&record), &parties(1), &longest, rng);
    assert!(login.finish(&password(&longest), &ke2, &parties(1), CHEAP, rng).is_ok());
}

#[test]
fn a_device_that_fails_at_any_draw_is_a_fault_and_nothing_is_made() {
    let rng = &mut Seeded(7);
    let (record, _) = register(1, "password", rng);
    let setup = &record.setup;
    let text = &password("password");
    // Every draw of every operation fails once; the count of draws is what makes it succeed.
    let draws = |operation: &dyn Fn(&mut FailsAfter) -> Result<(), DeviceFault>| {
        (0..20).find(|draws| match operation(&mut FailsAfter(*draws)) {
            Ok(()) => true,
            Err(fault) => {
                assert_eq!(fault, FAULT);
                false
            }
        })
    };
    assert_eq!(draws(&|rng| new_setup(rng).map(|_| ())), Some(3));
    let start = |rng: &mut FailsAfter| match Registration::start(text, rng) {
        Ok(_) => Ok(()),
        Err(RegistrationError::Device(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(draws(&start), Some(1));
    let finish = |failing: &mut FailsAfter| {
        let (registration, request) = Registration::start(text, &mut Seeded(8)).unwrap();
        let response = register_start(setup, &parties(1), &request).unwrap();
        match registration.finish(text, &response, &parties(1), CHEAP, failing) {
            Ok(_) => Ok(()),
            Err(RegistrationError::Device(fault)) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(draws(&finish), Some(1));
    let login = |rng: &mut FailsAfter| match Login::start(text, rng) {
        Ok(_) => Ok(()),
        Err(LoginError::Device(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(draws(&login), Some(3));
    for evaluation in [recorded(&record), Evaluation::Decoy(setup.clone())] {
        let (_, ke1) = Login::start(text, &mut Seeded(9)).unwrap();
        let evaluate = |rng: &mut FailsAfter| match ServerLogin::start(
            &evaluation,
            &parties(1),
            LoginRequest::parse(&ke1).unwrap(),
            rng,
        ) {
            Ok(_) => Ok(()),
            Err(EvaluationError::Device(fault)) => Err(fault),
            Err(other) => panic!("{other}"),
        };
        // The library draws for a decoy in any case, so that both take equally long.
        assert_eq!(draws(&evaluate), Some(4));
    }
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let rng = &mut Seeded(10);
    let (record, key) = register(1, "password", rng);
    let (login, server, _) = start(&recorded(&record), &parties(1), "password", rng);
    let (registration, _) = Registration::start(&password("password"), rng).unwrap();
    let confirmation = KeyConfirmation::parse(&[7; KE3_BYTES]).unwrap();
    let printed = format!("{login:?} {server:?} {registration:?} {key:?} {:?} {confirmation:?}", password("password"));
    assert_eq!(
        printed,
        "Login(…) ServerLogin(…) Registration(…) ExportKey(…) NormalisedPassword(…) KeyConfirmation(…)"
    );
}
