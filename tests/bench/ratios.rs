//! The table of what criterion measured: in each group the median of `ours`, that of `bare`, and their ratio.
//!
//! Measures nothing. Reads the folder that CRITERION_HOME names, or criterion's own below the build folder.
#![expect(clippy::unwrap_used, reason = "a table that cannot be made is not printed")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn main() {
    let home = std::env::var_os("CRITERION_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion"));
    let groups = fs::read_dir(&home).unwrap_or_else(|error| panic!("{}: {error}", home.display()));
    let mut rows: Vec<_> = groups.map(|group| group.unwrap().path()).filter_map(|group| row(&group)).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    println!("{:<58} {:>12} {:>12} {:>7}", "", "ours", "bare", "ratio");
    for (subject, ours, bare) in rows {
        println!("{subject:<58} {:>12} {:>12} {:>7.2}", microseconds(ours), microseconds(bare), ours / bare);
    }
}

/// A group's name and its two medians in nanoseconds; `None` for a folder that is no group of ours.
fn row(group: &Path) -> Option<(String, f64, f64)> {
    let read = |function: &str, file: &str| {
        let bytes = fs::read(group.join(function).join("new").join(file)).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let median = |function| read(function, "estimates.json")?["median"]["point_estimate"].as_f64();
    let subject = read("ours", "benchmark.json")?["group_id"].as_str()?.to_string();
    Some((subject, median("ours")?, median("bare")?))
}

fn microseconds(nanoseconds: f64) -> String {
    format!("{:.2} µs", nanoseconds / 1000.0)
}
