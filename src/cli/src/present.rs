//! What a person sees: marks, tables, colours where the stream is a terminal, plain text where it is piped.

use anstyle::{AnsiColor, Style};
use comfy_table::presets;
use comfy_table::{Cell, ContentArrangement, Table};

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// A green check mark and a line.
pub fn done(line: &str) {
    anstream::println!("{GREEN}✓{GREEN:#} {line}");
}

/// A red cross and a line, on standard output: part of a report.
pub fn failed(line: &str) {
    anstream::println!("{RED}✗{RED:#} {line}");
}

/// A yellow sign and a line.
pub fn note(line: &str) {
    anstream::println!("{YELLOW}!{YELLOW:#} {line}");
}

/// A headline.
pub fn headline(line: &str) {
    anstream::println!("\n{BOLD}{line}{BOLD:#}");
}

/// A line that stands back.
pub fn aside(line: &str) {
    anstream::println!("{DIM}{line}{DIM:#}");
}

/// A step that was done: how long it took, what, who.
pub fn step(what: &str, who: &str, elapsed: std::time::Duration) {
    let elapsed = elapsed.as_millis();
    anstream::println!("{GREEN}✓{GREEN:#} {DIM}{elapsed:>6} ms{DIM:#}  {what:<52} {DIM}{who}{DIM:#}");
}

/// What went wrong, on standard error.
pub fn failure(error: &anyhow::Error, code: u8) {
    anstream::eprintln!("{RED}countermark: {error}{RED:#}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // Wrappers repeat what they wrap; once is enough.
        if !last.contains(&text) {
            anstream::eprintln!("  because {text}");
        }
        last = text;
    }
    anstream::eprintln!("{DIM}exit code {code}{DIM:#}");
}

/// What went wrong and why, in one line.
pub fn in_one_line(error: &anyhow::Error) -> String {
    countermark_service::lifecycle::with_causes(error.as_ref())
}

/// A word that is well.
pub fn good(text: &str) -> String {
    format!("{GREEN}{text}{GREEN:#}")
}

/// A word that is not well.
pub fn bad(text: &str) -> String {
    format!("{RED}{text}{RED:#}")
}

/// A line that says what went wrong, above what is shown nevertheless.
pub fn alarm(text: &str) -> String {
    format!("{RED}✗ {text}{RED:#}")
}

/// A headline within a page.
pub fn bold(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

/// A line of a page that stands back.
pub fn dim(text: &str) -> String {
    format!("{DIM}{text}{DIM:#}")
}

/// Two columns: names and values.
pub fn facts(rows: &[(&str, String)]) {
    anstream::println!("{}", facts_table(rows));
}

/// The same as a text.
pub fn facts_table(rows: &[(&str, String)]) -> String {
    let mut table = plain_table();
    for (name, value) in rows {
        table.add_row(vec![(*name).to_string(), value.clone()]);
    }
    table.to_string()
}

/// A table with a header whose cells have colours of their own, for whoever prints it to take out.
pub fn coloured_table(header: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let mut table = plain_table();
    table.enforce_styling();
    if !header.is_empty() {
        table.set_header(header.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// A table with a header.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut table = plain_table();
    table.set_header(header.iter().map(ToString::to_string).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.clone());
    }
    anstream::println!("{table}");
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// One JSON document on standard output.
pub fn json(value: &serde_json::Value) {
    anstream::println!("{}", serde_json::to_string_pretty(value).expect("a JSON value serialises"));
}

/// The first twelve digits of a hex digest, for people.
pub fn short(hex: &str) -> String {
    hex.chars().take(12).collect()
}
