//! What chance finds rarely, or what has a number: arranged by hand, in good weather.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::testing::name;
use countermark_vault_core::machine::{AttemptId, Command, Machine, Operation, Response};
use countermark_vault_raft::{CommitError, MemberNumber, Replica, ReplicaSettings, Role, StartError, Storage, Timing};
use tokio::time::{Instant, sleep};

use super::clients::{Asker, account};
use super::clock::SimulatedClock;
use super::cluster::{Cluster, TIMING};
use super::device::{Counter, Sealer};
use super::disk::{Disk, Fault, FaultForm};
use super::network::Network;
use super::random::Random;
use super::run::found;
use super::trace::Trace;

const SECOND: Duration = Duration::from_secs(1);

/// A founded fleet with a leader.
struct Scene {
    cluster: Arc<Cluster>,
    random: Random,
    attempts: u8,
}

impl Scene {
    async fn new(size: u64) -> Self {
        let (trace, mut random) = (Trace::new(false), Random::new(1));
        let cluster = Arc::new(Cluster::new(size, &BTreeSet::new(), &trace, &mut random));
        for place in 0..cluster.members.len() {
            cluster.start(place, &mut random).await;
        }
        let name = "founder".to_owned();
        found(&mut Asker { cluster: Arc::clone(&cluster), trace: trace.clone(), random: random.fork(), name }).await;
        assert_eq!(trace.violation(), None);
        Self { cluster, random, attempts: 0 }
    }

    fn replica(&self, place: usize) -> Replica {
        self.cluster.replica(place).unwrap()
    }

    fn number(&self, place: usize) -> MemberNumber {
        self.cluster.members[place].number
    }

    /// The leader's place, as its followers know it.
    async fn leader(&self) -> usize {
        loop {
            for place in self.cluster.running() {
                if self.replica(place).status().role == Role::Leader {
                    return place;
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn charge(&mut self) -> Command {
        self.attempts += 1;
        let operation = Operation::Charge { attempt: AttemptId([self.attempts; 16]) };
        Command::Account { account: account(1), operation }
    }

    /// Nothing gets from a member of one group to a member of another.
    fn cut_into(&self, groups: &[&[usize]]) {
        let group_of = |place: usize| groups.iter().position(|group| group.contains(&place));
        let places = 0..self.cluster.members.len();
        let pairs = places.clone().flat_map(|from| places.clone().map(move |to| (from, to)));
        let cut = pairs.filter(|(from, to)| group_of(*from) != group_of(*to));
        self.cluster.network.cut(cut.map(|(from, to)| (self.number(from), self.number(to))).collect());
    }
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

#[tokio::test(start_paused = true)]
async fn every_member_commits_and_every_member_obeys() {
    let mut scene = Scene::new(3).await;
    for place in 0..3 {
        let charge = scene.charge();
        let answer = scene.replica(place).commit(charge, within(SECOND)).await;
        let left = 9 - u32::try_from(place).unwrap();
        assert!(matches!(answer, Ok(Response::Charged { attempts_left, .. }) if attempts_left == left), "{answer:?}");
    }
    sleep(SECOND).await;
    let digests: BTreeSet<_> = (0..3).map(|place| scene.replica(place).read(Machine::digest)).collect();
    assert_eq!(digests.len(), 1);
    let (leader, status) = (scene.leader().await, scene.replica(0).status());
    assert_eq!((status.leader, status.commit_lag, status.members.len()), (Some(scene.number(leader)), 0, 3));
}

#[tokio::test(start_paused = true)]
async fn what_arrives_together_is_committed_together() {
    let (scene, mut random) = (Scene::new(3).await, Random::new(2));
    let before = scene.replica(0).status().last_applied.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..1_500_u64 {
        let replica = scene.replica(usize::try_from(number % 3).unwrap());
        let operation = Operation::Charge { attempt: AttemptId(random.bytes()) };
        let charge = Command::Account { account: account(number), operation };
        asked.spawn(async move { replica.commit(charge, within(SECOND * 5)).await });
    }
    while let Some(answer) = asked.join_next().await {
        assert!(matches!(answer.unwrap(), Ok(Response::Charged { attempts_left: 9, .. })));
    }
    let entries = scene.replica(0).status().last_applied.unwrap() - before;
    assert!(entries <= 12, "{entries} entries for 1,500 commands");
}

#[tokio::test(start_paused = true)]
async fn service_returns_within_two_seconds_after_the_leaders_death() {
    for size in [3, 5] {
        let mut scene = Scene::new(size).await;
        let leader = scene.leader().await;
        let mut random = scene.random.fork();
        scene.cluster.crash(leader, &mut random).await;
        let start = Instant::now();
        let survivor = scene.cluster.running()[0];
        let charge = scene.charge();
        let answer = scene.replica(survivor).commit(charge, within(SECOND * 5)).await;
        assert!(matches!(answer, Ok(Response::Charged { .. })), "{answer:?}");
        assert!(start.elapsed() <= SECOND * 2, "{size} members: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_lost_its_majority_answers_no_majority_at_the_deadline() {
    let mut scene = Scene::new(3).await;
    let leader = scene.leader().await;
    scene.cut_into(&[&[leader]]);
    // Just now: it proposes, and does not learn what becomes of it.
    let (replica, charge) = (scene.replica(leader), scene.charge());
    assert_eq!(replica.commit(charge, within(SECOND)).await, Err(CommitError::Unknown));
    for _ in 0..3 {
        let (start, charge) = (Instant::now(), scene.charge());
        assert_eq!(replica.commit(charge, within(SECOND)).await, Err(CommitError::NoMajority));
        assert!(start.elapsed() <= SECOND + Duration::from_millis(10));
    }
    assert_eq!(replica.status().role, Role::Leader, "it does not know better");
    // The others go on without it, and the commands that it refused are not done when it is back.
    scene.cut_into(&[&[0, 1, 2]]);
    let charge = scene.charge();
    let answer = replica.commit(charge, within(SECOND * 5)).await;
    assert!(matches!(answer, Ok(Response::Charged { attempts_left: 8 | 9, .. })), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_follower_without_a_majority_answers_no_majority_at_the_deadline() {
    let mut scene = Scene::new(3).await;
    let leader = scene.leader().await;
    let follower = (leader + 1) % 3;
    let mut random = scene.random.fork();
    for place in (0..3).filter(|place| *place != follower) {
        scene.cluster.crash(place, &mut random).await;
    }
    let (start, charge) = (Instant::now(), scene.charge());
    assert_eq!(scene.replica(follower).commit(charge, within(SECOND * 3)).await, Err(CommitError::NoMajority));
    assert!(start.elapsed() <= SECOND * 3 + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_a_leader_had_to_remove_is_unknown_because_another_member_may_commit_it() {
    let mut scene = Scene::new(5).await;
    let leader = scene.leader().await;
    let others: Vec<usize> = (0..5).filter(|place| *place != leader).collect();
    let (witness, majority) = (others[0], &others[1..]);
    // The leader's entry reaches one member.
    scene.cut_into(&[&[leader, witness], majority]);
    let (replica, charge) = (scene.replica(leader), scene.charge());
    let asked = tokio::spawn(async move { replica.commit(charge, within(SECOND * 60)).await });
    sleep(Duration::from_millis(100)).await;
    let length = |place: usize| {
        let status = scene.replica(place).status();
        status.last_applied.unwrap() + status.commit_lag
    };
    let reached = length(witness);
    assert_eq!(reached, length(leader));
    // The majority elects another leader, whose entries the old one takes over; the witness is away and keeps its own.
    scene.cut_into(&[&[leader], &[witness], majority]);
    sleep(SECOND * 5).await;
    scene.cut_into(&[&[witness], &[&[leader], majority].concat()]);
    assert_eq!(asked.await.unwrap(), Err(CommitError::Unknown));
    assert_eq!(length(witness), reached);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_done_without_anybody_asking() {
    let mut scene = Scene::new(3).await;
    let charge = scene.charge();
    let answer = scene.replica(0).commit(charge, within(SECOND)).await;
    assert!(matches!(answer, Ok(Response::Charged { .. })));
    let replica = scene.replica(0);
    assert!(replica.read(Machine::next_due).is_some());
    sleep(SECOND * 130).await;
    assert_eq!(replica.read(Machine::next_due), None, "the attempt is still waited for");
    let applied = replica.status().last_applied;
    sleep(SECOND * 130).await;
    assert_eq!(replica.status().last_applied, applied, "a fleet with nothing to do does nothing");
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_storage_stops_the_replica_for_good() {
    let mut scene = Scene::new(3).await;
    let follower = (scene.leader().await + 1) % 3;
    let replica = scene.replica(follower);
    scene.cluster.members[follower].disk.fail(Fault { after: 1, form: FaultForm::NotSaved });
    let charge = scene.charge();
    // The other two go on.
    let leader = scene.leader().await;
    assert!(scene.replica(leader).commit(charge, within(SECOND)).await.is_ok());
    tokio::time::timeout(SECOND, replica.stopped()).await.unwrap();
    let status = replica.status();
    assert_eq!((status.role, status.leader), (Role::Stopped, None));
    let charge = scene.charge();
    assert_eq!(replica.commit(charge, within(SECOND)).await, Err(CommitError::NoMajority));
    // A new process reads the disk again and takes part.
    let mut random = scene.random.fork();
    scene.cluster.crash(follower, &mut random).await;
    scene.cluster.start(follower, &mut random).await;
    let charge = scene.charge();
    let answer = scene.replica(follower).commit(charge, within(SECOND * 5)).await;
    assert!(matches!(answer, Ok(Response::Charged { attempts_left: 8, .. })), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_shut_down_commits_nothing() {
    let mut scene = Scene::new(3).await;
    let replica = scene.replica(0);
    replica.shutdown().await;
    replica.stopped().await;
    let charge = scene.charge();
    assert_eq!(replica.commit(charge, within(SECOND)).await, Err(CommitError::NoMajority));
    assert_eq!(replica.status().role, Role::Stopped);
    // Once more does nothing.
    replica.shutdown().await;
}

/// Starts member 1 of these members.
async fn start(disk: &Disk, counter: &Counter, members: &[u64], timing: Timing) -> Result<Replica, StartError> {
    let storage = Storage::open(disk.backend(), Arc::new(Sealer(1)), Box::new(counter.clone()), [1; 32]).unwrap();
    let members: BTreeMap<_, _> =
        members.iter().map(|number| (MemberNumber::from(*number), name(&format!("member-{number}")))).collect();
    let (own, mut random) = (MemberNumber::from(1), Random::new(1));
    let clock = Arc::new(SimulatedClock::honest(Instant::now(), &mut random));
    let peers = Arc::new(Network::new(random).port(own));
    Replica::start(ReplicaSettings { own, members, timing, clock }, storage, peers).await
}

#[tokio::test(start_paused = true)]
async fn a_fleet_of_one_commits_alone() {
    let (disk, counter) = (Disk::default(), Counter::default());
    for start_number in 0..2 {
        let replica = start(&disk, &counter, &[1], TIMING).await.unwrap();
        let answer = replica.commit(Command::Tick, within(SECOND * 2)).await;
        assert_eq!(answer, Ok(Response::Done), "start {start_number}");
        replica.shutdown().await;
        disk.crash_keeping(|_| false);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_with_other_members_or_contradictory_times_does_not_start() {
    let (disk, counter) = (Disk::default(), Counter::default());
    start(&disk, &counter, &[1, 2, 3], TIMING).await.unwrap().shutdown().await;
    disk.crash_keeping(|_| false);
    let numbers = |numbers: &[u64]| numbers.iter().copied().map(MemberNumber::from).collect::<BTreeSet<_>>();
    match start(&disk, &counter, &[1, 2, 4], TIMING).await.map(drop) {
        Err(StartError::OtherMembers { expected, found }) => {
            assert_eq!((expected, found), (numbers(&[1, 2, 3]), numbers(&[1, 2, 4])));
        }
        other => panic!("{other:?}"),
    }
    disk.crash_keeping(|_| false);
    let not_a_member = start(&disk, &counter, &[2, 3], TIMING).await.map(drop);
    assert!(matches!(not_a_member, Err(StartError::NotAMember { own }) if own == MemberNumber::from(1)));
    disk.crash_keeping(|_| false);
    let hasty = Timing { election_timeout: TIMING.heartbeat, ..TIMING };
    assert!(matches!(start(&disk, &counter, &[1, 2, 3], hasty).await.map(drop), Err(StartError::Timing(_))));
    disk.crash_keeping(|_| false);
    start(&disk, &counter, &[1, 2, 3], TIMING).await.unwrap().shutdown().await;
}
