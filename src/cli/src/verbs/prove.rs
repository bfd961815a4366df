//! `countermark prove`: fetch a proof, and verify it here.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use countermark_bundle::ExitClass;
use countermark_client::proofs::{ProveError, Sought, prove_consistency, prove_inclusion};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use serde_json::json;

use super::verify::{leaf_hash, reader};
use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// What to prove.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// An entry is in the log
    #[command(
        after_help = "Example:\n  countermark prove inclusion --log http://127.0.0.1:7310 --trust trust.json --index 1"
    )]
    Inclusion(Inclusion),
    /// A smaller tree is the beginning of a larger one
    #[command(
        after_help = "Example:\n  countermark prove consistency --log http://127.0.0.1:7310 --trust trust.json --from 1"
    )]
    Consistency(Consistency),
}

/// Arguments of `prove inclusion`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sought").required(true).args(["index", "leaf_hash"]))]
pub struct Inclusion {
    /// The log's address
    #[arg(long, value_name = "URL")]
    log: String,
    /// What is pinned
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The entry's index
    #[arg(long)]
    index: Option<u64>,
    /// The entry's leaf hash in hex
    #[arg(long, value_name = "HEX")]
    leaf_hash: Option<String>,
}

/// Arguments of `prove consistency`.
#[derive(Debug, Args)]
pub struct Consistency {
    /// The log's address
    #[arg(long, value_name = "URL")]
    log: String,
    /// What is pinned
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The smaller size
    #[arg(long)]
    from: u64,
    /// The smaller tree's root in base64, as you kept it; otherwise the log's own tiles say it
    #[arg(long, value_name = "BASE64")]
    from_root: Option<String>,
    /// The larger size; the published one otherwise
    #[arg(long)]
    to: Option<u64>,
}

fn classed(error: ProveError) -> anyhow::Error {
    let class = error.exit_class();
    let message = format!("{}: {error}", class.as_str());
    anyhow::Error::new(error).context(Failure::new(class, message))
}

fn size(number: u64) -> anyhow::Result<TreeSize> {
    TreeSize::new(number).ok_or_else(|| Failure::usage("a tree has less than 2^63 entries").into())
}

/// Does what the verb says.
pub async fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Inclusion(arguments) => inclusion(&arguments, json).await,
        Command::Consistency(arguments) => consistency(&arguments, json).await,
    }
}

async fn inclusion(arguments: &Inclusion, json: bool) -> anyhow::Result<()> {
    let trust = documents::trust(&arguments.trust)?;
    let sought = match (arguments.index, &arguments.leaf_hash) {
        (Some(index), _) => {
            let index = LeafIndex::new(index).ok_or_else(|| Failure::usage("an index is less than 2^63"))?;
            Sought::Index(index)
        }
        (None, Some(leaf)) => Sought::Leaf(leaf_hash(leaf)?),
        (None, None) => return Err(Failure::usage("either --index or --leaf-hash").into()),
    };
    let proven = prove_inclusion(&reader(&arguments.log, &trust)?, &trust, sought).await.map_err(classed)?;
    let hashes: Vec<String> = proven.proof.hashes().iter().map(Hash::to_base64).collect();
    let checkpoint = proven.head.checkpoint();
    if json {
        present::json(&json!({
            "verified": true,
            "index": proven.index.get(),
            "leaf_hash": proven.leaf_hash.0.to_hex(),
            "size": checkpoint.size.get(),
            "root": checkpoint.root.0.to_base64(),
            "proof": hashes,
        }));
        return Ok(());
    }
    present::done(&format!("entry {} is in {}, size {}", proven.index, checkpoint.origin, checkpoint.size));
    present::facts(&[
        ("leaf hash", proven.leaf_hash.0.to_hex()),
        ("root", checkpoint.root.0.to_base64()),
        ("path", hashes.join("\n")),
    ]);
    Ok(())
}

async fn consistency(arguments: &Consistency, json: bool) -> anyhow::Result<()> {
    let trust = documents::trust(&arguments.trust)?;
    let from_root = arguments.from_root.as_deref().map(|text| Hash::from_base64(text).map(RootHash));
    let from_root = from_root.transpose().class(ExitClass::Usage)?;
    let to = arguments.to.map(size).transpose()?;
    let log = reader(&arguments.log, &trust)?;
    let proven = prove_consistency(&log, &trust, size(arguments.from)?, from_root, to).await.map_err(classed)?;
    let hashes: Vec<String> = proven.proof.hashes().iter().map(Hash::to_base64).collect();
    let (from_root, to_root) = (proven.from_root.0.to_base64(), proven.to_root.0.to_base64());
    if json {
        present::json(&json!({
            "verified": true,
            "from": proven.from.get(),
            "from_root": from_root,
            "to": proven.to.get(),
            "to_root": to_root,
            "proof": hashes,
        }));
        return Ok(());
    }
    present::done(&format!("size {} is the beginning of size {}", proven.from, proven.to));
    present::facts(&[("from root", from_root), ("to root", to_root), ("path", hashes.join("\n"))]);
    Ok(())
}
