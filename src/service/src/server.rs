//! One HTTP server for every service: HTTP/1.1 and HTTP/2, in the clear or by TLS, with a bound on everything that a caller
//! can make it hold.
//!
//! It knows nothing of what is served. What a request may cost once it has arrived is for the handlers to bound: the size of
//! its body, and the time until its answer. They are called when the body is there, so that a place which a handler counts is
//! never held by somebody who only sends slowly ([`upload`]).
//!
//! Invariant: who asks is served before who only holds on. When all connections are taken, a new one gets the place of the
//! one that has asked nothing for longest, never that of a request under way ([`connections`]).

mod answer;
mod connections;
pub mod limits;
mod upload;
mod watched;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tower::ServiceExt as _;

use crate::tls::Tls;
use answer::Answer;
use connections::{Connection, Connections, Open};
use limits::Limits;
use watched::Watched;

/// How long requests may go on after a service was told to end.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// The most headers of an HTTP/1 request.
const HEADERS_MAX: usize = 64;
/// The most bytes of an HTTP/1 request's head, and of what is read or written at once: 16 KiB.
const BUFFER_BYTES_MAX: usize = 16 << 10;
/// The most bytes of an HTTP/2 request's head: 16 KiB.
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
/// The most requests of one HTTP/2 connection at a time.
const STREAMS_MAX: u32 = 128;
/// What an HTTP/2 client may send before it is read, for one request and for all of a connection: 64 KiB.
const WINDOW_BYTES: u32 = 64 << 10;
/// HTTP/2 requests that were taken back before a handler saw them, after which the connection ends.
const RESETS_MAX: usize = 32;
/// How often an HTTP/2 client is asked whether it is there, and how long it has to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a connection without a request has to end by itself when the server ends.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// The pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server. It ends when this is dropped, and by [`Self::finish`] in order.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers what comes in, by TLS if there is a key for it.
    ///
    /// A handler learns the caller's address as [`ConnectInfo`] of a [`SocketAddr`].
    #[must_use]
    pub fn begin(listener: TcpListener, tls: Option<Tls>, router: Router, limits: Limits) -> Self {
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new(limits);
        let shared = Arc::new(Shared { tls, router, http: http(), stopped: stopped.clone() });
        let task = tokio::spawn(run(listener, shared, connections, limits, stopped));
        Self { stop, task }
    }

    /// Takes no new connection, closes those without a request, and gives requests under way at most so long.
    ///
    /// A request that is cut off then is a crash at the step it had reached, which every service must be able to bear.
    pub async fn finish(mut self, at_most: Duration) {
        self.stop.send_replace(true);
        if timeout(at_most, &mut self.task).await.is_err() {
            tracing::warn!("requests under way were cut off");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until `shutdown` completes; requests that run then have [`SHUTDOWN_GRACE`] to end.
pub async fn serve_until(listener: TcpListener, tls: Option<Tls>, router: Router, shutdown: impl Future<Output = ()>) {
    let server = Server::begin(listener, tls, router, Limits::of_process());
    shutdown.await;
    server.finish(SHUTDOWN_GRACE).await;
}

/// What every connection needs.
struct Shared {
    tls: Option<Tls>,
    router: Router,
    http: Builder<TokioExecutor>,
    stopped: watch::Receiver<bool>,
}

/// Both versions of HTTP with their bounds. Times are bounded by [`Connections`], which sees both versions and TLS.
fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().max_headers(HEADERS_MAX).max_buf_size(BUFFER_BYTES_MAX).header_read_timeout(None);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(limits::PIECE_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX);
    http
}

/// The owner of the listener and of every connection.
async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let watching = shared.tls.as_ref().map(Tls::watch);
    let mut sweep = interval(limits.sweep_every);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    {
        // Made once: what it has taken must not be lost to a sweep.
        let mut taking = pin!(take(&listener, &connections));
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break,
                _ = sweep.tick() => connections.sweep(Instant::now()),
                Some(ended) = tasks.join_next() => report(ended),
                (stream, peer) = &mut taking => {
                    let open = connections.open(shared.tls.is_some());
                    tasks.spawn(connection(stream, peer, open, Arc::clone(&shared)));
                    taking.set(take(&listener, &connections));
                }
            }
        }
    }
    drop(listener);
    drop(watching);
    let told = Instant::now();
    let mut look = interval(LAST_WORDS);
    while connections.count() > 0 {
        tokio::select! {
            _ = look.tick() => if told.elapsed() >= LAST_WORDS {
                connections.close_waiting(Instant::now());
            },
            Some(ended) = tasks.join_next() => report(ended),
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// Takes one connection, and waits until there is room for it.
async fn take(listener: &TcpListener, connections: &Connections) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(taken) => {
                connections.make_room().await;
                return taken;
            }
            Err(error) if is_the_callers(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                connections.close_one();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the caller is gone already.
fn is_the_callers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// One connection from its first byte to its last.
async fn connection(stream: TcpStream, peer: SocketAddr, open: Open, shared: Arc<Shared>) {
    let connection = Arc::clone(&open.0);
    let serving = async {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "no TCP_NODELAY");
        }
        let Some(tls) = &shared.tls else {
            return speak(Watched::new(stream, Arc::clone(&connection)), peer, &connection, &shared).await;
        };
        match tls.accept(stream).await {
            Ok(stream) => {
                connection.shook_hands();
                speak(Watched::new(stream, Arc::clone(&connection)), peer, &connection, &shared).await;
            }
            Err(error) => tracing::debug!(%peer, %error, "no TLS handshake"),
        }
    };
    tokio::select! {
        () = serving => {}
        () = connection.told_to_close() => tracing::debug!(%peer, "closed: it waited too long, or its place was needed"),
    }
    // After the stream: who waits for room waits for its file too.
    drop(open);
}

/// HTTP on one stream.
async fn speak<Stream>(stream: Stream, peer: SocketAddr, connection: &Arc<Connection>, shared: &Shared)
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| answer(request, peer, connection, &shared.router));
    let mut stopped = shared.stopped.clone();
    let mut speaking = pin!(shared.http.serve_connection(TokioIo::new(stream), service));
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped), if !is_told => {
                is_told = true;
                speaking.as_mut().graceful_shutdown();
            }
            ended = speaking.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, error, "a connection broke");
                }
                return;
            }
        }
    }
}

/// One request.
fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    connection: &Arc<Connection>,
    router: &Router,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send + 'static {
    let under_way = connection.begin(request.version() == Version::HTTP_2);
    let router = router.clone();
    async move {
        let Some(under_way) = under_way else { return Ok(Answer::none(StatusCode::SERVICE_UNAVAILABLE)) };
        let (parts, body) = request.into_parts();
        let body = match upload::arrived(&under_way, body).await {
            Ok(body) => body,
            Err(status) => return Ok(Answer::none(status)),
        };
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
        Ok(Answer::to(under_way, response))
    }
}

#[cfg(test)]
mod tests;
