//! Three members in one process as they are in production: files, counters in files, a runtime of several threads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countermark_bundle::testing::{NOW, name};
use countermark_vault_core::machine::{Command, Machine, ReplicatedTime, Response};
use countermark_vault_raft::{
    Clock, CounterFile, MemberNumber, PeerUnreachable, Peers, Replica, ReplicaSettings, Storage, Timing, file_backend,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[path = "simulation"]
mod simulation {
    #[expect(dead_code, reason = "the simulation uses all of it")]
    pub mod device;
    #[expect(dead_code, reason = "the simulation uses all of it")]
    pub mod disk;
    #[expect(dead_code, reason = "the simulation uses all of it")]
    pub mod random;
}

use simulation::device::Sealer;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> ReplicatedTime {
        ReplicatedTime::from_unix(NOW)
    }
}

/// Calls the others in this process.
#[derive(Default)]
struct InProcess(OnceLock<BTreeMap<MemberNumber, Replica>>);

impl Peers for InProcess {
    async fn call(&self, to: MemberNumber, request: Vec<u8>) -> Result<Vec<u8>, PeerUnreachable> {
        let replica = self.0.get().and_then(|replicas| replicas.get(&to)).ok_or(PeerUnreachable::NotSent)?;
        Ok(replica.answer(request).await)
    }
}

async fn start(folder: &Path) -> Vec<Replica> {
    let members: BTreeMap<_, _> =
        (1..=3).map(|number| (MemberNumber::from(number), name(&format!("member-{number}")))).collect();
    let peers = Arc::new(InProcess::default());
    let mut replicas = BTreeMap::new();
    for number in members.keys() {
        let counter = CounterFile::create(&folder.join(format!("{number}.counter"))).unwrap();
        let backend = file_backend(&folder.join(format!("{number}.redb"))).unwrap();
        let storage = Storage::open(backend, Arc::new(Sealer(number.get())), Box::new(counter), [1; 32]).unwrap();
        let (timing, clock) = (Timing::default(), Arc::new(Fixed));
        let settings = ReplicaSettings { own: *number, members: members.clone(), timing, clock };
        replicas.insert(*number, Replica::start(settings, storage, Arc::clone(&peers)).await.unwrap());
    }
    assert!(peers.0.set(replicas.clone()).is_ok());
    replicas.into_values().collect()
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_on_files_commit() {
    let folder = tempfile::tempdir().unwrap();
    let replicas = start(folder.path()).await;
    assert_eq!(replicas[0].commit(Command::Tick, deadline()).await, Ok(Response::Done));
    let (begin, mut asked) = (Instant::now(), JoinSet::new());
    for number in 0..2_000 {
        let replica = replicas[number % 3].clone();
        asked.spawn(async move { replica.commit(Command::Tick, deadline()).await });
    }
    while let Some(answer) = asked.join_next().await {
        assert_eq!(answer.unwrap(), Ok(Response::Done));
    }
    println!("2,000 commands in {:?}, {} entries", begin.elapsed(), replicas[0].status().last_applied.unwrap());
    let begin = Instant::now();
    for _ in 0..20 {
        replicas[0].commit(Command::Tick, deadline()).await.unwrap();
    }
    println!("20 commands, one after the other, in {:?}", begin.elapsed());
    assert_eq!(replicas[0].read(Machine::now), ReplicatedTime::from_unix(NOW));
    for replica in replicas {
        replica.shutdown().await;
    }
}
