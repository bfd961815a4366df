//! Three members as a fleet, over their real files, sockets and processes.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countermark_bundle::identity::Digest;
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_vault::status::PhaseStatus;
use countermark_vault_core::session::client::steps::StepError;
use countermark_vault_core::session::message::SessionRefusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, DEADLINE, copy_folder};
use crate::support::{exchange_bytes, report};
use crate::user::{Outcome, Phone};

/// Guesses at a member, once the fleet has a leader: what came of it, and what the relay saw.
async fn guess(cluster: &Cluster, number: usize, user: &str, password: &str) -> (Outcome, Vec<usize>) {
    let begun = Instant::now();
    loop {
        let mut phone = Phone::open(cluster, number, user).await.unwrap();
        match phone.guess(password).await {
            Ok(outcome) => return (outcome, phone.sizes),
            Err(StepError::Refused(SessionRefusal::NoMajority | SessionRefusal::Unknown)) => {
                assert!(begun.elapsed() < DEADLINE);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// The key that a guess at a member gives.
async fn recover(cluster: &Cluster, number: usize, user: &str) -> [u8; 32] {
    match guess(cluster, number, user, "correct").await.0 {
        Outcome::Recovered(key) => key,
        Outcome::Wrong(left) => panic!("{left} guesses are left"),
    }
}

struct Registered {
    user: String,
    key: [u8; 32],
    sizes: Vec<usize>,
}

/// Registers a new user at a member, once the fleet has a leader.
async fn register(cluster: &Cluster, number: usize, password: &str) -> Registered {
    let begun = Instant::now();
    // Each attempt as somebody else: a record whose confirmation got lost would make the next one wait.
    for attempt in 1.. {
        let user = format!("user-{attempt}");
        let mut phone = Phone::open(cluster, number, &user).await.unwrap();
        match phone.register(password).await {
            Ok(key) => return Registered { user, key, sizes: phone.sizes },
            Err(StepError::Refused(SessionRefusal::NoMajority | SessionRefusal::Unknown)) => {
                assert!(begun.elapsed() < DEADLINE);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    unreachable!("attempts do not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_wait_for_their_statement_and_then_form_the_fleet() {
    let mut cluster = Cluster::new().await;
    for number in 1..=3 {
        cluster.start(number);
    }
    // What a statement is made of is served before there is one.
    let identity = report(cluster.address(1)).await.identity().clone();
    assert_eq!((&identity.identity_key, &identity.session_key), (&cluster.keys[0].identity, &cluster.keys[0].session));
    let status = cluster.wait_for(1, |status| status.waits_for.is_some()).await;
    assert_eq!(status.phase, PhaseStatus::Seeking);
    for (line, expect) in [("GET /v1/backup/bundles/newest", 404), ("POST /v1/sessions", 503)] {
        assert_eq!(exchange_bytes(cluster.address(1), line, &[]).await.status, expect, "{line}");
    }
    cluster.log.state(&cluster.keys);
    for number in 1..=3 {
        let status = cluster.wait_for(number, |status| status.phase == PhaseStatus::Serving).await;
        let replica = status.replica.unwrap();
        assert_eq!(replica.members.len(), 3);
        assert!(replica.members.iter().all(|member| member.stated));
        let bundle = exchange_bytes(cluster.address(number), "GET /v1/backup/bundles/newest", &[]).await;
        assert!(ValidationBundle::parse(&bundle.body).is_ok());
    }
    let Registered { user, key, .. } = register(&cluster, 1, "correct").await;
    for number in 1..=3 {
        assert_eq!(recover(&cluster, number, &user).await, key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_key_is_recovered_while_members_come_and_go() {
    let mut cluster = Cluster::serving().await;
    let Registered { user, key, .. } = register(&cluster, 1, "correct").await;
    // One is killed, the one that leads: the others go on.
    let leader = cluster.leader().await;
    let others: Vec<usize> = (1..=3).filter(|number| *number != leader).collect();
    cluster.kill(leader);
    assert_eq!(recover(&cluster, others[0], &user).await, key);
    // Two are killed: the last one says so, within the deadline of a write, and nothing is spent.
    cluster.leader().await;
    cluster.kill(others[0]);
    let mut phone = Phone::open(&cluster, others[1], &user).await.unwrap();
    let begun = Instant::now();
    let refused = phone.guess("correct").await.unwrap_err();
    // A leader that lost its majority a moment ago may have put the charge into its log: that is for it to say.
    let expected = [SessionRefusal::NoMajority, SessionRefusal::Unknown].map(StepError::Refused);
    assert!(expected.contains(&refused), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let mut phone = Phone::open(&cluster, others[1], &user).await.unwrap();
    assert_eq!(phone.guess("correct").await.unwrap_err(), StepError::Refused(SessionRefusal::NoMajority));
    // Back again, without the log: everything is on their disks.
    cluster.stop_log().await;
    cluster.start(leader);
    assert_eq!(recover(&cluster, others[1], &user).await, key);
    cluster.start(others[0]);
    cluster.wait_for(others[0], |status| status.stapled.is_some()).await;
    assert_eq!(recover(&cluster, others[0], &user).await, key);
    for number in 1..=3 {
        cluster.stop(number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_sees_the_same_bodies_for_the_right_password_a_wrong_one_and_no_account() {
    let cluster = Cluster::serving().await;
    let registered = register(&cluster, 1, "correct").await;
    assert_eq!(registered.sizes.len(), 2 + 2 * 8);
    let user = registered.user.as_str();
    for (user, password, is_right) in [(user, "correct", true), (user, "wrong", false), ("nobody", "correct", false)] {
        let (outcome, sizes) = guess(&cluster, 2, user, password).await;
        assert_eq!(outcome == Outcome::Recovered(registered.key), is_right, "{outcome:?}");
        assert_eq!(sizes, registered.sizes, "{user}, {password}");
    }
    // And whoever reads the log learns no more.
    for number in 1..=3 {
        let log = cluster.stderr(number);
        assert!(!log.contains("user-") && !log.contains("AccountId") && !log.contains("session "), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_statement_is_stapled_everywhere_and_old_sessions_are_a_conflict() {
    let cluster = Cluster::serving().await;
    let old = cluster.adopted(1).await;
    cluster.log.state(&cluster.keys);
    for number in 1..=3 {
        cluster.wait_for(number, |status| status.stapled.as_ref().is_some_and(|stapled| stapled.epoch == 2)).await;
        let keys = &cluster.keys[number - 1];
        let refused = Phone::connect(cluster.address(number), number, old, keys, "user-1").await;
        assert_eq!(refused.err(), Some(409));
        let link = exchange_bytes(cluster.address(number), "GET /v1/backup/links?from=3", &[]).await;
        assert_eq!(link.status, 200);
        let link = ConsistencyLink::parse(&link.body).unwrap();
        assert_eq!((link.from.get(), link.to.get()), (3, 5));
    }
    let Registered { user, key, .. } = register(&cluster, 3, "correct").await;
    assert_eq!(recover(&cluster, 1, &user).await, key);
    assert_eq!(cluster.adopted(1).await, cluster.adopted(2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_on_an_older_copy_of_its_data_refuses_to_serve() {
    let mut cluster = Cluster::serving().await;
    cluster.stop(3);
    let (data, copy) = (cluster.path(3, "data"), cluster.path(3, "copy"));
    copy_folder(&data, &copy);
    cluster.start(3);
    // Something that the copy has not. (Each start alone makes a copy of before one of another time.)
    let Registered { user, key, .. } = register(&cluster, 1, "correct").await;
    cluster.stop(3);
    fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    let (code, log) = cluster.refuses_to_start(3);
    assert_eq!(code, Some(1));
    assert!(log.contains("copy of another time"), "{log}");
    // The others go on without it.
    assert_eq!(recover(&cluster, 2, &user).await, key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_data_its_counter_or_its_keys_is_retired() {
    type Lose = fn(&Cluster);
    let cases: [(Lose, &str); 5] = [
        (|cluster| fs::remove_dir_all(cluster.path(1, "data")).unwrap(), "retired"),
        (|cluster| fs::remove_file(cluster.path(1, "data/formation")).unwrap(), "retired"),
        (|cluster| fs::remove_file(cluster.path(1, "data/replica.redb")).unwrap(), "retired"),
        (|cluster| fs::remove_file(cluster.device(1, "counter")).unwrap(), "counter file is missing"),
        (|cluster| fs::write(cluster.path(1, "data/formation"), "anything").unwrap(), "changed"),
    ];
    let mut cluster = Cluster::serving().await;
    cluster.stop(1);
    let kept = cluster.path(1, "kept");
    copy_folder(&cluster.path(1, "data"), &kept);
    let counter = fs::read(cluster.device(1, "counter")).unwrap();
    for (lose, expect) in cases {
        lose(&cluster);
        let (code, log) = cluster.refuses_to_start(1);
        assert_eq!(code, Some(1));
        assert!(log.contains(expect), "{expect}: {log}");
        // A database that a start made anew does not belong to what was kept.
        let _ = fs::remove_dir_all(cluster.path(1, "data"));
        copy_folder(&kept, &cluster.path(1, "data"));
        fs::write(cluster.device(1, "counter"), &counter).unwrap();
    }
    // New keys do not make it the member that it was.
    let sealing = cluster.device(1, "sealing.key");
    fs::rename(&sealing, cluster.device(1, "aside")).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_countermark-vault"))
        .args(["init", "--if-absent", "--config"])
        .arg(cluster.path(1, "member.toml"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("retired"));
    fs::rename(cluster.device(1, "aside"), &sealing).unwrap();
    // With everything in its place it comes back.
    cluster.start(1);
    cluster.wait_for(1, |status| status.phase == PhaseStatus::Serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_nothing_by_the_members_listener() {
    let cluster = Cluster::serving().await;
    let named = |name: &str| {
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        [&length[..], name.as_bytes(), &[0, 48], &[7; 48]].concat()
    };
    for bytes in [named("member-9"), named("member-2"), named("member-1"), vec![0xff; 64]] {
        let mut stranger = TcpStream::connect(cluster.peer_addresses[0]).await.unwrap();
        stranger.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        // Closed with bytes unread, the connection may end in a reset.
        let _ = stranger.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
    assert!(matches!(guess(&cluster, 1, "user-1", "guess").await.0, Outcome::Wrong(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_a_member_is_for_people_and_for_programs() {
    let mut cluster = Cluster::serving().await;
    let status = |member: String, json: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countermark-vault"));
        command.args(["status", "--member", &member]).args(json.then_some("--json")).stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let member = format!("http://{}", cluster.address(2));
    let (code, table) = status(member.clone(), false);
    assert_eq!(code, Some(0));
    for expect in ["member-2 of fleet-1, log.example/backup", "serving", "leader member-", "epoch 1, tree of 3"] {
        assert!(table.contains(expect), "{expect}: {table}");
    }
    let (code, json) = status(member.clone(), true);
    assert_eq!(code, Some(0));
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&document["phase"], &document["member_id"]), (&"serving".into(), &"member-2".into()));
    let adopted = Digest::from_hex(document["stapled"]["statement"].as_str().unwrap()).unwrap();
    assert_eq!(adopted, cluster.adopted(2).await);
    cluster.stop(2);
    assert_eq!(status(member, true), (Some(21), String::new()));
}
