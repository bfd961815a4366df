//! What the documents say about one another, about files, types and constants.

use std::path::Path;

use std::collections::BTreeSet;
use std::fs;

use countermark_tests::root;

use crate::book::{code_spans, document, rows, rust_files};

const DOCUMENTS: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "FORMATS.md",
    "RUNBOOK.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "tests/vectors/external/README.md",
];

/// Whom the trust table must speak of.
const ATTACKERS: [&str; 11] = [
    "the log's web server or CDN",
    "the log's signing keys",
    "the operator's countersigning key",
    "both of the above",
    "a revocation key (of either side)",
    "up to f witnesses (3 of 4 gives f = 1), even together with the log's keys",
    "the relay between client and vault",
    "the issuer of account tokens",
    "a minority of vault members' hosts",
    "a vault member's disk (stolen or rolled back)",
    "the inside of one vault member (broken HSM)",
];

/// The anchor that a repository host makes of a headline.
fn anchor(headline: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headline.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headline = |line: &str| line.starts_with('#').then(|| anchor(line.trim_start_matches('#').trim()));
    text.lines().filter_map(headline).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_headline() {
    for name in DOCUMENTS {
        let text = document(name);
        let folder = root().join(name).parent().unwrap().to_path_buf();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.starts_with("https://") {
                continue;
            }
            let (file, headline) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let linked = if file.is_empty() {
                text.clone()
            } else {
                let path = folder.join(file);
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name} links to {target}: {error}"))
            };
            if let Some(headline) = headline {
                assert!(anchors(&linked).contains(headline), "{name} links to {target}, which has no such headline");
            }
        }
    }
}

#[test]
fn every_file_that_a_document_names_exists() {
    for name in DOCUMENTS {
        for span in code_spans(&document(name)) {
            let first = span.split('/').next().unwrap();
            let ours = ["src", "signer-policy", "witness", "vault", "migrations", "tests", "scripts"].contains(&first);
            let plain = !span.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '*' | '…' | '{'));
            if ours && span.contains('/') && plain {
                assert!(root().join(&span).exists(), "{name} names {span}, which is not there");
            }
        }
    }
}

/// The text of every source file, with texts that go on in the next line joined, as the compiler joins them.
fn sources() -> String {
    let mut files = Vec::new();
    for folder in ["src", "witness/src", "vault/src", "vault/core/src", "vault/raft/src", "migrations/src"] {
        rust_files(&root().join(folder), &mut files);
    }
    let all: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut pieces = all.split("\\\n");
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start())
}

#[test]
fn every_message_of_the_runbook_is_one_of_the_code() {
    let sources = sources();
    let runbook = document("RUNBOOK.md");
    let mut messages = 0;
    for row in rows(&runbook) {
        for message in cell_spans(&row[0]) {
            // What stands for a value is written as an ellipsis.
            for piece in message.split('…').filter(|piece| piece.len() > 7) {
                assert!(sources.contains(piece), "nothing says {piece:?} (in {message:?})");
                messages += 1;
            }
        }
    }
    assert!(messages > 60, "only {messages} messages were found");
}

#[test]
fn every_field_of_the_runbooks_configurations_is_known() {
    let files = ["witness/src/config.rs", "src/log/src/config.rs", "src/log/src/config/namespace.rs"];
    let others = ["src/log/src/config/database.rs", "src/countersigner/src/config.rs", "src/bundle/src/key.rs"];
    let others = others.into_iter().chain(["src/log/src/objects/access.rs", "src/log/src/config/limits.rs"]);
    let others = others.chain(["src/service/src/tls.rs", "witness/src/config/gossip.rs"]);
    let files = files.into_iter().chain(others).chain(["vault/src/config.rs", "vault/src/config/fleet.rs"]);
    let sources: String = files.map(document).collect();
    let runbook = document("RUNBOOK.md");
    let blocks: Vec<&str> = runbook.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 7);
    for block in blocks {
        // A field that is shown as optional is a field, too.
        let active = block.replace("\n# ", "\n");
        let table: toml::Table = active.parse().unwrap();
        let lists = table.values().filter_map(toml::Value::as_array).flatten();
        let nested = table.values().chain(lists).filter_map(toml::Value::as_table);
        for field in table.keys().chain(nested.flat_map(toml::Table::keys)) {
            let forms = [format!(" {field}: "), format!("rename = \"{field}\""), format!("tag = \"{field}\"")];
            let known = forms.iter().any(|form| sources.contains(form));
            assert!(known, "no configuration has the field {field}");
        }
    }
}

/// The code spans of a table cell.
fn cell_spans(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The text of every file that a cell names.
fn files_of(cell: &str) -> String {
    cell_spans(cell)
        .into_iter()
        .filter(|span| Path::new(span).extension() == Some("rs".as_ref()))
        .map(document)
        .collect()
}

#[test]
fn every_type_of_the_flow_stands_in_its_file() {
    let architecture = document("ARCHITECTURE.md");
    let flow = architecture.split("## The flow, as a chain of types").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut types = 0;
    for row in rows(flow).into_iter().skip(1) {
        let source = files_of(&row[2]);
        for name in cell_spans(&row[1]) {
            let defined = [format!("struct {name}"), format!("enum {name}")].iter().any(|item| source.contains(item));
            assert!(defined, "{name} is not defined in {}", row[2]);
            types += 1;
        }
    }
    assert!(types > 35, "only {types} types were found");
}

#[test]
fn every_bound_stands_in_its_file() {
    let architecture = document("ARCHITECTURE.md");
    let limits = architecture.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut bounds = 0;
    for row in rows(limits).into_iter().skip(1) {
        let source = files_of(&row[3]);
        for name in cell_spans(&row[2]) {
            assert!(source.contains(&format!("const {name}: ")), "{name} is not a constant of {}", row[3]);
            bounds += 1;
        }
    }
    assert!(bounds > 110, "only {bounds} bounds were found");
}

#[test]
fn the_trust_table_speaks_of_everybody_and_says_what_holds_today() {
    let readme = document("README.md");
    let table = readme.split("## Who can do how much harm").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = rows(table);
    assert_eq!(rows[0], ["Attacker controls", "The most it can do", "Today"]);
    let found: Vec<&str> = rows[1..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(found, ATTACKERS);
    for row in &rows[1..] {
        let says = ["holds", "later", "not yet"].iter().any(|word| row[2].starts_with(word));
        assert!(says, "{}: {}", row[0], row[2]);
    }
}

#[test]
fn a_quoted_run_of_up_has_every_step() {
    let readme = document("README.md");
    let mut headlines = 0;
    for source in ["src/cli/src/up.rs", "src/cli/src/up/job.rs"] {
        for line in document(source).lines() {
            let Some((_, rest)) = line.split_once("report.headline(\"") else { continue };
            let (headline, _) = rest.split_once('"').unwrap();
            // A step's headline begins with its number; its first words are quoted.
            let words: Vec<&str> = headline.split(' ').take(6).collect();
            assert!(readme.contains(&words.join(" ")), "README.md does not show {headline:?}");
            headlines += 1;
        }
    }
    assert_eq!(headlines, 10);
}
