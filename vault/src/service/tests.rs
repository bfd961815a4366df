use super::*;
use crate::testing::{MemberFolder, VENDOR, attest, body};

#[test]
fn a_member_is_made_once() {
    let folder = MemberFolder::empty();
    let made = folder.init();
    assert!(made.created);
    assert_eq!(folder.files(), ["identity.key", "passphrase", "session.key"]);
    assert!(matches!(init(&folder.config, Existing::Refuse), Err(InitError::Exists { .. })));
    let kept = init(&folder.config, Existing::Keep).unwrap();
    assert_eq!(kept, InitReport { created: false, ..made });
}

#[test]
fn an_interrupted_init_is_taken_up_again() {
    let folder = MemberFolder::empty();
    let made = folder.init();
    fs::remove_file(&folder.config.session_key_file).unwrap();
    let again = init(&folder.config, Existing::Refuse).unwrap();
    assert_eq!((again.created, &again.identity_key), (true, &made.identity_key));
    assert_ne!(again.session_key, made.session_key);
}

#[test]
fn a_member_that_was_endorsed_never_gets_other_keys() {
    for lost in ["session.key", "identity.key"] {
        let folder = MemberFolder::new();
        let member = folder.open();
        member.accept(&attest(body(member.identity()), VENDOR)).unwrap();
        let lost = folder.folder.path().join(lost);
        fs::remove_file(&lost).unwrap();
        for existing in [Existing::Refuse, Existing::Keep] {
            let refused = init(&folder.config, existing).unwrap_err();
            assert!(matches!(refused, InitError::KeyLost { key, .. } if key == lost));
        }
    }
}

#[test]
fn key_files_that_cannot_be_used_are_refused_by_name() {
    let folder = MemberFolder::new();
    let swapped = Config { identity_key_file: folder.config.session_key_file.clone(), ..folder.config.clone() };
    let refused = init(&swapped, Existing::Keep).unwrap_err();
    assert!(matches!(refused, InitError::WrongRole { expected: Role::VaultIdentity, .. }));
    fs::write(&folder.config.session_key_file, "no key").unwrap();
    assert!(matches!(init(&folder.config, Existing::Keep), Err(InitError::ReadKey(_))));
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_by_name() {
    let folder = MemberFolder::new();
    let missing = folder.folder.path().join("missing");
    let no_passphrase = Config { passphrase_file: missing.join("passphrase"), ..folder.config.clone() };
    assert!(matches!(init(&no_passphrase, Existing::Keep), Err(InitError::Passphrase(_))));
    let no_key = Config { session_key_file: missing.join("key"), ..folder.config.clone() };
    assert!(matches!(init(&no_key, Existing::Keep), Err(InitError::CreateKey(_))));
    let below_a_file = folder.config.passphrase_file.join("key");
    let no_folder = Config { identity_key_file: below_a_file, ..folder.config.clone() };
    assert!(matches!(init(&no_folder, Existing::Keep), Err(InitError::Io { .. })));
}

#[tokio::test]
async fn a_port_that_is_taken_or_not_ours_is_named() {
    let folder = MemberFolder::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let serve_at = |listen| serve(Config { listen, ..folder.config.clone() }, |_| panic!("it serves"), async {});
    assert!(matches!(serve_at(address).await, Err(ServeError::AddressInUse { .. })));
    // TEST-NET-1 belongs to nobody.
    let foreign = "192.0.2.1:0".parse().unwrap();
    assert!(matches!(serve_at(foreign).await, Err(ServeError::Listen { .. })));
}

#[tokio::test]
async fn a_member_that_was_not_made_does_not_serve() {
    let folder = MemberFolder::empty();
    let refused = serve(folder.config.clone(), |_| panic!("it serves"), async {}).await;
    assert!(matches!(refused, Err(ServeError::Member(OpenMemberError::Key(_)))));
}
