//! `countermark-witness`: the witness as a program of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use countermark_service::lifecycle::{self, FORMAT_VARIABLE, LevelFilter, LogFormat};
use countermark_witness::command::{Command, run};

/// A C2SP witness: cosigns checkpoints of the logs it follows
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// How records are written on standard error
    #[arg(long, global = true, value_name = "FORMAT", env = FORMAT_VARIABLE, hide_env_values = true, default_value = "text")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    lifecycle::start_tracing(LevelFilter::INFO, cli.log_format);
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
