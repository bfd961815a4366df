//! Witnesses that were apart while a log showed them two faces, and then gossip over real sockets.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use countermark_tlog::fork::{ForkKind, UntrustedForkEvidence, VerifiedForkEvidence};
use countermark_tlog::hash::{leaf_hash, node_hash};
use countermark_tlog::tile::{TileCoord, TilePath};
use countermark_witness::init;
use tokio::net::TcpListener;

use crate::log::TestLog;
use crate::support::{self, Answer, Home, Running, get};

const DEADLINE: Duration = Duration::from_secs(30);

/// Serves the level 0 tiles of the first `usize` entries of a log that forked at 1, under this name.
async fn tiles(name: &'static str, entries: usize) -> SocketAddr {
    async fn tile(State((name, entries)): State<(&'static str, usize)>, uri: Uri) -> Result<Vec<u8>, StatusCode> {
        let path = TileCoord::parse_path(uri.path().trim_start_matches('/'));
        let Ok(TilePath::Hashes(tile)) = path else { return Err(StatusCode::NOT_FOUND) };
        if tile.level() != 0 || usize::from(tile.width()) > entries {
            return Err(StatusCode::NOT_FOUND);
        }
        let entry = |index: u16| if index < 1 { format!("entry {index}") } else { format!("{name} {index}") };
        Ok((0..tile.width()).flat_map(|index| leaf_hash(entry(index).as_bytes()).0.0).collect())
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(tile).with_state((name, entries));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Adds a `[gossip]` with this peer, and the log's `url`.
fn connect(home: &Home, log: &TestLog, peer: SocketAddr, tiles: Option<SocketAddr>) {
    home.write_config("127.0.0.1:0", &[(log.origin.as_str(), log.vkey())]);
    let text = fs::read_to_string(home.path("witness.toml")).unwrap();
    let url = tiles.map_or_else(String::new, |tiles| format!("url = \"http://{tiles}/\"\n"));
    let gossip = format!("[gossip]\npeers = [\"http://{peer}\"]\ninterval_seconds = 1\n");
    fs::write(home.path("witness.toml"), text.replace("\n[[log]]", &format!("\n{gossip}\n[[log]]")) + &url).unwrap();
}

/// A new witness that cosigned these sizes of the log.
async fn cosigned(log: &TestLog, sizes: &[usize]) -> (Home, Running) {
    let home = Home::new(&[log]);
    init(&home.config()).await.unwrap();
    let witness = Running::start(home.config()).await;
    let mut old = 0;
    for size in sizes {
        let answer = witness.post(log.request(old, *size)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        old = *size;
    }
    (home, witness)
}

/// The evidence that a witness serves, once it has any.
async fn evidence(witness: SocketAddr, log: &TestLog) -> VerifiedForkEvidence {
    let end = Instant::now() + DEADLINE;
    loop {
        let list: Answer = get(witness, "gossip/v1/forks").await;
        if let Some(id) = list.body.lines().next() {
            let file = get(witness, &format!("gossip/v1/forks/{id}")).await;
            let evidence = UntrustedForkEvidence::parse(file.body.as_bytes()).unwrap();
            return evidence.verify(&[log.vkey()]).unwrap();
        }
        assert!(Instant::now() < end, "no evidence within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn refuses_for_good(witness: SocketAddr, body: Vec<u8>) {
    let refused = support::post(witness, body).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("urn:countermark:problem:witness:fork"), "{}", refused.body);
}

#[tokio::test]
async fn two_faces_of_two_sizes_meet_and_both_witnesses_have_the_evidence() {
    let log = TestLog::new("log.example/l").forked_at(1);
    let honest_face = TestLog::new("log.example/l");
    // The other witness holds size 3 of one face, ours size 5 of the other, whose tiles the log serves to us.
    let (_other_home, other) = cosigned(&honest_face, &[3]).await;
    let (home, ours) = cosigned(&log, &[5]).await;
    ours.stop().await.unwrap();
    connect(&home, &log, other.address, Some(tiles("other", 5).await));
    let ours = Running::start(home.config()).await;
    let found = evidence(ours.address, &log).await;
    assert!(matches!(found.kind(), ForkKind::NotGrown { .. }), "{found:?}");
    assert_eq!((found.smaller().size.get(), found.larger().size.get()), (3, 5));
    // It was taken to the peer, which has no peers itself.
    assert_eq!(evidence(other.address, &log).await, found);
    refuses_for_good(ours.address, log.request(5, 6)).await;
    refuses_for_good(other.address, honest_face.request(3, 4)).await;
    // After a restart as before.
    ours.stop().await.unwrap();
    let ours = Running::start(home.config()).await;
    refuses_for_good(ours.address, log.request(5, 6)).await;
    ours.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_head_of_our_size_convicts_where_the_log_serves_no_tiles() {
    let log = TestLog::new("log.example/l").forked_at(1);
    let (_other_home, other) = cosigned(&TestLog::new("log.example/l"), &[5, 7]).await;
    let (home, ours) = cosigned(&log, &[5]).await;
    ours.stop().await.unwrap();
    connect(&home, &log, other.address, None);
    let ours = Running::start(home.config()).await;
    let found = evidence(ours.address, &log).await;
    assert_eq!((found.kind(), found.smaller().size.get()), (ForkKind::TwoRoots, 5));
    assert_eq!(evidence(other.address, &log).await, found);
    ours.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_that_only_grew_is_never_accused() {
    let log = TestLog::new("log.example/l").forked_at(1);
    let (_other_home, other) = cosigned(&log, &[3]).await;
    let (home, ours) = cosigned(&log, &[2, 5]).await;
    ours.stop().await.unwrap();
    // With the right tiles, and with those of somebody else, which relate nothing.
    for name in ["other", "somebody"] {
        connect(&home, &log, other.address, Some(tiles(name, 5).await));
        let ours = Running::start(home.config()).await;
        // The peer has what was pushed to it: a round is over but for the evidence.
        let told = support::exchange(ours.address, "POST /gossip/v1/heads", page(other.address).await).await;
        assert_eq!((told.status, told.body.as_str()), (200, "behind\n"));
        assert_eq!(get(ours.address, "gossip/v1/forks").await.body, "");
        assert_eq!(ours.post(log.request(5, 5)).await.status, 200);
        ours.stop().await.unwrap();
    }
    assert_eq!(get(other.address, "gossip/v1/forks").await.body, "");
    other.stop().await.unwrap();
}

async fn page(witness: SocketAddr) -> Vec<u8> {
    get(witness, "gossip/v1/heads").await.body.into_bytes()
}

#[test]
fn the_tiles_of_these_tests_are_those_of_the_log() {
    let log = TestLog::new("log.example/l").forked_at(1);
    let leaf = |entry: &str| leaf_hash(entry.as_bytes()).0;
    assert_eq!(log.root(2).0, node_hash(&leaf("entry 0"), &leaf("other 1")));
}
