//! What is in force, and from where: what `check-config` shows.

use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};

use super::{Configurable, Form, Origin, Said, Setting};

/// A setting with its value and where that is from.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// The setting, as in the file.
    pub setting: &'static str,
    /// Its value; what holds where nobody said it is in words.
    pub value: String,
    /// `flag`, `environment`, `file` or `default`.
    pub from: &'static str,
    /// Which flag, variable or file.
    pub name: Option<String>,
}

impl InForce {
    /// The same list as a JSON document.
    #[must_use]
    pub fn json(list: &[Self]) -> String {
        serde_json::json!({ "settings": list }).to_string()
    }

    /// The lines of a table for people.
    #[must_use]
    pub fn lines(list: &[Self]) -> Vec<String> {
        let width = |column: fn(&Self) -> &str| list.iter().map(|one| column(one).chars().count()).max().unwrap_or(0);
        let (settings, values) = (width(|one| one.setting), width(|one| &one.value));
        let line = |one: &Self| {
            let from = one.name.as_deref().unwrap_or(one.from);
            format!("{:<settings$}  {:<values$}  {from}", one.setting, one.value)
        };
        list.iter().map(line).collect()
    }
}

/// Every setting of a service.
pub(super) fn list<C: Configurable>(
    table: &Table,
    from_file: &Table,
    said: &[Said],
    file: &Path,
    folder: &Path,
) -> Vec<InForce> {
    let one = |setting: &'static Setting| {
        let outside = said.iter().find(|said| said.setting.field == setting.field);
        let value = get(table, setting.field);
        let origin = match (outside, value, get(from_file, setting.field)) {
            (Some(said), Some(_), _) => said.origin.clone(),
            (None, Some(_), Some(_)) => Origin::File(file.to_owned()),
            (_, _, _) => Origin::Default,
        };
        let from = match &origin {
            Origin::Flag(_) => "flag",
            Origin::Environment(_) => "environment",
            Origin::File(_) => "file",
            Origin::Default => "default",
        };
        let name = (origin != Origin::Default).then(|| origin.to_string());
        let value = value.map_or_else(|| setting.unless_said.to_owned(), |value| show(setting.form, value, folder));
        InForce { setting: setting.field, value, from, name }
    };
    C::SETTINGS.iter().map(one).collect()
}

fn get<'t>(table: &'t Table, field: &str) -> Option<&'t Value> {
    match field.split_once('.') {
        None => table.get(field),
        Some((outer, inner)) => table.get(outer)?.as_table()?.get(inner),
    }
}

/// A value as it is understood: a path with the folder that it is relative to.
fn show(form: Form, value: &Value, folder: &Path) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match form {
        Form::Path => folder.join(text).display().to_string(),
        Form::Place if !text.contains("://") => folder.join(text).display().to_string(),
        Form::Place | Form::Address | Form::Text | Form::Number | Form::Switch => text,
    }
}
