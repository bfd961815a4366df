//! A stream that tells its connection what arrives and what leaves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Connection;

/// A TCP or TLS stream under HTTP.
pub(super) struct Watched<Stream> {
    stream: Stream,
    connection: Arc<Connection>,
}

impl<Stream> Watched<Stream> {
    pub(super) fn new(stream: Stream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Pending => self.connection.blocks(),
            Poll::Ready(Ok(_)) => self.connection.took(),
            Poll::Ready(Err(_)) => {}
        }
        outcome
    }
}

impl<Stream: AsyncRead + Unpin> AsyncRead for Watched<Stream> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        match (&outcome, buf.filled().get(before..)) {
            (Poll::Pending, _) => self.connection.starves(),
            (Poll::Ready(Ok(())), Some(bytes)) if !bytes.is_empty() => self.connection.arrived(bytes),
            (Poll::Ready(_), _) => {}
        }
        outcome
    }
}

impl<Stream: AsyncWrite + Unpin> AsyncWrite for Watched<Stream> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        match &outcome {
            Poll::Pending => self.connection.blocks(),
            Poll::Ready(Ok(())) => self.connection.flushed(),
            Poll::Ready(Err(_)) => {}
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
