//! `countermark`: the one command of the log, the witnesses, the countersigner, the vault, the client and the auditor.
//!
//! The only crate that knows all others. It parses arguments, calls libraries and shows what they say; what is decided
//! is decided in them. Exit codes are those of [`countermark_bundle::ExitClass`]: 0 only if everything that was asked
//! for was done or verified.
#![forbid(unsafe_code)]

mod arguments;
mod documents;
mod drill;
mod failure;
mod present;
mod up;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;
use countermark_service::lifecycle::{self, LevelFilter, LogFormat};

use arguments::{Cli, Command};

/// A request's memory is asked for in one thread and given back in another. The system's allocator makes them wait for
/// each other there, at tens of thousands of requests in a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.log_format;
    start_tracing(&cli.command, format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("countermark: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(cli));
    // A helper thread may still sit in a blocking read of standard input; nobody waits for it.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = failure::exit_code(&error);
            match format {
                LogFormat::Text => present::failure(&error, code),
                LogFormat::Json => tracing::error!(code, "{}", present::in_one_line(&error)),
            }
            ExitCode::from(code)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let json = cli.json;
    match cli.command {
        Command::Up(arguments) => up::run(arguments, json).await,
        Command::Log { command } => verbs::log::run(command, json).await,
        Command::Witness { command } => verbs::services::witness(command).await,
        Command::Countersigner { command } => verbs::services::countersigner(command).await,
        Command::Vault { command } => verbs::services::vault(command).await,
        Command::Keys { command } => verbs::keys::run(command, json),
        Command::Trust { command } => verbs::trust::run(command, json).await,
        Command::Token { command } => verbs::token::run(command, json),
        Command::Fleet { command } => verbs::fleet::run(command, json).await,
        Command::Approve(arguments) => verbs::approve::run(&arguments, json),
        Command::Submit(arguments) => verbs::submit::run(arguments, json).await,
        Command::Status(arguments) => verbs::status::run(arguments, json).await,
        Command::Verify { command } => verbs::verify::run(command, json).await,
        Command::Backup { command } => verbs::backup::run(command, json).await,
        Command::Audit(arguments) => verbs::audit::run(arguments, json).await,
        Command::Gossip(arguments) => verbs::gossip::run(&arguments, json).await,
        Command::Drill { command } => drill::run(command, json).await,
        Command::Prove { command } => verbs::prove::run(command, json).await,
    }
}

/// Services log what they do; the other verbs speak for themselves and log only what went wrong.
fn start_tracing(command: &Command, format: LogFormat) {
    let level = match command {
        Command::Log { command: verbs::log::Command::Service(_) }
        | Command::Witness { .. }
        | Command::Countersigner { .. }
        | Command::Vault { .. } => LevelFilter::INFO,
        Command::Log { command: verbs::log::Command::Fsck(_) }
        | Command::Up(_)
        | Command::Keys { .. }
        | Command::Trust { .. }
        | Command::Token { .. }
        | Command::Fleet { .. }
        | Command::Approve(_)
        | Command::Submit(_)
        | Command::Status(_)
        | Command::Verify { .. }
        | Command::Backup { .. }
        | Command::Audit(_)
        | Command::Drill { .. }
        | Command::Gossip(_)
        | Command::Prove { .. } => LevelFilter::WARN,
    };
    lifecycle::start_tracing(level, format);
}
