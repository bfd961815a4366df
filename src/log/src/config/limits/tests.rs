use super::*;

fn read(text: &str) -> Result<Limits, String> {
    let text: LimitsText = toml::from_str(text).map_err(|error| error.to_string())?;
    text.read().map_err(|error| error.to_string())
}

fn rate(count: u32, per: Duration, burst: u32) -> Option<Rate> {
    Rate::new(NonZeroU32::new(count).unwrap(), per, NonZeroU32::new(burst).unwrap())
}

#[test]
fn the_defaults_are_what_the_documents_say() {
    let (minute, second) = (Duration::from_mins(1), Duration::from_secs(1));
    let expect = Limits {
        fleet_keys: Allowance {
            submissions: rate(6_000, minute, 1_000),
            bytes: rate((8 << 20) / 64, second, (16 << 20) / 64),
            under_way: NonZeroUsize::new(128),
        },
        raw: Allowance {
            submissions: rate(3_000_000, minute, 100_000),
            bytes: rate((64 << 20) / 64, second, (128 << 20) / 64),
            under_way: NonZeroUsize::new(4_096),
        },
    };
    assert_eq!(read("").unwrap(), expect);
    assert_eq!(Limits::default(), expect);
}

#[test]
fn what_is_said_replaces_the_default_and_zero_is_no_limit() {
    let limits = read(
        "[fleet-keys]\nsubmissions_per_minute = 6\n\n[raw]\nsubmissions_per_minute = 0\nbytes_per_second = 0\nunder_way = 0\n",
    )
    .unwrap();
    assert_eq!(limits.raw, Allowance::NONE);
    // A slow submitter sends a minute's worth at once.
    assert_eq!(limits.fleet_keys.submissions, rate(6, Duration::from_mins(1), 6));
    assert_eq!(limits.fleet_keys.bytes, Limits::default().fleet_keys.bytes);
    let said =
        read("[raw]\nsubmissions_burst = 5\nbytes_per_second = 640\nbytes_burst = 262144\nunder_way = 1").unwrap();
    assert_eq!(said.raw.submissions, rate(3_000_000, Duration::from_mins(1), 5));
    assert_eq!(said.raw.bytes, rate(10, Duration::from_secs(1), 4_096));
    assert_eq!(said.raw.under_way, NonZeroUsize::new(1));
    // Two seconds' worth of so little would leave no room for the largest body.
    let little = read("[raw]\nbytes_per_second = 640").unwrap();
    assert_eq!(little.raw.bytes, rate(10, Duration::from_secs(1), BYTES_BURST_MIN / 64));
}

#[test]
fn limits_that_cannot_be_kept_are_refused_by_name() {
    let check = |text: &str, parts: &[&str]| {
        let refused = read(text).unwrap_err();
        assert!(parts.iter().all(|part| refused.contains(part)), "{text}: {refused}");
    };
    check("[raw]\nsubmissions_per_minute = 60000001", &["limits.raw.submissions_per_minute", "60000000"]);
    check("[raw]\nsubmissions_burst = 0", &["limits.raw.submissions_burst", "1 to"]);
    check("[raw]\nbytes_per_second = 63", &["limits.raw.bytes_per_second", "64"]);
    check("[raw]\nbytes_per_second = 2147483649", &["limits.raw.bytes_per_second", "2147483648"]);
    check("[fleet-keys]\nbytes_burst = 262143", &["limits.fleet-keys.bytes_burst", "262144"]);
    check("[fleet-keys]\nbytes_burst = 0", &["limits.fleet-keys.bytes_burst"]);
    check("[raw]\nsubmissions_per_minute = 0\nsubmissions_burst = 7", &["submissions_burst", "rate is 0"]);
    check("[raw]\nbytes_per_second = 0\nbytes_burst = 262144", &["bytes_burst", "rate is 0"]);
    check("[raw]\nper_second = 1", &["per_second"]);
    check("[tape]\nunder_way = 1", &["tape"]);
    check("[raw]\nunder_way = -1", &["under_way"]);
}
