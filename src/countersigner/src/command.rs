//! The verbs of `countermark countersigner`.
//!
//! Standard output carries only what a caller reads: what `init` did, the ready line of `serve`, the page of `status`.
//! Everything else goes to the log.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use countermark_bundle::exit_class::ExitClass;
use countermark_migrations::OpenError;
use countermark_service::lifecycle;
use countermark_service::settings::{Configured, InForce};
use thiserror::Error;

use crate::config::{Config, ConfigError, CountersignerSettings};
use crate::serve::{Initialised, ServeError, init, serve};

/// How long `status` waits for an answer.
const STATUS_DEADLINE: Duration = Duration::from_secs(5);

/// What a countersigner is told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the empty ledger
    #[command(after_help = "Example:\n  countermark countersigner init --config countersigner.toml")]
    Init(InitArgs),
    /// Follow the log and countersign until interrupted
    #[command(after_help = "Example:\n  countermark countersigner serve --config countersigner.toml")]
    Serve(ServeArgs),
    /// Check the configuration, and say which settings are in force and from where
    #[command(after_help = "Example:\n  countermark countersigner check-config --config countersigner.toml")]
    CheckConfig(CheckConfigArgs),
    /// Print the status page of a running countersigner
    #[command(after_help = "Example:\n  countermark countersigner status --config countersigner.toml")]
    Status(StatusArgs),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<CountersignerSettings>,
    /// Leave an existing ledger as it is
    #[arg(long)]
    pub if_absent: bool,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<CountersignerSettings>,
    /// End when standard input ends, so that no child outlives its parent
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<CountersignerSettings>,
    /// Where the page is, if the configuration leaves the port open
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<SocketAddr>,
    /// The page's own address, if it speaks TLS: by a name that its certificate has
    #[arg(long, value_name = "URL", conflicts_with = "address")]
    pub url: Option<String>,
}

/// Arguments of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<CountersignerSettings>,
    /// Report as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Why a verb failed.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `init` failed.
    #[error(transparent)]
    Init(#[from] OpenError),
    /// `serve` failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The port of the status page is known only to the running process.
    #[error("the configuration leaves the port open; say --address")]
    NoAddress,
    /// The name in the certificate of the status page is not known.
    #[error("the status page speaks TLS; say --url https://… with a name that its certificate has")]
    NoUrl,
    /// There is no status page.
    #[error("no status page at {url}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// Signals cannot be awaited, or standard input not watched.
    #[error("cannot watch for the end")]
    Watch(#[source] io::Error),
    /// Standard output is closed.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

impl CommandError {
    /// The class of the failure, which names the exit code of the process.
    #[must_use]
    pub const fn exit_class(&self) -> ExitClass {
        match self {
            Self::Config(_) | Self::NoAddress | Self::NoUrl => ExitClass::Usage,
            Self::Unreachable { .. } => ExitClass::Unreachable,
            Self::Init(_) | Self::Serve(_) | Self::Watch(_) | Self::Stdout(_) => ExitClass::OurFault,
        }
    }
}

/// Does what `command` says.
pub async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Init(arguments) => {
            let config = given(&arguments.config)?;
            let done = match init(&config, arguments.if_absent).await? {
                Initialised::Created => "created",
                Initialised::Existing => "exists already",
            };
            print_line(&format!("{}: {done}", config.ledger.display()))
        }
        Command::CheckConfig(arguments) => {
            let (_, in_force) = Config::given(&arguments.config)?;
            if arguments.json {
                return print_line(&InForce::json(&in_force));
            }
            InForce::lines(&in_force).iter().try_for_each(|line| print_line(line))
        }
        Command::Serve(arguments) => {
            let config = given(&arguments.config)?;
            let end = lifecycle::end(arguments.exit_with_stdin).map_err(CommandError::Watch)?;
            Ok(serve(config, lifecycle::announce, end).await?)
        }
        Command::Status(arguments) => {
            let config = given(&arguments.config)?;
            print_line(status_page(&page_url(&config, &arguments)?).await?.trim_end())
        }
    }
}

fn page_url(config: &Config, arguments: &StatusArgs) -> Result<String, CommandError> {
    if let Some(url) = &arguments.url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    if config.tls.is_some() {
        return Err(CommandError::NoUrl);
    }
    match arguments.address.unwrap_or(config.listen) {
        address if address.port() == 0 => Err(CommandError::NoAddress),
        address => Ok(format!("http://{address}")),
    }
}

async fn status_page(url: &str) -> Result<String, CommandError> {
    let unreachable = |source| CommandError::Unreachable { url: url.to_owned(), source };
    // The one TLS provider of the process. An error means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().timeout(STATUS_DEADLINE).build().map_err(unreachable)?;
    let answer = http.get(format!("{url}/v1/status")).send().await.map_err(unreachable)?;
    answer.error_for_status().map_err(unreachable)?.text().await.map_err(unreachable)
}

/// The configuration as the file, the environment and the flags say it together.
fn given(configured: &Configured<CountersignerSettings>) -> Result<Config, ConfigError> {
    Config::given(configured).map(|(config, _)| config)
}

/// Prints one line for the caller.
fn print_line(line: &str) -> Result<(), CommandError> {
    lifecycle::print_line(line).map_err(CommandError::Stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_status_page_that_is_not_there_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody listens there any more.
        drop(listener);
        let error = status_page(&format!("http://{address}")).await.unwrap_err();
        assert!(matches!(error, CommandError::Unreachable { .. }));
        assert_eq!(error.exit_class().code(), 21);
    }

    #[test]
    fn what_only_the_running_process_or_its_certificate_knows_must_be_said() {
        const EXAMPLE: &str = include_str!("../countersigner.example.toml");
        let with = |text: &str, address: Option<&str>, url: Option<&str>| {
            let folder = tempfile::tempdir().unwrap();
            let config = folder.path().join("countersigner.toml");
            std::fs::write(&config, text).unwrap();
            let address = address.map(|address| address.parse().unwrap());
            let arguments = StatusArgs { config: Configured::file(config), address, url: url.map(str::to_owned) };
            page_url(&given(&arguments.config).unwrap(), &arguments).inspect_err(|error| {
                assert_eq!(error.exit_class().code(), 2);
            })
        };
        assert_eq!(with(EXAMPLE, None, None).unwrap(), "http://127.0.0.1:7302");
        let open = EXAMPLE.replace("127.0.0.1:7302", "127.0.0.1:0");
        assert!(matches!(with(&open, None, None), Err(CommandError::NoAddress)));
        assert_eq!(with(&open, Some("127.0.0.1:9"), None).unwrap(), "http://127.0.0.1:9");
        let tls = format!("{EXAMPLE}\n[tls]\ncertificate_file = \"a\"\nprivate_key_file = \"b\"\n");
        assert!(matches!(with(&tls, Some("127.0.0.1:9"), None), Err(CommandError::NoUrl)));
        assert_eq!(with(&tls, None, Some("https://operator.example/")).unwrap(), "https://operator.example");
    }

    #[tokio::test]
    async fn a_configuration_that_is_refused_is_a_usage_error() {
        let config = Configured::file("/nowhere/countersigner.toml".into());
        for command in [
            Command::Init(InitArgs { config: config.clone(), if_absent: false }),
            Command::Serve(ServeArgs { config: config.clone(), exit_with_stdin: false }),
            Command::Status(StatusArgs { config: config.clone(), address: None, url: None }),
        ] {
            assert_eq!(run(command).await.unwrap_err().exit_class().code(), 2);
        }
    }
}
