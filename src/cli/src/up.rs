//! `countermark up`: the whole authority on one machine, as separate processes with separate keys and folders.
//!
//! It only writes configurations and calls public verbs of this same program; it opens no key and no database, and
//! every child would start alone from its serve verb and its configuration. A child ends when the pipe on its standard
//! input closes, so that killing `up` in any way leaves nothing behind.
//!
//! Everything it does can be interrupted and done again: each preparation either happened or is repeated, and once all
//! of them happened (the journal says so) nothing is ever created again.

mod backup;
pub(crate) mod child;
mod job;
mod journal;
pub(crate) mod layout;
mod prepare;

use std::path::PathBuf;

use clap::Args;
use countermark_bundle::ExitClass;

use crate::failure::Failure;
use crate::present;
use child::{Children, Program};
use journal::Folder;
use layout::Layout;

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of everything
    #[arg(long, value_name = "DIR", default_value = "countermark-data")]
    data: PathBuf,
    /// End after the last step, with 0 or the exit code of what failed
    #[arg(long)]
    once: bool,
    /// Only the authority's part: certify, verify, audit; no backup key is registered and no member killed
    #[arg(long)]
    authority_only: bool,
    /// The first of twelve ports on loopback; 0 takes free ones. Kept from the first start on
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
}

/// The first of twelve ports, unless told otherwise.
const PORT_BASE: u16 = 7310;

/// Does what the verb says.
pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<()> {
    let folder = Folder::claim(&arguments.data, arguments.port_base, PORT_BASE)?;
    let layout = Layout::new(&arguments.data, folder.journal().ports.clone());
    let program = Program::this()?;
    let mut report = job::Report::new(json);
    tokio::select! {
        outcome = work(&arguments, folder, &layout, &program, &mut report) => outcome,
        _ = tokio::signal::ctrl_c() => {
            report.interrupted();
            Ok(())
        }
    }
}

async fn work(
    arguments: &Arguments,
    mut folder: Folder,
    layout: &Layout,
    program: &Program,
    report: &mut job::Report,
) -> anyhow::Result<()> {
    report.headline(&format!("Countermark in {}", arguments.data.display()));
    if folder.journal().prepared {
        report.resumed();
    } else {
        prepare::keys_and_configurations(program, layout, report).await?;
    }
    let mut children = start(program, layout, &mut folder, report).await?;
    let outcome = main_job(arguments, program, layout, &mut folder, &mut children, report).await;
    // A step that failed because a child died is best explained by the child.
    if outcome.is_err()
        && let Some(ended) = children.ended_soon().await
    {
        return Err(ended);
    }
    outcome?;
    report.finish(layout);
    if arguments.once {
        children.stop().await;
        return Ok(());
    }
    let ended = tokio::select! {
        ended = children.first_end() => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
        () = terminated() => None,
    };
    if !report.is_json() {
        present::aside("stopping every child");
    }
    children.stop().await;
    ended.map_or(Ok(()), Err)
}

/// Every step, in order. Whoever dies meanwhile ends it, but for those that it kills itself.
async fn main_job(
    arguments: &Arguments,
    program: &Program,
    layout: &Layout,
    folder: &mut Folder,
    children: &mut Children,
    report: &mut job::Report,
) -> anyhow::Result<()> {
    let certified = async {
        job::certify(program, layout, report).await?;
        report.headline("5  The members form a fleet, verify the bundle and staple it to their answers");
        backup::staple(program, layout, report).await?;
        if arguments.authority_only {
            return Ok(());
        }
        report.headline("6  A phone registers its backup key with a member that it verified");
        backup::register(program, layout, folder, report).await?;
        report.headline("7  A new phone that holds nothing but the trust file, its account and the password recovers");
        backup::recover(program, layout, report).await
    };
    tokio::select! {
        outcome = certified => outcome,
        ended = children.first_end() => Err(ended),
    }?;
    if !arguments.authority_only {
        report.headline("8  Members are killed");
        backup::drill(program, layout, children, folder, report).await?;
    }
    let ending = async {
        if !arguments.authority_only {
            report.headline("9  The same with the fleet's keys hard-coded in the client");
            backup::pinned(program, layout, report).await?;
        }
        report.headline("10  An auditor replays the log from its first entry");
        job::audit(program, layout, report).await
    };
    tokio::select! {
        outcome = ending => outcome,
        ended = children.first_end() => Err(ended),
    }
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            let _ = terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Starts every service, in the order in which they need one another.
async fn start(
    program: &Program,
    layout: &Layout,
    folder: &mut Folder,
    report: &mut job::Report,
) -> anyhow::Result<Children> {
    let mut children = Children::default();
    for service in layout.services() {
        children.start(program, &service).await.map_err(|error| explain_start(&service, error))?;
    }
    if !folder.journal().prepared {
        folder.note(|journal| journal.prepared = true)?;
    }
    report.started(&children);
    Ok(children)
}

fn explain_start(service: &layout::Service, error: anyhow::Error) -> anyhow::Error {
    let hint = format!("{} did not start (its log: {}): {error:#}", service.name, service.log.display());
    let class = error.downcast_ref::<Failure>().map_or(ExitClass::OurFault, Failure::class_of);
    error.context(Failure::new(class, hint))
}
