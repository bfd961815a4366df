//! `countermark drill`: what goes wrong seldom, made to go wrong on purpose, with real processes.

mod faces;
mod fork;
mod witnesses;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Drills.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A log signs two faces, a bad witness helps it, and the others find out
    ///
    /// Four witnesses, one of them bad, and two clients that are kept apart. No client gets a quorum on both faces; when the
    /// partition heals, every honest witness has evidence that anyone verifies offline, and cosigns that log no more.
    #[command(after_help = "Example:\n  countermark drill fork --keep ./fork-drill")]
    Fork(Fork),
}

/// Arguments of `drill fork`.
#[derive(Debug, Args)]
pub struct Fork {
    /// Keep keys, states, logs and evidence in this new folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// Does what the verb says.
pub async fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Fork(arguments) => fork::run(&arguments, json).await,
    }
}
