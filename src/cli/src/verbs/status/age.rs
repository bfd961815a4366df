//! How long ago, for people.

/// A number of seconds in its largest whole unit.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        172_800.. => format!("{} d", seconds / 86_400),
    }
}

/// How much of a limit has passed: eight cells.
pub fn bar(seconds: u64, limit: u64) -> String {
    const CELLS: u64 = 8;
    let filled = if limit == 0 { CELLS } else { seconds.saturating_mul(CELLS).div_ceil(limit).min(CELLS) };
    (0..CELLS).map(|cell| if cell < filled { '▓' } else { '░' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_its_largest_whole_unit() {
        for (seconds, said) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (86_400, "24 h"), (172_800, "2 d")]
        {
            assert_eq!(age(seconds), said);
        }
    }

    #[test]
    fn a_bar_is_empty_at_the_beginning_and_full_at_the_limit() {
        for (seconds, limit, shown) in [
            (0, 86_400, "░░░░░░░░"),
            (1, 86_400, "▓░░░░░░░"),
            (43_200, 86_400, "▓▓▓▓░░░░"),
            (86_400, 86_400, "▓▓▓▓▓▓▓▓"),
            (u64::MAX, 1, "▓▓▓▓▓▓▓▓"),
            (0, 0, "▓▓▓▓▓▓▓▓"),
        ] {
            assert_eq!(bar(seconds, limit), shown, "{seconds} of {limit}");
        }
    }
}
