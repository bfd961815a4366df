//! `countermark submit`: hand a statement or a finished entry to a log, then verify the receipt that comes back.

use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgGroup, Args, ValueEnum};
use countermark_bundle::trust::TrustFile;
use countermark_bundle::{Digest, ExitClass};
use countermark_service::bearer;
use countermark_signer_policy::access_token::Scope;
use serde_json::{Value, json};

use crate::failure::{Class as _, Failure};
use crate::verbs::{services, token};
use crate::{documents, present};

/// Arguments of `submit`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["statement", "entry"]))]
#[command(group = ArgGroup::new("access").required(true).args(["token_file", "key_file"]))]
pub struct Arguments {
    /// The log's address
    #[arg(long, value_name = "URL")]
    log: String,
    /// The trust file of the namespace, under which the receipt is verified
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// A fleet statement
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// An officer's approval of the statement
    #[arg(long, value_name = "FILE", requires = "statement")]
    approval: Vec<PathBuf>,
    /// A member's attestation
    #[arg(long, value_name = "FILE", requires = "statement")]
    attestation: Vec<PathBuf>,
    /// A finished entry: activation, revocation, evidence
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// Wait until the entry is …
    #[arg(long, value_enum, default_value_t = Wait::Published)]
    wait: Wait,
    /// A file with an access token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    parties: Option<token::Parties>,
}

/// How far an entry must have come before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Durable at the log.
    Committed,
    /// Under a head that a quorum of witnesses cosigned.
    Witnessed,
    /// Readable by everybody.
    Published,
}

impl Wait {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Witnessed => "witnessed",
            Self::Published => "published",
        }
    }
}

struct Request {
    path: &'static str,
    scope: Scope,
    content_type: &'static str,
    body: Vec<u8>,
}

/// Does what the verb says.
pub async fn run(arguments: Box<Arguments>, json: bool) -> anyhow::Result<()> {
    services::install_tls()?;
    // Before a token is made or read, and before anything is connected.
    bearer::check(&arguments.log).class(ExitClass::Usage)?;
    let trust = documents::trust(&arguments.trust)?;
    let request = request(&arguments)?;
    let token = match (&arguments.token_file, &arguments.parties) {
        (Some(path), _) => documents::read_text(path)?,
        (None, Some(parties)) => token::new(parties, &[trust.namespace()], &[request.scope], 300)?,
        (None, None) => return Err(Failure::usage("either --token-file or --token-key-file").into()),
    };
    let answer = post(&arguments, &trust, request, &token).await?;
    let witnesses =
        if arguments.wait == Wait::Published { verify_receipt(&arguments.log, &trust, &answer).await? } else { vec![] };
    if json {
        let mut answer = answer;
        answer["receipt_verified"] = (!witnesses.is_empty()).into();
        answer["witnesses"] = json!(witnesses);
        present::json(&answer);
        return Ok(());
    }
    let text = |field: &str| answer[field].to_string().trim_matches('"').to_string();
    present::done(&format!("{} at index {}", text("level"), text("index")));
    present::facts(&[
        ("leaf hash", text("leaf_hash")),
        ("already there", text("duplicate")),
        ("receipt verified, cosigned by", witnesses.join(", ")),
    ]);
    Ok(())
}

fn request(arguments: &Arguments) -> anyhow::Result<Request> {
    let Some(statement) = &arguments.statement else {
        let path = arguments.entry.as_ref().context("either --statement or --entry")?;
        let body = documents::read(path)?;
        return Ok(Request { path: "entries", scope: Scope::Entries, content_type: "application/json", body });
    };
    let statement = STANDARD.encode(documents::read(statement)?);
    let approvals = arguments.approval.iter().map(|path| documents::read_text(path));
    let attestations =
        arguments.attestation.iter().map(|path| documents::read(path).map(|bytes| STANDARD.encode(bytes)));
    let body = json!({
        "statement": statement,
        "approvals": approvals.collect::<anyhow::Result<Vec<_>>>()?,
        "attestations": attestations.collect::<anyhow::Result<Vec<_>>>()?,
    });
    let body = serde_json::to_vec(&body)?;
    Ok(Request { path: "statements", scope: Scope::Statements, content_type: "application/json", body })
}

async fn post(arguments: &Arguments, trust: &TrustFile, request: Request, token: &str) -> anyhow::Result<Value> {
    let Request { path, content_type, body, .. } = request;
    let (log, namespace) = (arguments.log.trim_end_matches('/'), trust.namespace());
    let url = format!("{log}/v1/{namespace}/{path}?wait={}", arguments.wait.as_str());
    // A redirect would take the token elsewhere.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.timeout(std::time::Duration::from_secs(90)).build()?;
    let request = client.post(&url).bearer_auth(token).header("content-type", content_type).body(body);
    let response = request.send().await.class(ExitClass::Unreachable)?;
    let status = response.status();
    let answer: Value = response.json().await.unwrap_or(Value::Null);
    if status == reqwest::StatusCode::ACCEPTED {
        let message = "the log took the entry, but it was not published in time; submit again to learn where it stands";
        return Err(Failure::new(ExitClass::NotChecked, message).into());
    }
    if status.is_success() {
        return Ok(answer);
    }
    if status.is_redirection() {
        let message = format!("the log answers {status} and points elsewhere; redirects are not followed");
        return Err(Failure::new(ExitClass::Unreachable, message).into());
    }
    let detail = [&answer["title"], &answer["detail"]].iter().filter_map(|part| part.as_str()).collect::<Vec<_>>();
    let kind = answer["type"].as_str().unwrap_or("no problem document");
    let class = match status.as_u16() {
        400..=499 => ExitClass::RefusedByPolicy,
        _ => ExitClass::Unreachable,
    };
    Err(Failure::new(class, format!("the log answers {status} ({kind}): {}", detail.join(": "))).into())
}

/// The log's own word is not enough: the receipt must verify, and be for the entry that the log says it took.
async fn verify_receipt(log: &str, trust: &TrustFile, answer: &Value) -> anyhow::Result<Vec<String>> {
    let missing = || Failure::new(ExitClass::Malformed, "the log's answer names no index and leaf hash");
    let index = answer["index"].as_u64().ok_or_else(missing)?;
    let leaf = answer["leaf_hash"].as_str().and_then(Digest::from_hex).ok_or_else(missing)?;
    let url = format!("{}/v1/{}/receipts/{index}", log.trim_end_matches('/'), trust.namespace());
    let response = reqwest::get(&url).await.and_then(reqwest::Response::error_for_status);
    let receipt = response.class(ExitClass::Unreachable)?.bytes().await.class(ExitClass::Unreachable)?;
    let leaf = countermark_tlog::hash::LeafHash(countermark_tlog::hash::Hash(leaf.0));
    let proof = countermark_tlog::tlog_proof::TlogProof::parse(&receipt).class(ExitClass::Malformed)?;
    if proof.index.get() != index {
        return Err(Failure::new(ExitClass::Proof, "the receipt is for another index").into());
    }
    let authority = trust.authority().class(ExitClass::Malformed)?;
    let witnessed = proof.verify(authority.policy(), leaf).class(ExitClass::Proof)?;
    Ok(witnessed.witnesses().iter().map(ToString::to_string).collect())
}
