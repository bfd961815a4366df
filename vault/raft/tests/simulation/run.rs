//! One run: a fleet, its users and its misfortunes, all of them following from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use countermark_vault_core::machine::{Command, Refusal, Response};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::Sabotage;
use super::clients::{Asker, Attacker, Owner, beginning};
use super::cluster::Cluster;
use super::nemesis::Nemesis;
use super::observer::Observer;
use super::random::Random;
use super::trace::Trace;

/// How long things go wrong.
const MISFORTUNE: Duration = Duration::from_secs(6);
/// How soon a healed fleet serves: an election or two, and the deadlines of what was on its way.
const RECOVERY: Duration = Duration::from_secs(10);
/// How often the observer looks.
const LOOK: Duration = Duration::from_millis(80);

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Equal for equal runs.
    pub trace_hash: u64,
    /// How many entries were committed.
    pub entries: u64,
    /// How many answers users got.
    pub steps: u64,
    /// What must not happen and did.
    pub violation: Option<String>,
}

/// Runs a seed in a runtime of its own.
pub fn run(seed: u64, sabotage: Sabotage, prints: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed, sabotage, prints))
}

async fn simulate(seed: u64, sabotage: Sabotage, prints: bool) -> Outcome {
    let mut random = Random::new(seed);
    let trace = Trace::new(prints);
    let size: u64 = if random.percent(20) { 5 } else { 3 };
    // Fewer than half of the members have wild clocks.
    let wild = (0..random.below(size.div_ceil(2))).map(|_| random.below(size)).collect();
    let cluster = Arc::new(Cluster::new(size, &wild, &trace, &mut random));
    if sabotage == Sabotage::LyingDisks {
        cluster.members.iter().for_each(|member| member.disk.ignore_syncs());
    }
    let mut observer = Observer::new(Arc::clone(&cluster), trace.clone());
    for place in 0..cluster.members.len() {
        cluster.start(place, &mut random).await;
    }
    let asker = |name: String, random: &mut Random| Asker {
        cluster: Arc::clone(&cluster),
        trace: trace.clone(),
        random: random.fork(),
        name,
    };
    found(&mut asker("founder".to_owned(), &mut random)).await;

    let users = Users { ends: Arc::default(), steps: Arc::default() };
    let mut attackers = Vec::new();
    let mut owners = Vec::new();
    for user in 0..2 {
        let guesses = Arc::default();
        for number in 0..=random.below(3) {
            let asker = asker(format!("attacker {user}.{number}"), &mut random);
            let evaluates_early = sabotage == Sabotage::EarlyEvaluations;
            attackers.push(users.attack(Attacker { asker, user, guesses: Arc::clone(&guesses), evaluates_early }));
        }
    }
    for number in 1..=2 {
        owners.push(users.own(Owner::new(asker(format!("owner {number}"), &mut random), number * 1_000)));
    }

    let mut nemesis = Nemesis { cluster: Arc::clone(&cluster), trace: trace.clone(), random: random.fork(), sabotage };
    {
        let misfortune = async {
            let end = Instant::now() + MISFORTUNE;
            while Instant::now() < end && trace.violation().is_none() {
                nemesis.step().await;
            }
        };
        tokio::pin!(misfortune);
        while timeout(LOOK, &mut misfortune).await.is_err() {
            observer.look();
        }
    }

    if trace.violation().is_none() {
        users.ends.store(true, Ordering::SeqCst);
        nemesis.heal().await;
        recover(&mut observer, &mut asker("healer".to_owned(), &mut random)).await;
        for attacker in attackers {
            attacker.await.unwrap();
        }
        for owner in owners {
            owner.await.unwrap().check().await;
        }
        agree(&mut observer).await;
    }
    for place in 0..cluster.members.len() {
        cluster.crash(place, &mut random).await;
    }
    let (entries, steps) = (observer.furthest(), users.steps.load(Ordering::SeqCst));
    Outcome { trace_hash: trace.hash(), entries, steps, violation: trace.violation() }
}

/// The users' tasks.
struct Users {
    ends: Arc<AtomicBool>,
    steps: Arc<AtomicU64>,
}

impl Users {
    fn attack(&self, mut attacker: Attacker) -> JoinHandle<()> {
        let (ends, steps) = (Arc::clone(&self.ends), Arc::clone(&self.steps));
        tokio::spawn(async move {
            while !ends.load(Ordering::SeqCst) && attacker.asker.trace.violation().is_none() {
                attacker.step().await;
                steps.fetch_add(1, Ordering::SeqCst);
            }
        })
    }

    fn own(&self, mut owner: Owner) -> JoinHandle<Owner> {
        let (ends, steps) = (Arc::clone(&self.ends), Arc::clone(&self.steps));
        tokio::spawn(async move {
            while !ends.load(Ordering::SeqCst) && owner.asker.trace.violation().is_none() {
                owner.step().await;
                steps.fetch_add(1, Ordering::SeqCst);
            }
            owner
        })
    }
}

/// Founds the fleet and adopts its first bundle, in good weather.
pub async fn found(asker: &mut Asker) {
    for command in beginning() {
        loop {
            match asker.ask(command.clone()).await {
                Ok(Response::Done | Response::Refused(Refusal::FoundedAlready)) => break,
                Ok(other) => return asker.trace.violate(format!("the beginning was answered with {other:?}")),
                Err(_) => {}
            }
            if asker.trace.started().elapsed() > RECOVERY {
                return asker.trace.violate("a new fleet does not begin".to_owned());
            }
        }
    }
}

/// A healed fleet commits again, through every member.
async fn recover(observer: &mut Observer, asker: &mut Asker) {
    let end = Instant::now() + RECOVERY;
    for place in 0..observer.cluster.members.len() {
        while asker.ask_member(place, Command::Tick).await.is_err() {
            observer.look();
            if Instant::now() > end {
                return asker.trace.violate(format!("a healed fleet does not commit through member {place}"));
            }
        }
    }
}

/// A healed fleet whose users are gone agrees on everything.
async fn agree(observer: &mut Observer) {
    let end = Instant::now() + RECOVERY;
    while !observer.all_agree() {
        if Instant::now() > end {
            return observer.trace.violate("the members of a healed fleet do not agree".to_owned());
        }
        sleep(LOOK).await;
    }
}
