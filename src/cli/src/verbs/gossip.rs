//! `countermark gossip`: what witnesses show of a log, set against each other.
//!
//! It asks for what every C2SP witness serves, its newest cosigned checkpoint. A head counts only if the log's key signed it;
//! how two of different sizes stand to each other is computed here from the log's tiles, and nobody's word is taken for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use countermark_bundle::ExitClass;
use countermark_bundle::trust::TrustFile;
use countermark_service::tls::install_provider;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::fork::{Relation, RelationPlan, UntrustedForkEvidence, VerifiedForkEvidence, relate_equal_sizes};
use countermark_tlog::gossip::{HEADS_PATH, HeadPage, parse_verdicts};
use countermark_tlog::note::VerifierKey;
use countermark_tlog::policy::Policy;
use countermark_tlog::tile::TileCoord;
use countermark_tlog::witness_wire::monitoring_path;
use serde_json::json;

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// The longest that anybody may take to answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most bytes of an answer: a checkpoint with every signature that it may have.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Arguments of `gossip`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What is pinned: the log's keys and the witnesses
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// A witness's address; those of the trust file's policy if none is given
    #[arg(long = "witness", value_name = "URL")]
    witnesses: Vec<String>,
    /// The log's address, whose tiles relate heads of different sizes
    #[arg(long, value_name = "URL")]
    log: String,
    /// Where fork evidence goes, if there is any
    #[arg(long, value_name = "FILE")]
    evidence_out: Option<PathBuf>,
    /// Tell every witness that gossips what the others show
    #[arg(long)]
    push: bool,
}

/// What one witness shows.
struct Shown {
    url: String,
    outcome: Outcome,
}

enum Outcome {
    /// A head that the log signed, and who cosigned it.
    Head { head: Box<SignedCheckpoint>, cosigned: Vec<String> },
    /// It never cosigned the log, or does not follow it.
    Nothing,
    /// No answer, or none that counts.
    Failed(String),
}

/// How a head stands to the largest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Newest,
    Behind,
    Unresolved,
    Fork,
}

impl Standing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "agrees",
            Self::Behind => "behind, and a part of it",
            Self::Unresolved => "UNRESOLVED",
            Self::Fork => "FORK",
        }
    }
}

/// Does what the verb says.
pub async fn run(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let trust = documents::trust(&arguments.trust)?;
    let policy = Policy::parse(trust.keys.policy.as_bytes()).class(ExitClass::Malformed)?;
    install_provider();
    let client = reqwest::Client::builder().timeout(DEADLINE).build().context("no HTTP client")?;
    let urls = witnesses(arguments, &policy);
    if urls.is_empty() {
        return Err(Failure::usage("no --witness, and the policy of the trust file names no addresses").into());
    }
    let mut shown = Vec::new();
    for url in urls {
        let outcome = ask(&client, &url, &trust, &policy).await;
        shown.push(Shown { url, outcome });
    }
    let (standings, evidence) = relate(&client, arguments, &trust, &policy, &shown).await?;
    if let (Some(evidence), Some(file)) = (&evidence, &arguments.evidence_out) {
        documents::write(file, &evidence.to_bytes())?;
    }
    let pushed = if arguments.push { push(&client, &shown).await? } else { Vec::new() };
    show(&shown, &standings, evidence.as_ref(), &pushed, json);
    verdict(&shown, &standings, evidence.as_ref())
}

/// Each address once, as the policy has it unless the command line says more.
fn witnesses(arguments: &Arguments, policy: &Policy) -> Vec<String> {
    let known = policy.witnesses().iter().filter_map(|witness| String::from_utf8(witness.url.clone()?).ok());
    let mut urls: Vec<String> =
        if arguments.witnesses.is_empty() { known.collect() } else { arguments.witnesses.clone() };
    for url in &mut urls {
        url.truncate(url.trim_end_matches('/').len());
    }
    urls.sort();
    urls.dedup();
    urls
}

async fn ask(client: &reqwest::Client, url: &str, trust: &TrustFile, policy: &Policy) -> Outcome {
    let answer = get(client, &format!("{url}/{}", monitoring_path(&trust.origin))).await;
    let bytes = match answer {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Outcome::Nothing,
        Err(error) => return Outcome::Failed(present::in_one_line(&error)),
    };
    let head = match SignedCheckpoint::parse(&bytes) {
        Ok(head) if head.checkpoint().origin == trust.origin => head,
        Ok(head) => return Outcome::Failed(format!("it shows a head of {}", head.checkpoint().origin)),
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    if let Err(error) = head.verify_log(&log_keys(policy)) {
        return Outcome::Failed(error.to_string());
    }
    let known = policy.witnesses().iter().map(|witness| &witness.vkey);
    let mut cosigned: Vec<String> = match head.note().verify(known) {
        Ok(keys) => keys.iter().map(|key| key.name().to_string()).collect(),
        // The log's signature is what counts here; a cosignature of nobody known adds nothing.
        Err(_) => Vec::new(),
    };
    cosigned.dedup();
    Outcome::Head { head: Box::new(head), cosigned }
}

/// The body of a 200; `None` for a 404.
async fn get(client: &reqwest::Client, url: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let mut answer = client.get(url).send().await.context("no answer")?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !answer.status().is_success() {
        anyhow::bail!("it answered {}", answer.status());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            anyhow::bail!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
        }
    }
    Ok(Some(bytes))
}

fn log_keys(policy: &Policy) -> Vec<VerifierKey> {
    policy.logs().iter().map(|log| log.vkey.clone()).collect()
}

/// Sets every head against the largest. `None` stands for a witness without a head.
async fn relate(
    client: &reqwest::Client,
    arguments: &Arguments,
    trust: &TrustFile,
    policy: &Policy,
    shown: &[Shown],
) -> anyhow::Result<(Vec<Option<Standing>>, Option<VerifiedForkEvidence>)> {
    let largest = shown.iter().filter_map(Shown::head).max_by_key(|head| head.checkpoint().size);
    let (mut standings, mut evidence) = (Vec::new(), None);
    for one in shown {
        let (Some(head), Some(largest)) = (one.head(), largest) else {
            standings.push(None);
            continue;
        };
        let relation = if head.checkpoint().size == largest.checkpoint().size {
            relate_equal_sizes(head, largest)?
        } else {
            let prefix = format!("{}/{}", arguments.log.trim_end_matches('/'), trust.namespace());
            relate_by_tiles(client, &prefix, head, largest).await?
        };
        standings.push(Some(match relation {
            Relation::Same => Standing::Newest,
            Relation::Grown => Standing::Behind,
            Relation::Unresolved => Standing::Unresolved,
            Relation::Fork(found) => {
                // Believed as little as anybody else's.
                let found = UntrustedForkEvidence::parse(&found.to_bytes())?;
                evidence = Some(found.verify(&log_keys(policy)).context("evidence that was made here")?);
                Standing::Fork
            }
        }));
    }
    Ok((standings, evidence))
}

async fn relate_by_tiles(
    client: &reqwest::Client,
    prefix: &str,
    smaller: &SignedCheckpoint,
    larger: &SignedCheckpoint,
) -> anyhow::Result<Relation> {
    let plan = RelationPlan::new(smaller.checkpoint().size, larger.checkpoint().size)?;
    let mut tiles: BTreeMap<TileCoord, Vec<u8>> = BTreeMap::new();
    for tile in plan.tiles() {
        // SPEC: C2SP tlog-tiles, Partial Tiles: may be deleted once the full tile is there.
        let mut found = get(client, &format!("{prefix}/{}", tile.path())).await;
        if let (Ok(None), false) = (&found, tile.is_full()) {
            found = get(client, &format!("{prefix}/{}", tile.full().path())).await;
        }
        // A log that does not show its tiles leaves the question open; it is no proof of anything.
        let Ok(Some(mut bytes)) = found else { return Ok(Relation::Unresolved) };
        bytes.truncate(tile.byte_count());
        tiles.insert(*tile, bytes);
    }
    Ok(plan.relate(smaller, larger, &tiles).unwrap_or(Relation::Unresolved))
}

/// Tells every witness what the others show. Gives, for each, how many heads it judged.
async fn push(client: &reqwest::Client, shown: &[Shown]) -> anyhow::Result<Vec<(String, Option<usize>)>> {
    let mut page = HeadPage::default();
    for head in shown.iter().filter_map(Shown::head) {
        page.push(head.clone());
    }
    let mut pushed = Vec::new();
    for one in shown {
        let call = client.post(format!("{}/{HEADS_PATH}", one.url)).body(page.to_bytes()).send();
        let answer = call.await.with_context(|| format!("{} cannot be told", one.url))?;
        // A witness that does not gossip is no worse a witness.
        let judged = if answer.status().is_success() {
            Some(parse_verdicts(&answer.bytes().await?).class(ExitClass::Malformed)?.len())
        } else {
            None
        };
        pushed.push((one.url.clone(), judged));
    }
    Ok(pushed)
}

impl Shown {
    fn head(&self) -> Option<&SignedCheckpoint> {
        match &self.outcome {
            Outcome::Head { head, .. } => Some(head),
            Outcome::Nothing | Outcome::Failed(_) => None,
        }
    }

    fn row(&self, standing: Option<Standing>) -> [String; 4] {
        match (&self.outcome, standing) {
            (Outcome::Head { head, cosigned }, standing) => {
                let size = head.checkpoint().size.to_string();
                [self.url.clone(), size, cosigned.join(", "), standing.map_or("", Standing::as_str).to_owned()]
            }
            (Outcome::Nothing, _) => [self.url.clone(), String::new(), String::new(), "never cosigned it".to_owned()],
            (Outcome::Failed(why), _) => [self.url.clone(), String::new(), String::new(), why.clone()],
        }
    }
}

fn show(
    shown: &[Shown],
    standings: &[Option<Standing>],
    evidence: Option<&VerifiedForkEvidence>,
    pushed: &[(String, Option<usize>)],
    json: bool,
) {
    let rows: Vec<[String; 4]> = shown.iter().zip(standings).map(|(one, standing)| one.row(*standing)).collect();
    if json {
        let witnesses: Vec<_> = rows
            .iter()
            .map(|[url, size, cosigned, standing]| {
                let size = size.parse::<u64>().ok();
                json!({ "witness": url, "size": size, "cosigned_by": cosigned, "standing": standing })
            })
            .collect();
        let pushed: Vec<_> = pushed.iter().map(|(url, judged)| json!({ "witness": url, "judged": judged })).collect();
        let evidence = evidence.map(|evidence| evidence.id().to_string());
        present::json(&json!({ "witnesses": witnesses, "evidence": evidence, "pushed": pushed }));
        return;
    }
    present::table(&["witness", "size", "cosigned by", ""], &rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>());
    for (url, judged) in pushed {
        match judged {
            Some(count) => present::done(&format!("{url} was told {count} heads")),
            None => present::note(&format!("{url} does not gossip")),
        }
    }
}

/// 0 only if every witness showed a head, and all of them are one history.
fn verdict(
    shown: &[Shown],
    standings: &[Option<Standing>],
    evidence: Option<&VerifiedForkEvidence>,
) -> anyhow::Result<()> {
    if let Some(evidence) = evidence {
        let message = format!("fork: {} signed two histories; the evidence is {}", evidence.origin(), evidence.id());
        return Err(Failure::new(ExitClass::Fork, message).into());
    }
    let open = standings.iter().filter(|standing| matches!(standing, None | Some(Standing::Unresolved))).count();
    if open > 0 {
        let message = format!("not checked: {open} of {} witnesses could not be related to the others", shown.len());
        return Err(Failure::new(ExitClass::NotChecked, message).into());
    }
    Ok(())
}
