//! What passes through the surface, for whoever operates it: requests counted by route, and what was refused last.
//!
//! It decides nothing, and knows no submitter: a refusal is a time, a namespace that is served here, and a row of the table
//! of problems. What a request says is never kept, so nothing of it can be shown.
//!
//! Remembered are refused submissions and failures of ours. Other answers to readers are only counted: a crawler's 404s
//! would leave no room for them. So are the two 503 that say what the status says anyway, which a prober is told each second.
//!
//! Invariant: what is kept is bounded by the table and the namespaces, whatever strangers ask for. A flood of one refusal
//! takes one place, because the same refusal of the same namespace stands once, with its last time and its number.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::response::Response;
use countermark_bundle::identity::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::ProblemKind;
use crate::clock::{SystemClock, timestamp};
use crate::metrics;
use crate::ports::Clock;
use crate::sequencer::NamespaceHandle;

/// The most refusals that are remembered.
const REFUSALS_MAX: usize = 64;
/// The most that are shown.
const REFUSALS_SHOWN_MAX: usize = 16;

/// What has passed since the process started.
pub(crate) struct Traffic {
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    /// Of every namespace that is served, by name.
    origins: BTreeMap<String, String>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The newest first.
    last: VecDeque<Refusal>,
    counts: BTreeMap<ProblemKind, u64>,
}

struct Refusal {
    at: Timestamp,
    namespace: Option<String>,
    kind: ProblemKind,
    count: u64,
}

/// One kind of refusal, as it is shown.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Refusal)]
pub(super) struct RefusalDocument {
    /// The last time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Where; `None` where no namespace of this server was asked.
    namespace: Option<String>,
    r#type: &'static str,
    status: u16,
    /// How many times since it is remembered.
    count: u64,
}

/// What is asked and answered: what [`Traffic::note`] is told.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) route: Option<&'a MatchedPath>,
}

impl Traffic {
    /// Begins to count for these namespaces, by their clock.
    pub(super) fn of<'a>(handles: impl IntoIterator<Item = &'a NamespaceHandle>) -> Self {
        let mut clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut origins = BTreeMap::new();
        for handle in handles {
            clock = handle.clock();
            origins.insert(handle.namespace().to_string(), handle.origin().to_string());
        }
        let started_at = timestamp(clock.now_ms());
        Self { clock, started_at, origins, seen: Mutex::default() }
    }

    /// When it began.
    pub(super) const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        timestamp(self.clock.now_ms())
    }

    /// Notes an answer. A problem is known by what [`super::problem`] left in it.
    pub(super) fn note(&self, asked: &Asked<'_>, answer: &Response, took: Duration) {
        // A template of the router or one word, never a path: strangers choose paths.
        let route = asked.route.map_or("other", MatchedPath::as_str);
        let status = answer.status();
        metrics::requested(route, status.as_u16(), took);
        let Some(kind) = answer.extensions().get::<ProblemKind>().copied() else { return };
        let namespace = self.namespace_of(asked.path);
        let origin = namespace.and_then(|name| self.origins.get(name)).map_or("", String::as_str);
        metrics::refused(origin, kind.name(), kind.status());
        let remembered = is_remembered(kind, asked.method == Method::POST);
        let mut seen = self.seen();
        let count = seen.counts.entry(kind).or_default();
        *count = count.saturating_add(1);
        if remembered {
            seen.remember(kind, namespace, self.now());
        }
    }

    /// The namespace that a path leads to, if it is served here.
    fn namespace_of(&self, path: &str) -> Option<&str> {
        let rest = ["/v1/", "/namespaces/", "/"].iter().find_map(|prefix| path.strip_prefix(prefix))?;
        let name = rest.split('/').next()?;
        self.origins.get_key_value(name).map(|(name, _)| name.as_str())
    }

    /// The last refusals, the newest first, at most [`REFUSALS_SHOWN_MAX`].
    pub(super) fn refusals(&self) -> Vec<RefusalDocument> {
        let show = |refusal: &Refusal| RefusalDocument {
            at: refusal.at,
            namespace: refusal.namespace.clone(),
            r#type: refusal.kind.name(),
            status: refusal.kind.status(),
            count: refusal.count,
        };
        self.seen().last.iter().take(REFUSALS_SHOWN_MAX).map(show).collect()
    }

    /// How many answers were problems of each type.
    pub(super) fn refusal_counts(&self) -> BTreeMap<&'static str, u64> {
        self.seen().counts.iter().map(|(kind, count)| (kind.name(), *count)).collect()
    }

    /// Nothing is half changed where the lock is released, so a panic in between breaks nothing.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn remember(&mut self, kind: ProblemKind, namespace: Option<&str>, at: Timestamp) {
        let same = |one: &Refusal| one.kind == kind && one.namespace.as_deref() == namespace;
        let before = self.last.iter().position(same).and_then(|position| self.last.remove(position));
        let count = before.map_or(1, |refusal| refusal.count.saturating_add(1));
        self.last.push_front(Refusal { at, namespace: namespace.map(str::to_owned), kind, count });
        self.last.truncate(REFUSALS_MAX);
    }
}

fn is_remembered(kind: ProblemKind, submits: bool) -> bool {
    let is_told_by_status = matches!(kind, ProblemKind::NotReady | ProblemKind::NothingPublished);
    submits || (kind.status() >= 500 && !is_told_by_status)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::super::problem::Problem;
    use super::*;

    fn traffic() -> Traffic {
        let clock = Arc::new(crate::testing::TestClock::at(crate::testing::NOW));
        let origins = [("backup", "log.example/backup")].map(|(name, origin)| (name.to_owned(), origin.to_owned()));
        Traffic {
            started_at: timestamp(clock.now_ms()),
            clock,
            origins: origins.into_iter().collect(),
            seen: Mutex::default(),
        }
    }

    fn note(traffic: &Traffic, method: &Method, path: &str, kind: ProblemKind) {
        let answer = Problem::new(kind, "a detail").into_response();
        traffic.note(&Asked { method, path, route: None }, &answer, Duration::ZERO);
    }

    #[test]
    fn refused_submissions_and_our_failures_are_remembered_and_readers_only_counted() {
        let traffic = traffic();
        note(&traffic, &Method::GET, "/backup/tile/x", ProblemKind::MalformedTilePath);
        note(&traffic, &Method::GET, "/readyz", ProblemKind::NotReady);
        note(&traffic, &Method::GET, "/v1/backup/entries/1", ProblemKind::Fault);
        note(&traffic, &Method::POST, "/v1/backup/statements", ProblemKind::TokenExpired);
        note(&traffic, &Method::POST, "/v1/other/statements", ProblemKind::UnknownNamespace);
        let found: Vec<_> =
            traffic.refusals().into_iter().map(|one| (one.namespace, one.r#type, one.status, one.count)).collect();
        let backup = || Some("backup".to_owned());
        let expected =
            [(None, "unknown-namespace", 404, 1), (backup(), "token-expired", 401, 1), (backup(), "fault", 500, 1)];
        assert_eq!(found, expected);
        assert_eq!(traffic.refusal_counts().len(), 5);
        assert_eq!(traffic.refusal_counts()["malformed-tile-path"], 1);
    }

    #[test]
    fn a_flood_of_one_refusal_takes_one_place_and_all_are_bounded() {
        let traffic = traffic();
        note(&traffic, &Method::POST, "/v1/backup/add", ProblemKind::Frozen);
        for _ in 0..1_000 {
            note(&traffic, &Method::POST, "/v1/backup/add", ProblemKind::TokenMissing);
        }
        let found: Vec<_> = traffic.refusals().into_iter().map(|one| (one.r#type, one.count)).collect();
        assert_eq!(found, [("token-missing", 1_000), ("frozen", 1)]);
        for kind in ProblemKind::ALL {
            note(&traffic, &Method::POST, "/v1/backup/add", *kind);
            note(&traffic, &Method::POST, "/v1/stranger/add", *kind);
        }
        assert_eq!((traffic.refusals().len(), traffic.seen().last.len()), (REFUSALS_SHOWN_MAX, REFUSALS_MAX));
    }
}
