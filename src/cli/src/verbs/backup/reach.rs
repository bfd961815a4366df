//! How the fleet is reached and why it is believed: the same flags for every verb on backup keys.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use countermark_bundle::{ExitClass, Timestamp};
use countermark_client::backup::staple::{Believed, believe};
use countermark_client::backup::{Account, AccountProof, HttpMember, ProofFault, Transport, Vault};
use countermark_client::fetch::{LogReader, Timeouts};
use countermark_client::floor_store::FloorFile;
use countermark_keys::{KeyFile, Role, Signer};
use serde_json::json;

use crate::failure::{Class as _, Failure};
use crate::verbs::verify;
use crate::{documents, present};

/// Which members, what is believed, and whose key it is.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("memory").required(true).args(["floor", "no_floor"]))]
pub struct Reach {
    /// A member of the fleet; several in the order of preference
    #[arg(long, required = true, value_name = "URL")]
    member: Vec<String>,
    /// What is pinned
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// What was verified before; made when it is missing, moved forward before a session is opened
    #[arg(long, value_name = "FILE")]
    floor: Option<PathBuf>,
    /// Verify against the trust file alone, and remember nothing
    #[arg(long)]
    no_floor: bool,
    /// Take the bundle from this log instead of the members' staple; with hard-coded keys, that is their revocation check
    #[arg(long, value_name = "URL")]
    log: Option<String>,
    /// The account token
    #[arg(long, value_name = "FILE")]
    account_token: PathBuf,
    /// The key that the account token is bound to
    #[arg(long, value_name = "FILE")]
    proof_key_file: PathBuf,
    /// Its passphrase file
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
}

/// A fleet that is believed, and the way to it.
pub struct Reached {
    believed: Believed,
    transports: Vec<Arc<dyn Transport>>,
    account: Account,
    now: Timestamp,
    pinned: bool,
}

impl Reach {
    /// Verifies the bundle: until then nothing is sent to anybody but the question for it.
    pub async fn believe(&self, json: bool) -> anyhow::Result<Reached> {
        let trust = documents::trust(&self.trust)?;
        let account = self.account()?;
        let member = |url: &String| {
            let member = HttpMember::new(url, Timeouts::default());
            member.with_context(|| format!("the member's address {url}")).class(ExitClass::Usage)
        };
        let transports = self.member.iter().map(member).collect::<Result<Vec<_>, _>>()?;
        let transports = transports.into_iter().map(|member| Arc::new(member) as Arc<dyn Transport>).collect();
        let sources = match &self.log {
            Some(log) => vec![verify::reader(log, &trust)?],
            None => {
                self.member.iter().map(|url| verify::reader(url, &trust)).collect::<anyhow::Result<Vec<LogReader>>>()?
            }
        };
        let now = documents::now()?;
        // Whoever asked for no memory gets one that ends with this process.
        let nowhere = tempfile::tempdir().context("cannot make a temporary folder")?;
        let floor = self.floor.clone().unwrap_or_else(|| nowhere.path().join("floor.json"));
        let believed = believe(&sources, &trust, &FloorFile::new(&floor), now).await;
        let believed = believed.map_err(|error| {
            let class = error.exit_class();
            let message = format!("{}: {error}", class.as_str());
            if json {
                present::json(
                    &json!({ "done": false, "exit_code": class.code(), "refused": "bundle", "message": message }),
                );
            }
            anyhow::Error::new(error).context(Failure::new(class, message))
        })?;
        if !json {
            for failure in &believed.passed_over {
                present::note(&format!("no bundle from {failure}"));
            }
        }
        Ok(Reached { believed, transports, account, now, pinned: trust.pinned_keys.is_some() })
    }

    fn account(&self) -> anyhow::Result<Account> {
        let signer = KeyFile::open_signer(&self.proof_key_file, Role::AccountProof, &self.passphrase_file);
        let signer = signer.context("the account's proof key").class(ExitClass::Usage)?;
        Account::new(&documents::read_text(&self.account_token)?, Arc::new(ProofKey(signer)))
            .with_context(|| format!("the account token {}", self.account_token.display()))
            .class(ExitClass::Malformed)
    }
}

impl Reached {
    /// The vault, as this user sees it.
    pub fn vault(&self) -> Vault<'_> {
        Vault::new(&self.believed.bundle, &self.transports, self.account.clone(), self.now)
    }

    /// The statement's number.
    pub fn epoch(&self) -> u64 {
        self.believed.bundle.statement().statement().epoch.get()
    }

    /// Why the keys are believed, in one line.
    pub fn how(&self) -> String {
        let bundle = &self.believed.bundle;
        format!(
            "{} steps, tree size {}, cosigned by {} at {}{}, from {}",
            self.believed.passed.len(),
            bundle.checkpoint().size,
            bundle.witnesses().join(", "),
            bundle.head_time(),
            if self.pinned { ", hard-coded keys" } else { "" },
            self.believed.address,
        )
    }
}

/// A key file's key as an app's proof key.
struct ProofKey(Box<dyn Signer>);

impl AccountProof for ProofKey {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ProofFault> {
        let signature = self.0.sign(message).map_err(|_| ProofFault)?;
        signature.try_into().map_err(|_| ProofFault)
    }
}
