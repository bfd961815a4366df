//! What stands around every handler: a bound on requests under way, a deadline, one spelling of each path, an answer even to a
//! panic, and a note of how it was answered.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;

use super::problem::{Problem, ProblemKind};
use super::traffic::{Asked, Traffic};

/// When one that was told so should come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One guard for some routes: the bound counts them together, or those of each namespace.
#[derive(Clone)]
pub(super) struct Guard {
    places: Arc<Places>,
    /// Behind `/v1/<namespace>/…`.
    of_namespaces: Arc<BTreeMap<String, Places>>,
    deadline: Duration,
    traffic: Option<Arc<Traffic>>,
}

/// How many requests may be under way.
struct Places {
    max: usize,
    free: Semaphore,
}

impl Places {
    fn new(max: usize) -> Self {
        Self { max, free: Semaphore::new(max) }
    }
}

impl Guard {
    /// Lets so many requests in at a time, each for so long.
    pub(super) fn new(places_max: usize, deadline: Duration) -> Self {
        Self { places: Arc::new(Places::new(places_max)), of_namespaces: Arc::default(), deadline, traffic: None }
    }

    /// Notes there how each request was answered.
    pub(super) fn noting(self, traffic: &Arc<Traffic>) -> Self {
        Self { traffic: Some(Arc::clone(traffic)), ..self }
    }

    /// Counts the requests of these namespaces apart, so that a busy one takes no place of another.
    pub(super) fn apart(self, places_max: impl IntoIterator<Item = (String, usize)>) -> Self {
        let places = places_max.into_iter().map(|(name, max)| (name, Places::new(max)));
        Self { of_namespaces: Arc::new(places.collect()), ..self }
    }

    fn places_of(&self, path: &str) -> &Places {
        let namespace = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
        namespace.and_then(|name| self.of_namespaces.get(name)).unwrap_or(&self.places)
    }

    /// Puts the guard around every route and fallback of a router.
    pub(super) fn around<S: Clone + Send + Sync + 'static>(&self, router: Router<S>) -> Router<S> {
        // A panic becomes an answer inside of what notes answers.
        router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(self.clone(), admit))
    }
}

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    // Not the query, which may one day carry something private, and never a header.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let began = Instant::now();
    let response = match checked(&guard, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let took = began.elapsed();
    if let Some(traffic) = &guard.traffic {
        traffic.note(&Asked { method: &method, path: &path, route: route.as_ref() }, &response, took);
    }
    let (status, took_ms) = (response.status().as_u16(), took.as_millis());
    tracing::debug!(%method, path, status, took_ms, "answered");
    response
}

async fn checked(guard: &Guard, request: Request, next: Next) -> Result<Response, Problem> {
    let path = request.uri().path();
    if path.contains('%') {
        return Err(Problem::new(ProblemKind::PathNotCanonical, "percent-encoding is not used here"));
    }
    let places = guard.places_of(path);
    let _place = places.free.try_acquire().map_err(|_| {
        let detail = format!("{} requests are under way", places.max);
        Problem::new(ProblemKind::Overloaded, detail).retry_after(RETRY_AFTER)
    })?;
    timeout(guard.deadline, next.run(request)).await.map_err(|_| {
        let detail = format!("nothing was ready after {} ms", guard.deadline.as_millis());
        Problem::new(ProblemKind::TimedOut, detail).retry_after(RETRY_AFTER)
    })
}

pub(super) async fn not_found(request: Request) -> Problem {
    Problem::new(ProblemKind::NotFound, format_args!("there is nothing at {}", request.uri().path()))
}

pub(super) async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(ProblemKind::MethodNotAllowed, format_args!("{method} is not taken here"))
}

/// The panic itself was printed by the panic hook; what it says is not the caller's to know.
fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::new(ProblemKind::Fault, "the server failed").into_response()
}

#[cfg(test)]
mod tests;
