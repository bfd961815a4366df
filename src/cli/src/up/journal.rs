//! The folder that `up` works in: whose it is, whether another `up` is in it, what was done already.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countermark_bundle::ExitClass;
use countermark_keys::os_random_bytes;
use serde::{Deserialize, Serialize};

use crate::documents;
use crate::failure::{Class as _, Failure};

/// The file that says that a folder is ours.
const JOURNAL: &str = "countermark-up.json";
const JOURNAL_TYPE: &str = "countermark/up/v2";

/// What was done already. Changes by atomic replacement only.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    #[serde(rename = "type")]
    kind: String,
    /// Where each service listens, on loopback.
    pub ports: Ports,
    /// Every key, configuration and database was made: nothing is ever created again.
    pub prepared: bool,
    /// A client registered a backup key, and its encrypted file is durable: nothing is registered again.
    pub registered: bool,
    /// Members were killed and came back: shown once.
    pub drilled: bool,
}

/// Where each service listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The log.
    pub log: u16,
    /// The four witnesses.
    pub witnesses: [u16; 4],
    /// The countersigner's status page.
    pub countersigner: u16,
    /// The three members of the vault, for clients.
    pub members: [u16; 3],
    /// The three members of the vault, for one another.
    pub peers: [u16; 3],
}

/// How many ports that are.
pub const PORTS: u16 = 12;
/// How many places are looked at for free ports.
const TRIES_MAX: u32 = 100;

/// The folder, locked for the life of this process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    journal: Journal,
    /// Held, not read: the lock ends with the process, however it ends.
    _lock: File,
}

impl Folder {
    /// Takes a folder: ours, or an empty or missing one. Refuses what belongs to something else, and a folder that
    /// another `up` works in.
    pub fn claim(path: &Path, port_base: Option<u16>, default_base: u16) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot make {}", path.display()))
            .class(ExitClass::Usage)?;
        let file = path.join(JOURNAL);
        if !file.exists() {
            check_empty(path)?;
        }
        let lock = lock(path)?;
        let journal = if file.exists() {
            read(&file, path)?
        } else {
            let journal = Journal {
                kind: JOURNAL_TYPE.to_string(),
                ports: choose(port_base, default_base)?,
                prepared: false,
                registered: false,
                drilled: false,
            };
            documents::write(&file, &serde_json::to_vec_pretty(&journal)?)?;
            journal
        };
        if let Some(base) = port_base
            && base != 0
            && base != journal.ports.log
        {
            let message = format!(
                "{} was made with port {}; keys and addresses of the witness policy hang on it, so it cannot change",
                path.display(),
                journal.ports.log
            );
            return Err(Failure::usage(message).into());
        }
        Ok(Self { path: path.to_path_buf(), journal, _lock: lock })
    }

    /// What was done already.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Notes what was done, durably when it returns.
    pub fn note(&mut self, change: impl FnOnce(&mut Journal)) -> anyhow::Result<()> {
        change(&mut self.journal);
        documents::write(&self.path.join(JOURNAL), &serde_json::to_vec_pretty(&self.journal)?)
    }
}

fn check_empty(path: &Path) -> anyhow::Result<()> {
    let mut entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    // A first start that was killed before its journal was written leaves only its lock and temporary files.
    let foreign = entries.find_map(|entry| {
        let name = entry.ok()?.file_name();
        let ours = name == LOCK || name.to_string_lossy().starts_with(".tmp");
        (!ours).then_some(name)
    });
    foreign.map_or(Ok(()), |name| {
        let message = format!(
            "{} belongs to something else (it holds {} and no {JOURNAL}); choose another folder with --data",
            path.display(),
            name.to_string_lossy()
        );
        Err(Failure::usage(message).into())
    })
}

const LOCK: &str = "countermark-up.lock";

fn lock(path: &Path) -> anyhow::Result<File> {
    let lock = File::create(path.join(LOCK)).with_context(|| format!("cannot write in {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => {
            let message = format!("another `countermark up` works in {}", path.display());
            Err(Failure::usage(message).into())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).context("cannot lock the folder"),
    }
}

fn read(file: &Path, path: &Path) -> anyhow::Result<Journal> {
    let foreign = || format!("{} is not a journal of this version of `countermark up`", file.display());
    let journal: Journal =
        serde_json::from_slice(&documents::read(file)?).with_context(foreign).class(ExitClass::Usage)?;
    if journal.kind != JOURNAL_TYPE {
        return Err(Failure::usage(format!("{}: {}", foreign(), path.display())).into());
    }
    Ok(journal)
}

fn choose(port_base: Option<u16>, default_base: u16) -> anyhow::Result<Ports> {
    let base = match port_base.unwrap_or(default_base) {
        0 => free_base()?,
        base => base,
    };
    let last = base.checked_add(PORTS - 1);
    let last = last.ok_or_else(|| Failure::usage(format!("{PORTS} ports do not fit above {base}")))?;
    let ports: Vec<u16> = (base..=last).collect();
    match ports.as_slice() {
        &[log, w1, w2, w3, w4, countersigner, m1, m2, m3, p1, p2, p3] => {
            Ok(Ports { log, witnesses: [w1, w2, w3, w4], countersigner, members: [m1, m2, m3], peers: [p1, p2, p3] })
        }
        _ => unreachable!("as many ports were chosen"),
    }
}

/// Ports in a row that nobody listens on.
///
/// Below the range from which systems give ports to outgoing connections: one of those could be taken between now and
/// the moment when the child binds it.
fn free_base() -> anyhow::Result<u16> {
    const LOWEST: u16 = 10_000;
    const SPAN: u16 = 20_000;
    for _ in 0..TRIES_MAX {
        let base = LOWEST + u16::from_be_bytes(os_random_bytes()?) % SPAN;
        let all_free = (base..base + PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        if all_free {
            return Ok(base);
        }
    }
    anyhow::bail!("no {PORTS} free ports in a row were found on loopback; choose with --port-base")
}
