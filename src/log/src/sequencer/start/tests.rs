use std::sync::Arc;
use std::time::Duration;

use countermark_tlog::note::SignatureType;

use super::*;
use crate::ports::WitnessEndpoint;
use crate::sequencer::Submission;
use crate::store::memory::MemoryStore;
use crate::testing::faulty::{Call, Faults, Form, faulty};
use crate::testing::{TestSigner, World};

/// Whether settings are refused for the right reason.
type Expected = fn(&SettingsError) -> bool;

/// Why settings are refused.
async fn refused(settings: NamespaceSettings) -> SettingsError {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    match start(settings, world.ports(store)).await {
        Err(StartError::Settings(failure)) => failure,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the namespace was started"),
    }
}

#[tokio::test]
async fn settings_that_do_not_fit_together_are_refused() {
    let world = World::new();
    let other = TestSigner::new(Role::Log, 77);
    let witness = WitnessEndpoint {
        vkeys: vec![other.vkey("w9.example", SignatureType::CosignatureEd25519)],
        url: "http://w9.example".to_string(),
    };
    let mut no_quorum = world.trust.clone();
    no_quorum.keys.policy = no_quorum.keys.policy.replace("quorum quorum-of-witnesses", "quorum none");
    let mut no_limit = world.trust.clone();
    no_limit.limits.max_head_age_seconds = 0;
    let set = || world.settings();
    let cases: Vec<(NamespaceSettings, Expected)> = vec![
        (NamespaceSettings { origin: Origin::new("log.example/other").unwrap(), ..set() }, |failure| {
            matches!(failure, SettingsError::OtherLog { .. })
        }),
        (NamespaceSettings { namespace: Namespace::parse("other").unwrap(), ..set() }, |failure| {
            matches!(failure, SettingsError::OtherNamespace { .. })
        }),
        (NamespaceSettings { log_signer: Arc::new(world.certificate.clone()), ..set() }, |failure| {
            matches!(failure, SettingsError::Role { expected: Role::Log, found: Role::Certificate })
        }),
        (NamespaceSettings { log_signer: Arc::new(other.clone()), ..set() }, |failure| {
            matches!(failure, SettingsError::UnknownKey { role: Role::Log })
        }),
        (world.settings_certified_by(Box::new(TestSigner::new(Role::Certificate, 78))), |failure| {
            matches!(failure, SettingsError::UnknownKey { role: Role::Certificate })
        }),
        (NamespaceSettings { certifying: None, ..set() }, |failure| {
            matches!(failure, SettingsError::Certifying { kind: LogKind::FleetKeys })
        }),
        (NamespaceSettings { foundation: World::raw().foundation(), ..set() }, |failure| {
            matches!(failure, SettingsError::Certifying { kind: LogKind::Raw })
        }),
        (NamespaceSettings { witnesses: vec![witness], ..set() }, |failure| {
            matches!(failure, SettingsError::UnknownWitness { .. })
        }),
        (NamespaceSettings { foundation: Foundation::FleetKeys(Box::new(no_quorum)), ..set() }, |failure| {
            matches!(failure, SettingsError::NoQuorum)
        }),
        (NamespaceSettings { foundation: Foundation::FleetKeys(Box::new(no_limit)), ..set() }, |failure| {
            matches!(failure, SettingsError::Trust(_))
        }),
    ];
    for (settings, expected) in cases {
        let failure = refused(settings).await;
        assert!(expected(&failure), "{failure:?}");
    }
}

#[tokio::test]
async fn a_log_that_exists_or_existed_is_not_created_again() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let first = || vec![world.first_entry()];
    let made = create(&world.settings(), first(), &world.ports(store.clone())).await;
    assert!(matches!(made, Err(CreateError::AlreadyRegistered { .. })), "{made:?}");
    // The database is lost and the register still knows.
    let made = create(&world.settings(), first(), &world.ports(Arc::new(MemoryStore::default()))).await;
    assert!(matches!(made, Err(CreateError::AlreadyRegistered { .. })), "{made:?}");
    // The register is lost too, the database is not.
    let registered = world.register.history(&world.origin()).pop().unwrap();
    world.register.force(&world.origin(), None);
    let made = create(&world.settings(), first(), &world.ports(store)).await;
    assert!(matches!(made, Err(CreateError::Store(CreateNamespaceError::AlreadyExists { .. }))), "{made:?}");
    // Everything is lost; a witness still knows.
    world.witnesses.show(world.url(2), &registered.checkpoint);
    let made = create(&world.settings(), first(), &world.ports(Arc::new(MemoryStore::default()))).await;
    assert!(matches!(&made, Err(CreateError::AlreadyWitnessed { witness, .. }) if witness == "w2.example"), "{made:?}");
}

#[tokio::test]
async fn a_log_begins_with_its_policy() {
    let world = World::new();
    let fresh = || world.ports(Arc::new(MemoryStore::default()));
    let made = create(&world.settings(), vec![], &fresh()).await;
    assert!(matches!(made, Err(CreateError::Stage(StageError::Empty))), "{made:?}");
    let made = create(&world.settings(), vec![world.evidence(1).write()], &fresh()).await;
    assert!(matches!(made, Err(CreateError::Rule { position: 0, source: RuleViolation::NoPolicy })), "{made:?}");
    let several = vec![world.first_entry(), world.evidence(1).write()];
    assert_eq!(create(&world.settings(), several, &fresh()).await.unwrap().size.get(), 2);
}

#[tokio::test]
async fn a_first_head_that_was_not_signed_or_registered_is_an_error() {
    let world = World::new();
    let first = || vec![world.first_entry()];
    let store = Arc::new(MemoryStore::default());
    let faults = Arc::new(Faults::default());
    let ports = faulty(world.ports(store.clone()), &faults);
    faults.arm(Call::CompareAndSwap, Form::NotDone);
    let made = create(&world.settings(), first(), &ports).await;
    assert!(matches!(made, Err(CreateError::Register(_))), "{made:?}");

    let other = Arc::new(MemoryStore::default());
    let ports = faulty(world.ports(other), &faults);
    faults.hold(Call::CompareAndSwap);
    let creating = tokio::spawn({
        let (settings, first) = (world.settings(), first());
        async move { create(&settings, first, &ports).await }
    });
    faults.until_held(1).await;
    world.start(store).await.shutdown().await;
    faults.release();
    let made = creating.await.unwrap();
    assert!(matches!(made, Err(CreateError::RegisterMoved)), "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn two_namespaces_in_one_store_do_not_meet() {
    let (a, mut b) = (World::new(), World::new());
    let origin = Origin::new("log.example/second").unwrap();
    b.trust.origin = origin.clone();
    b.trust.keys.policy = b.trust.keys.policy.replace(
        &b.log.vkey("log.example/backup", SignatureType::Ed25519).to_string(),
        &b.log.vkey("log.example/second", SignatureType::Ed25519).to_string(),
    );
    let store = Arc::new(MemoryStore::default());
    a.create(store.clone()).await;
    b.create(store.clone()).await;
    let (served_a, served_b) = (a.start(store.clone()).await, b.start(store.clone()).await);
    assert_ne!(served_a.committed().1, served_b.committed().1);
    let wait = crate::sequencer::WaitLevel::Published;
    let foreign: Submission = crate::testing::world::entry(&b.evidence(1));
    assert!(served_a.submit(foreign.clone(), wait, Duration::from_mins(1)).await.is_err());
    served_b.submit(foreign, wait, Duration::from_mins(1)).await.unwrap();
    assert_eq!((served_a.committed().0.get(), served_b.committed().0.get()), (1, 2));
}
