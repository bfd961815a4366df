//! What the rest of the process sees of the fleet: nothing at first, then a member that takes part.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use countermark_bundle::identity::Namespace;

use super::terms::FoundingTerms;
use crate::peer::Roster;
use crate::session_service::SessionService;

/// Where a member is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No bundle states the fleet with this member's keys.
    Seeking {
        /// What was missing when the log was last looked at.
        reason: Option<String>,
    },
    /// It takes part in the replication.
    Joined,
    /// It takes part no longer.
    Stopped,
}

/// A member that takes part.
pub(crate) struct Serving<Fleet> {
    /// The replicated machine.
    pub(crate) fleet: Arc<Fleet>,
    /// Its users' sessions.
    pub(crate) sessions: Arc<SessionService<Fleet>>,
    /// Who is let in.
    pub(crate) roster: Arc<Roster>,
    /// What the fleet must have been founded on.
    pub(crate) terms: Arc<FoundingTerms>,
}

/// A member's seat in its fleet.
pub(crate) struct Seat<Fleet> {
    namespace: Namespace,
    phase: RwLock<Phase>,
    serving: OnceLock<Arc<Serving<Fleet>>>,
}

impl<Fleet> Seat<Fleet> {
    /// A seat that nobody sits on yet, for the fleet of a log.
    pub(crate) fn new(namespace: Namespace) -> Self {
        let phase = RwLock::new(Phase::Seeking { reason: None });
        Self { namespace, phase, serving: OnceLock::new() }
    }

    /// The namespace of the fleet's log.
    pub(crate) const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Notes where the member is.
    pub(crate) fn note(&self, phase: Phase) {
        *self.phase.write().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Where the member is.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on the member takes part. Only the first call counts.
    pub(crate) fn serve(&self, serving: Arc<Serving<Fleet>>) {
        if self.serving.set(serving).is_ok() {
            self.note(Phase::Joined);
        }
    }

    /// The member, once it takes part.
    pub(crate) fn serving(&self) -> Option<&Arc<Serving<Fleet>>> {
        self.serving.get()
    }
}
