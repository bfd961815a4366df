//! Every route with its description.

mod auditing;
mod proving;
mod stating;
mod submitting;
mod tiling;

use std::sync::Arc;

use axum::routing::MethodRouter;

use super::Service;
use super::describe::Operation;
use super::problem::ProblemKind;

/// Which bound an endpoint's requests are counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Read,
    Submission,
}

/// A route, what serves it, and what is said of it.
pub(super) struct Endpoint {
    pub(super) route: &'static str,
    pub(super) methods: MethodRouter<Arc<Service>>,
    pub(super) lane: Lane,
    pub(super) operations: Vec<Operation>,
}

impl Endpoint {
    fn read(methods: MethodRouter<Arc<Service>>, operation: Operation) -> Self {
        Self { route: operation.path, methods, lane: Lane::Read, operations: vec![operation] }
    }

    fn submission(methods: MethodRouter<Arc<Service>>, operation: Operation) -> Self {
        Self { route: operation.path, methods, lane: Lane::Submission, operations: vec![operation] }
    }
}

/// Every endpoint.
pub(super) fn all() -> Vec<Endpoint> {
    let mut all = tiling::endpoints();
    all.extend(proving::endpoints());
    all.extend(stating::endpoints());
    all.extend(submitting::endpoints());
    all.extend(auditing::endpoints());
    all
}

/// A namespace that may not be served here.
const NAMED: [ProblemKind; 1] = [ProblemKind::UnknownNamespace];
/// A head that may not be published yet.
const SHOWN: [ProblemKind; 2] = [ProblemKind::UnknownNamespace, ProblemKind::NothingPublished];
