//! One task that does what somebody in the fleet has to do: found it, let peers in or not, renew the stapled bundle.
//!
//! Every member does it. Founding is the leader's; a bundle is proposed by whoever has a better one first.

use std::sync::Arc;

use countermark_bundle::entry::Entry;
use countermark_bundle::identity::{Digest, Name};
use countermark_bundle::statement::ParsedStatement;
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_service::lifecycle::with_causes;
use countermark_vault_core::machine::{Command, Machine, Refusal, Response};
use countermark_vault_core::opaque::server::new_setup;
use countermark_vault_raft::Role;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use super::formation::is_stated;
use super::seat::Serving;
use super::start::Place;
use super::stopped;
use crate::device::OsRandomness;
use crate::ports::{BundleSource, Replicated, WallClock};
use crate::staple::{self, Stapling};

/// How often it looks while nothing is stapled yet, and then.
const LOOK_INTERVAL_EARLY: Duration = Duration::from_millis(100);
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The log is asked at least so many times while a head ages from fresh to stale.
const POLLS_PER_HEAD_AGE: u64 = 8;

/// Does what somebody has to do.
pub(crate) struct Steward<Log, Fleet> {
    pub(crate) log: Log,
    pub(crate) serving: Arc<Serving<Fleet>>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) fleet_id: Name,
    pub(crate) settings: StewardSettings,
    pub(crate) noted: Noted,
}

/// What a steward goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StewardSettings {
    pub(crate) write_deadline: Duration,
    pub(crate) poll_interval: Duration,
    /// How much later than the first member this one looks at the log.
    pub(crate) poll_offset: Duration,
}

/// What a steward said last, so that it says everything once, and what it did last.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    staple: Option<&'static str>,
    founding: Option<&'static str>,
    restated: Option<Digest>,
    next_poll: Option<Instant>,
}

impl Steward<crate::log_client::LogClient, countermark_vault_raft::Replica> {
    /// The steward of a member that takes part.
    pub(super) fn new(place: &Place, serving: Arc<Serving<countermark_vault_raft::Replica>>) -> Self {
        let interval = place.config.bundle_poll_interval;
        // Each member in its own part of the interval: what one of them has proposed the next one finds stapled.
        let names: Vec<&Name> = serving.roster.members().map(|member| &member.member_id).collect();
        let own = names.iter().position(|name| **name == place.own.member_id).unwrap_or_default();
        let (own, all) = (u32::try_from(own).unwrap_or_default(), u32::try_from(names.len()).unwrap_or(1).max(1));
        let settings = StewardSettings {
            write_deadline: place.config.write_deadline,
            poll_interval: interval,
            poll_offset: interval.saturating_mul(own) / all,
        };
        Self {
            log: place.log.clone(),
            clock: place.clock.clone(),
            fleet_id: place.own.fleet_id.clone(),
            serving,
            settings,
            noted: Noted::default(),
        }
    }
}

/// How long one look at the log may take.
const RENEWAL_MAX: Duration = Duration::from_secs(20);

impl<Log: BundleSource, Fleet: Replicated> Steward<Log, Fleet> {
    /// Works until `stop` says so.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) {
        tokio::select! {
            () = stopped(stop) => {}
            never = self.work() => match never {},
        }
    }

    async fn work(&mut self) -> std::convert::Infallible {
        loop {
            self.found().await;
            self.restate();
            // A log that answers slowly must not keep anybody in who is not stated any more.
            let _ = tokio::time::timeout(RENEWAL_MAX, self.renew()).await;
            let is_stapled = self.serving.fleet.read(|machine| machine.stapled().is_some());
            let interval = if is_stapled { LOOK_INTERVAL } else { LOOK_INTERVAL_EARLY };
            sleep_until(Instant::now() + interval.min(self.settings.poll_interval)).await;
        }
    }

    /// Founds the fleet, if nobody has and this member leads it. Two foundings do no harm: the second is refused.
    pub(crate) async fn found(&mut self) {
        let is_founded = self.serving.fleet.read(|machine| machine.founding().is_some());
        if is_founded || self.serving.fleet.status().role != Role::Leader {
            return;
        }
        let Ok(decoy_setup) = new_setup(&mut OsRandomness) else {
            self.note_founding("device", "fault: the device drew no decoy setup");
            return;
        };
        let founding = self.serving.terms.found(decoy_setup);
        match self.serving.fleet.commit(Command::Found(founding), self.deadline()).await {
            Ok(Response::Refused(Refusal::FoundedAlready)) => {}
            Ok(Response::Refused(_)) => self.note_founding("refused", "the fleet refused to be founded"),
            Ok(_) => tracing::info!(fleet = %self.fleet_id, "the fleet is founded"),
            Err(_) => self.note_founding("commit", "the founding was not committed yet"),
        }
    }

    /// Lets in only whom the adopted statement names with the keys that the fleet was formed of.
    pub(crate) fn restate(&mut self) {
        let adopted = self.serving.fleet.read(|machine| {
            let stapled = machine.stapled()?;
            let is_new = self.noted.restated != Some(stapled.statement);
            is_new.then(|| (stapled.statement, stapled.bundle.to_vec()))
        });
        let Some((digest, bundle)) = adopted else { return };
        // The machine has verified these bytes; the digest says which statement in them it believed.
        let fleet = statement(&bundle, digest).and_then(|statement| {
            let fleets = statement.statement().fleets.iter();
            fleets.clone().find(|fleet| fleet.fleet_id == self.fleet_id).cloned()
        });
        let Some(fleet) = fleet else { return };
        let barred = self.serving.roster.restate(|member| is_stated(&fleet, member));
        for member in barred.iter() {
            tracing::warn!(%member, statement = %digest, "a member is not stated with its keys any more, and not let in");
        }
        self.noted.restated = Some(digest);
    }

    /// Looks at the log if it is time, and proposes what is worth it. A failure is said when it begins and when it ends.
    pub(crate) async fn renew(&mut self) {
        let now = Instant::now();
        let terms = Arc::clone(&self.serving.terms);
        let Some(is_ours) = self.serving.fleet.read(|machine| machine.founding().map(|it| terms.are_those_of(it)))
        else {
            return;
        };
        if !is_ours {
            self.note_founding(
                "terms",
                "the fleet was founded on another trust file, cool-off or issuers: this member serves nobody",
            );
            return;
        }
        let next = self.noted.next_poll.unwrap_or_else(|| self.first_poll(now));
        self.noted.next_poll = Some(next);
        if now < next {
            return;
        }
        self.noted.next_poll = Some(now + self.poll_interval());
        let deadline = self.settings.write_deadline;
        let renewed = staple::renew(&self.log, &*self.serving.fleet, &terms.trust, self.clock.now(), deadline).await;
        let state = match &renewed {
            Ok(_) => None,
            Err(error) => Some(error.state()),
        };
        let is_news = std::mem::replace(&mut self.noted.staple, state) != state;
        match renewed {
            Ok(Stapling::Adopted { statement, size }) => tracing::info!(%statement, size, "a bundle was adopted"),
            Ok(Stapling::Fresh) if is_news => tracing::info!("the log's bundle is stapled again"),
            Err(error) if is_news => tracing::warn!(error = with_causes(&error), "the stapled bundle was not renewed"),
            Ok(Stapling::Fresh) | Err(_) => {}
        }
    }

    /// The leader looks at once, so that a new fleet serves at once.
    fn first_poll(&self, now: Instant) -> Instant {
        let leads = self.serving.fleet.status().role == Role::Leader;
        if leads { now } else { now + self.settings.poll_offset }
    }

    /// As configured, but often enough for the head's age.
    fn poll_interval(&self) -> Duration {
        let age = |machine: &Machine| machine.stapled().map(|it| it.stale_at.seconds_since(it.head_time));
        let enough = self.serving.fleet.read(age).map(|age| Duration::from_secs((age / POLLS_PER_HEAD_AGE).max(1)));
        enough.map_or(self.settings.poll_interval, |enough| self.settings.poll_interval.min(enough))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.write_deadline
    }

    fn note_founding(&mut self, state: &'static str, what: &'static str) {
        if self.noted.founding.replace(state) != Some(state) {
            tracing::warn!("{what}");
        }
    }
}

/// The statement of this digest in a bundle.
fn statement(bundle: &[u8], digest: Digest) -> Option<ParsedStatement> {
    let bundle = ValidationBundle::parse(bundle).ok()?;
    bundle.records.iter().find_map(|record| match Entry::parse(&record.entry).ok()? {
        Entry::CertifiedStatement(certified) if Digest::of(&certified.statement) == digest => {
            ParsedStatement::parse(&certified.statement).ok()
        }
        Entry::CertifiedStatement(_)
        | Entry::Activation(_)
        | Entry::Revocation(_)
        | Entry::Evidence(_)
        | Entry::PolicyChange(_)
        | Entry::AuthorityChange(_) => None,
    })
}

#[cfg(test)]
mod tests;
