//! Every answer of every test of the surface is judged by the description that the service serves.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::http::Method;
use serde_json::{Value, json};

use super::bench::{Answer, Bench};
use crate::http::endpoints;
use crate::http::openapi::DESCRIPTION;
use crate::http::problem::ProblemKind;

static DESCRIBED: LazyLock<Value> = LazyLock::new(|| serde_json::from_slice(&DESCRIPTION).unwrap());

/// Fails where an answer is not one of those that its operation is described with.
pub(super) fn check(method: &Method, path: &str, answer: &Answer) {
    let verb = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let content_type = answer.header("content-type").split(';').next().unwrap();
    let Some(operation) = item(path).and_then(|item| item.get(&verb)) else {
        let outside = [404, 405, 400, 503];
        let preflight = method == Method::OPTIONS && answer.status == 200;
        assert!(preflight || outside.contains(&answer.status), "{method} {path}: {} is not described", answer.status);
        return;
    };
    let described = &operation["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{method} {path}: no {} is described", answer.status);
    for header in ["etag", "retry-after"] {
        let (said, there) = (described["headers"].get(header).is_some(), !answer.header(header).is_empty());
        // Where to look again after 404 is a kindness, not described.
        assert!(said == there || answer.status == 304 || answer.status == 404, "{method} {path}: {header}, {said}");
    }
    let Some(forms) = described["content"].as_object() else {
        assert!(answer.body.is_empty(), "{method} {path}: {} is described without content", answer.status);
        return;
    };
    let form = forms.get(content_type);
    let form =
        form.unwrap_or_else(|| panic!("{method} {path}: {} is not described as {content_type:?}", answer.status));
    let encoded = !answer.header("content-encoding").is_empty();
    if content_type.ends_with("json") && method != Method::HEAD && !encoded {
        let document: Value = serde_json::from_slice(&answer.body).unwrap();
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [form["schema"]],
            "components": DESCRIBED["components"],
        });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{method} {path}: {errors:?} in {document}");
        check_fields(&form["schema"], &document, path);
    }
}

/// Fails where a document has a field that its schema does not name.
fn check_fields(schema: &Value, document: &Value, path: &str) {
    let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/schemas/")) else {
        return;
    };
    let schema = &DESCRIBED["components"]["schemas"][name];
    let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let mut known = BTreeSet::new();
    for part in &parts {
        let part = part["$ref"].as_str().map_or(part, |name| DESCRIBED.pointer(&name[1..]).unwrap());
        known.extend(part["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned()));
    }
    for field in document.as_object().into_iter().flat_map(|document| document.keys()) {
        assert!(known.is_empty() || known.contains(field), "{path}: {name} does not describe {field}");
    }
}

/// What is described at an address: literal segments are preferred.
fn item(path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap();
    let paths = DESCRIBED["paths"].as_object().unwrap();
    let fits = |template: &str| {
        // Tile numbers of more than three digits have more segments than a template can say.
        let tiles = template.strip_suffix("{level}/{tile}").is_some_and(|_| path.split('/').nth(2) == Some("tile"));
        let (mut theirs, mut ours) = (template.split('/'), path.split('/'));
        let segments = (&mut theirs).zip(&mut ours).all(|(theirs, ours)| match theirs.split_once('}') {
            Some((_, rest)) => ours.ends_with(rest) && !ours.is_empty(),
            None => theirs == ours,
        });
        tiles || segments && template.split('/').count() == path.split('/').count()
    };
    let mut fitting: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    fitting.sort_by_key(|(template, _)| template.matches('{').count());
    fitting.first().map(|(_, item)| *item)
}

#[tokio::test]
async fn the_description_is_served_and_names_every_problem() {
    let bench = Bench::unpublished().await;
    let served = bench.get("/openapi.json").await;
    let description = served.json();
    assert_eq!(description["openapi"], "3.1.0");
    let text = String::from_utf8(served.body).unwrap();
    for kind in ProblemKind::ALL {
        // Where nothing is, nothing is described; nor a method that is not taken.
        if !matches!(kind, ProblemKind::NotFound | ProblemKind::MethodNotAllowed) {
            assert!(text.contains(&format!(":refusal:{}\"", kind.name())), "{} is not described", kind.name());
        }
    }
}

#[tokio::test]
async fn every_described_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&DESCRIBED, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for reference in found {
        let there = reference.strip_prefix('#').and_then(|pointer| DESCRIBED.pointer(pointer));
        assert!(there.is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_endpoint_is_described_once() {
    let endpoints = endpoints::all();
    let mut ids = BTreeSet::new();
    for operation in endpoints.into_iter().flat_map(|endpoint| endpoint.operations) {
        let path = operation.path;
        let (described, _) = operation.finish();
        assert!(ids.insert(described.operation_id.unwrap()), "{path} has another's id");
    }
    let described = DESCRIBED["paths"].as_object().unwrap().values();
    let operations: usize = described.map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(operations, ids.len());
}
