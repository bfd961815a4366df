//! `countermark trust pin`: from a trust file and a bundle that verifies to a trust file with hard-coded member keys.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use countermark_bundle::trust::TrustFile;
use countermark_bundle::verify::VerifiedBundle;
use countermark_bundle::{ExitClass, KeyId};
use countermark_client::floor_store::FloorFile;
use countermark_client::verify::{fetch_and_verify, verify_bundle_offline};

use crate::documents;
use crate::failure::Class as _;
use crate::verbs::verify::{self, NoFloor};

/// Arguments of `trust pin`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["bundle", "log"]))]
pub struct Arguments {
    /// What is pinned already
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The bundle that states the keys
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// A consistency link to the bundle's head, where the trust file asks for one
    #[arg(long, value_name = "FILE", requires = "bundle")]
    link: Option<PathBuf>,
    /// Fetch the newest bundle from this log
    #[arg(long, value_name = "URL")]
    log: Option<String>,
    /// Where to write the new trust file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Verifies the bundle and writes the trust file; gives what was written.
pub async fn run(arguments: &Arguments) -> anyhow::Result<TrustFile> {
    let trust = documents::trust(&arguments.trust)?;
    let bundle = verified(arguments, &trust).await?;
    let pinned = TrustFile { pinned_keys: Some(serving_keys(&bundle)), ..trust };
    pinned.check().class(ExitClass::Malformed)?;
    documents::write(&arguments.out, &pinned.write())?;
    Ok(pinned)
}

/// Every key of every serving fleet, sorted.
fn serving_keys(bundle: &VerifiedBundle) -> Vec<KeyId> {
    let members = bundle.serving_fleets().flat_map(|fleet| &fleet.members);
    let mut keys: Vec<KeyId> = members.flat_map(|member| &member.keys).map(|key| key.key_id).collect();
    keys.sort();
    keys.dedup();
    keys
}

async fn verified(arguments: &Arguments, trust: &TrustFile) -> anyhow::Result<VerifiedBundle> {
    let now = documents::now()?;
    let mut unobserved = |_| {};
    let verified = if let Some(log) = &arguments.log {
        // What is remembered is the business of whoever uses the file, not of whoever makes it.
        let nowhere = tempfile::tempdir().context("cannot make a temporary folder")?;
        let floor = FloorFile::new(&nowhere.path().join("floor.json"));
        fetch_and_verify(&verify::reader(log, trust)?, trust, &floor, now, &mut unobserved).await
    } else {
        let bytes = documents::read(arguments.bundle.as_deref().context("a bundle or a log")?)?;
        let link = arguments.link.as_deref().map(verify::link).transpose()?;
        verify_bundle_offline(&bytes, link.as_ref(), trust, &mut NoFloor, now, &mut unobserved)
    };
    verified.map_err(verify::classed)
}
