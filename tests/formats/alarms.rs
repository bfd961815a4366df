//! The example alert rules against RUNBOOK.md: every alert is a heading there, every heading an alert, and every metric one of
//! the code's. That a running log exposes them is looked at in `tests/faults/alarms.rs`.

use std::collections::BTreeSet;

use crate::book::document;

/// One rule, as far as it is looked at: a line for each field, as the file is written.
struct Rule {
    name: String,
    fields: Vec<(String, String)>,
}

impl Rule {
    fn get(&self, field: &str) -> &str {
        let found: Vec<_> = self.fields.iter().filter(|(name, _)| name == field).collect();
        assert_eq!(found.len(), 1, "{} has {} {field}", self.name, found.len());
        &found[0].1
    }
}

fn rules() -> Vec<Rule> {
    let text = document("scripts/operations/alerts.yml");
    let rule = |text: &str| {
        let mut lines = text.lines();
        let name = lines.next().unwrap().trim().to_owned();
        let field = |line: &str| line.trim().split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        Rule { name, fields: lines.filter_map(field).collect() }
    };
    text.split("- alert: ").skip(1).map(rule).collect()
}

#[test]
fn every_alert_has_its_heading_in_the_runbook_and_every_heading_its_alert() {
    let runbook = document("RUNBOOK.md");
    let alarms = runbook.split("\n## Alarms\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let headings: Vec<&str> = alarms.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let alerts: Vec<String> = rules().into_iter().map(|rule| rule.name).collect();
    assert_eq!(headings, alerts, "in the order of the file");
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len());
    assert!(alerts.len() >= 15, "only {} alerts", alerts.len());
    for heading in headings {
        let text = alarms.split(&format!("### {heading}\n")).nth(1).unwrap().split("\n### ").next().unwrap();
        for part in ["**Means.**", "**Do.**"] {
            assert!(text.contains(part), "{heading} does not say {part}");
        }
    }
}

#[test]
fn every_rule_says_how_urgent_it_is_what_happened_and_where_to_read_on() {
    for rule in rules() {
        assert!(["page", "ticket"].contains(&rule.get("severity")), "{}", rule.name);
        assert!(rule.get("summary").len() > 20, "{}", rule.name);
        assert_eq!(rule.get("runbook"), format!("RUNBOOK.md#{}", rule.name.to_lowercase()));
        assert!(rule.get("for").ends_with(['m', 'h']), "{}", rule.name);
        // What a summary shows of a series, the series has by its expression.
        for label in rule.get("summary").split("$labels.").skip(1).map(|rest| rest.split(' ').next().unwrap()) {
            let expression = rule.get("expr");
            let kept = !expression.contains("by (") || expression.split("by (").nth(1).unwrap().contains(label);
            assert!(kept, "{} sums {label} away", rule.name);
        }
    }
}

/// Holds the documents to one program's metrics, both ways. Gives how many times they name one.
fn check_metrics(prefix: &str, sources: &[&str], others: &[&str]) -> usize {
    let source: String = sources.iter().map(|path| document(path)).collect();
    let runbook = document("RUNBOOK.md");
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut metrics = 0;
    for text in [document("scripts/operations/alerts.yml"), runbook.clone()] {
        for (at, _) in text.match_indices(prefix) {
            let name: String = text[at..].chars().take_while(|c| word(*c)).collect();
            if others.contains(&name.as_str()) {
                continue;
            }
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            assert!(source.contains(&format!("\"{name}\"")), "there is no metric {name}");
            metrics += 1;
        }
    }
    let quoted = format!("\"{prefix}");
    let names = source.split(&quoted).skip(1).map(|rest| rest.split('"').next().unwrap());
    for name in names {
        assert!(runbook.contains(&format!("| `{prefix}{name}` |")), "RUNBOOK.md does not say what {prefix}{name} is");
    }
    metrics
}

#[test]
fn every_metric_of_a_rule_and_of_the_runbook_is_one_of_the_code() {
    // A schema and a role of PostgreSQL begin like metrics.
    let log = check_metrics("countermark_log_", &["src/log/src/metrics.rs"], &["countermark_log_service"]);
    assert!(log > 45, "only {log} were found");
    let witness = check_metrics("countermark_witness_", &["witness/src/metrics.rs"], &[]);
    assert!(witness > 12, "only {witness} were found");
}
