//! The documents as text, and the examples in FORMATS.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use countermark_tests::root;

/// A document in the root of the repository.
pub fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A block that is tagged with `example=`.
pub struct Example {
    /// What stands between the fences, with its last newline.
    pub text: String,
    /// The file that it quotes, if it does.
    pub file: Option<String>,
}

/// Every example of FORMATS.md, by name.
pub fn examples() -> BTreeMap<String, Example> {
    let text = document("FORMATS.md");
    let mut found = BTreeMap::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let Some(tags) = line.strip_prefix("```") else { continue };
        let content: String = lines.by_ref().take_while(|line| line.trim_end() != "```").collect();
        let tag = |key: &str| tags.split_whitespace().find_map(|tag| tag.strip_prefix(key)).map(str::to_owned);
        let Some(name) = tag("example=") else { continue };
        let example = Example { text: content, file: tag("file=") };
        assert!(found.insert(name.clone(), example).is_none(), "two examples are called {name}");
    }
    found
}

/// Every Rust file below a folder.
pub fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every table row of a document: its cells, trimmed. Rows of dashes are left out.
pub fn rows(document: &str) -> Vec<Vec<String>> {
    let row = |line: &str| {
        let cells = line.strip_prefix('|')?.strip_suffix('|')?;
        // An escaped bar is part of a cell.
        let cells = cells.replace("\\|", "\u{1}");
        Some(cells.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect::<Vec<_>>())
    };
    document.lines().filter_map(row).filter(|cells| !cells.iter().all(|cell| cell.starts_with("---"))).collect()
}

/// What stands between backticks, outside of fenced blocks.
pub fn code_spans(document: &str) -> Vec<String> {
    let mut fenced = false;
    let mut prose = String::new();
    for line in document.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    // Every second piece is between two backticks; a span may go on in the next line.
    prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}
