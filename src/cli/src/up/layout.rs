//! Who lives where: one folder, one set of keys and one configuration for each role.

use std::path::{Path, PathBuf};

use super::journal::Ports;

/// The authority's name.
pub const AUTHORITY: &str = "countermark.localhost";
/// The namespace: one product's fleet keys.
pub const NAMESPACE: &str = "backup";
/// The log's origin.
pub const ORIGIN: &str = "countermark.localhost/backup";
/// Who issues account tokens.
pub const ACCOUNTS: &str = "accounts.localhost";
/// The user whose backup key is kept.
pub const USER: &str = "user-1";
/// The fleet.
pub const FLEET: &str = "fleet-1";
/// Who may approve.
pub const OFFICERS: [&str; 2] = ["officer-1", "officer-2"];

/// Paths and addresses.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    ports: Ports,
}

/// A service and how it is started.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name, for people.
    pub name: String,
    /// Its verb and configuration.
    pub arguments: Vec<String>,
    /// Where its log goes.
    pub log: PathBuf,
}

impl Layout {
    /// The layout below a folder.
    pub fn new(root: &Path, ports: Ports) -> Self {
        Self { root: root.to_path_buf(), ports }
    }

    /// The authority's folder.
    pub fn authority(&self) -> PathBuf {
        self.root.join("authority")
    }

    /// A witness's folder, from 1.
    pub fn witness(&self, number: usize) -> PathBuf {
        self.root.join(format!("witness-{number}"))
    }

    /// The operator's folder.
    pub fn operator(&self) -> PathBuf {
        self.root.join("operator")
    }

    /// An officer's folder.
    pub fn officer(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The vendor's folder.
    pub fn vendor(&self) -> PathBuf {
        self.root.join("vendor")
    }

    /// A vault member's folder, from 1.
    pub fn member(&self, number: usize) -> PathBuf {
        self.root.join(format!("member-{number}"))
    }

    /// What stands for a member's device, from 1: its sealing key and its counter, outside of the member's folder, so that
    /// a copy of that folder has neither.
    pub fn device(&self, number: usize) -> PathBuf {
        self.root.join(format!("device-{number}"))
    }

    /// The folder of the service that knows the messenger's users and issues their account tokens.
    pub fn accounts(&self) -> PathBuf {
        self.root.join("accounts")
    }

    /// The folder of the user's next phone, which has nothing of the first one's.
    pub fn new_phone(&self) -> PathBuf {
        self.root.join("new-phone")
    }

    /// The client's folder.
    pub fn client(&self) -> PathBuf {
        self.root.join("client")
    }

    /// The auditor's folder.
    pub fn auditor(&self) -> PathBuf {
        self.root.join("auditor")
    }

    /// Documents that are on their way from one to another; none of them is secret.
    pub fn public(&self) -> PathBuf {
        self.root.join("public")
    }

    /// The log's address.
    pub fn log_url(&self) -> String {
        url(self.ports.log)
    }

    /// A witness's address, from 1.
    pub fn witness_url(&self, number: usize) -> String {
        url(self.ports.witnesses[number - 1])
    }

    /// The countersigner's address.
    pub fn countersigner_url(&self) -> String {
        url(self.ports.countersigner)
    }

    /// A member's address, from 1.
    pub fn member_url(&self, number: usize) -> String {
        url(self.ports.members[number - 1])
    }

    /// Where a member listens to other members, from 1.
    pub fn peer_address(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.ports.peers[number - 1])
    }

    /// The port of an address of ours.
    pub fn listen(url: &str) -> String {
        url.trim_start_matches("http://").to_string()
    }

    /// Every service, in the order of starting.
    pub fn services(&self) -> Vec<Service> {
        let service = |name: String, verb: &str, config: PathBuf| Service {
            arguments: [verb, "serve", "--config", &config.to_string_lossy(), "--exit-with-stdin"]
                .map(ToString::to_string)
                .to_vec(),
            log: self.root.join("logs").join(format!("{name}.log")),
            name,
        };
        let witnesses =
            (1..=4).map(|i| service(format!("witness-{i}"), "witness", self.witness(i).join("witness.toml")));
        let members = (1..=3).map(|i| service(format!("member-{i}"), "vault", self.member(i).join("member.toml")));
        let countersigner = self.operator().join("countersigner.toml");
        witnesses
            .chain([service("log".to_string(), "log", self.authority().join("log.toml"))])
            .chain([service("countersigner".to_string(), "countersigner", countersigner)])
            .chain(members)
            .collect()
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
