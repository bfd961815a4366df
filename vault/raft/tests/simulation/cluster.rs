//! Members with their disks, counters and clocks, started, crashed and started again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countermark_bundle::testing::name;
use countermark_vault_raft::{MemberNumber, OpenError, Replica, ReplicaSettings, Role, Storage, Timing};

use super::clock::SimulatedClock;
use super::device::{Counter, Sealer};
use super::disk::{Disk, Image};
use super::network::Network;
use super::random::Random;
use super::trace::Trace;

/// Snapshots and purges happen often, so that followers that were away need them.
pub const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(150),
    election_timeout: Duration::from_millis(600),
    election_step: Duration::from_millis(150),
    snapshot_timeout: Duration::from_secs(2),
    reading_age_max: Duration::from_secs(1),
    tick: Duration::from_secs(1),
    snapshot_entries: 25,
    kept_entries: 5,
};

/// A fleet.
pub struct Cluster {
    pub members: Vec<Member>,
    pub network: Network,
    trace: Trace,
}

/// One member, running or not.
pub struct Member {
    pub number: MemberNumber,
    pub disk: Disk,
    pub counter: Counter,
    pub clock: Arc<SimulatedClock>,
    identity: [u8; 32],
    replica: Mutex<Option<Replica>>,
    /// Copies of the disk at earlier times, with the counter of then.
    copies: Mutex<Vec<(Image, u64)>>,
}

impl Cluster {
    /// A fleet whose members never ran. The clocks of these members are wild.
    pub fn new(size: u64, wild: &BTreeSet<u64>, trace: &Trace, random: &mut Random) -> Self {
        let members = (0..size).map(|place| {
            let clock = if wild.contains(&place) { SimulatedClock::wild } else { SimulatedClock::honest };
            Member {
                number: MemberNumber::from(place + 1),
                disk: Disk::default(),
                counter: Counter::default(),
                clock: Arc::new(clock(trace.started(), random)),
                identity: [u8::try_from(place + 1).unwrap(); 32],
                replica: Mutex::default(),
                copies: Mutex::default(),
            }
        });
        Self { members: members.collect(), network: Network::new(random.fork()), trace: trace.clone() }
    }

    /// Members that take part.
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|place| self.replica(*place).is_some()).collect()
    }

    /// Members whose storage failed.
    pub fn stopped(&self) -> Vec<usize> {
        let stopped =
            |place: &usize| self.replica(*place).is_some_and(|replica| replica.status().role == Role::Stopped);
        (0..self.members.len()).filter(stopped).collect()
    }

    /// A member's replica while the member runs.
    pub fn replica(&self, place: usize) -> Option<Replica> {
        self.members[place].replica.lock().unwrap().clone()
    }

    /// Opens a member's storage.
    pub fn open(&self, place: usize) -> Result<Storage, OpenError> {
        let member = &self.members[place];
        let (sealer, counter) = (Arc::new(Sealer(member.number.get())), Box::new(member.counter.clone()));
        Storage::open(member.disk.backend(), sealer, counter, member.identity)
    }

    /// Starts a member. A disk that only crashed is opened, whatever it was doing. One that fails just now is not, and
    /// the member is started another time.
    pub async fn start(&self, place: usize, random: &mut Random) {
        let member = &self.members[place];
        match self.try_start(place).await {
            Ok(replica) => {
                self.network.plug_in(member.number, replica.clone());
                *member.replica.lock().unwrap() = Some(replica);
                self.trace.note(format_args!("member {place} starts"));
            }
            Err(_) if member.disk.has_failed() || member.counter.has_failed() => {
                self.trace.note(format_args!("member {place} fails to start"));
                member.disk.crash(random);
                member.counter.heal();
            }
            Err(error) => self.trace.violate(format!("member {place} does not start: {error}")),
        }
    }

    async fn try_start(&self, place: usize) -> Result<Replica, String> {
        let member = &self.members[place];
        let storage = self.open(place).map_err(|error| format!("it refuses its disk: {error:?}"))?;
        let names = self.members.iter().map(|member| (member.number, name(&format!("member-{}", member.number))));
        let clock = Arc::clone(&member.clock);
        let settings = ReplicaSettings { own: member.number, members: names.collect(), timing: TIMING, clock };
        let peers = Arc::new(self.network.port(member.number));
        Replica::start(settings, storage, peers).await.map_err(|error| format!("{error:?}"))
    }

    /// Crashes a member: what was not synced is lost in parts.
    pub async fn crash(&self, place: usize, random: &mut Random) {
        let member = &self.members[place];
        let Some(replica) = member.replica.lock().unwrap().take() else { return };
        member.disk.crash(random);
        member.counter.heal();
        self.network.unplug(member.number);
        replica.shutdown().await;
        self.trace.note(format_args!("member {place} crashes"));
    }

    /// Copies a running member's disk. It is as new as the counter: nothing is being written.
    pub fn copy_disk(&self, place: usize) {
        let member = &self.members[place];
        if self.replica(place).is_none_or(|replica| replica.status().role == Role::Stopped) {
            return;
        }
        member.copies.lock().unwrap().push((member.disk.image(), member.counter.value()));
    }

    /// A copy of a member's disk, and the counter of then.
    pub fn disk_copy(&self, place: usize, random: &mut Random) -> Option<(Image, u64)> {
        let copies = self.members[place].copies.lock().unwrap();
        let count = u64::try_from(copies.len()).unwrap();
        (count > 0).then(|| copies[usize::try_from(random.below(count)).unwrap()].clone())
    }
}
