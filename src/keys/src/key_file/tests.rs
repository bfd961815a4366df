use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;

use super::*;
use crate::passphrase::create_passphrase_file;
use crate::randomness::tests::Empty;

/// A folder with a passphrase file, and a key file where one was asked for.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn empty() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        create_passphrase_file(&desk.passphrase()).unwrap();
        desk
    }

    fn with_key(role: Role) -> Self {
        let desk = Self::empty();
        desk.create(role).unwrap();
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self) -> PathBuf {
        self.at("key.json")
    }

    fn passphrase(&self) -> PathBuf {
        self.at("passphrase")
    }

    fn create(&self, role: Role) -> Result<PublicKeyInfo, CreateError> {
        KeyFile::create(&self.key(), role, &self.passphrase())
    }

    fn open(&self, role: Role) -> Result<Box<dyn Signer>, OpenError> {
        KeyFile::open_signer(&self.key(), role, &self.passphrase())
    }

    fn document(&self) -> UntrustedKeyFile {
        UntrustedKeyFile::parse(&fs::read(self.key()).unwrap()).unwrap()
    }

    /// Puts `bytes` in the place of the key file, which keeps its mode.
    fn replace_key(&self, bytes: &[u8]) {
        fs::write(self.key(), bytes).unwrap();
    }

    fn damage(&self, role: Role) -> Damage {
        match self.open(role).unwrap_err() {
            OpenError::Damaged { source, .. } => source,
            other => panic!("not damaged: {other:?}"),
        }
    }

    /// Puts `plaintext` into a whole seal under the right passphrase.
    fn reseal(&self, plaintext: &str, work_factor: u8) {
        let mut document = self.document();
        let passphrase = Passphrase::read(&self.passphrase()).unwrap();
        document.sealed = seal::seal_with(plaintext.as_bytes(), passphrase, work_factor);
        self.replace_key(&document.encode());
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_of_every_role_comes_back_as_it_was_made() {
    for role in Role::ALL {
        let desk = Desk::empty();
        let made = desk.create(role).unwrap();
        assert_eq!((made.role, made.algorithm), (role, role.algorithm()));
        assert_eq!(KeyFile::public(&desk.key()).unwrap(), made);
        let public_key = match role.algorithm() {
            Algorithm::Ed25519 | Algorithm::EcdsaP384 => {
                let signer = desk.open(role).unwrap();
                assert_eq!((signer.role(), signer.algorithm()), (role, made.algorithm));
                let signature = signer.sign(b"message").unwrap();
                assert_eq!(signature, desk.open(role).unwrap().sign(b"message").unwrap());
                signer.public_key().to_vec()
            }
            // Its signatures are hedged: no two are the same.
            Algorithm::MlDsa44 => desk.open(role).unwrap().public_key().to_vec(),
            Algorithm::X25519 => {
                KeyFile::open_agreement(&desk.key(), role, &desk.passphrase()).unwrap().public_key().to_vec()
            }
            Algorithm::XChaCha20Poly1305 => {
                let open = || KeyFile::open_sealing(&desk.key(), role, &desk.passphrase()).unwrap();
                let sealed = open().seal(b"context", b"message").unwrap();
                assert_eq!(*open().unseal(b"context", &sealed).unwrap(), b"message");
                open().key_id().to_vec()
            }
        };
        assert_eq!(hex::encode(public_key), made.public_key, "{role}");
    }
}

#[test]
fn a_key_opens_only_under_its_own_role() {
    for made in [Role::Log, Role::Operator, Role::VaultSession, Role::VaultSealing] {
        let desk = Desk::with_key(made);
        for asked in Role::ALL.into_iter().filter(|asked| *asked != made) {
            let refused = desk.open(asked).unwrap_err();
            assert!(
                matches!(refused, OpenError::WrongRole { expected, found, .. } if expected == asked && found == made),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn a_key_is_not_opened_for_what_its_algorithm_cannot_do() {
    let desk = Desk::with_key(Role::VaultSession);
    let refused = desk.open(Role::VaultSession).unwrap_err();
    assert!(matches!(refused, OpenError::CannotSign { role: Role::VaultSession }));
    let refused = KeyFile::open_sealing(&desk.key(), Role::VaultSession, &desk.passphrase()).unwrap_err();
    assert!(matches!(refused, OpenError::CannotSeal { role: Role::VaultSession }));
    let desk = Desk::with_key(Role::Log);
    let refused = KeyFile::open_agreement(&desk.key(), Role::Log, &desk.passphrase()).unwrap_err();
    assert!(matches!(refused, OpenError::CannotAgree { role: Role::Log }));
    let refused = KeyFile::open_sealing(&desk.key(), Role::Log, &desk.passphrase()).unwrap_err();
    assert!(matches!(refused, OpenError::CannotSeal { role: Role::Log }));
    let desk = Desk::with_key(Role::VaultSealing);
    let refused = desk.open(Role::VaultSealing).unwrap_err();
    assert!(matches!(refused, OpenError::CannotSign { role: Role::VaultSealing }));
    let refused = KeyFile::open_agreement(&desk.key(), Role::VaultSealing, &desk.passphrase()).unwrap_err();
    assert!(matches!(refused, OpenError::CannotAgree { role: Role::VaultSealing }));
}

#[test]
fn a_key_file_that_others_may_touch_is_refused() {
    let desk = Desk::with_key(Role::Log);
    for bad in [0o640, 0o644, 0o601] {
        set_mode(&desk.key(), bad);
        let opened = desk.open(Role::Log).unwrap_err();
        assert!(
            matches!(opened, OpenError::File { source: FileError::Permissions { mode }, .. } if mode == bad),
            "{opened:?}"
        );
        let read = KeyFile::public(&desk.key()).unwrap_err();
        assert!(
            matches!(read, ReadPublicError::File { source: FileError::Permissions { mode }, .. } if mode == bad),
            "{read:?}"
        );
    }
}

#[test]
fn a_passphrase_file_that_others_may_touch_is_refused_for_opening_and_for_creating() {
    let desk = Desk::with_key(Role::Log);
    for bad in [0o640, 0o644, 0o601] {
        set_mode(&desk.passphrase(), bad);
        let expect = |source: &PassphraseError| matches!(source, PassphraseError::File(FileError::Permissions { mode }) if *mode == bad);
        let opened = desk.open(Role::Log).unwrap_err();
        assert!(matches!(&opened, OpenError::Passphrase { source, .. } if expect(source)), "{opened:?}");
        let created = KeyFile::create(&desk.at("other.json"), Role::Log, &desk.passphrase()).unwrap_err();
        assert!(matches!(&created, CreateError::Passphrase { source, .. } if expect(source)), "{created:?}");
    }
}

#[test]
fn links_and_folders_are_refused_in_place_of_either_file() {
    let desk = Desk::with_key(Role::Log);
    let (key, passphrase) = (desk.key(), desk.passphrase());
    let (key_link, passphrase_link) = (desk.at("key-link"), desk.at("passphrase-link"));
    symlink(&key, &key_link).unwrap();
    symlink(&passphrase, &passphrase_link).unwrap();
    let open = |key, passphrase| KeyFile::open_signer(key, Role::Log, passphrase).unwrap_err();
    assert!(matches!(open(&key_link, &passphrase), OpenError::File { source: FileError::Symlink, .. }));
    assert!(matches!(
        open(&key, &passphrase_link),
        OpenError::Passphrase { source: PassphraseError::File(FileError::Symlink), .. }
    ));
    assert!(matches!(open(desk.folder.path(), &passphrase), OpenError::File { source: FileError::NotRegular, .. }));
    assert!(matches!(open(&desk.at("missing"), &passphrase), OpenError::File { source: FileError::NotFound, .. }));
}

#[test]
fn the_wrong_passphrase_is_told_from_a_damaged_file() {
    let desk = Desk::with_key(Role::Log);
    let other = desk.at("other-passphrase");
    create_passphrase_file(&other).unwrap();
    let refused = KeyFile::open_signer(&desk.key(), Role::Log, &other).unwrap_err();
    assert!(matches!(refused, OpenError::WrongPassphrase { .. }));
}

#[test]
fn a_changed_role_is_refused_though_it_is_the_expected_one() {
    let desk = Desk::with_key(Role::Log);
    let mut document = desk.document();
    document.role = Role::Certificate;
    desk.replace_key(&document.encode());
    let expect = Damage::Role { clear: Role::Certificate, sealed: Role::Log };
    assert_eq!(desk.damage(Role::Certificate), expect);
}

#[test]
fn a_changed_algorithm_is_refused() {
    let desk = Desk::with_key(Role::Log);
    let text = fs::read_to_string(desk.key()).unwrap();
    desk.replace_key(text.replace("ed25519", "x25519").as_bytes());
    let expect = Damage::Algorithm { role: Role::Log, found: Algorithm::X25519 };
    assert_eq!(desk.damage(Role::Log), expect);
}

#[test]
fn a_changed_public_key_is_refused_at_every_byte() {
    let desk = Desk::with_key(Role::Log);
    let whole = fs::read(desk.key()).unwrap();
    for index in 0..32 {
        let mut document = UntrustedKeyFile::parse(&whole).unwrap();
        document.public_key[index] ^= 1;
        desk.replace_key(&document.encode());
        assert_eq!(desk.damage(Role::Log), Damage::PublicKey, "byte {index}");
    }
}

#[test]
fn every_changed_byte_of_the_file_is_refused() {
    let desk = Desk::with_key(Role::Log);
    let whole = fs::read(desk.key()).unwrap();
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        desk.replace_key(&changed);
        let refused = desk.open(Role::Log);
        assert!(refused.is_err(), "byte {index}");
    }
    desk.replace_key(&whole[..whole.len() - 1]);
    assert_eq!(desk.damage(Role::Log), Damage::Malformed);
    desk.replace_key(&whole);
    desk.open(Role::Log).unwrap();
}

#[test]
fn every_changed_byte_of_the_seal_is_refused_by_the_seal_itself() {
    let desk = Desk::with_key(Role::Operator);
    let whole = desk.document();
    assert!(whole.sealed.len() >= 200);
    for index in 0..whole.sealed.len() {
        let mut changed = desk.document();
        changed.sealed[index] ^= 1;
        // No checksum stands before it here: what refuses is the encryption.
        let passphrase = Passphrase::read(&desk.passphrase()).unwrap();
        let refused = seal::unseal(&changed.sealed, passphrase).unwrap_err();
        assert!(matches!(refused, UnsealError::Broken | UnsealError::WrongPassphrase), "byte {index}: {refused:?}");
    }
}

#[test]
fn a_cut_seal_is_refused_by_its_checksum_or_by_itself() {
    let desk = Desk::with_key(Role::Log);
    let text = fs::read_to_string(desk.key()).unwrap();
    let checksum_digit = text.len() - 4;
    let digit = &text[checksum_digit..=checksum_digit];
    let other = if digit == "0" { "1" } else { "0" };
    let mut wrong = text.clone();
    wrong.replace_range(checksum_digit..=checksum_digit, other);
    desk.replace_key(wrong.as_bytes());
    assert_eq!(desk.damage(Role::Log), Damage::Checksum);
    desk.replace_key(text.as_bytes());
    let mut document = desk.document();
    document.sealed.pop();
    desk.replace_key(&document.encode());
    assert_eq!(desk.damage(Role::Log), Damage::Seal);
}

#[test]
fn an_age_file_that_is_not_under_a_passphrase_is_refused() {
    let desk = Desk::with_key(Role::Log);
    let recipient = age::x25519::Identity::generate().to_public();
    let mut document = desk.document();
    document.sealed = age::encrypt(&recipient, b"anything").unwrap();
    desk.replace_key(&document.encode());
    assert_eq!(desk.damage(Role::Log), Damage::Seal);
}

#[test]
fn a_seal_over_anything_but_a_private_key_is_refused() {
    let desk = Desk::with_key(Role::Log);
    let secret = "ab".repeat(32);
    let good =
        format!(r#"{{"type":"countermark/private-key/v1","role":"log","algorithm":"ed25519","secret":"{secret}"}}"#);
    let bad = [
        String::new(),
        "{}".into(),
        format!("{good} {{}}"),
        good.replace("v1", "v2"),
        good.replace("log", "king"),
        good.replace("ed25519", "x25519"),
        good.replace("abab", "abaB"),
        good.replace("abab", "ab"),
        good.replace("\"role\"", "\"more\":\"\",\"role\""),
        good.replace("\"role\"", "\"role\":\"log\",\"role\""),
        // Cut where a sealed document can no longer end.
        format!("{}{good}", " ".repeat(1000)),
    ];
    for (index, plaintext) in bad.iter().enumerate() {
        desk.reseal(plaintext, 1);
        assert_eq!(desk.damage(Role::Log), Damage::SealedContent, "case {index}");
    }
    desk.reseal(&good, 1);
    assert_eq!(desk.damage(Role::Log), Damage::PublicKey);
}

#[test]
fn a_file_that_asks_for_too_much_work_is_refused_before_the_work() {
    let desk = Desk::with_key(Role::Log);
    desk.reseal("{}", seal::WORK_FACTOR_MAX);
    assert_eq!(desk.damage(Role::Log), Damage::SealedContent);
    desk.reseal("{}", seal::WORK_FACTOR_MAX + 1);
    let refused = desk.open(Role::Log).unwrap_err();
    assert!(matches!(refused, OpenError::WorkFactorTooLarge { found: 17, max: 16, .. }));
}

#[test]
fn a_document_in_another_encoding_is_refused() {
    let desk = Desk::with_key(Role::Log);
    let text = fs::read_to_string(desk.key()).unwrap();
    let line = text.trim_end();
    let upper = desk.document().public_key;
    for other in [
        String::new(),
        "{}\n".into(),
        format!("{text}\n"),
        format!("{line}{line}\n"),
        text.replace("\",\"", "\", \""),
        text.replace("key-file/v1", "key-file/v2"),
        text.replace("\"log\"", "\"king\""),
        text.replace("ed25519", "rsa"),
        text.replace(&hex::encode(&upper), &hex::encode_upper(&upper)),
        text.replace(&hex::encode(&upper), &hex::encode(&upper[1..])),
        text.replace(&hex::encode(&upper), "zz"),
        text.replace("\"sealed\":\"", "\"sealed\":\"*"),
        text.replace("\"role\":", "\"more\":\"\",\"role\":"),
        text.replace("\"role\":", "\"role\":\"log\",\"role\":"),
    ] {
        desk.replace_key(other.as_bytes());
        assert_eq!(desk.damage(Role::Log), Damage::Malformed, "{other}");
        assert!(matches!(
            KeyFile::public(&desk.key()),
            Err(ReadPublicError::Damaged { source: Damage::Malformed, .. })
        ));
    }
    desk.replace_key(&vec![b' '; BYTES_MAX + 1]);
    assert!(matches!(desk.open(Role::Log), Err(OpenError::File { source: FileError::TooLarge { .. }, .. })));
}

#[test]
fn a_key_file_is_never_overwritten() {
    let desk = Desk::with_key(Role::Log);
    let before = fs::read(desk.key()).unwrap();
    let refused = desk.create(Role::Log).unwrap_err();
    assert!(matches!(refused, CreateError::AlreadyExists { .. }));
    assert_eq!(fs::read(desk.key()).unwrap(), before);
}

#[test]
fn of_many_creators_at_once_exactly_one_wins_and_its_key_is_the_file() {
    let desk = Desk::empty();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let creators: Vec<_> = (0..8).map(|_| scope.spawn(|| desk.create(Role::Log))).collect();
        creators.into_iter().map(|creator| creator.join().unwrap()).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for refused in lost {
        assert!(matches!(refused, Err(CreateError::AlreadyExists { .. })));
    }
    let signer = desk.open(Role::Log).unwrap();
    let won = won.into_iter().next().unwrap().unwrap();
    assert_eq!(hex::encode(signer.public_key()), won.public_key);
    assert_eq!(fs::read_dir(desk.folder.path()).unwrap().count(), 2);
}

#[test]
fn without_a_folder_or_randomness_no_key_file_is_made() {
    let desk = Desk::empty();
    let missing = KeyFile::create(&desk.at("missing/key"), Role::Log, &desk.passphrase());
    assert!(matches!(missing, Err(CreateError::Write { .. })));
    let refused = create_from(&desk.key(), Role::Log, &desk.passphrase(), &mut Empty);
    assert!(matches!(refused, Err(CreateError::Randomness { role: Role::Log, source: RandomnessError::Unavailable })));
    assert!(!desk.key().exists());
}

#[test]
fn a_file_written_once_opens_for_ever() {
    // The worked example of FORMATS.md.
    let desk = Desk::empty();
    let example = include_str!("../../testdata/log.key.json");
    fs::write(desk.passphrase(), include_str!("../../testdata/passphrase")).unwrap();
    owner_only_file::create(&desk.key(), example.as_bytes()).unwrap();
    let signer = desk.open(Role::Log).unwrap();
    // The key is that of RFC 8032 §7.1, test 2.
    assert_eq!(hex::encode(signer.public_key()), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
}
