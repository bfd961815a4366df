//! `GET /openapi.json`: the description of the whole surface, made of the same values as the routes.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::response::Response;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Schema,
};

use super::answer::{self, Freshness};
use super::describe::{PROBLEM_SCHEMA, TOKEN_SCHEME};
use super::endpoints;
use super::extract::NoQuery;
use super::problem::Problem;

/// The description as it is served.
pub(super) static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| {
    let description = description();
    serde_json::to_vec_pretty(&description).expect("a description has string keys only").into()
});

/// `GET /openapi.json`.
pub(super) async fn openapi(_: NoQuery) -> Result<Response, Problem> {
    Ok(answer::json_bytes(DESCRIPTION.clone(), Freshness::Revalidate))
}

fn description() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut components = ComponentsBuilder::new().schema(PROBLEM_SCHEMA, problem());
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
        "An access token (`typ` at+jwt) of an issuer that the log knows, for this log, this namespace and this act.",
    ));
    components = components.security_scheme(TOKEN_SCHEME, SecurityScheme::Http(token.build()));
    for operation in endpoints::all().into_iter().flat_map(|endpoint| endpoint.operations) {
        let (path, method) = (operation.path, operation.method.clone());
        let (described, schemas) = operation.finish();
        paths = paths.path(path, PathItem::new(method, described));
        components = components.schemas_from_iter(schemas);
    }
    let info = InfoBuilder::new()
        .title("Countermark log")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A transparency log of fleets' keys. Everything that it answers can be verified without trusting it: proofs \
             against a checkpoint, a checkpoint against the keys and the witness quorum of a trust file that comes from \
             elsewhere.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build()
}

/// SPEC: RFC 9457.
fn problem() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    ObjectBuilder::new()
        .description(Some("Why the request was not answered. Programs act on `type`, which never changes its meaning."))
        .property("type", text())
        .required("type")
        .property("title", text())
        .required("title")
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .required("status")
        .property("detail", text())
        .required("detail")
        .into()
}
