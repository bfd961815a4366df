//! What a read needs before it answers, taken from the request by name.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::parameters::Parameters;
use super::problem::{Problem, ProblemKind};
use super::{Served, Service};
use crate::published::Published;

/// When a reader should come back for the first head.
const FIRST_HEAD_AFTER: Duration = Duration::from_secs(1);

/// The request asks nothing in its query.
pub(super) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Parameters::none(parts.uri.query()).map(|()| Self)
    }
}

/// The namespace that the path names.
pub(super) struct InNamespace(pub(super) Arc<Served>);

impl FromRequestParts<Arc<Service>> for InNamespace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, service).await;
        let parameters = parameters.map_err(|_| Problem::new(ProblemKind::NotFound, "the path is malformed"))?;
        let name = parameters.iter().find(|(name, _)| *name == "ns").map_or("", |(_, value)| value);
        service.namespace(name).map(|served| Self(Arc::clone(served)))
    }
}

/// The namespace that the path names, and its newest published head.
pub(super) struct Shown {
    pub(super) served: Arc<Served>,
    pub(super) published: Arc<Published>,
}

impl FromRequestParts<Arc<Service>> for Shown {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let InNamespace(served) = InNamespace::from_request_parts(parts, service).await?;
        let published = served.handle.published().ok_or_else(|| {
            let detail = format!("no head of {} has met the witness quorum yet", served.handle.origin());
            Problem::new(ProblemKind::NothingPublished, detail).retry_after(FIRST_HEAD_AFTER)
        })?;
        Ok(Self { served, published })
    }
}
