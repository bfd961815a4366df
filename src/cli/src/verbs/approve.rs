//! `countermark approve`: an officer's signature under one exact statement.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use countermark_bundle::ExitClass;
use countermark_bundle::approval::{APPROVAL_LIFETIME_SECONDS_MAX, Claims, assemble, signing_input};
use countermark_bundle::identity::Name;
use countermark_bundle::statement::ParsedStatement;
use countermark_keys::{KeyFile, Role};
use serde_json::json;

use crate::failure::{Class as _, Failure};
use crate::verbs::fleet;
use crate::{documents, present};

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The statement to approve
    #[arg(long, value_name = "FILE")]
    statement: PathBuf,
    /// The officer's pseudonym, as the admission policy names it
    #[arg(long)]
    officer: String,
    /// The officer's key file
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Its passphrase file
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
    /// How long the approval holds, at most seven days
    #[arg(long, default_value_t = 86_400)]
    ttl_seconds: u64,
    /// Where to write the approval; standard output otherwise
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Does what the verb says.
pub fn run(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let parsed = ParsedStatement::parse(&documents::read(&arguments.statement)?)
        .context("the statement")
        .class(ExitClass::Malformed)?;
    if !(1..=APPROVAL_LIFETIME_SECONDS_MAX).contains(&arguments.ttl_seconds) {
        let message = format!("an approval lives 1 to {APPROVAL_LIFETIME_SECONDS_MAX} seconds");
        return Err(Failure::usage(message).into());
    }
    let statement = parsed.statement();
    let officer = Name::parse(&arguments.officer).context("the officer's pseudonym").class(ExitClass::Usage)?;
    let signer = KeyFile::open_signer(&arguments.key_file, Role::Officer, &arguments.passphrase_file)
        .context("the officer's key")
        .class(ExitClass::Usage)?;
    let key = countermark_bundle::PublicKey::ed25519(signer.public_key())?;
    let (origin, now) = (statement.origin.clone(), documents::now()?);
    let claims = Claims::new(officer, origin, statement.epoch, parsed.digest(), now, arguments.ttl_seconds);
    let input = signing_input(&claims, &key);
    let approval = assemble(&input, &signer.sign(input.as_bytes())?);

    // What is signed is shown on standard error, so that standard output is the approval alone.
    fleet::show_on_stderr(&parsed);
    match &arguments.out {
        Some(path) => documents::write(path, format!("{approval}\n").as_bytes())?,
        None if json => {}
        None => anstream::println!("{approval}"),
    }
    if json {
        present::json(&json!({
            "approval": approval,
            "officer": arguments.officer,
            "epoch": statement.epoch.get(),
            "digest": parsed.digest().to_string(),
        }));
    }
    Ok(())
}
