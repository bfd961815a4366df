//! `countermark-vault`: a vault member, and its vendor, as a program of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use countermark_service::lifecycle::{self, LevelFilter};
use countermark_vault::command::{Command, run};

/// A vault member: makes its keys inside, attests and reports them
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    lifecycle::start_tracing(LevelFilter::INFO);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", lifecycle::with_causes(&error));
            ExitCode::from(error.exit_code())
        }
    }
}
