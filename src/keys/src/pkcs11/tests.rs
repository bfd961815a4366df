use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use p384::ecdsa::signature::Verifier as _;

use super::module::Module;
use super::*;
use crate::{KeyFile, OpenError};

#[macro_use]
mod softhsm;
mod reference;

use softhsm::{PIN, SoftHsm};

/// How long a token that came back may take to be found.
const DEADLINE: Duration = Duration::from_mins(1);

impl SoftHsm {
    fn pin_file(&self, name: &str, pin: &str) -> PathBuf {
        let path = self.at(name);
        if !path.exists() {
            owner_only_file::create(&path, format!("{pin}\n").as_bytes()).unwrap();
        }
        path
    }

    fn pin(&self) -> PathBuf {
        self.pin_file("pin", PIN)
    }

    fn create(&self, file: &str, role: Role, key_label: &str) -> Result<PublicKeyInfo, CreateInTokenError> {
        KeyFile::create_in_token(&self.at(file), &asked(role, key_label), &self.pin())
    }

    fn open(&self, file: &str, role: Role) -> Result<Box<dyn Signer>, OpenError> {
        KeyFile::open_signer(&self.at(file), role, &self.pin())
    }

    /// Why the token refuses the key.
    fn refusal(&self, file: &str, role: Role) -> TokenError {
        match self.open(file, role).unwrap_err() {
            OpenError::Token { source, .. } => source,
            other => panic!("not the token: {other:?}"),
        }
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut UntrustedReference)) {
        let mut reference = UntrustedReference::parse(&fs::read(self.at(file)).unwrap()).unwrap();
        change(&mut reference);
        fs::write(self.at(file), reference.encode()).unwrap();
    }
}

fn asked(role: Role, key_label: &str) -> NewTokenKey<'_> {
    NewTokenKey {
        role,
        module: SoftHsm::library(),
        token_label: Some("token-1"),
        token_serial: None,
        key_label,
        pin: PinSource::PassphraseFile,
    }
}

/// Verifies by other code than the signer's own.
fn assert_signs(signer: &dyn Signer, message: &[u8]) {
    let signature = signer.sign(message).unwrap();
    match signer.algorithm() {
        Algorithm::Ed25519 => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(signer.public_key().try_into().unwrap()).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
            key.verify_strict(message, &signature).unwrap();
        }
        Algorithm::EcdsaP384 => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(signer.public_key()).unwrap();
            let signature = p384::ecdsa::Signature::from_slice(&signature).unwrap();
            assert_eq!(signature.normalize_s(), signature, "s is low");
            key.verify(message, &signature).unwrap();
        }
        other => panic!("{other} is not held in a token"),
    }
}

fn eventually_signs(signer: &dyn Signer) {
    let begun = Instant::now();
    while let Err(error) = signer.sign(b"back") {
        assert!(begun.elapsed() < DEADLINE, "it does not come back: {error}");
        thread::yield_now();
    }
    assert_signs(signer, b"back for good");
}

#[test]
fn keys_of_both_algorithms_sign_and_are_what_the_reference_says() {
    with_softhsm!(|hsm| {
        for role in [Role::Witness, Role::Log, Role::Operator, Role::Officer, Role::TokenIssuerP384] {
            let file = role.as_str();
            let made = hsm.create(file, role, "w1").unwrap();
            assert_eq!((made.role, made.algorithm), (role, role.algorithm()));
            assert_eq!(KeyFile::public(&hsm.at(file)).unwrap(), made);
            assert_eq!(fs::metadata(hsm.at(file)).unwrap().permissions().mode() & 0o7777, 0o600);
            let signer = hsm.open(file, role).unwrap();
            assert_eq!((signer.role(), signer.algorithm()), (role, role.algorithm()));
            assert_eq!(hex::encode(signer.public_key()), made.public_key);
            // Half of all P-384 signatures have a high s before it is made low.
            for message in 0..16_u8 {
                assert_signs(signer.as_ref(), &[message]);
            }
            assert_signs(signer.as_ref(), b"");
        }
        let opened = KeyFile::open_token_issuer(&hsm.at("token-issuer-p384"), &hsm.pin()).unwrap();
        assert_signs(opened.as_ref(), b"token");
    });
}

#[test]
fn a_pin_comes_from_its_own_file_or_the_environment_where_the_reference_says_so() {
    with_softhsm!(|hsm| {
        let nowhere = Path::new("/nowhere");
        let own = PinSource::File(hsm.pin());
        for (file, pin) in [("own", own), ("variable", PinSource::Environment("COUNTERMARK_TEST_PIN".into()))] {
            let asked = NewTokenKey { pin, ..asked(Role::Log, file) };
            KeyFile::create_in_token(&hsm.at(file), &asked, nowhere).unwrap();
            assert_signs(KeyFile::open_signer(&hsm.at(file), Role::Log, nowhere).unwrap().as_ref(), b"message");
        }
        hsm.change("variable", |reference| reference.pin = PinSource::Environment("COUNTERMARK_NO_PIN".into()));
        let refused = hsm.open("variable", Role::Log).unwrap_err();
        assert!(matches!(refused, OpenError::Pin { source: PinError::Unset, .. }), "{refused:?}");
    });
}

#[test]
fn a_wrong_pin_is_refused_and_printed_by_nothing() {
    with_softhsm!(|hsm| {
        hsm.create("key", Role::Log, "key").unwrap();
        let wrong = hsm.pin_file("wrong", "31415926");
        let refused = KeyFile::open_signer(&hsm.at("key"), Role::Log, &wrong).unwrap_err();
        assert!(matches!(refused, OpenError::Token { source: TokenError::PinRefused, .. }), "{refused:?}");
        let shown = format!("{refused} {refused:?} {:?}", asked(Role::Log, "key"));
        assert!(!shown.contains("31415926"), "{shown}");
        let refused = KeyFile::create_in_token(&hsm.at("other"), &asked(Role::Log, "other"), &wrong).unwrap_err();
        assert!(matches!(refused, CreateInTokenError::Token(TokenError::PinRefused)), "{refused:?}");
        let signer = hsm.open("key", Role::Log).unwrap();
        assert!(!format!("{signer:?}").contains(PIN), "{signer:?}");
    });
}

/// How a reference is spoilt.
type Change = fn(&mut UntrustedReference);

#[test]
fn what_is_not_there_is_refused_by_name() {
    with_softhsm!(|hsm| {
        hsm.create("key", Role::Log, "key").unwrap();
        let whole = fs::read(hsm.at("key")).unwrap();
        let cases: [(Change, TokenError); 7] = [
            (|r| r.module = "/nowhere/library.so".into(), TokenError::Module),
            (|r| r.token.label = Some("token-2".into()), TokenError::NoToken),
            (|r| r.token.serial = Some("0".into()), TokenError::NoToken),
            (|r| r.key_id[0] ^= 1, TokenError::NoKey),
            (|r| r.key_label.0.push('2'), TokenError::OtherLabel),
            (|r| r.role = Role::Certificate, TokenError::OtherLabel),
            (|r| r.public_key[0] ^= 1, TokenError::PublicKey),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            fs::write(hsm.at("key"), &whole).unwrap();
            hsm.change("key", change);
            let role = KeyFile::public(&hsm.at("key")).unwrap().role;
            assert_eq!(hsm.refusal("key", role), expected, "case {index}");
        }
        fs::write(hsm.at("key"), &whole).unwrap();
        let refused = hsm.open("key", Role::Witness).unwrap_err();
        assert!(matches!(refused, OpenError::WrongRole { found: Role::Log, .. }), "{refused:?}");
        let refused = KeyFile::open_agreement(&hsm.at("key"), Role::Log, &hsm.pin()).unwrap_err();
        assert!(matches!(refused, OpenError::CannotAgree { role: Role::Log }), "{refused:?}");
        let refused = KeyFile::open_sealing(&hsm.at("key"), Role::Log, &hsm.pin()).unwrap_err();
        assert!(matches!(refused, OpenError::CannotSeal { role: Role::Log }), "{refused:?}");
        assert_signs(hsm.open("key", Role::Log).unwrap().as_ref(), b"whole again");
    });
}

#[test]
fn of_two_tokens_with_one_label_the_serial_number_chooses() {
    with_softhsm!(|hsm| {
        hsm.init_token("token-1", PIN);
        let refused = hsm.create("key", Role::Log, "key").unwrap_err();
        assert!(matches!(refused, CreateInTokenError::Token(TokenError::TokenAmbiguous)), "{refused:?}");
        let module = Module::load(SoftHsm::library()).unwrap();
        let serials: Vec<String> = {
            let context = module.enter().unwrap().context;
            let infos = context.get_slots_with_token().unwrap().into_iter().map(|slot| context.get_token_info(slot));
            infos.map(|info| info.unwrap().serial_number().to_owned()).filter(|serial| !serial.is_empty()).collect()
        };
        assert_eq!(serials.len(), 2);
        for serial in &serials {
            let asked = NewTokenKey { token_serial: Some(serial), ..asked(Role::Log, "key") };
            KeyFile::create_in_token(&hsm.at(serial), &asked, &hsm.pin()).unwrap();
            assert_signs(hsm.open(serial, Role::Log).unwrap().as_ref(), b"message");
        }
    });
}

/// Makes a key beside our own code, with another attribute.
fn make_key(reference: &UntrustedReference, good: &Attribute, bad: Attribute) {
    let module = Module::load(SoftHsm::library()).unwrap();
    let entered = module.enter().unwrap();
    let token = entered.context.get_slots_with_token().unwrap()[0];
    let session = entered.context.open_rw_session(token).unwrap();
    session.login(UserType::User, Some(&PIN.into())).unwrap();
    let (mechanism, curves) = attributes::generation(Algorithm::Ed25519);
    let mut private = attributes::private_template(reference);
    let at = private.iter().position(|attribute| attribute == good).unwrap();
    private[at] = bad;
    let made = curves.iter().any(|curve| {
        let public = attributes::public_template(reference, curve);
        session.generate_key_pair(&mechanism, &public, &private).is_ok()
    });
    assert!(made, "{good:?}");
}

#[test]
fn two_keys_of_one_identifier_are_refused() {
    with_softhsm!(|hsm| {
        hsm.create("key", Role::Log, "key").unwrap();
        let reference = UntrustedReference::parse(&fs::read(hsm.at("key")).unwrap()).unwrap();
        make_key(&reference, &Attribute::Sign(true), Attribute::Sign(true));
        assert_eq!(hsm.refusal("key", Role::Log), TokenError::KeyAmbiguous);
    });
}

#[test]
fn a_key_that_can_leave_its_token_or_was_not_made_there_is_refused_by_the_attribute() {
    with_softhsm!(|hsm| {
        hsm.create("key", Role::Log, "key").unwrap();
        let whole = UntrustedReference::parse(&fs::read(hsm.at("key")).unwrap()).unwrap();
        let cases: [(Attribute, Attribute, &str); 4] = [
            (Attribute::Extractable(false), Attribute::Extractable(true), "CKA_EXTRACTABLE"),
            (Attribute::Sensitive(true), Attribute::Sensitive(false), "CKA_SENSITIVE"),
            (Attribute::Private(true), Attribute::Private(false), "CKA_PRIVATE"),
            (Attribute::Sign(true), Attribute::Sign(false), "CKA_SIGN"),
        ];
        for (index, (good, bad, name)) in cases.into_iter().enumerate() {
            let mut reference = whole.clone();
            reference.key_id = [u8::try_from(index).unwrap(); 16];
            make_key(&reference, &good, bad);
            fs::write(hsm.at("key"), reference.encode()).unwrap();
            let refused = hsm.refusal("key", Role::Log);
            assert!(matches!(refused, TokenError::Attribute { attribute, .. } if attribute == name), "{refused:?}");
        }
    });
}

#[test]
fn a_second_key_of_the_same_role_and_label_is_not_made() {
    with_softhsm!(|hsm| {
        let made = hsm.create("key", Role::Log, "one").unwrap();
        let refused = hsm.create("other", Role::Log, "one").unwrap_err();
        assert!(matches!(refused, CreateInTokenError::LabelTaken { role: Role::Log }), "{refused:?}");
        assert!(!hsm.at("other").exists());
        let refused = hsm.create("key", Role::Log, "two").unwrap_err();
        assert!(matches!(refused, CreateInTokenError::AlreadyExists { .. }), "{refused:?}");
        // The label belongs to the role, and a refusal took nothing away.
        hsm.create("witness", Role::Witness, "one").unwrap();
        assert_eq!(hex::encode(hsm.open("key", Role::Log).unwrap().public_key()), made.public_key);
        // A reference that cannot be written leaves no key behind: its label is free.
        let refused = hsm.create("missing/key", Role::Log, "three").unwrap_err();
        assert!(matches!(refused, CreateInTokenError::Write { .. }), "{refused:?}");
        hsm.create("third", Role::Log, "three").unwrap();
    });
}

#[test]
fn what_a_token_does_not_hold_is_refused_by_name() {
    // No token is asked, so none is needed.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let module = Path::new("/nowhere/library.so");
    for role in Role::ALL {
        let asked = NewTokenKey { module, ..NewTokenKey { role, ..bare() } };
        let refused = KeyFile::create_in_token(&path, &asked, Path::new("/nowhere")).unwrap_err();
        match role.algorithm() {
            Algorithm::Ed25519 | Algorithm::EcdsaP384 => {
                assert!(matches!(refused, CreateInTokenError::Pin(_)), "{role}: {refused:?}");
            }
            Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => {
                assert!(matches!(refused, CreateInTokenError::Algorithm { .. }), "{role}: {refused:?}");
            }
        }
    }
    let bad_names = [
        NewTokenKey { module: Path::new("library.so"), ..bare() },
        NewTokenKey { token_label: None, ..bare() },
        NewTokenKey { token_label: Some(""), ..bare() },
        NewTokenKey { key_label: "a/b", ..bare() },
        NewTokenKey { key_label: "", ..bare() },
        NewTokenKey { pin: PinSource::File("pin".into()), ..bare() },
    ];
    for asked in bad_names {
        let refused = KeyFile::create_in_token(&path, &asked, Path::new("/nowhere")).unwrap_err();
        assert!(matches!(refused, CreateInTokenError::Name(Damage::Reference)), "{asked:?}: {refused:?}");
    }
}

fn bare() -> NewTokenKey<'static> {
    NewTokenKey {
        role: Role::Log,
        module: Path::new("/nowhere/library.so"),
        token_label: Some("token-1"),
        token_serial: None,
        key_label: "key",
        pin: PinSource::PassphraseFile,
    }
}

#[test]
fn a_token_that_is_gone_is_said_to_be_and_its_keys_sign_again_when_it_is_back() {
    with_softhsm!(|hsm| {
        hsm.create("log", Role::Log, "key").unwrap();
        hsm.create("operator", Role::Operator, "key").unwrap();
        let log = hsm.open("log", Role::Log).unwrap();
        let operator = hsm.open("operator", Role::Operator).unwrap();
        let gone = hsm.at("gone");
        // The whole folder: then the library does not even begin. Then the token alone: then there is no such token.
        let token = fs::read_dir(hsm.tokens()).unwrap().next().unwrap().unwrap().path();
        for place in [hsm.tokens(), token] {
            fs::rename(&place, &gone).unwrap();
            let begun = Instant::now();
            for signer in [&log, &operator] {
                let unavailable = SignError::TokenUnavailable { role: signer.role() };
                while signer.sign(b"gone") != Err(unavailable) {
                    assert!(begun.elapsed() < DEADLINE, "{:?}", signer.sign(b"gone"));
                }
            }
            assert!(matches!(hsm.refusal("log", Role::Log), TokenError::Unavailable | TokenError::NoToken));
            fs::rename(&gone, &place).unwrap();
            for signer in [&log, &operator] {
                eventually_signs(signer.as_ref());
            }
        }
    });
}

#[test]
fn a_replaced_token_is_found_out_and_a_pin_that_it_refused_is_not_tried_again() {
    with_softhsm!(|hsm| {
        hsm.create("key", Role::Log, "key").unwrap();
        let signer = hsm.open("key", Role::Log).unwrap();
        let own = hsm.at("own");
        fs::rename(hsm.tokens(), &own).unwrap();
        fs::create_dir(hsm.tokens()).unwrap();
        // The same label and PIN: it opens, and the key is not in it.
        hsm.init_token("token-1", PIN);
        let begun = Instant::now();
        while signer.sign(b"other") != Err(SignError::OtherKey { role: Role::Log }) {
            assert!(begun.elapsed() < DEADLINE, "{:?}", signer.sign(b"other"));
        }
        // The same label and another PIN.
        fs::remove_dir_all(hsm.tokens()).unwrap();
        fs::create_dir(hsm.tokens()).unwrap();
        hsm.init_token("token-1", "27182818");
        let refused = SignError::PinRefused { role: Role::Log };
        let begun = Instant::now();
        while signer.sign(b"other") != Err(refused) {
            assert!(begun.elapsed() < DEADLINE, "{:?}", signer.sign(b"other"));
        }
        // Our own token is back, and would take the PIN: this signer does not ask it.
        fs::remove_dir_all(hsm.tokens()).unwrap();
        fs::rename(&own, hsm.tokens()).unwrap();
        let begun = Instant::now();
        let again = loop {
            match hsm.open("key", Role::Log) {
                Ok(again) => break again,
                Err(error) => assert!(begun.elapsed() < DEADLINE, "{error:?}"),
            }
        };
        assert_signs(again.as_ref(), b"a new start");
        assert_eq!(signer.sign(b"own"), Err(refused));
    });
}

#[test]
fn many_threads_sign_with_one_session() {
    with_softhsm!(|hsm| {
        hsm.create("key", Role::Witness, "key").unwrap();
        let signer = hsm.open("key", Role::Witness).unwrap();
        thread::scope(|scope| {
            for thread in 0..64_u8 {
                let signer = signer.as_ref();
                scope.spawn(move || {
                    for message in 0..8_u8 {
                        assert_signs(signer, &[thread, message]);
                    }
                });
            }
        });
    });
}
