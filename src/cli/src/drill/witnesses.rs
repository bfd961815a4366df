//! The witnesses of a drill: real processes, each with its own state; the bad one has two.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use countermark_service::tls::install_provider;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::note::NoteSignature;
use countermark_tlog::proof::ConsistencyProof;
use countermark_tlog::size::TreeSize;
use countermark_tlog::witness_wire::{AddCheckpointRequest, parse_cosignature_lines};

use crate::documents;
use crate::up::child::{Children, Program};
use crate::up::layout::Service;

/// The longest that a witness may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// One process.
pub struct Seat {
    /// For people.
    pub name: &'static str,
    /// The name of its keys.
    key_name: &'static str,
    folder: PathBuf,
    port: u16,
}

/// Every process, and how to speak with it.
pub struct Witnesses {
    program: Program,
    children: Children,
    client: reqwest::Client,
    /// 1 to 3 are honest; then the bad one, as it is to one side and as it is to the other.
    pub seats: Vec<Seat>,
}

/// What a witness answered.
pub enum Answer {
    /// Its cosignatures.
    Cosigned(Vec<NoteSignature>),
    /// Its refusal.
    Refused {
        /// The status.
        status: u16,
        /// What it said.
        said: String,
    },
}

impl Witnesses {
    /// Makes the witnesses. Gives the verifier keys of each of the four.
    pub async fn make(root: &Path) -> anyhow::Result<(Self, Vec<Vec<String>>)> {
        install_provider();
        let names = [
            ("witness-1", "witness-1.drill"),
            ("witness-2", "witness-2.drill"),
            ("witness-3", "witness-3.drill"),
            ("witness-4, to the left", "witness-4.drill"),
            ("witness-4, to the right", "witness-4.drill"),
        ];
        // Held until each is known, so that no two are the same.
        let listeners = names.map(|_| TcpListener::bind("127.0.0.1:0"));
        let mut seats = Vec::new();
        for ((name, key_name), listener) in names.into_iter().zip(listeners) {
            let port = listener.and_then(|listener| listener.local_addr()).context("no free port")?.port();
            let folder = root.join(name.replace(", to the ", "-"));
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            seats.push(Seat { name, key_name, folder, port });
        }
        let client = reqwest::Client::builder().timeout(DEADLINE).build().context("no HTTP client")?;
        let all = Self { program: Program::this()?, children: Children::default(), client, seats };
        let mut vkeys = Vec::new();
        for seat in 0..4 {
            all.configure(seat, None, &[])?;
            vkeys.push(all.init(seat).await?);
        }
        all.steal_the_bad_one_s_keys()?;
        all.configure(4, None, &[])?;
        all.init(4).await?;
        Ok((all, vkeys))
    }

    /// The same keys with a state of their own: the one thing that a witness must never do.
    fn steal_the_bad_one_s_keys(&self) -> anyhow::Result<()> {
        let (from, to) = (&self.seats[3].folder, &self.seats[4].folder);
        for file in ["witness.key", "witness-ml-dsa-44.key", "passphrase"] {
            std::fs::copy(from.join(file), to.join(file)).with_context(|| format!("cannot copy {file}"))?;
        }
        Ok(())
    }

    async fn init(&self, seat: usize) -> anyhow::Result<Vec<String>> {
        let config = self.config(seat);
        let printed = self.program.text(&["witness", "init", "--config", &config]).await?;
        Ok(printed.lines().map(ToString::to_string).collect())
    }

    fn config(&self, seat: usize) -> String {
        self.seats[seat].folder.join("witness.toml").to_string_lossy().into_owned()
    }

    /// Writes a configuration: the log that it follows, and the peers that it can reach.
    pub fn configure(&self, seat: usize, log: Option<(&str, &str)>, peers: &[usize]) -> anyhow::Result<()> {
        let Seat { key_name, folder, port, .. } = &self.seats[seat];
        let peers: Vec<String> = peers.iter().map(|peer| format!("\"{}\"", self.url(*peer))).collect();
        let gossip = format!("[gossip]\npeers = [{}]\ninterval_seconds = 1\n\n", peers.join(", "));
        let log = log.map(|(origin, vkey)| format!("[[log]]\norigin = \"{origin}\"\nvkeys = [\"{vkey}\"]\n"));
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nname = \"{key_name}\"\nkey_file = \"witness.key\"\n\
             ml_dsa_44_key_file = \"witness-ml-dsa-44.key\"\npassphrase_file = \"passphrase\"\n\
             state = \"witness.sqlite\"\n\n{}{}",
            if peers.is_empty() { "" } else { &gossip },
            log.unwrap_or_default(),
        );
        documents::write(&folder.join("witness.toml"), text.as_bytes())
    }

    /// Starts every process.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for seat in 0..self.seats.len() {
            let Seat { name, folder, .. } = &self.seats[seat];
            let arguments = ["witness", "serve", "--exit-with-stdin", "--config", &self.config(seat)];
            let service = Service {
                name: (*name).to_owned(),
                arguments: arguments.map(ToOwned::to_owned).to_vec(),
                log: folder.join("witness.log"),
            };
            self.children.start(&self.program, &service).await?;
        }
        Ok(())
    }

    /// Ends a process and starts it again with the configuration that it has now.
    pub async fn restart(&mut self, seat: usize) -> anyhow::Result<()> {
        let name = self.seats[seat].name;
        self.children.kill(name).await?;
        self.children.restart(&self.program, name).await
    }

    /// Where a process answers.
    pub fn url(&self, seat: usize) -> String {
        format!("http://127.0.0.1:{}", self.seats[seat].port)
    }

    /// Asks for cosignatures, as a log does, from the size that the witness is believed to know.
    pub async fn cosign(&self, seat: usize, old: TreeSize, head: &SignedCheckpoint) -> anyhow::Result<Answer> {
        let request =
            AddCheckpointRequest { old, proof: ConsistencyProof::new(Vec::new())?, checkpoint: head.to_bytes() };
        let call = self.client.post(format!("{}/add-checkpoint", self.url(seat))).body(request.to_bytes());
        let answer = call.send().await.with_context(|| format!("{} does not answer", self.seats[seat].name))?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        if status == 200 {
            return Ok(Answer::Cosigned(parse_cosignature_lines(&body)?));
        }
        Ok(Answer::Refused { status, said: String::from_utf8_lossy(&body).trim().to_owned() })
    }

    /// Reads a short text that a witness serves.
    pub async fn get(&self, seat: usize, path: &str) -> anyhow::Result<String> {
        let answer = self.client.get(format!("{}{path}", self.url(seat))).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Ends every process.
    pub async fn stop(self) {
        self.children.stop().await;
    }
}
