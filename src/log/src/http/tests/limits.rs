//! What each submitter may send: rates, bytes, and how much at a time; and that nobody without a token counts.

use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, header};
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::advance;

use super::Bench;
use crate::limits::{Allowance, Limits, Rate};
use crate::testing::world::name;

const ADD: &str = "/v1/backup/add";

/// So many at once, and one more in ten seconds.
fn rate(burst: u32) -> Option<Rate> {
    Rate::new(NonZeroU32::MIN, Duration::from_secs(10), NonZeroU32::new(burst).unwrap())
}

async fn limited(allowance: Allowance) -> Bench {
    Bench::raw_in_memory().await.limited(Limits { fleet_keys: allowance, raw: allowance }).await
}

/// A body of which only the length is known: reading it is a failure of the test.
struct NeverRead(u64);

impl HttpBody for NeverRead {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        panic!("the body was read")
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// A body whose length is not said.
struct Piecewise(Vec<Bytes>);

impl HttpBody for Piecewise {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(piece))))
    }
}

/// A body that never comes, and says so when it is waited for.
struct Awaited(Arc<Notify>);

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.notify_one();
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_too_often_is_told_when_to_come_back_and_nobody_else_is() {
    let bench = limited(Allowance { submissions: rate(2), ..Allowance::NONE }).await;
    for entry in ["one", "two"] {
        assert_eq!(bench.submit(ADD, entry).await.status, 200);
    }
    advance(Duration::from_millis(2_500)).await;
    let refused = bench.submit(ADD, "three").await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    // 7.5 seconds, rounded up: who obeys does not come too early.
    assert_eq!((refused.header("retry-after"), &refused.problem_document()["limit"]), ("8", &"submissions".into()));
    assert_eq!(bench.handle.committed().0.get(), 2, "the log has heard nothing of it");
    let other = bench.bearer_with(|claims| claims.subject = name("another"));
    assert_eq!(bench.post(ADD, &[&other], "four").await.status, 200);
    advance(Duration::from_secs(8)).await;
    assert_eq!(bench.submit(ADD, "three").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_length_that_is_said_is_refused_before_a_byte_is_read() {
    let bench = limited(Allowance { bytes: rate(10), ..Allowance::NONE }).await;
    let refused = bench.submit(ADD, Body::new(NeverRead(11 * 64))).await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!(refused.problem_document()["limit"], "bytes");
    let too_large = bench.submit(ADD, Body::new(NeverRead(65_536))).await;
    assert_eq!((too_large.status, too_large.problem().as_str()), (413, "body-too-large"));
    // Neither was charged.
    assert_eq!(bench.submit(ADD, vec![7; 10 * 64]).await.status, 200);
    let refused = bench.submit(ADD, "x").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
}

#[tokio::test(start_paused = true)]
async fn a_length_that_is_not_said_is_charged_before_the_log_hears_of_it() {
    let bench = limited(Allowance { bytes: rate(10), ..Allowance::NONE }).await;
    let body = |pieces: usize| Body::new(Piecewise(vec![Bytes::from_static(&[7; 64]); pieces]));
    let refused = bench.submit(ADD, body(11)).await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!(bench.handle.committed().0.get(), 0);
    assert_eq!(bench.submit(ADD, body(10)).await.status, 200);
    assert_eq!(bench.submit(ADD, body(1)).await.status, 429);
    let endless = bench.submit(ADD, body(2_000)).await;
    assert_eq!(endless.problem(), "body-too-large");
}

#[tokio::test(start_paused = true)]
async fn who_has_too_much_under_way_waits_for_an_answer_first() {
    let max = NonZeroUsize::new(1);
    let bench = Arc::new(limited(Allowance { under_way: max, ..Allowance::NONE }).await);
    let awaited = Arc::new(Notify::new());
    let slow = tokio::spawn({
        let (bench, body) = (bench.clone(), Body::new(Awaited(awaited.clone())));
        async move { bench.submit(ADD, body).await }
    });
    // The first has its place when it waits for its body.
    awaited.notified().await;
    let refused = bench.submit(ADD, "x").await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!((refused.header("retry-after"), &refused.problem_document()["limit"]), ("1", &"under-way".into()));
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert_eq!(bench.submit(ADD, "y").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_token_is_not_counted_and_its_body_is_not_read() {
    let bench = limited(Allowance { submissions: rate(1), bytes: rate(10), under_way: NonZeroUsize::new(1) }).await;
    let good = bench.bearer();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let reader = bench.bearer_with(|claims| claims.scopes.retain(|scope| scope.as_str() == "statements"));
    for _ in 0..20 {
        for (authorization, expect) in [
            (None, "token-missing"),
            (Some("Bearer abc"), "token-malformed"),
            (Some(signed), "token-malformed"),
            (Some(reader.as_str()), "missing-scope"),
        ] {
            let mut request = Request::post(ADD);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let answer = bench.send(request.body(Body::new(NeverRead(64))).unwrap()).await;
            assert_eq!(answer.problem(), expect);
        }
    }
    assert_eq!(bench.post(ADD, &[&good], "x").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_another_reason_counts_too() {
    let bench = limited(Allowance { submissions: rate(2), ..Allowance::NONE }).await;
    assert_eq!(bench.submit(ADD, "").await.problem(), "entry-length");
    assert_eq!(bench.submit("/v1/backup/entries", "{}").await.problem(), "other-kind");
    assert_eq!(bench.submit(ADD, "x").await.problem(), "rate-limited");
}
