//! Who looks at all members at once, which nobody in a fleet can.

use std::collections::BTreeMap;
use std::sync::Arc;

use countermark_bundle::identity::Digest;
use countermark_vault_core::machine::ReplicatedTime;
use countermark_vault_raft::Clock as _;

use super::cluster::Cluster;
use super::trace::Trace;

/// What was seen of the members' machines.
pub struct Observer {
    pub cluster: Arc<Cluster>,
    pub trace: Trace,
    /// By the last applied entry: the digest and the time of every machine that ever was there.
    seen: BTreeMap<u64, (Digest, ReplicatedTime)>,
    /// Where each member was seen last.
    places: BTreeMap<usize, u64>,
}

impl Observer {
    /// One who saw nothing yet.
    pub fn new(cluster: Arc<Cluster>, trace: Trace) -> Self {
        Self { cluster, trace, seen: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// Looks.
    pub fn look(&mut self) {
        for place in self.cluster.running() {
            let Some(replica) = self.cluster.replica(place) else { continue };
            // Nothing runs between the two: the simulation has one thread.
            let Some(applied) = replica.status().last_applied else { continue };
            if self.places.insert(place, applied) == Some(applied) {
                continue;
            }
            let (digest, now) = replica.read(|machine| (machine.digest(), machine.now()));
            let (expected, _) = *self.seen.entry(applied).or_insert((digest, now));
            if digest != expected {
                self.trace.violate(format!("member {place} has another machine after entry {applied}"));
            }
            self.check_time(place, applied, now);
        }
    }

    /// Where the furthest member is.
    pub fn furthest(&self) -> u64 {
        self.seen.keys().next_back().copied().unwrap_or_default()
    }

    /// Whether every member is where the furthest one is.
    pub fn all_agree(&mut self) -> bool {
        self.look();
        let furthest = self.furthest();
        let running = self.cluster.running();
        running.len() == self.cluster.members.len()
            && running.iter().all(|place| self.places.get(place) == Some(&furthest))
    }

    fn check_time(&self, place: usize, applied: u64, now: ReplicatedTime) {
        let earlier = self.seen.range(..applied).next_back().map(|(_, (_, time))| *time);
        let later = self.seen.range(applied..).nth(1).map(|(_, (_, time))| *time);
        if earlier.is_some_and(|earlier| earlier > now) || later.is_some_and(|later| later < now) {
            self.trace.violate(format!("time went back around entry {applied} of member {place}"));
        }
        let honest = self.cluster.members.iter().filter(|member| member.clock.is_honest());
        let latest = honest.map(|member| member.clock.now()).max();
        if latest.is_none_or(|latest| now > latest) {
            self.trace.violate(format!("after entry {applied} it is {now}, past every honest clock ({latest:?})"));
        }
    }
}
