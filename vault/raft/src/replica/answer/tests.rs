use std::collections::BTreeMap;
use std::sync::Arc;

use countermark_bundle::identity::Name;
use countermark_vault_core::machine::ReplicatedTime;

use super::*;
use crate::clock::Clock;
use crate::member_number::MemberNumber;
use crate::peers::{PeerUnreachable, Peers};
use crate::replica::ReplicaSettings;
use crate::simulated::device::{Counter, Sealer};
use crate::simulated::disk::Disk;
use crate::storage::Storage;
use crate::timing::Timing;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> ReplicatedTime {
        ReplicatedTime::from_unix(7)
    }
}

/// Nobody is there, or somebody who answers this.
struct Others(Option<Vec<u8>>);

impl Peers for Others {
    async fn call(&self, _to: MemberNumber, _request: Vec<u8>) -> Result<Vec<u8>, PeerUnreachable> {
        self.0.clone().ok_or(PeerUnreachable::NotSent)
    }
}

/// Member 1 of so many.
async fn replica(members: u64, others: Others) -> Replica {
    let members: BTreeMap<_, _> =
        (1..=members).map(|number| (MemberNumber::from(number), Name::parse("member").unwrap())).collect();
    let storage = Storage::open(Disk::default().backend(), Arc::new(Sealer(1)), Box::new(Counter::default()), [1; 32]);
    let (own, timing, clock) = (MemberNumber::from(1), Timing::default(), Arc::new(Stopped));
    Replica::start(ReplicaSettings { own, members, timing, clock }, storage.unwrap(), Arc::new(others)).await.unwrap()
}

async fn content(replica: &Replica, request: Vec<u8>) -> AnswerContent {
    let answer: PeerAnswer = decode(&replica.answer(request).await).unwrap();
    assert_eq!(answer.clock, ReplicatedTime::from_unix(7), "every answer brings the clock");
    answer.content
}

fn commit(commands: usize) -> Vec<u8> {
    encode(&PeerRequest::Commit { commands: vec![Command::Tick; commands], wait_ms: 1_000 }).to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_none_is_malformed() {
    let replica = replica(1, Others(None)).await;
    let trailing = [commit(1), vec![0]].concat();
    let truncated = commit(1)[1..].to_vec();
    for request in [vec![], vec![255; 9], trailing, truncated, commit(0), commit(BATCH_COMMANDS_MAX + 1)] {
        assert!(matches!(content(&replica, request).await, AnswerContent::Malformed));
    }
}

#[tokio::test(start_paused = true)]
async fn forwarded_commands_are_committed_by_a_leader_and_refused_by_every_other_member() {
    let leader = replica(1, Others(None)).await;
    while leader.core.leader() != Leader::Own {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    match content(&leader, commit(BATCH_COMMANDS_MAX)).await {
        AnswerContent::Commit(ForwardOutcome::Committed(responses)) => assert_eq!(responses.len(), BATCH_COMMANDS_MAX),
        _ => panic!("not committed"),
    }
    let other = replica(3, Others(None)).await;
    let begin = Instant::now();
    let answer = content(&other, commit(1)).await;
    assert!(matches!(answer, AnswerContent::Commit(ForwardOutcome::NotDone)));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_replica_says_so() {
    let replica = replica(3, Others(None)).await;
    replica.shutdown().await;
    let vote = openraft::raft::VoteRequest::new(openraft::Vote::new(1, MemberNumber::from(2)), None);
    assert!(matches!(content(&replica, encode(&PeerRequest::Vote(vote)).to_vec()).await, AnswerContent::Stopped));
}

#[tokio::test(start_paused = true)]
async fn answers_of_others_that_are_none_elect_nobody_and_set_no_clock() {
    let clock = ReplicatedTime::from_unix(7);
    let unfit = encode(&PeerAnswer { clock, content: AnswerContent::Malformed }).to_vec();
    for answer in [vec![], vec![255; 9], unfit] {
        let replica = replica(3, Others(Some(answer))).await;
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(replica.commit(Command::Tick, deadline).await.is_err());
        assert_eq!(replica.status().leader, None);
    }
}
