//! The verbs of the command line, for `countermark-witness` and for `countermark witness`.
//!
//! Standard output carries only what a caller reads: the verifier keys of `init` and `vkey`, the ready
//! line of `serve`. Everything else goes to the log.

use std::io;

use clap::{Args, Subcommand};
use countermark_service::lifecycle;
use countermark_service::settings::{Configured, InForce};
use thiserror::Error;

use crate::config::{Config, ConfigError, WitnessSettings};
use crate::service::{InitError, ServeError, VkeyError, init, init_if_absent, serve, vkeys};

/// What a witness is told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new witness: its keys, unless there are some, and its empty state
    #[command(after_help = "Example:\n  countermark witness init --config witness.toml")]
    Init(InitArgs),
    /// Serve until interrupted
    #[command(after_help = "Example:\n  countermark witness serve --config witness.toml")]
    Serve(ServeArgs),
    /// Check the configuration, and say which settings are in force and from where
    #[command(after_help = "Example:\n  countermark witness check-config --config witness.toml")]
    CheckConfig(CheckConfigArgs),
    /// Print the verifier keys, a line each: Ed25519, then ML-DSA-44
    #[command(after_help = "Example:\n  countermark witness vkey --config witness.toml")]
    Vkey(VkeyArgs),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<WitnessSettings>,
    /// Keep a witness that is there already; a key that is configured for the first time is added
    #[arg(long)]
    pub if_absent: bool,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<WitnessSettings>,
    /// End when standard input ends, so that no child outlives its parent
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Arguments of `vkey`.
#[derive(Debug, Args)]
pub struct VkeyArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<WitnessSettings>,
}

/// Arguments of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<WitnessSettings>,
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
    Init(#[from] InitError),
    /// `vkey` failed.
    #[error(transparent)]
    Vkey(#[from] VkeyError),
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
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Init(_) | Self::Vkey(_) | Self::Serve(_) | Self::Watch(_) | Self::Stdout(_) => 1,
        }
    }
}

/// Does what `command` says.
pub async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Init(arguments) => {
            let config = given(&arguments.config)?;
            let vkeys = if arguments.if_absent { init_if_absent(&config).await? } else { init(&config).await? };
            vkeys.iter().try_for_each(|vkey| print_line(vkey))
        }
        Command::Vkey(arguments) => {
            let config = given(&arguments.config)?;
            vkeys(&config)?.iter().try_for_each(|vkey| print_line(vkey))
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
    }
}

/// The configuration as the file, the environment and the flags say it together.
fn given(configured: &Configured<WitnessSettings>) -> Result<Config, ConfigError> {
    Config::given(configured).map(|(config, _)| config)
}

/// Prints one line for the caller.
fn print_line(line: &str) -> Result<(), CommandError> {
    lifecycle::print_line(line).map_err(CommandError::Stdout)
}
