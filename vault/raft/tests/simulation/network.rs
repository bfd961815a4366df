//! A network that loses, delays, reorders and cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use countermark_vault_raft::{MemberNumber, PeerUnreachable, Peers, Replica};
use tokio::time::sleep;

use super::random::Random;

/// How long a transport waits for an answer.
const ANSWER_WAIT: Duration = Duration::from_millis(800);

/// A network. Clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct State {
    random: Random,
    weather: Weather,
    replicas: BTreeMap<MemberNumber, Replica>,
    /// Nothing gets from the first to the second.
    cut: BTreeSet<(MemberNumber, MemberNumber)>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// So many of a hundred messages are lost.
    pub loss_percent: u64,
    /// So many of a hundred are late, by up to half a second.
    pub late_percent: u64,
}

/// As good as it gets.
pub const CALM: Weather = Weather { loss_percent: 0, late_percent: 0 };

/// What becomes of a message.
enum Fate {
    Arrives(Duration),
    /// The sender learns that nothing left.
    Refused,
    Lost,
}

impl Network {
    /// A calm network.
    pub fn new(random: Random) -> Self {
        let (replicas, cut) = (BTreeMap::new(), BTreeSet::new());
        Self(Arc::new(Mutex::new(State { random, weather: CALM, replicas, cut })))
    }

    /// One member's way into it.
    pub fn port(&self, own: MemberNumber) -> Port {
        Port { network: self.clone(), own }
    }

    /// A member is there.
    pub fn plug_in(&self, member: MemberNumber, replica: Replica) {
        self.lock().replicas.insert(member, replica);
    }

    /// A member is gone.
    pub fn unplug(&self, member: MemberNumber) {
        self.lock().replicas.remove(&member);
    }

    /// Changes the weather.
    pub fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// Cuts these ways, and joins all others.
    pub fn cut(&self, cut: BTreeSet<(MemberNumber, MemberNumber)>) {
        self.lock().cut = cut;
    }

    fn fate(&self, from: MemberNumber, to: MemberNumber) -> Fate {
        let mut state = self.lock();
        let (weather, cut) = (state.weather, state.cut.contains(&(from, to)));
        let roll = state.random.below(100);
        let mut delay = 1 + state.random.below(10);
        if state.random.percent(weather.late_percent) {
            delay += state.random.below(500);
        }
        match cut {
            true if roll < 50 => Fate::Refused,
            true => Fate::Lost,
            false if roll < weather.loss_percent => Fate::Lost,
            false => Fate::Arrives(Duration::from_millis(delay)),
        }
    }

    fn replica(&self, member: MemberNumber) -> Option<Replica> {
        self.lock().replicas.get(&member).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// One member's way into the network.
pub struct Port {
    network: Network,
    own: MemberNumber,
}

impl Peers for Port {
    async fn call(&self, to: MemberNumber, request: Vec<u8>) -> Result<Vec<u8>, PeerUnreachable> {
        match self.network.fate(self.own, to) {
            Fate::Arrives(delay) => sleep(delay).await,
            Fate::Refused => {
                sleep(Duration::from_millis(1)).await;
                return Err(PeerUnreachable::NotSent);
            }
            Fate::Lost => {
                sleep(ANSWER_WAIT).await;
                return Err(PeerUnreachable::NoAnswer);
            }
        }
        let replica = self.network.replica(to).ok_or(PeerUnreachable::NotSent)?;
        // What arrived is obeyed, whether or not the caller still waits.
        let answer = tokio::spawn(async move { replica.answer(request).await });
        let answer = tokio::time::timeout(ANSWER_WAIT * 10, answer).await;
        let answer = answer.map_err(|_| PeerUnreachable::NoAnswer)?.map_err(|_| PeerUnreachable::NoAnswer)?;
        match self.network.fate(to, self.own) {
            Fate::Arrives(delay) => sleep(delay).await,
            Fate::Refused | Fate::Lost => {
                sleep(ANSWER_WAIT).await;
                return Err(PeerUnreachable::NoAnswer);
            }
        }
        // An answer of a member that crashed meanwhile was on its way; one to a crashed member is dropped with the
        // call.
        Ok(answer)
    }
}
