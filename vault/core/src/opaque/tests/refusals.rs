//! What each side refuses of the other.

use super::*;

/// Where elements stand in each message.
const REQUEST: [usize; 1] = [0];
const RESPONSE: [usize; 2] = [0, 32];
const UPLOAD: [usize; 1] = [0];
const KE1: [usize; 2] = [0, 64];
const KE2: [usize; 2] = [0, 224];

/// The message with each of its elements, in turn, in every encoding that cannot be used.
fn with_unusable_elements(message: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for from in at {
        let mut high_bit = message.to_vec();
        high_bit[from + 31] |= 0x80;
        messages.push(high_bit);
        for element in unusable_elements() {
            messages.push(with_element(message, *from, &element));
        }
    }
    messages
}

fn with_element(message: &[u8], at: usize, element: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[at..at + 32].copy_from_slice(element);
    message
}

/// Every proper beginning of the message, and the message with a byte more.
fn of_other_lengths(message: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = (0..message.len()).map(|end| message[..end].to_vec()).collect();
    messages.push([message, &[0]].concat());
    messages
}

fn malformed(message: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    [with_unusable_elements(message, at), of_other_lengths(message)].concat()
}

fn public_key(setup: &Secret) -> Vec<u8> {
    let (_, request) = Registration::start(&password("any"), &mut Seeded(99)).unwrap();
    register_start(setup, &parties(1), &request).unwrap()[32..].to_vec()
}

#[test]
fn the_server_refuses_malformed_and_reflected_registrations() {
    let rng = &mut Seeded(11);
    let setup = new_setup(rng).unwrap();
    let own = public_key(&setup);
    let (registration, request) = Registration::start(&password("password"), rng).unwrap();
    let answer = |request: &[u8]| register_start(&setup, &parties(1), request);
    for message in malformed(&request, &REQUEST) {
        assert_eq!(answer(&message), Err(ClientMessageError::Malformed.into()));
    }
    assert_eq!(answer(&own), Err(ClientMessageError::Reflected.into()));

    let response = answer(&request).unwrap();
    let (upload, _) = registration.finish(&password("password"), &response, &parties(1), CHEAP, rng).unwrap();
    let check = |upload: Vec<u8>| check_upload(&setup, &Secret::new(upload));
    for message in malformed(upload.expose(), &UPLOAD) {
        assert_eq!(check(message), Err(ClientMessageError::Malformed.into()));
    }
    assert_eq!(check(with_element(upload.expose(), 0, &own)), Err(ClientMessageError::Reflected.into()));
}

#[test]
fn the_client_refuses_malformed_and_reflected_answers_to_a_registration() {
    let rng = &mut Seeded(12);
    let setup = new_setup(rng).unwrap();
    let text = &password("password");
    let begin = || Registration::start(text, &mut Seeded(13)).unwrap();
    let (_, request) = begin();
    let response = register_start(&setup, &parties(1), &request).unwrap();
    let mut finish = |response: &[u8]| begin().0.finish(text, response, &parties(1), CHEAP, rng).map(|_| ());
    for message in malformed(&response, &RESPONSE) {
        assert_eq!(finish(&message), Err(RegistrationError::Malformed));
    }
    for at in RESPONSE {
        assert_eq!(finish(&with_element(&response, at, &request)), Err(RegistrationError::Reflected));
    }
    assert_eq!(finish(&response), Ok(()));
}

#[test]
fn the_server_refuses_malformed_and_reflected_logins() {
    let rng = &mut Seeded(14);
    let (record, _) = register(1, "password", rng);
    let (_, ke1) = Login::start(&password("password"), rng).unwrap();
    for message in malformed(&ke1, &KE1) {
        assert_eq!(LoginRequest::parse(&message).map(|_| ()), Err(ClientMessageError::Malformed));
    }
    for evaluation in [recorded(&record), Evaluation::Decoy(record.setup.clone())] {
        for at in KE1 {
            let reflected = with_element(&ke1, at, &public_key(&record.setup));
            let request = LoginRequest::parse(&reflected).unwrap();
            let outcome = ServerLogin::start(&evaluation, &parties(1), request, rng).map(|_| ());
            assert_eq!(outcome, Err(ClientMessageError::Reflected.into()));
        }
    }
    for length in [0, KE3_BYTES - 1, KE3_BYTES + 1] {
        let outcome = KeyConfirmation::parse(&alloc::vec![1; length]).map(|_| ());
        assert_eq!(outcome, Err(ClientMessageError::Malformed));
    }
}

#[test]
fn the_client_refuses_malformed_and_reflected_answers_to_a_login() {
    let rng = &mut Seeded(15);
    let (record, _) = register(1, "password", rng);
    let text = &password("password");
    let begin = || Login::start(text, &mut Seeded(16)).unwrap();
    let (_, ke1) = begin();
    let (_, ke2) =
        ServerLogin::start(&recorded(&record), &parties(1), LoginRequest::parse(&ke1).unwrap(), rng).unwrap();
    let mut finish = |ke2: &[u8]| begin().0.finish(text, ke2, &parties(1), CHEAP, rng).map(|_| ());
    for message in malformed(&ke2, &KE2) {
        assert_eq!(finish(&message), Err(LoginError::Malformed));
    }
    for at in KE2 {
        for own in KE1 {
            assert_eq!(finish(&with_element(&ke2, at, &ke1[own..own + 32])), Err(LoginError::Reflected));
        }
    }
    assert_eq!(finish(&ke2), Ok(()));
}

#[test]
fn a_second_message_with_any_byte_changed_fails_at_the_client() {
    let rng = &mut Seeded(17);
    let (record, _) = register(1, "password", rng);
    let text = &password("password");
    let begin = || Login::start(text, &mut Seeded(18)).unwrap();
    let (_, ke1) = begin();
    let (_, ke2) =
        ServerLogin::start(&recorded(&record), &parties(1), LoginRequest::parse(&ke1).unwrap(), rng).unwrap();
    for at in 0..KE2_BYTES {
        let mut changed = ke2.clone();
        changed[at] ^= 1;
        let outcome = begin().0.finish(text, &changed, &parties(1), CHEAP, rng);
        assert!(matches!(outcome, Err(LoginError::WrongPassword | LoginError::Malformed)), "byte {at}");
    }
}

#[test]
fn a_third_message_with_any_byte_changed_fails_at_the_server() {
    let (record, _) = register(1, "password", &mut Seeded(19));
    let begin = || start(&recorded(&record), &parties(1), "password", &mut Seeded(20));
    let (login, _, ke2) = begin();
    let (ke3, _) = login.finish(&password("password"), &ke2, &parties(1), CHEAP, &mut Seeded(21)).unwrap();
    for at in 0..KE3_BYTES {
        let mut changed = ke3.clone();
        changed[at] ^= 1;
        assert_eq!(confirm(begin().1, &changed), Err(WrongPassword), "byte {at}");
    }
    assert_eq!(confirm(begin().1, &ke3), Ok(()));
}

#[test]
fn a_third_message_of_another_login_fails_at_the_server() {
    let rng = &mut Seeded(22);
    let (record, _) = register(1, "password", rng);
    let (login, _, ke2) = start(&recorded(&record), &parties(1), "password", rng);
    let (ke3, _) = login.finish(&password("password"), &ke2, &parties(1), CHEAP, rng).unwrap();
    let (_, other, _) = start(&recorded(&record), &parties(1), "password", rng);
    assert_eq!(confirm(other, &ke3), Err(WrongPassword));
}

#[test]
fn what_is_kept_and_is_no_record_is_a_fault() {
    let rng = &mut Seeded(23);
    let (record, _) = register(1, "password", rng);
    let (_, ke1) = Login::start(&password("password"), rng).unwrap();
    let (_, request) = Registration::start(&password("password"), rng).unwrap();
    let short = |secret: &Secret| Secret::new(secret.expose()[1..].to_vec());
    let no_key = |secret: &Secret| Secret::new(with_element(secret.expose(), 64, &[0; 32]));
    for setup in [short(&record.setup), no_key(&record.setup)] {
        assert_eq!(register_start(&setup, &parties(1), &request), Err(EvaluationError::Record));
        assert_eq!(check_upload(&setup, &record.upload), Err(EvaluationError::Record));
        for evaluation in [recorded(&Record { setup: setup.clone(), ..record.clone() }), Evaluation::Decoy(setup)] {
            let outcome = ServerLogin::start(&evaluation, &parties(1), LoginRequest::parse(&ke1).unwrap(), rng);
            assert_eq!(outcome.map(|_| ()), Err(EvaluationError::Record));
        }
    }
    let evaluation = recorded(&Record { upload: short(&record.upload), ..record });
    let outcome = ServerLogin::start(&evaluation, &parties(1), LoginRequest::parse(&ke1).unwrap(), rng);
    assert_eq!(outcome.map(|_| ()), Err(EvaluationError::Record));
}
