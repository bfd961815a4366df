//! The three members that `up` started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use countermark_bundle::identity::Timestamp;
use countermark_bundle::trust::TrustFile;
use countermark_bundle::verify::{VerifiedBundle, verify};
use serde_json::Value;

use crate::authority::Authority;

/// Three members.
pub struct Fleet {
    data: PathBuf,
    addresses: [String; 3],
    client: reqwest::Client,
    /// Members that were started again here.
    restarted: Vec<Child>,
}

/// One member, as a phone sees it.
#[derive(Clone)]
pub struct Member {
    pub url: String,
    /// From 1.
    pub number: usize,
}

impl Fleet {
    pub fn of(authority: &Authority) -> Self {
        let data = authority.data().to_path_buf();
        let journal: Value = serde_json::from_slice(&fs::read(data.join("countermark-up.json")).unwrap()).unwrap();
        let addresses = [0, 1, 2].map(|n| format!("http://127.0.0.1:{}", journal["ports"]["members"][n]));
        Self { data, addresses, client: reqwest::Client::new(), restarted: Vec::new() }
    }

    /// A member; the numbers go round.
    pub fn member(&self, number: usize) -> Member {
        let number = number % 3;
        Member { url: self.addresses[number].clone(), number: number + 1 }
    }

    /// The bundle of this fleet, believed.
    pub fn bundle(&self, bytes: &[u8], now: Timestamp) -> VerifiedBundle {
        let trust = TrustFile::parse(&fs::read(self.data.join("client/trust.json")).unwrap()).unwrap();
        let unstored = verify(bytes, None, &trust, &trust.initial_floor(), now).unwrap();
        unstored.store(|_| Ok::<_, std::convert::Infallible>(())).unwrap()
    }

    /// Which member leads.
    pub async fn leader(&self) -> usize {
        loop {
            for number in 0..3 {
                let url = format!("{}/v1/status", self.addresses[number]);
                let Ok(answer) = self.client.get(url).send().await else { continue };
                let status: Value = answer.json().await.unwrap();
                if status["replica"]["role"] == "leader" {
                    return number;
                }
            }
        }
    }

    fn config(&self, number: usize) -> PathBuf {
        self.data.join(format!("member-{}/member.toml", number + 1))
    }

    /// Kills a member as a power failure would.
    pub fn kill(&mut self, number: usize) {
        let pid = process_of(&self.config(number));
        assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
        for child in &mut self.restarted {
            if child.id() == pid {
                child.wait().unwrap();
            }
        }
    }

    /// Starts a member again and waits until it answers and the fleet has a leader.
    pub async fn restart(&mut self, number: usize) {
        let mut command = Command::new(crate::authority::program("countermark"));
        command.args(["vault", "serve", "--config"]).arg(self.config(number));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.restarted.push(child);
        while self.client.get(format!("{}/v1/status", self.addresses[number])).send().await.is_err() {}
        self.leader().await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.restarted {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The process that was started with this configuration and still runs.
fn process_of(config: &Path) -> u32 {
    let needle = config.to_str().unwrap();
    let running = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(needle)
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().find(running).unwrap()
}
