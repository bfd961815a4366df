//! The body of a request, which arrives before a handler is called.
//!
//! Handlers count the requests that they have under way. If they were called with the head alone, a few hundred callers that
//! send a byte in a second could take every place, without as much as a token. So the body arrives here, with bounds of its
//! own: on its time, on its bytes, and on how many arrive at once. Beyond the last, the one that has taken longest gives way.
//!
//! A body that is larger than what arrives first is refused by every handler that has a limit, in its own words: it gets
//! what is there, and may read on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::connections::UnderWay;
use super::limits::UPLOAD_BYTES_MAX;

/// A body of which the beginning is there.
struct Arrived {
    pieces: VecDeque<Bytes>,
    rest: Rest,
}

enum Rest {
    /// That was all of it.
    Nothing,
    /// It broke off. `None` when that was said.
    Broken(Option<hyper::Error>),
    /// More than [`UPLOAD_BYTES_MAX`].
    More(Incoming),
}

/// Waits for the body of a request. An error is the status of the answer: it was too slow, or its place was needed.
pub(super) async fn arrived(under_way: &UnderWay, body: Incoming) -> Result<Body, StatusCode> {
    // Most requests have none.
    if body.is_end_stream() {
        return Ok(Body::empty());
    }
    let upload = under_way.uploads();
    tokio::select! {
        arrived = timeout(upload.time_max(), collect(body)) => match arrived {
            Ok(arrived) => Ok(Body::new(arrived)),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        },
        () = upload.gives_way() => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn collect(mut body: Incoming) -> Arrived {
    let (mut pieces, mut bytes) = (VecDeque::new(), 0_usize);
    let rest = loop {
        if bytes > UPLOAD_BYTES_MAX {
            break Rest::More(body);
        }
        match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => break Rest::Nothing,
            Some(Err(error)) => break Rest::Broken(Some(error)),
            Some(Ok(frame)) => {
                // No handler reads trailers.
                if let Ok(piece) = frame.into_data() {
                    bytes = bytes.saturating_add(piece.len());
                    pieces.push_back(piece);
                }
            }
        }
    };
    Arrived { pieces, rest }
}

impl hyper::body::Body for Arrived {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut self.rest {
            Rest::Nothing => Poll::Ready(None),
            Rest::Broken(error) => Poll::Ready(error.take().map(Err)),
            Rest::More(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && matches!(self.rest, Rest::Nothing | Rest::Broken(None))
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.pieces.iter().map(|piece| u64::try_from(piece.len()).unwrap_or(u64::MAX)).sum();
        match &self.rest {
            Rest::Nothing => SizeHint::with_exact(bytes),
            Rest::Broken(_) => SizeHint::new(),
            Rest::More(body) => {
                let mut size = SizeHint::new();
                size.set_lower(body.size_hint().lower().saturating_add(bytes));
                size
            }
        }
    }
}
