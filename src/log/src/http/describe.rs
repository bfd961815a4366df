//! One operation of the surface, as the OpenAPI description has it.
//!
//! A route is never without its description: [`super::endpoints`] makes both from one value, and every answer of every test
//! is compared with it.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation as Described, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AllOfBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, ObjectBuilder, Ref, RefOr, Required, Schema};

use super::problem::{ProblemKind, TYPE_PREFIX};

/// The name of the scheme of access tokens in the description.
pub(super) const TOKEN_SCHEME: &str = "accessToken";
/// The name of the schema of problem documents.
pub(super) const PROBLEM_SCHEMA: &str = "Problem";

/// A schema by its name.
pub(super) type NamedSchema = (String, RefOr<Schema>);

/// What every handler may answer: its guard.
const GUARDED: [ProblemKind; 4] =
    [ProblemKind::PathNotCanonical, ProblemKind::Overloaded, ProblemKind::TimedOut, ProblemKind::Fault];

/// An operation being described.
pub(super) struct Operation {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    builder: OperationBuilder,
    schemas: Vec<NamedSchema>,
    problems: BTreeMap<u16, Vec<ProblemKind>>,
    /// Whether its answer may be kept and asked for again.
    may_be_kept: bool,
}

impl Operation {
    /// A read. Its path parameters are described by their names.
    pub(super) fn get(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Get, id, path, summary)
    }

    /// A submission with an access token.
    pub(super) fn post(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        let mut operation = Self::new(HttpMethod::Post, id, path, summary);
        operation.builder = operation.builder.security(SecurityRequirement::new(TOKEN_SCHEME, [] as [&str; 0]));
        operation.never_kept()
    }

    /// Says that its answer belongs to one moment or one asker: it has no validator. Comes before what it answers.
    pub(super) fn never_kept(mut self) -> Self {
        self.may_be_kept = false;
        self
    }

    fn new(method: HttpMethod, id: &'static str, path: &'static str, summary: &'static str) -> Self {
        let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let parameters = names.map(|name| parameter(name, ParameterIn::Path, Required::True));
        let builder = OperationBuilder::new()
            .operation_id(Some(id))
            .summary(Some(summary))
            .parameters(Some(parameters.collect::<Vec<_>>()));
        let operation = Self { method, path, builder, schemas: vec![], problems: BTreeMap::new(), may_be_kept: true };
        operation.problems(&GUARDED).problems(&[ProblemKind::UnknownParameter])
    }

    /// What the summary does not say.
    pub(super) fn about(mut self, text: &'static str) -> Self {
        self.builder = self.builder.description(Some(text));
        self
    }

    /// Parameters of the query.
    pub(super) fn query(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self.builder = self.builder.parameter(parameter(name, ParameterIn::Query, Required::False));
        }
        self.problems(&[ProblemKind::MalformedParameter])
    }

    /// A parameter of the query that must be there.
    pub(super) fn needs(mut self, name: &'static str) -> Self {
        self.builder = self.builder.parameter(parameter(name, ParameterIn::Query, Required::True));
        self.problems(&[ProblemKind::MalformedParameter])
    }

    /// A header of the request.
    pub(super) fn header(mut self, name: &'static str) -> Self {
        self.builder = self.builder.parameter(parameter(name, ParameterIn::Header, Required::False));
        self
    }

    /// A JSON body.
    pub(super) fn takes_json<T: ToSchema>(mut self, about: &'static str) -> Self {
        let schema = self.named::<T>();
        let body = RequestBodyBuilder::new().description(Some(about)).required(Some(Required::True));
        self.builder =
            self.builder.request_body(Some(body.content("application/json", Content::new(Some(schema))).build()));
        self
    }

    /// A body that is taken as it is.
    pub(super) fn takes_bytes(mut self, about: &'static str) -> Self {
        let body = RequestBodyBuilder::new().description(Some(about)).required(Some(Required::True));
        let body = body.content("application/octet-stream", Content::new(Some(octets())));
        self.builder = self.builder.request_body(Some(body.build()));
        self
    }

    /// A JSON answer.
    pub(super) fn json<T: ToSchema>(self, status: u16, about: &'static str) -> Self {
        self.forms::<T>(status, about, &[])
    }

    /// A JSON answer that is also given in other forms.
    pub(super) fn forms<T: ToSchema>(mut self, status: u16, about: &'static str, others: &[&'static str]) -> Self {
        let schema = self.named::<T>();
        let mut response = self.response(about).content("application/json", Content::new(Some(schema)));
        for other in others {
            response = response.content(*other, Content::new(Some(form(other))));
        }
        self.builder = self.builder.response(status.to_string(), response.build());
        self
    }

    /// An answer of one other form.
    pub(super) fn gives(mut self, status: u16, form_name: &'static str, about: &'static str) -> Self {
        let response = self.response(about).content(form_name, Content::new(Some(form(form_name))));
        self.builder = self.builder.response(status.to_string(), response.build());
        self
    }

    /// Problems beside those of every operation.
    pub(super) fn problems(mut self, kinds: &[ProblemKind]) -> Self {
        for kind in kinds {
            let of_status = self.problems.entry(kind.status()).or_default();
            if !of_status.contains(kind) {
                of_status.push(*kind);
            }
        }
        self
    }

    /// The operation, and the schemas that it names.
    pub(super) fn finish(self) -> (Described, Vec<NamedSchema>) {
        let mut builder = self.builder;
        if self.may_be_kept {
            let unchanged =
                ResponseBuilder::new().description("What the request knows by its `If-None-Match` is still so.");
            builder = builder.response("304", unchanged.build());
        }
        for (status, kinds) in self.problems {
            builder = builder.response(status.to_string(), problems(status, &kinds));
        }
        (builder.build(), self.schemas)
    }

    fn response(&self, about: &'static str) -> ResponseBuilder {
        let response =
            ResponseBuilder::new().description(about).header("cache-control", text_header("How long it may be kept."));
        if !self.may_be_kept {
            return response;
        }
        response.header("etag", text_header("For asking again with `If-None-Match`."))
    }

    /// A reference to the schema of a type, which is kept beside.
    fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name();
        self.schemas.push((name.to_string(), T::schema()));
        T::schemas(&mut self.schemas);
        RefOr::Ref(Ref::from_schema_name(name))
    }
}

fn text_header(about: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).description(Some(about)).build()
}

fn octets() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).content_media_type("application/octet-stream").into()
}

fn form(name: &str) -> Schema {
    if name.starts_with("text/") { ObjectBuilder::new().schema_type(Type::String).into() } else { octets() }
}

/// The answers of one status that are problem documents.
fn problems(status: u16, kinds: &[ProblemKind]) -> Response {
    let types: Vec<Value> = kinds.iter().map(|kind| format!("{TYPE_PREFIX}{}", kind.name()).into()).collect();
    let lines: Vec<String> = kinds.iter().map(|kind| format!("`{}`: {}", kind.name(), kind.title())).collect();
    let one_of_them = ObjectBuilder::new()
        .property("type", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(types)))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status])));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name(PROBLEM_SCHEMA)).item(one_of_them);
    let mut response = ResponseBuilder::new().description(lines.join("\n\n"));
    if matches!(status, 429 | 503) {
        response = response.header("retry-after", text_header("In how many seconds to come back."));
    }
    response.content("application/problem+json", Content::new(Some(Schema::from(schema)))).build()
}

/// A parameter. The same name means the same everywhere.
fn parameter(name: &str, place: ParameterIn, required: Required) -> Parameter {
    let (schema, about) = meaning(name);
    let builder = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    builder.description(Some(about)).schema(Some(schema)).example(example(name)).build()
}

/// What any log that serves something has there.
fn example(name: &str) -> Option<Value> {
    match name {
        "ns" => Some("backup".into()),
        "tile" => Some("000".into()),
        "wait" => Some("committed".into()),
        "index" | "level" => Some(0.into()),
        "size" | "from" | "to" | "epoch" | "width" => Some(1.into()),
        "before" | "limit" => Some(10.into()),
        _ => None,
    }
}

fn meaning(name: &str) -> (ObjectBuilder, &'static str) {
    let number = |least: u64, most: u64| {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
    };
    let matching = |pattern: &str| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    let hex = || matching("^[0-9a-f]{64}$");
    let tree = || number(0, i64::MAX.unsigned_abs());
    match name {
        "ns" => (matching("^[a-z0-9][a-z0-9._-]{0,62}$"), "The namespace."),
        "index" => (tree(), "Which entry, from 0."),
        "size" => (tree(), "The tree of how many entries; the published one if not said."),
        "from" => (tree(), "The smaller tree size."),
        "to" => (tree(), "The larger tree size; the published one if not said."),
        "before" => (tree(), "Only heads of smaller sizes."),
        "limit" => (number(1, super::reads::checkpoints::CHECKPOINTS_MAX), "At most so many; 20 if not said."),
        "epoch" => (number(1, (1 << 53) - 1), "The statement of which epoch."),
        "leaf_hash" => (hex(), "The RFC 6962 leaf hash of the entry."),
        "digest" => (hex(), "The SHA-256 of the statement's bytes."),
        "key_id" => (hex(), "The identity of a key of a vault member."),
        "fleet_id" => (matching("^[A-Za-z0-9._-]{1,64}$"), "The name of a fleet."),
        "level" => (number(0, 63), "The level of the tile, 0 at the leaves."),
        "tile" => {
            let about = "The number of the tile: three digits; above 999 more segments of the path stand before them, \
                         such as `x001/234`, which this description cannot say.";
            (matching("^[0-9]{3}$"), about)
        }
        "width" => (number(1, 255), "The number of hashes or entries of a partial tile."),
        "prefer" => (
            ObjectBuilder::new().schema_type(Type::String),
            "`wait=5`: how many seconds to wait at most (RFC 7240 §4.3). What cannot be read is passed over.",
        ),
        "wait" => (
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["committed", "witnessed", "published"])),
            "How far the entry must have come before the answer.",
        ),
        _ => unreachable!("a parameter without a meaning: {name}"),
    }
}
