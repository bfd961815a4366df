//! The verbs of `countermark log`.
//!
//! Standard output carries only what a caller reads: the ready line of `serve`, one line for each namespace of `create`
//! and `check-config`. Everything else goes to the log.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countermark_service::lifecycle;
use countermark_service::settings::{Configured, InForce};
use countermark_service::tls::{TlsError, TlsFiles};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use thiserror::Error;

use crate::config::{Config, ConfigError, DatabaseConfigError, LogSettings, OpenNamespaceError, read_url};
use crate::create::{CreateError, Created, create};
use crate::export::once::{ExportOnce, ExportOnceError};
use crate::freeze::{FreezeNamespaceError, Frozen, freeze};
use crate::objects::location::{Location, LocationError};
use crate::serve::{ServeError, outside, serve};
use crate::serve_static::{ServeStaticError, StaticConfig, serve_static};
use crate::stores::{OpenStoreError, prepare};
use crate::witness_client::ClientError;

/// What a log is told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until interrupted
    #[command(after_help = "Example:\n  countermark log serve --config log.toml")]
    Serve(ServeArgs),
    /// Make the log of every namespace: an explicit act, once
    #[command(after_help = "Example:\n  countermark log create --config log.toml")]
    Create(CreateArgs),
    /// Freeze the log of a namespace for good: it is read and cosigned, and never grows again
    #[command(after_help = "Example:\n  countermark log freeze --config log.toml --namespace digests")]
    Freeze(FreezeArgs),
    /// Bring the schema of the PostgreSQL database up to date, as its owner
    #[command(after_help = "Example:\n  countermark log migrate --config log.toml --owner-url-file owner.url")]
    Migrate(MigrateArgs),
    /// Check the configuration, the keys and the policies that it names
    #[command(after_help = "Example:\n  countermark log check-config --config log.toml")]
    CheckConfig(CheckConfigArgs),
    /// Export what is published, once; can be repeated, and broken off at any moment
    #[command(after_help = "Examples:\n  countermark log export --config log.toml --to /srv/export\n  \
                            countermark log export --config log.toml --to s3://bucket/export --namespace backup")]
    Export(ExportArgs),
    /// Serve reads from an export alone, without a database
    #[command(after_help = "Example:\n  countermark log serve-static --from /srv/export --listen 127.0.0.1:7381")]
    ServeStatic(ServeStaticArgs),
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<LogSettings>,
    /// A folder, or s3://bucket/prefix
    #[arg(long, value_name = "PLACE")]
    pub to: String,
    /// Only this namespace
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The credentials file of a bucket; otherwise the configuration's, or the environment's (AWS_…)
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
}

/// Arguments of `serve-static`.
#[derive(Debug, Args)]
pub struct ServeStaticArgs {
    /// The export: a folder, or s3://bucket/prefix
    #[arg(long, value_name = "PLACE")]
    pub from: String,
    /// Where to listen; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// A trust file or witness policy to judge by, instead of the export's own; once for each log
    #[arg(long, value_name = "FILE")]
    pub trust: Vec<PathBuf>,
    /// The credentials file of a bucket; otherwise the environment's (AWS_…)
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Speak TLS with this certificate chain in PEM, read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_private_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_private_key: Option<PathBuf>,
    /// End when standard input ends, so that no child outlives its parent
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<LogSettings>,
    /// End when standard input ends, so that no child outlives its parent
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Arguments of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<LogSettings>,
    /// Leave logs that exist already as they are
    #[arg(long)]
    pub if_absent: bool,
    /// A file with the URL of the PostgreSQL database, as its owner: makes the schema first
    #[arg(long, value_name = "FILE")]
    pub owner_url_file: Option<PathBuf>,
}

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<LogSettings>,
    /// A file with the URL of the database, as its owner
    #[arg(long, value_name = "FILE")]
    pub owner_url_file: PathBuf,
}

/// Arguments of `freeze`.
#[derive(Debug, Args)]
pub struct FreezeArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<LogSettings>,
    /// The namespace
    #[arg(long, value_name = "NAME")]
    pub namespace: String,
}

/// Arguments of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<LogSettings>,
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
    /// A key or policy that the configuration names was refused.
    #[error("namespace {namespace}: {source}")]
    Open {
        /// The namespace.
        namespace: String,
        /// Why.
        source: OpenNamespaceError,
    },
    /// The certificate or its key was refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no way to the witnesses.
    #[error(transparent)]
    WitnessClient(#[from] ClientError),
    /// The URL of the owner was refused.
    #[error("--owner-url-file: {0}")]
    Owner(#[source] DatabaseConfigError),
    /// `migrate` failed.
    #[error(transparent)]
    Migrate(#[from] OpenStoreError),
    /// `create` failed.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// `freeze` failed.
    #[error(transparent)]
    Freeze(#[from] FreezeNamespaceError),
    /// `serve` failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Not a place.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// `export` failed.
    #[error(transparent)]
    Export(#[from] ExportOnceError),
    /// `serve-static` failed.
    #[error(transparent)]
    ServeStatic(#[from] ServeStaticError),
    /// Signals cannot be awaited, or standard input not watched.
    #[error("cannot watch for the end")]
    Watch(#[source] io::Error),
    /// Standard output is closed.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

impl CommandError {
    /// The exit code of the process: 2 for a configuration that was refused, 1 for everything else.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Open { .. } | Self::Tls(_) | Self::Owner(_) | Self::Location(_) => 2,
            Self::WitnessClient(_)
            | Self::Create(_)
            | Self::Migrate(_)
            | Self::Freeze(_)
            | Self::Serve(_)
            | Self::Export(_)
            | Self::ServeStatic(_)
            | Self::Watch(_)
            | Self::Stdout(_) => 1,
        }
    }
}

/// Does what `command` says.
pub async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(arguments) => {
            let config = given(&arguments.config)?;
            let end = lifecycle::end(arguments.exit_with_stdin).map_err(CommandError::Watch)?;
            Ok(serve(config, lifecycle::announce, end).await?)
        }
        Command::Create(arguments) => {
            let config = given(&arguments.config)?;
            let owner = arguments.owner_url_file.as_deref().map(read_url).transpose().map_err(CommandError::Owner)?;
            for created in create(&config, owner.as_ref(), arguments.if_absent, &outside()?).await? {
                print_line(&match created {
                    Created::New { origin, size } => format!("{origin}: made, size {size}"),
                    Created::Existing { origin } => format!("{origin}: exists"),
                })?;
            }
            Ok(())
        }
        Command::Freeze(arguments) => {
            let Frozen { origin, size } = freeze(&given(&arguments.config)?, &arguments.namespace).await?;
            print_line(&format!("{origin}: frozen at size {size}"))
        }
        Command::Migrate(arguments) => {
            let config = given(&arguments.config)?;
            let owner = read_url(&arguments.owner_url_file).map_err(CommandError::Owner)?;
            prepare(&config.database, Some(&owner)).await?;
            print_line(&format!("{}: the schema is up to date", owner.place()))
        }
        Command::Export(arguments) => export(arguments).await,
        Command::ServeStatic(arguments) => {
            let from = Location::parse(&arguments.from, Path::new(""))?;
            let ServeStaticArgs { listen, trust, credentials, exit_with_stdin, .. } = arguments;
            let files = arguments.tls_certificate.zip(arguments.tls_private_key);
            let tls = files.map(|(certificate_file, private_key_file)| TlsFiles { certificate_file, private_key_file });
            let end = lifecycle::end(exit_with_stdin).map_err(CommandError::Watch)?;
            let config = StaticConfig { from, credentials, listen, tls, trust };
            Ok(serve_static(config, lifecycle::announce, end).await?)
        }
        Command::CheckConfig(arguments) => check_config(&arguments),
    }
}

/// Exports every namespace of the configuration, or the one that is named. Progress is shown on a terminal only.
async fn export(arguments: ExportArgs) -> Result<(), CommandError> {
    let config = given(&arguments.config)?;
    let to = Location::parse(&arguments.to, Path::new(""))?;
    let credentials = arguments.credentials.or_else(|| config.object_store_credentials.clone());
    let mut exports = ExportOnce::new(&config, &to, credentials.as_deref(), arguments.namespace.as_deref())?;
    while let Some(mut one) = exports.next_one() {
        let bar = ProgressBar::new(0);
        let done = one
            .run(&mut |progress| {
                bar.set_length(progress.of);
                bar.set_position(progress.exported);
            })
            .await;
        bar.finish_and_clear();
        print_line(&match done? {
            Some(size) => format!("{}: exported, size {size}", one.origin()),
            None => format!("{}: nothing is published yet", one.origin()),
        })?;
    }
    Ok(())
}

/// The configuration as the file, the environment and the flags say it together.
fn given(configured: &Configured<LogSettings>) -> Result<Config, ConfigError> {
    Config::given(configured).map(|(config, _)| config)
}

/// One namespace whose keys and policy open.
#[derive(Serialize)]
struct CheckedNamespace {
    origin: String,
    kind: &'static str,
    witnesses: usize,
    /// The digest of the Cedar policy, where one decides.
    policy: Option<String>,
}

/// Opens every key and policy that the configuration names, and says which settings are in force, and from where.
fn check_config(arguments: &CheckConfigArgs) -> Result<(), CommandError> {
    let (config, in_force) = Config::given(&arguments.config)?;
    if let Some(files) = &config.tls {
        files.check()?;
    }
    let mut namespaces = Vec::with_capacity(config.namespaces.len());
    for namespace in &config.namespaces {
        let opened = namespace
            .open()
            .map_err(|source| CommandError::Open { namespace: namespace.namespace.to_string(), source })?;
        namespaces.push(CheckedNamespace {
            origin: namespace.origin.to_string(),
            kind: namespace.foundation.kind().as_str(),
            witnesses: namespace.witnesses.len(),
            policy: opened.certifying.map(|certifying| certifying.policy.digest().to_string()),
        });
    }
    if arguments.json {
        return print_line(&json!({ "settings": in_force, "namespaces": namespaces }).to_string());
    }
    for CheckedNamespace { origin, kind: _, witnesses, policy } in &namespaces {
        print_line(&match policy {
            Some(policy) => format!("{origin}: {witnesses} witnesses, policy {policy}"),
            None => format!("{origin}: {witnesses} witnesses, raw entries"),
        })?;
    }
    for line in InForce::lines(&in_force) {
        print_line(&line)?;
    }
    Ok(())
}

/// Prints one line for the caller.
fn print_line(line: &str) -> Result<(), CommandError> {
    lifecycle::print_line(line).map_err(CommandError::Stdout)
}

#[cfg(test)]
mod tests;
