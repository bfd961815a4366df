//! Percentiles, ratios, and the tables that show them.

use std::time::Duration;

/// Times, sorted.
pub struct Sample(Vec<Duration>);

impl Sample {
    /// Takes at least one time.
    pub fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        Self(sorted)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// The least time that so many of a hundred do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.len() * percent).div_ceil(100);
        self.0[rank.max(1) - 1]
    }

    /// How many times the other's median this one's is.
    fn ratio(&self, other: &Self) -> String {
        let ratio = self.percentile(50).as_secs_f64() / other.percentile(50).as_secs_f64();
        if ratio < 9.95 { format!("{ratio:.2}") } else { format!("{ratio:.1}") }
    }
}

/// A line of a table.
pub struct Row {
    what: String,
    sample: Sample,
    over_signatures: String,
}

impl Row {
    /// A line without signatures to compare it with.
    pub fn alone(what: &str, sample: Sample) -> Self {
        Self { what: what.to_string(), sample, over_signatures: String::new() }
    }

    /// A line of something that needs these signatures.
    pub fn over(what: &str, sample: Sample, signatures: &Sample) -> Self {
        let over_signatures = sample.ratio(signatures);
        Self { what: what.to_string(), sample, over_signatures }
    }
}

/// Prints rows, with the ratios of their medians to that of the bare write and of the bare commit.
pub fn table(title: &str, rows: &[Row], write: &Sample, commit: &Sample) {
    println!("\n{title}");
    let header = ["n", "p50", "p99", "/ write", "/ SQLite", "/ signatures"];
    print_row("", header.map(ToString::to_string));
    for Row { what, sample, over_signatures } in rows {
        let cells = [
            sample.len().to_string(),
            milliseconds(sample.percentile(50)),
            milliseconds(sample.percentile(99)),
            sample.ratio(write),
            sample.ratio(commit),
            over_signatures.clone(),
        ];
        print_row(what, cells);
    }
}

fn print_row(what: &str, [count, p50, p99, write, commit, signatures]: [String; 6]) {
    let line = format!("  {what:<36} {count:>5} {p50:>11} {p99:>11} {write:>9} {commit:>9} {signatures:>13}");
    println!("{}", line.trim_end());
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}
