//! The ready line of a service, its log, and what ends it.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{Level, Metadata};
pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

/// The variable that says [`LogFormat`], the same for every service.
pub const FORMAT_VARIABLE: &str = "COUNTERMARK_LOG_FORMAT";

/// How a service writes its records on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object on each line.
    Json,
}

/// Sends the records of a service to standard error, at `RUST_LOG` or else at a level; coloured only on a terminal.
///
/// Libraries are heard down to INFO, whatever `RUST_LOG` says: see [`is_ours_or_terse`].
pub fn start_tracing(level: LevelFilter, format: LogFormat) {
    let mut filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    // What a library says at every message is for who looks for it by name.
    if !filter.to_string().contains("openraft")
        && let Ok(quiet) = "openraft=warn".parse()
    {
        filter = filter.add_directive(quiet);
    }
    let layer = fmt::layer().with_writer(io::stderr);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().boxed(),
    };
    registry().with(layer.with_filter(filter.and(filter_fn(is_ours_or_terse)))).init();
}

/// What libraries say below INFO is what they handle: headers with tokens, frames, statements. None of it is ever written, so
/// that nobody who looks for a fault with `RUST_LOG=trace` leaves secrets in a log.
fn is_ours_or_terse(of: &Metadata<'_>) -> bool {
    *of.level() <= Level::INFO || of.target().split("::").next().is_some_and(|name| name.starts_with("countermark"))
}

/// An error and its causes in one line, outermost first, each once.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = inner.source();
    }
    line
}

/// Prints the one line that a parent process waits for.
pub fn announce(address: SocketAddr) {
    let line = format!(r#"{{"ready":true,"address":"{address}"}}"#);
    if let Err(error) = print_line(&line) {
        // Nobody listens; the service is none the worse.
        tracing::warn!(%error, "the ready line was not read");
    }
}

/// Prints one line on standard output, at once.
pub fn print_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush())
}

/// Completes at SIGTERM, at Ctrl-C, and at the end of standard input where that was asked for.
///
/// The signals are caught from this call on, not from the first poll.
pub fn end(exit_with_stdin: bool) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stdin = exit_with_stdin.then(watch_stdin).transpose()?;
    Ok(async move {
        let stdin_ended = async {
            match stdin {
                Some(ended) => {
                    // An error means that the watcher is gone, which it is only at the end.
                    let _ = ended.await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => tracing::info!("ends: SIGTERM"),
            _ = interrupt.recv() => tracing::info!("ends: Ctrl-C"),
            () = stdin_ended => tracing::info!("ends: standard input has ended"),
        }
    })
}

/// Reads standard input to its end on a thread of its own.
///
/// A plain thread: a runtime waits for its blocking tasks when it ends, and this one may never return.
fn watch_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new().name("stdin-watch".to_owned()).spawn(move || {
        // An unreadable standard input has ended too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // The receiver is gone when the service ended first.
        let _ = ended.send(());
    })?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written of records of ours and of a library's, at every level.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_library_is_never_heard_below_info() {
        let written = Written::default();
        let writer = written.clone();
        let filter = EnvFilter::new("trace,hyper=trace,h2=trace").and(filter_fn(is_ours_or_terse));
        let layer = fmt::layer().with_ansi(false).with_writer(move || writer.clone()).with_filter(filter);
        tracing::subscriber::with_default(registry().with(layer), || {
            tracing::trace!(target: "hyper::proto", "planted-1");
            tracing::debug!(target: "h2::codec", "planted-2");
            tracing::debug!(target: "sqlx::query", "planted-3");
            let _inside = tracing::trace_span!(target: "h2", "connection", secret = "planted-4").entered();
            tracing::info!(target: "sqlx::query", "library-info");
            tracing::trace!(target: "countermark_log::http", "ours-trace");
        });
        let text =
            String::from_utf8_lossy(&written.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)).into_owned();
        assert!(text.contains("library-info") && text.contains("ours-trace"), "{text}");
        assert!(!text.contains("planted"), "{text}");
    }
}
