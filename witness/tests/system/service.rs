//! The library: made once, restarted from what it stored, refused without it.

use std::fs;

use countermark_keys::{KeyFile, Role, create_passphrase_file};
use countermark_migrations::{Database, Open, OpenError, open_sqlite};
use countermark_service::listener::BindError;
use countermark_tlog::note::VerifierKey;
use countermark_witness::{Config, InitError, KeyError, ServeError, StateError, init, serve, vkeys};

use crate::log::TestLog;
use crate::support::{self, Home, Running};

#[tokio::test]
async fn init_makes_key_and_state_and_names_the_key() {
    let home = Home::new(&[]);
    let named = init(&home.config()).await.unwrap();
    assert_eq!(vkeys(&home.config()).unwrap(), named);
    assert_eq!(VerifierKey::parse(&named[0]).unwrap().name().as_str(), "witness.example/w1");
    for file in ["witness.key", "witness.passphrase", "witness.sqlite", "witness.key.has-state"] {
        assert!(home.path(file).exists(), "{file}");
    }
}

#[tokio::test]
async fn init_takes_up_a_key_that_is_there() {
    let home = Home::new(&[]);
    create_passphrase_file(&home.path("witness.passphrase")).unwrap();
    KeyFile::create(&home.path("witness.key"), Role::Witness, &home.path("witness.passphrase")).unwrap();
    let before = vkeys(&home.config()).unwrap();
    assert_eq!(init(&home.config()).await.unwrap(), before);
}

#[tokio::test]
async fn init_never_touches_a_witness_that_exists() {
    let home = Home::new(&[]);
    init(&home.config()).await.unwrap();
    let key = fs::read(home.path("witness.key")).unwrap();
    let error = init(&home.config()).await.unwrap_err();
    assert!(matches!(error, InitError::StateExists { .. }), "{error:?}");
    assert_eq!(fs::read(home.path("witness.key")).unwrap(), key);
}

#[tokio::test]
async fn an_init_that_fails_is_named_and_can_be_repeated() {
    type Break = fn(&Home, &mut Config);
    type Expected = fn(&InitError) -> bool;
    let cases: [(&str, Break, Expected); 4] = [
        (
            "no folder for the passphrase",
            |home, config| config.passphrase_file = home.path("missing/passphrase"),
            |error| matches!(error, InitError::Passphrase(_)),
        ),
        (
            "no folder for the key",
            |home, config| config.key_file = home.path("missing/key"),
            |error| matches!(error, InitError::CreateKey(_)),
        ),
        (
            "no folder for the state",
            |home, config| config.state = home.path("missing/state"),
            |error| matches!(error, InitError::State(OpenError::Io { .. })),
        ),
        (
            "a file for a folder",
            |home, config| config.state = home.path("witness.toml/state"),
            |error| matches!(error, InitError::Io { .. }),
        ),
    ];
    for (case, break_it, expected) in cases {
        let home = Home::new(&[]);
        let mut broken = home.config();
        break_it(&home, &mut broken);
        let error = init(&broken).await.unwrap_err();
        assert!(expected(&error), "{case}: {error:?}");
        init(&home.config()).await.unwrap();
    }
}

#[tokio::test]
async fn a_witness_that_lost_its_state_is_neither_served_nor_made_again() {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    init(&home.config()).await.unwrap();
    fs::remove_file(home.path("witness.sqlite")).unwrap();
    let error = serve(home.config(), |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::StateMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("retired"), "{error}");
    let error = init(&home.config()).await.unwrap_err();
    assert!(matches!(error, InitError::KeyHadState { .. }), "{error:?}");
    assert!(!home.path("witness.sqlite").exists());
}

#[tokio::test]
async fn an_interrupted_init_is_completed_before_anything_is_cosigned() {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    let vkey = init(&home.config()).await.unwrap();
    let marker = home.path("witness.key.has-state");
    // As a crash between the state and the mark leaves it.
    fs::remove_file(&marker).unwrap();
    assert!(matches!(init(&home.config()).await, Err(InitError::StateExists { .. })));
    assert_eq!(countermark_witness::init_if_absent(&home.config()).await.unwrap(), vkey);
    assert!(marker.exists());
    fs::remove_file(&marker).unwrap();
    let running = Running::start(home.config()).await;
    assert!(marker.exists(), "marked before the first request is taken");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_restarted_witness_goes_on_from_what_it_stored() {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    let own_key = VerifierKey::parse(&init(&home.config()).await.unwrap()[0]).unwrap();
    let first = Running::start(home.config()).await;
    assert_eq!(first.post(log.request(0, 5)).await.status, 200);
    first.stop().await.unwrap();

    let second = Running::start(home.config()).await;
    let answer = second.post(log.request(0, 5)).await;
    assert_eq!((answer.status, answer.body.as_str()), (409, "5\n"));
    assert_eq!(second.post(log.with_key(9).request(5, 9)).await.status, 403);
    let answer = second.post(log.request(5, 9)).await;
    assert_eq!(answer.status, 200);
    support::verify_cosignature(&answer.body, &own_key, &log.text(9));
    // It cosigned 5 in its earlier life: another 5 ends the log.
    let answer = second.post(log.forked_at(2).request(0, 5)).await;
    assert_eq!((answer.status, answer.body.as_str()), (409, "9\n"));
    assert_eq!(second.post(log.request(9, 9)).await.status, 422);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn two_processes_on_one_state_do_not_roll_each_other_back() {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    init(&home.config()).await.unwrap();
    let (one, two) = (Running::start(home.config()).await, Running::start(home.config()).await);
    assert_eq!(one.post(log.request(0, 5)).await.status, 200);
    assert_eq!(two.post(log.request(5, 9)).await.status, 200);
    let answer = one.post(log.request(5, 7)).await;
    assert_eq!((answer.status, answer.body.as_str()), (409, "9\n"));
    assert_eq!(one.post(log.request(9, 9)).await.status, 200);
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test]
async fn two_processes_on_one_state_cosign_one_of_two_faces_and_no_more_of_either() {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    init(&home.config()).await.unwrap();
    let (one, two) = (Running::start(home.config()).await, Running::start(home.config()).await);
    let fork = log.forked_at(1);
    let (left, right) = tokio::join!(one.post(log.request(0, 5)), two.post(fork.request(0, 5)));
    let (winner, loser) = match (left.status, right.status) {
        (200, 409) => (&log, &fork),
        (409, 200) => (&fork, &log),
        other => panic!("{other:?}"),
    };
    // Whether the loser was seen beside the stored head or lost the swap, the next look makes the evidence.
    assert!(matches!(one.post(loser.request(5, 5)).await.status, 422));
    for process in [&one, &two] {
        for request in [loser.request(0, 5), loser.request(5, 9), winner.request(5, 5), winner.request(5, 9)] {
            assert_eq!(process.post(request).await.status, 422, "what one process kept, the other obeys");
        }
        assert!(support::get(process.address, "gossip/v1/forks").await.body.len() == 65);
    }
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test]
async fn the_state_of_another_witness_is_refused() {
    let log = TestLog::new("log.example/a");
    let (one, two) = (Home::new(&[&log]), Home::new(&[&log]));
    for home in [&one, &two] {
        init(&home.config()).await.unwrap();
    }
    let running = Running::start(one.config()).await;
    assert_eq!(running.post(log.request(0, 5)).await.status, 200);
    running.stop().await.unwrap();
    fs::copy(one.path("witness.sqlite"), two.path("witness.sqlite")).unwrap();
    let error = serve(two.config(), |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::State(StateError::OtherWitness { .. })), "{error:?}");
}

#[tokio::test]
async fn the_database_of_another_service_is_refused_by_name() {
    let home = Home::new(&[]);
    init(&home.config()).await.unwrap();
    fs::remove_file(home.path("witness.sqlite")).unwrap();
    open_sqlite(&home.path("witness.sqlite"), Database::Log, Open::CreateNew).await.unwrap().close().await;
    let error = serve(home.config(), |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::Open(OpenError::OtherService { .. })), "{error:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let home = Home::new(&[]);
    init(&home.config()).await.unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = home.config();
    config.listen = taken.local_addr().unwrap();
    let error = serve(config, |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    let ServeError::Bind(BindError::AddressInUse { address }) = error else { panic!("{error:?}") };
    assert_eq!(address, taken.local_addr().unwrap());
}

#[tokio::test]
async fn an_address_of_another_machine_is_a_fault() {
    let home = Home::new(&[]);
    init(&home.config()).await.unwrap();
    let mut config = home.config();
    config.listen = "192.0.2.1:0".parse().unwrap();
    let error = serve(config, |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind(BindError::Refused { .. })), "{error:?}");
}

#[tokio::test]
async fn a_witness_whose_key_signs_for_a_followed_log_is_refused() {
    let home = Home::new(&[]);
    let own_key = VerifierKey::parse(&init(&home.config()).await.unwrap()[0]).unwrap();
    let config = home.config_following("log.example/a", own_key.key_bytes());
    assert!(matches!(vkeys(&config), Err(countermark_witness::VkeyError::Key(KeyError::IsALogKey { .. }))));
    let error = serve(config, |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::Key(KeyError::IsALogKey { .. })), "{error:?}");
}

#[tokio::test]
async fn a_key_of_another_role_is_refused() {
    let home = Home::new(&[]);
    create_passphrase_file(&home.path("witness.passphrase")).unwrap();
    KeyFile::create(&home.path("witness.key"), Role::Log, &home.path("witness.passphrase")).unwrap();
    let error = init(&home.config()).await.unwrap_err();
    assert!(matches!(error, InitError::Key(KeyError::Open(_))), "{error:?}");
    assert!(!home.path("witness.sqlite").exists());
    assert!(!home.path("witness.key.has-state").exists());
}

#[tokio::test]
async fn a_witness_that_is_told_to_end_ends_though_a_connection_stays_open() {
    let home = Home::new(&[]);
    init(&home.config()).await.unwrap();
    let running = Running::start(home.config()).await;
    let _idle = std::net::TcpStream::connect(running.address).unwrap();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_config_loads_from_its_file() {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    let config = Config::load(&home.path("witness.toml")).unwrap();
    assert_eq!(config.state, home.path("witness.sqlite"));
}
