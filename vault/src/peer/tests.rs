use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use countermark_vault_core::noise::NoiseError;
use countermark_vault_raft::{MemberNumber, PeerUnreachable, Peers as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::link::{Link, LinkError};
use super::*;
use crate::testkit::{TestMember, name};

fn roster(members: &[&TestMember]) -> Arc<Roster> {
    Arc::new(Roster::new(members.iter().map(|member| member.roster_member())))
}

/// Doubles every byte, when it is let.
#[derive(Default)]
struct Doubling {
    held: Option<Notify>,
    asked: AtomicUsize,
}

impl Answer for Doubling {
    async fn answer(&self, request: Vec<u8>) -> Vec<u8> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if request == b"hold"
            && let Some(held) = &self.held
        {
            held.notified().await;
        }
        request.iter().map(|byte| byte.wrapping_mul(2)).collect()
    }
}

struct Called {
    address: SocketAddr,
    listening: Listening,
    answers: Arc<Doubling>,
}

impl Called {
    async fn start(own: &TestMember, roster: &Arc<Roster>, answers: Doubling) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answers) = (listener.local_addr().unwrap(), Arc::new(answers));
        let listening = Listening::start(listener, own.own_end(), Arc::clone(roster), Arc::clone(&answers));
        Self { address, listening, answers }
    }
}

fn lanes(own: &TestMember, roster: &Arc<Roster>, to: &TestMember, address: SocketAddr) -> PeerLanes {
    let addresses = BTreeMap::from([(to.member_id.clone(), address.to_string())]);
    PeerLanes::new(own.own_end(), Arc::clone(roster), &addresses)
}

async fn linked(
    initiator: &OwnEnd,
    responder: &OwnEnd,
    expected: &TestMember,
    roster: &Roster,
) -> (Result<Link<DuplexStream>, LinkError>, Result<(Link<DuplexStream>, Name), LinkError>) {
    let (one, other) = duplex(1 << 16);
    let opening = Link::open(one, initiator, &expected.member_id, expected.peer_keys());
    let accepting = async { Link::accept(other, responder, roster).await.map(|(link, name, _)| (link, name)) };
    tokio::join!(opening, accepting)
}

#[tokio::test]
async fn two_members_talk_in_messages_of_any_size() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let (opened, accepted) = linked(&one.own_end(), &two.own_end(), &two, &roster).await;
    let (mut near, (mut far, name)) = (opened.unwrap(), accepted.unwrap());
    assert_eq!(name, one.member_id);
    for bytes in [0, 1, 65_515, 65_516, 300_000] {
        let message = vec![7; bytes];
        let (sent, received) = tokio::join!(near.send(&message), far.receive());
        sent.unwrap();
        assert_eq!(received.unwrap().as_slice(), message);
        let (sent, received) = tokio::join!(far.send(&message), near.receive());
        sent.unwrap();
        assert_eq!(received.unwrap().as_slice(), message);
    }
}

#[tokio::test]
async fn whoever_is_not_on_the_roster_is_not_let_in() {
    let (one, two, stranger) = (TestMember::new(1), TestMember::new(2), TestMember::new(3));
    let roster = roster(&[&one, &two]);
    let (opened, accepted) = linked(&stranger.own_end(), &two.own_end(), &two, &roster).await;
    assert!(matches!(accepted, Err(LinkError::Stranger)), "{accepted:?}");
    assert!(matches!(opened, Err(LinkError::Io(_))), "{opened:?}");
}

#[tokio::test]
async fn a_members_name_is_worth_nothing_without_its_keys() {
    let (one, two, stranger) = (TestMember::new(1), TestMember::new(2), TestMember::new(3));
    let roster = roster(&[&one, &two]);
    // Another session key: the handshake fails.
    let impostor = OwnEnd { member_id: one.member_id.clone(), ..stranger.own_end() };
    let (_, accepted) = linked(&impostor, &two.own_end(), &two, &roster).await;
    assert!(matches!(accepted, Err(LinkError::Noise(NoiseError::NotAuthentic))), "{accepted:?}");
    // The session key, and another identity key: the hello fails.
    let half = OwnEnd { identity: stranger.own_end().identity, ..one.own_end() };
    let (_, accepted) = linked(&half, &two.own_end(), &two, &roster).await;
    assert!(matches!(accepted, Err(LinkError::Noise(NoiseError::Identity))), "{accepted:?}");
    // The called end has to prove as much.
    let half = OwnEnd { identity: stranger.own_end().identity, ..two.own_end() };
    let (opened, _) = linked(&one.own_end(), &half, &two, &roster).await;
    assert!(matches!(opened, Err(LinkError::Noise(NoiseError::Identity))), "{opened:?}");
    // Nobody is called by itself.
    let (_, accepted) = linked(&two.own_end(), &two.own_end(), &two, &roster).await;
    assert!(matches!(accepted, Err(LinkError::Stranger)), "{accepted:?}");
}

#[tokio::test]
async fn members_of_two_fleets_do_not_meet() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let elsewhere = OwnEnd { fleet_id: name("fleet-2"), ..one.own_end() };
    let (_, accepted) = linked(&elsewhere, &two.own_end(), &two, &roster).await;
    assert!(matches!(accepted, Err(LinkError::Noise(NoiseError::NotAuthentic))), "{accepted:?}");
}

#[tokio::test]
async fn pieces_of_another_length_are_not_even_read() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let (mut raw, other) = duplex(1 << 16);
    raw.write_all(&64_u16.to_be_bytes()).await.unwrap();
    let accepted = Link::accept(other, &two.own_end(), &roster).await;
    assert!(matches!(accepted, Err(LinkError::PieceLength { expected: 63, found: 64 })), "{accepted:?}");
    let (mut raw, other) = duplex(1 << 16);
    raw.write_all(b"\0\x08member-1\0\x31").await.unwrap();
    let accepted = Link::accept(other, &two.own_end(), &roster).await;
    assert!(matches!(accepted, Err(LinkError::PieceLength { expected: 48, found: 49 })), "{accepted:?}");
    for bad in ["Member", ""] {
        let (mut raw, other) = duplex(1 << 16);
        raw.write_u16(u16::try_from(bad.len()).unwrap()).await.unwrap();
        raw.write_all(bad.as_bytes()).await.unwrap();
        let accepted = Link::accept(other, &two.own_end(), &roster).await;
        assert!(matches!(accepted, Err(LinkError::Stranger)), "{bad}: {accepted:?}");
    }
}

#[tokio::test]
async fn calls_are_answered_over_kept_lanes() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let called = Called::start(&two, &roster, Doubling::default()).await;
    let lanes = lanes(&one, &roster, &two, called.address);
    for byte in 1..=5 {
        assert_eq!(lanes.call(two.number(), vec![byte; 3]).await, Ok(vec![byte * 2; 3]));
    }
    let large = vec![1; 3 << 20];
    assert_eq!(lanes.call(two.number(), large).await.unwrap().len(), 3 << 20);
    assert_eq!(called.answers.asked.load(Ordering::SeqCst), 6);
    called.listening.stop().await;
}

#[tokio::test]
async fn a_call_that_takes_long_does_not_stand_in_the_way_of_another() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let called = Called::start(&two, &roster, Doubling { held: Some(Notify::new()), ..Doubling::default() }).await;
    let lanes = lanes(&one, &roster, &two, called.address);
    let slow = lanes.call(two.number(), b"hold".to_vec());
    let quick = async {
        for _ in 0..3 {
            assert_eq!(lanes.call(two.number(), vec![2]).await, Ok(vec![4]));
        }
        called.answers.held.as_ref().unwrap().notify_one();
    };
    let (slow, ()) = tokio::join!(slow, quick);
    assert!(slow.is_ok());
    called.listening.stop().await;
}

#[tokio::test]
async fn a_member_that_is_away_costs_no_request_and_is_found_again() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let called = Called::start(&two, &roster, Doubling::default()).await;
    let (address, lanes) = (called.address, lanes(&one, &roster, &two, called.address));
    assert!(lanes.call(two.number(), vec![1]).await.is_ok());
    called.listening.stop().await;
    // The lane that was kept is closed, and the new one is refused: for certain nothing was sent.
    assert_eq!(lanes.call(two.number(), vec![1]).await, Err(PeerUnreachable::NotSent));
    // Left alone for a moment.
    assert_eq!(lanes.call(two.number(), vec![1]).await, Err(PeerUnreachable::NotSent));
    let listener = TcpListener::bind(address).await.unwrap();
    let listening = Listening::start(listener, two.own_end(), Arc::clone(&roster), Arc::new(Doubling::default()));
    let back = async {
        while lanes.call(two.number(), vec![1]).await != Ok(vec![2]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.unwrap();
    listening.stop().await;
    assert_eq!(lanes.call(MemberNumber::from(1), vec![]).await, Err(PeerUnreachable::NotSent));
}

#[tokio::test]
async fn a_member_that_dies_during_a_call_may_have_obeyed() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let called = Called::start(&two, &roster, Doubling { held: Some(Notify::new()), ..Doubling::default() }).await;
    let lanes = lanes(&one, &roster, &two, called.address);
    let dying = async {
        while called.answers.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        called.listening.stop().await;
    };
    let (answer, ()) = tokio::join!(lanes.call(two.number(), b"hold".to_vec()), dying);
    assert_eq!(answer, Err(PeerUnreachable::NoAnswer));
}

#[tokio::test]
async fn a_member_that_a_later_statement_leaves_out_is_cut_off_in_both_directions() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let rosters = [roster(&[&one, &two]), roster(&[&one, &two])];
    let called = Called::start(&two, &rosters[1], Doubling::default()).await;
    let lanes = lanes(&one, &rosters[0], &two, called.address);
    assert!(lanes.call(two.number(), vec![1]).await.is_ok());
    // The called end bars it: the lane that is open ends at its next request, and no new one is let in.
    let barred = rosters[1].restate(|member| member.member_id != one.member_id);
    assert_eq!(barred.as_ref(), std::slice::from_ref(&one.member_id));
    assert_eq!(lanes.call(two.number(), vec![1]).await, Err(PeerUnreachable::NoAnswer));
    assert_eq!(lanes.call(two.number(), vec![1]).await, Err(PeerUnreachable::NotSent));
    assert_eq!(called.answers.asked.load(Ordering::SeqCst), 1);
    // The caller bars it: it is not called any more.
    rosters[1].restate(|_| true);
    rosters[0].restate(|member| member.keys == one.peer_keys());
    assert_eq!(lanes.call(two.number(), vec![1]).await, Err(PeerUnreachable::NotSent));
    assert_eq!(rosters[0].members().count(), 2);
    assert_eq!(rosters[0].name(two.number()), Some(&two.member_id));
    called.listening.stop().await;
}

#[tokio::test]
async fn strangers_get_no_byte_and_do_not_keep_members_out() {
    let (one, two) = (TestMember::new(1), TestMember::new(2));
    let roster = roster(&[&one, &two]);
    let called = Called::start(&two, &roster, Doubling::default()).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(called.address).await.unwrap());
    }
    let mut noise = TcpStream::connect(called.address).await.unwrap();
    noise.write_all(&[0; 1024]).await.unwrap();
    let mut answer = Vec::new();
    // Closed with bytes unread, the connection may end in a reset.
    let _ = noise.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    let lanes = lanes(&one, &roster, &two, called.address);
    assert_eq!(lanes.call(two.number(), vec![1]).await, Ok(vec![2]));
    called.listening.stop().await;
}

#[test]
fn a_large_request_has_more_time() {
    assert_eq!(call_timeout(0), CALL_TIMEOUT);
    assert_eq!(call_timeout(64 << 20), CALL_TIMEOUT + Duration::from_secs(64));
}
