//! How long a caller wants to wait for its answer: `Prefer: wait=<seconds>`. Source: RFC 7240 §4.3.
//!
//! A preference is no demand: one that is not understood is passed over, and the answer says whether it was applied.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header of a request that says how it wants to be answered.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The header of an answer that was made so.
pub(super) const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the caller wants to wait, if it says so in a way that can be read.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let preferences = values.flat_map(|value| value.split(','));
    // SPEC: RFC 7240 §2: names without regard to case, parameters behind semicolons; of two the first counts.
    let mut waits = preferences.filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim())
    });
    let wait = waits.next()?;
    let wait = wait.strip_prefix('"').and_then(|wait| wait.strip_suffix('"')).unwrap_or(wait);
    let digits = !wait.is_empty() && wait.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(wait.parse().unwrap_or(u64::MAX)))
}

/// What an answer says that was made within the time asked for.
pub(super) fn applied(asked: Duration) -> HeaderValue {
    HeaderValue::from_str(&format!("wait={}", asked.as_secs())).expect("digits are plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_wait_is_read_as_the_specification_writes_it() {
        let check = |values: &[&str], expect: Option<u64>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, value.parse().unwrap());
            }
            assert_eq!(asked(&headers), expect.map(Duration::from_secs), "{values:?}");
        };
        check(&[], None);
        check(&["wait=10"], Some(10));
        check(&["Wait = 0"], Some(0));
        check(&["respond-async, wait=10; strict, handling=lenient"], Some(10));
        check(&["respond-async", "wait=\"7\""], Some(7));
        check(&["wait=1, wait=2"], Some(1));
        check(&["wait=99999999999999999999999"], Some(u64::MAX));
        for not_understood in ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=ten", "wait=\"7", "waits=1", "await=1"]
        {
            check(&[not_understood], None);
        }
        // The first that names it counts, even if it cannot be read.
        check(&["wait=x, wait=2"], None);
    }
}
