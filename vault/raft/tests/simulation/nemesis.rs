//! What goes wrong, by chance.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use countermark_vault_raft::OpenError;
use tokio::time::sleep;

use super::Sabotage;
use super::cluster::Cluster;
use super::disk::{Fault, FaultForm};
use super::network::{CALM, Weather};
use super::random::Random;
use super::trace::Trace;

/// Who lets things go wrong.
pub struct Nemesis {
    pub cluster: Arc<Cluster>,
    pub trace: Trace,
    pub random: Random,
    pub sabotage: Sabotage,
}

impl Nemesis {
    /// One misfortune, and some time after it.
    pub async fn step(&mut self) {
        match self.random.below(12) {
            0 | 1 => self.crash_some(1).await,
            2 => {
                let many = 1 + self.random.below(u64::try_from(self.cluster.members.len()).unwrap());
                self.crash_some(many).await;
            }
            3 | 4 => self.cut_off(),
            5 => self.cut_one_way(),
            6 | 7 => self.change_weather(),
            8 => self.break_disk(),
            9 => self.break_counter(),
            10 => self.put_old_disk_back().await,
            _ => self.mend_network(),
        }
        sleep(Duration::from_millis(50 + self.random.below(700))).await;
        self.copy_a_disk();
        self.restart_stopped().await;
        // Members stay away for a while, but not for ever.
        for place in 0..self.cluster.members.len() {
            if self.cluster.replica(place).is_none() && self.random.percent(50) {
                self.cluster.start(place, &mut self.random).await;
            }
        }
    }

    /// Ends all misfortune.
    pub async fn heal(&mut self) {
        self.trace.note(format_args!("heals"));
        self.mend_network();
        self.cluster.network.set_weather(CALM);
        for member in &self.cluster.members {
            member.disk.heal();
            member.counter.heal();
        }
        self.restart_stopped().await;
        for place in 0..self.cluster.members.len() {
            if self.cluster.replica(place).is_none() {
                self.cluster.start(place, &mut self.random).await;
            }
        }
    }

    async fn crash_some(&mut self, count: u64) {
        for _ in 0..count {
            let place = self.some_member();
            self.crash(place).await;
        }
    }

    async fn crash(&mut self, place: usize) {
        self.cluster.crash(place, &mut self.random).await;
        if self.sabotage == Sabotage::ForgetfulMembers && self.random.percent(50) {
            // What the counter is there to refuse: disk and counter as they were.
            if let Some((image, counter)) = self.cluster.disk_copy(place, &mut self.random) {
                self.trace.note(format_args!("member {place} forgets"));
                self.cluster.members[place].disk.restore(&image);
                self.cluster.members[place].counter.set(counter);
            }
        }
    }

    /// A member whose storage failed ends its process, and a new one begins.
    async fn restart_stopped(&mut self) {
        for place in self.cluster.stopped() {
            self.trace.note(format_args!("member {place} has stopped"));
            self.cluster.crash(place, &mut self.random).await;
            self.cluster.start(place, &mut self.random).await;
        }
    }

    fn cut_off(&mut self) {
        let members: Vec<_> = self.cluster.members.iter().map(|member| member.number).collect();
        let side: Vec<bool> = members.iter().map(|_| self.random.percent(50)).collect();
        let mut cut = BTreeSet::new();
        for (from, side_from) in members.iter().zip(&side) {
            for (to, side_to) in members.iter().zip(&side) {
                if side_from != side_to {
                    cut.insert((*from, *to));
                }
            }
        }
        self.trace.note(format_args!("cuts into {side:?}"));
        self.cluster.network.cut(cut);
    }

    fn cut_one_way(&mut self) {
        let (from, to) = (self.some_member(), self.some_member());
        self.trace.note(format_args!("cuts the way from {from} to {to}"));
        let numbers = (self.cluster.members[from].number, self.cluster.members[to].number);
        self.cluster.network.cut([numbers].into());
    }

    fn mend_network(&self) {
        self.cluster.network.cut(BTreeSet::new());
    }

    fn change_weather(&mut self) {
        let weather = Weather { loss_percent: self.random.below(30), late_percent: self.random.below(50) };
        self.trace.note(format_args!("{weather:?}"));
        self.cluster.network.set_weather(weather);
    }

    fn break_disk(&mut self) {
        let place = self.some_member();
        let fault = Fault { after: self.random.below(12), form: self.form() };
        self.trace.note(format_args!("breaks disk {place}: {fault:?}"));
        self.cluster.members[place].disk.fail(fault);
    }

    fn break_counter(&mut self) {
        let (place, form) = (self.some_member(), self.form());
        self.trace.note(format_args!("breaks counter {place}: {form:?}"));
        self.cluster.members[place].counter.fail(form);
    }

    fn form(&mut self) -> FaultForm {
        if self.random.percent(50) { FaultForm::NotSaved } else { FaultForm::SavedNevertheless }
    }

    fn copy_a_disk(&mut self) {
        let place = self.some_member();
        self.cluster.copy_disk(place);
    }

    /// Somebody puts an old copy of a member's disk back. The member does not start from it; it does from its own.
    async fn put_old_disk_back(&mut self) {
        let place = self.some_member();
        self.cluster.crash(place, &mut self.random).await;
        let member = &self.cluster.members[place];
        member.disk.heal();
        member.counter.heal();
        let (newest, counter) = (member.disk.image(), member.counter.value());
        let Some((image, then)) = self.cluster.disk_copy(place, &mut self.random) else { return };
        // A copy as new as the counter, and one that the member never told of, are no forgetting.
        if then >= counter {
            return;
        }
        member.disk.restore(&image);
        match self.cluster.open(place).map(drop) {
            Err(OpenError::RolledBack { .. }) => self.trace.note(format_args!("member {place} refuses an old disk")),
            Ok(()) => self.trace.violate(format!("member {place} opens a disk of {then} with a counter of {counter}")),
            Err(other) => self.trace.violate(format!("member {place} with an old disk: {other}")),
        }
        member.disk.restore(&newest);
    }

    fn some_member(&mut self) -> usize {
        usize::try_from(self.random.below(u64::try_from(self.cluster.members.len()).unwrap())).unwrap()
    }
}
