//! `countermark status`: an authority, or one log of it, at a glance; with `--watch` live.
//!
//! It shows what a server says of itself, and says so: nothing here is verified.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use countermark_bundle::{ExitClass, Namespace};
use countermark_service::lifecycle;
use serde_json::{Value, json};

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

mod age;
mod authority;
mod detail;
mod screen;

use authority::{Authority, NamespaceStatus};
use screen::Screen;

/// How long a server may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The log's address
    #[arg(long, value_name = "URL")]
    log: String,
    /// Only this namespace, in detail; the whole authority if not said
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Look again every so many seconds: redrawn on a terminal, a line for each namespace or, with --json, a document on a
    /// line where it is piped
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
}

/// What a log says of itself. Nothing in it is verified.
pub async fn fetch(log: &str, namespace: &str) -> anyhow::Result<Value> {
    Source::new(log, Some(namespace))?.fetch().await
}

/// Does what the verb says.
pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<()> {
    let source = Source::new(&arguments.log, arguments.namespace.as_deref())?;
    if let Some(seconds) = arguments.watch {
        return watch(&source, Duration::from_secs(seconds), json).await;
    }
    let document = source.fetch().await?;
    if json {
        present::json(&document);
    } else {
        anstream::print!("{}", source.page(&document)?);
    }
    Ok(())
}

/// Whom is asked, and for what.
struct Source {
    url: String,
    whole: bool,
    client: reqwest::Client,
}

impl Source {
    fn new(log: &str, namespace: Option<&str>) -> anyhow::Result<Self> {
        super::services::install_tls()?;
        let log = log.trim_end_matches('/');
        let url = match namespace {
            None => format!("{log}/v1/status"),
            Some(name) => format!("{log}/v1/{}/status", Namespace::parse(name).class(ExitClass::Usage)?),
        };
        let client = reqwest::Client::builder().timeout(DEADLINE).build()?;
        Ok(Self { url, whole: namespace.is_none(), client })
    }

    async fn fetch(&self) -> anyhow::Result<Value> {
        let response = self.client.get(&self.url).send().await.class(ExitClass::Unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::new(ExitClass::Unreachable, format!("{} answers {status}", self.url)).into());
        }
        response.json().await.class(ExitClass::Malformed)
    }

    /// For a person, with colours.
    fn page(&self, document: &Value) -> anyhow::Result<String> {
        if self.whole {
            return Ok(Authority::read(document).class(ExitClass::Malformed)?.page());
        }
        detail::page(document)
    }

    /// A line for each namespace.
    fn lines(&self, document: &Value) -> anyhow::Result<Vec<String>> {
        let namespaces = if self.whole {
            Authority::read(document).class(ExitClass::Malformed)?.namespaces
        } else {
            vec![NamespaceStatus::read(document).class(ExitClass::Malformed)?]
        };
        let now = documents::now()?;
        Ok(namespaces.iter().map(|namespace| format!("{now} {}", namespace.line())).collect())
    }
}

/// Shows what the server says again and again, until interrupted. A server that cannot be reached is shown as such.
async fn watch(source: &Source, every: Duration, json: bool) -> anyhow::Result<()> {
    let mut end = std::pin::pin!(lifecycle::end(false).context("cannot watch for the end")?);
    let mut screen = if !json && io::stdout().is_terminal() { Some(Screen::open()?) } else { None };
    let mut last_page = String::new();
    loop {
        let looked = tokio::select! {
            () = &mut end => return Ok(()),
            looked = source.fetch() => looked,
        };
        let shown = match (&mut screen, looked) {
            (None, Ok(document)) if json => print_lines(&[document.to_string()]),
            (None, Ok(document)) => print_lines(&source.lines(&document)?),
            (None, Err(error)) => print_lines(&[unreachable_line(source, &error, json)?]),
            (Some(screen), Ok(document)) => {
                last_page = source.page(&document)?;
                screen.draw(&last_page)
            }
            (Some(screen), Err(error)) => {
                screen.draw(&format!("{}\n{last_page}", present::alarm(&said(source, &error))))
            }
        };
        match shown {
            // Whoever read it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            shown => shown.context("cannot write to standard output")?,
        }
        tokio::select! {
            () = &mut end => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
    }
}

fn said(source: &Source, error: &anyhow::Error) -> String {
    format!("{} cannot be shown: {}", source.url, present::in_one_line(error))
}

fn unreachable_line(source: &Source, error: &anyhow::Error, json: bool) -> anyhow::Result<String> {
    let now = documents::now()?;
    if json {
        return Ok(json!({ "at": now, "unreachable": source.url, "error": present::in_one_line(error) }).to_string());
    }
    Ok(format!("{now} {}", said(source, error)))
}

fn print_lines(lines: &[String]) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()
}
