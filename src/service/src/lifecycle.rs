//! The ready line of a service, its log, and what ends it.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;
pub use tracing_subscriber::filter::LevelFilter;

/// Sends the log of a service to standard error, at `RUST_LOG` or else at a level; coloured only on a terminal.
pub fn start_tracing(level: LevelFilter) {
    let mut filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    // What a library says at every message is for who looks for it by name.
    if !filter.to_string().contains("openraft")
        && let Ok(quiet) = "openraft=warn".parse()
    {
        filter = filter.add_directive(quiet);
    }
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr).init();
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
