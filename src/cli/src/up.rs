//! `countermark up`: the whole authority on one machine, as separate processes with separate keys and folders.
//!
//! It only writes configurations and calls public verbs of this same program; it opens no key and no database, and
//! every child would start alone from its serve verb and its configuration. A child ends when the pipe on its standard
//! input closes, so that killing `up` in any way leaves nothing behind.
//!
//! Everything it does can be interrupted and done again: each preparation either happened or is repeated, and once all
//! of them happened (the journal says so) nothing is ever created again.

mod child;
mod job;
mod journal;
mod layout;
mod prepare;

use std::path::PathBuf;

use clap::Args;
use countermark_bundle::ExitClass;

use crate::failure::Failure;
use crate::present;
use child::{Child, Program};
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
    /// The first of nine ports on loopback; 0 takes free ones. Kept from the first start on
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
}

/// The first of nine ports, unless told otherwise.
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
    let outcome = tokio::select! {
        outcome = job::run(program, layout, report) => outcome,
        ended = child::first_end(&mut children) => Err(ended),
    };
    // A step that failed because a child died is best explained by the child.
    if outcome.is_err()
        && let Some(ended) = child::ended(&mut children)
    {
        return Err(ended);
    }
    outcome?;
    report.finish(layout);
    if arguments.once {
        child::stop(children).await;
        return Ok(());
    }
    let ended = tokio::select! {
        ended = child::first_end(&mut children) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
        () = terminated() => None,
    };
    if !report.is_json() {
        present::aside("stopping every child");
    }
    child::stop(children).await;
    ended.map_or(Ok(()), Err)
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
) -> anyhow::Result<Vec<Child>> {
    let mut children = Vec::new();
    for service in layout.services() {
        let child = Child::start(program, &service).await;
        children.push(child.map_err(|error| explain_start(&service, error))?);
    }
    if !folder.journal().prepared {
        folder.prepared()?;
    }
    report.started(&children);
    Ok(children)
}

fn explain_start(service: &layout::Service, error: anyhow::Error) -> anyhow::Error {
    let hint = format!("{} did not start (its log: {}): {error:#}", service.name, service.log.display());
    let class = error.downcast_ref::<Failure>().map_or(ExitClass::OurFault, Failure::class_of);
    error.context(Failure::new(class, hint))
}
