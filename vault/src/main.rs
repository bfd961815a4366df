//! `countermark-vault`: a vault member, and its vendor, as a program of its own.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use countermark_vault::command::{Command, CommandError, run};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A vault member: makes its keys inside, attests and reports them
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
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
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Logs an error with its causes, outermost first.
fn report(error: &CommandError) {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    tracing::error!("{line}");
}
