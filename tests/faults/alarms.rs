//! What the example alert rules ask for is what a running log exposes: every metric and every label, by a real scrape.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use countermark_tests::root;

use crate::authority::Authority;
use crate::http::{get, post};
use crate::log::poll;

/// Every expression of the rules, by alert.
fn expressions() -> Vec<(String, String)> {
    let rules = fs::read_to_string(root().join("scripts/operations/alerts.yml")).unwrap();
    // Those of a witness are its own: `tests/formats/alarms.rs` holds them to its code.
    let alerts = rules.split("- alert: ").skip(1).filter(|rule| rule.starts_with("CountermarkLog"));
    let expression = |rule: &str| {
        let line = rule.lines().find_map(|line| line.trim().strip_prefix("expr: "));
        (rule.lines().next().unwrap().to_owned(), line.unwrap().to_owned())
    };
    alerts.map(expression).collect()
}

/// The words of an expression that are metrics of ours, each with the labels that its selector names.
fn metrics(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("countermark_") {
        let name: String = expression[at..].chars().take_while(|c| word(*c)).collect();
        let rest = &expression[at + name.len()..];
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        // A value has no comma and no equals sign here.
        let labels = selector.split(',').filter_map(|pair| pair.split(['=', '!']).next());
        found.push((name, labels.map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect()));
    }
    found
}

/// The labels that an expression sums by.
fn grouped(expression: &str) -> BTreeSet<String> {
    let lists = expression.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap());
    lists.flat_map(|list| list.split(',')).map(|label| label.trim().to_owned()).collect()
}

/// Every exposed metric and its labels.
fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
        let names = labels.split("\",").filter_map(|pair| pair.split('=').next());
        let names = names.filter(|name| !name.is_empty()).map(str::to_owned);
        found.entry(name.to_owned()).or_default().extend(names);
    }
    found
}

#[test]
fn every_metric_and_label_of_an_alert_is_exposed_by_a_running_log() {
    let authority = Authority::unmade(2, 2);
    let config = authority.path("log.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("metrics_listen = \"127.0.0.1:0\"\nexport = \"export\"\n{text}")).unwrap();
    assert!(authority.verb(&["create"]).status.success());
    let log = authority.serve();
    let measured = poll(|| {
        let said = log.said();
        let line = said.lines().find(|line| line.contains("metrics are served"))?.to_owned();
        line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
    });
    let measured = measured.unwrap_or_else(|| panic!("nobody says where metrics are:\n{}", log.said()));
    // One of everything that is counted: an entry, a refusal, a reader.
    for namespace in ["backup", "opaque"] {
        let (path, body) = match namespace {
            "backup" => ("/v1/backup/entries", authority.evidence("one")),
            _ => ("/v1/opaque/add", b"one".to_vec()),
        };
        assert_eq!(post(log.address, path, &authority.token, &body).unwrap().status, 200);
        assert_eq!(post(log.address, path, "no-token", &body).unwrap().status, 401);
    }
    let scrape = || get(measured, "/metrics").unwrap().text();
    let expressions = expressions();
    let missing = |text: &str| {
        let exposed = exposed(text);
        let mut missing = Vec::new();
        for (alert, expression) in &expressions {
            let metrics = metrics(expression);
            let grouped = grouped(expression);
            for (name, labels) in &metrics {
                match exposed.get(name) {
                    None => missing.push(format!("{alert}: {name} is not exposed")),
                    Some(has) => missing.extend(
                        labels
                            .union(&grouped)
                            .filter(|label| !has.contains(*label))
                            .map(|label| format!("{alert}: {name} has no {label}")),
                    ),
                }
            }
        }
        missing
    };
    // The export writes a moment after a publication.
    let complete = poll(|| missing(&scrape()).is_empty().then_some(()));
    assert!(complete.is_some(), "{:#?}\n{}", missing(&scrape()), scrape());
    let asked: usize = expressions.iter().map(|(_, expression)| metrics(expression).len()).sum();
    assert!(expressions.len() >= 15 && asked >= 15, "{} alerts, {asked} metrics", expressions.len());
    // None fires for a log that is well.
    let text = scrape();
    for line in [
        "countermark_log_ready{origin=\"log.example/backup\"} 1",
        "countermark_log_without_quorum_seconds{origin=\"log.example/backup\"} 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(
        !text.contains("countermark_log_witness_cosigns{origin=\"log.example/backup\",witness=\"w1.example\"} 0"),
        "{text}"
    );
}
