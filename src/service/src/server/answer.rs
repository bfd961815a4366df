//! The body of an answer, given away piece by piece.
//!
//! A body that is one block of memory would be handed to the connection at once, and then nobody could see whether its
//! reader takes it. In pieces it stays here until the reader has room for the next one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body as _, Frame, SizeHint};

use super::connections::UnderWay;
use super::limits::PIECE_BYTES_MAX;

/// A body that ends its request when it is dropped.
pub(super) struct Answer {
    body: Body,
    /// What is left of the block that came last.
    rest: Bytes,
    under_way: Option<UnderWay>,
}

impl Answer {
    /// Counts the body of an answer, or refuses it when too much is unsent.
    pub(super) fn to(mut under_way: UnderWay, answer: Response<Body>) -> Response<Self> {
        let bytes = usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX);
        if under_way.answers(bytes) {
            return answer.map(|body| Self { body, rest: Bytes::new(), under_way: Some(under_way) });
        }
        Self::none(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The answer to a request that no handler answers.
    pub(super) fn none(status: StatusCode) -> Response<Self> {
        let body = Self { body: Body::empty(), rest: Bytes::new(), under_way: None };
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(under_way) = &mut self.under_way {
            under_way.goes_on();
        }
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(block) => self.rest = block,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end @ (Some(Err(_)) | None) => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(PIECE_BYTES_MAX);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (u64::try_from(self.rest.len()).unwrap_or(u64::MAX), self.body.size_hint());
        let mut size = SizeHint::new();
        size.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            size.set_upper(upper.saturating_add(rest));
        }
        size
    }
}
