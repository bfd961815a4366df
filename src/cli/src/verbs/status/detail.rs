//! One namespace in detail: every field that its server gives, whatever it is.

use serde_json::{Map, Value};

use super::authority::NOT_VERIFIED;
use crate::{documents, present};

/// The whole document, for a person.
pub fn page(document: &Value) -> anyhow::Result<String> {
    let mut facts = vec![("asked at", documents::now()?.to_string())];
    let mut lists = vec![];
    for (name, value) in document.as_object().into_iter().flatten() {
        match value {
            Value::Array(list) if list.iter().all(Value::is_object) => lists.push((name, list)),
            Value::Object(inner) => facts.push((name.as_str(), in_words(inner))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                facts.push((name.as_str(), text(value)));
            }
        }
    }
    let mut page = format!("{}\n", present::facts_table(&facts));
    for (name, list) in lists {
        let Some(header) = list.first().and_then(Value::as_object) else { continue };
        let header: Vec<&str> = header.keys().map(String::as_str).collect();
        let rows = list.iter().map(|row| header.iter().map(|column| text(&row[*column]).into()).collect()).collect();
        page = format!("{page}\n{}\n{}\n", present::bold(name), present::coloured_table(&header, rows));
    }
    Ok(page + &format!("\n{}\n", present::dim(NOT_VERIFIED)))
}

fn in_words(object: &Map<String, Value>) -> String {
    object.iter().map(|(key, value)| format!("{key} {}", text(value))).collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none yet".to_string(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
