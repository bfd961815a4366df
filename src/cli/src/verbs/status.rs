//! `countermark status`: a log at a glance.

use clap::Args;
use countermark_bundle::{ExitClass, Namespace};
use serde_json::Value;

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The log's address
    #[arg(long, value_name = "URL")]
    log: String,
    /// The namespace
    #[arg(long)]
    namespace: String,
}

/// What a log says of itself. Nothing in it is verified.
pub async fn fetch(log: &str, namespace: &str) -> anyhow::Result<Value> {
    super::services::install_tls()?;
    let namespace = Namespace::parse(namespace).class(ExitClass::Usage)?;
    let url = format!("{}/v1/{namespace}/status", log.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).build()?;
    let response = client.get(&url).send().await.class(ExitClass::Unreachable)?;
    let status = response.status();
    if !status.is_success() {
        return Err(Failure::new(ExitClass::Unreachable, format!("{url} answers {status}")).into());
    }
    response.json().await.class(ExitClass::Malformed)
}

/// Does what the verb says.
pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<()> {
    let status = fetch(&arguments.log, &arguments.namespace).await?;
    if json {
        present::json(&status);
        return Ok(());
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none yet".to_string(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let mut rows = vec![("asked at", documents::now()?.to_string())];
    let mut tables = vec![];
    if let Value::Object(fields) = &status {
        for (name, value) in fields {
            match value {
                Value::Array(list) if list.iter().all(Value::is_object) => tables.push((name, list)),
                Value::Object(inner) => {
                    let parts: Vec<String> =
                        inner.iter().map(|(key, value)| format!("{key} {}", text(value))).collect();
                    rows.push((name.as_str(), parts.join(", ")));
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    rows.push((name.as_str(), text(value)));
                }
            }
        }
    }
    present::facts(&rows);
    for (name, list) in tables {
        let Some(header) = list.first().and_then(Value::as_object) else { continue };
        let header: Vec<&str> = header.keys().map(String::as_str).collect();
        let rows: Vec<Vec<String>> =
            list.iter().map(|row| header.iter().map(|column| text(&row[*column])).collect()).collect();
        present::headline(name);
        present::table(&header, &rows);
    }
    Ok(())
}
