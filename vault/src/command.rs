//! The verbs of the command line, for `countermark-vault` and for `countermark vault`.
//!
//! Standard output carries only what a caller reads: the public keys of `init`, the ready line of `serve`, what
//! `endorse` attested. Everything else goes to the log.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use countermark_bundle::ExitClass;
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_service::lifecycle;
use countermark_service::settings::{Configured, InForce};
use thiserror::Error;

use crate::config::{Config, ConfigError, VaultSettings};
use crate::endorse::{EndorseError, Endorsement, endorse};
use crate::service::{Existing, InitError, ServeError, init, serve};
use crate::status::{AskStatusError, ask_status};

/// What a member, or its vendor, is told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the keys of a new member, and the passphrase file unless there is one
    #[command(after_help = "Example:\n  countermark vault init --config member.toml")]
    Init(InitArgs),
    /// Serve until interrupted
    #[command(after_help = "Example:\n  countermark vault serve --config member.toml")]
    Serve(ServeArgs),
    /// Check the configuration, and say which settings are in force and from where
    #[command(after_help = "Example:\n  countermark vault check-config --config member.toml")]
    CheckConfig(CheckConfigArgs),
    /// As the vendor: attest a member's keys and the executable it runs
    #[command(
        after_help = "Example:\n  countermark vault endorse --member http://127.0.0.1:7316 --vendor-key-file vendor.key --passphrase-file passphrase --software-sha256 <hex>"
    )]
    Endorse(EndorseArgs),
    /// Show how a member is: what it waits for, whom it follows, what it staples
    #[command(after_help = "Example:\n  countermark vault status --member http://127.0.0.1:7316")]
    Status(StatusArgs),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<VaultSettings>,
    /// Keep keys that exist instead of refusing, and make what is missing
    #[arg(long)]
    pub if_absent: bool,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<VaultSettings>,
    /// End when standard input ends, so that no child outlives its parent
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Arguments of `endorse`.
#[derive(Debug, Args)]
pub struct EndorseArgs {
    /// The member's address, as `http://127.0.0.1:7316`
    #[arg(long, value_name = "URL")]
    pub member: String,
    /// The vendor's key
    #[arg(long, value_name = "FILE")]
    pub vendor_key_file: PathBuf,
    /// What opens the vendor's key
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: PathBuf,
    /// SHA-256 of the executable that is endorsed; a member that runs another one is refused
    #[arg(long, value_name = "HEX", value_parser = digest)]
    pub software_sha256: Digest,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The member's address, as `http://127.0.0.1:7316`
    #[arg(long, value_name = "URL")]
    pub member: String,
    /// Print the member's own document
    #[arg(long)]
    pub json: bool,
}

fn digest(text: &str) -> Result<Digest, &'static str> {
    Digest::from_hex(text).ok_or("expected 64 lower-case hex digits")
}

/// Arguments of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The configuration file, and what is said in its place
    #[command(flatten)]
    pub config: Configured<VaultSettings>,
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
    /// `serve` failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// `endorse` failed.
    #[error(transparent)]
    Endorse(#[from] EndorseError),
    /// `status` failed.
    #[error(transparent)]
    Status(#[from] AskStatusError),
    /// The system's clock is before 1970 or after 9999.
    #[error("the system's clock shows no time that an attestation can bear")]
    Clock,
    /// Signals cannot be awaited, or standard input not watched.
    #[error("cannot watch for the end")]
    Watch(#[source] io::Error),
    /// Standard output is closed.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

impl CommandError {
    /// The exit code of the process: 2 for a configuration that was refused, that of [`EndorseError::class`] for a
    /// member that was not attested, that of [`AskStatusError::class`] for one that did not say how it is, 1 for
    /// everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let class = match self {
            Self::Config(_) => ExitClass::Usage,
            Self::Endorse(error) => error.class(),
            Self::Status(error) => error.class(),
            Self::Init(_) | Self::Serve(_) | Self::Clock | Self::Watch(_) | Self::Stdout(_) => ExitClass::OurFault,
        };
        class.code()
    }
}

/// Does what `command` says.
pub async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Init(arguments) => {
            let config = given(&arguments.config)?;
            let existing = if arguments.if_absent { Existing::Keep } else { Existing::Refuse };
            let keys = init(&config, existing)?;
            print_line(&format!(
                "{}: identity key {}, session key {}",
                config.member_id,
                keys.identity.key_id(),
                keys.session.key_id()
            ))
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
            let status = ask_status(&arguments.member).await?;
            print_line(&if arguments.json { status.to_json() } else { status.to_string() })
        }
        Command::Endorse(arguments) => {
            let endorsed = endorse(&Endorsement {
                member: arguments.member,
                vendor_key_file: arguments.vendor_key_file,
                passphrase_file: arguments.passphrase_file,
                software_sha256: arguments.software_sha256,
                now: now()?,
            })
            .await?;
            print_line(&format!(
                "{} of {} is attested: executable {}, by vendor key {}",
                endorsed.body.member_id, endorsed.body.fleet_id, endorsed.body.software_sha256, endorsed.vendor_key_id
            ))
        }
    }
}

fn now() -> Result<Timestamp, CommandError> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| CommandError::Clock)?;
    Timestamp::from_unix(since.as_secs()).ok_or(CommandError::Clock)
}

/// The configuration as the file, the environment and the flags say it together.
fn given(configured: &Configured<VaultSettings>) -> Result<Config, ConfigError> {
    Config::given(configured).map(|(config, _)| config)
}

/// Prints one line for the caller.
fn print_line(line: &str) -> Result<(), CommandError> {
    lifecycle::print_line(line).map_err(CommandError::Stdout)
}
