//! The verbs of `countermark log`.
//!
//! Standard output carries only what a caller reads: the ready line of `serve`, one line for each namespace of `create`
//! and `check-config`. Everything else goes to the log.

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use countermark_service::lifecycle;
use thiserror::Error;

use crate::config::{Config, ConfigError, OpenNamespaceError};
use crate::create::{CreateError, Created, create};
use crate::serve::{ServeError, outside, serve};
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
    /// Check the configuration, the keys and the policies that it names
    #[command(after_help = "Example:\n  countermark log check-config --config log.toml")]
    CheckConfig(CheckConfigArgs),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// End when standard input ends, so that no child outlives its parent
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Arguments of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Leave logs that exist already as they are
    #[arg(long)]
    pub if_absent: bool,
}

/// Arguments of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
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
    /// There is no way to the witnesses.
    #[error(transparent)]
    WitnessClient(#[from] ClientError),
    /// `create` failed.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// `serve` failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
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
            Self::Config(_) | Self::Open { .. } => 2,
            Self::WitnessClient(_) | Self::Create(_) | Self::Serve(_) | Self::Watch(_) | Self::Stdout(_) => 1,
        }
    }
}

/// Does what `command` says.
pub async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(arguments) => {
            let config = Config::load(&arguments.config)?;
            let end = lifecycle::end(arguments.exit_with_stdin).map_err(CommandError::Watch)?;
            Ok(serve(config, lifecycle::announce, end).await?)
        }
        Command::Create(arguments) => {
            let config = Config::load(&arguments.config)?;
            for created in create(&config, arguments.if_absent, &outside()?).await? {
                print_line(&match created {
                    Created::New { origin, size } => format!("{origin}: made, size {size}"),
                    Created::Existing { origin } => format!("{origin}: exists"),
                })?;
            }
            Ok(())
        }
        Command::CheckConfig(arguments) => check_config(&Config::load(&arguments.config)?),
    }
}

/// Opens every key and policy that the configuration names.
fn check_config(config: &Config) -> Result<(), CommandError> {
    for namespace in &config.namespaces {
        let opened = namespace
            .open()
            .map_err(|source| CommandError::Open { namespace: namespace.namespace.to_string(), source })?;
        let (origin, witnesses) = (&namespace.origin, namespace.witnesses.len());
        print_line(&match opened.certifying {
            Some(certifying) => format!("{origin}: {witnesses} witnesses, policy {}", certifying.policy.digest()),
            None => format!("{origin}: {witnesses} witnesses, raw entries"),
        })?;
    }
    Ok(())
}

/// Prints one line for the caller.
fn print_line(line: &str) -> Result<(), CommandError> {
    lifecycle::print_line(line).map_err(CommandError::Stdout)
}

#[cfg(test)]
mod tests;
