//! `countermark log`: the verbs of the service, mounted unchanged, and what anybody does to a log from outside.

use clap::Subcommand;

use super::services;

pub mod fsck;

/// Verbs on logs.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Service(countermark_log::command::Command),
    /// Recompute everything of any C2SP tile log from the bytes of its entries
    ///
    /// Every entry bundle is hashed and compared with its hash tile, every tile with what lies below it, and the root with
    /// the signed checkpoint. It does not know what entries mean: `countermark audit` checks their rules.
    #[command(
        after_help = "Examples:\n  countermark log fsck http://127.0.0.1:7310 --namespace backup --trust trust.json\n  countermark log fsck ./export --vkey log.example/backup+c7a41c43+AQ...\n  countermark log fsck https://tiles.example/log --policy witnesses.policy --known-head last-week.checkpoint"
    )]
    Fsck(fsck::Arguments),
}

/// Does what the verb says.
pub async fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Service(command) => services::log(command).await,
        Command::Fsck(arguments) => fsck::run(arguments, json).await,
    }
}
