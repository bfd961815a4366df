//! The one log, fleet and client that all examples are about, read back from FORMATS.md.

use std::collections::BTreeMap;

use countermark_bundle::entry::{
    Activation, AuthorityChange, CertifiedStatement, Entry, Evidence, PolicyChange, Revocation,
};
use countermark_bundle::key::PublicKey;
use countermark_bundle::namespace_state::NamespaceState;
use countermark_bundle::statement::ParsedStatement;
use countermark_bundle::trust::{Floor, TrustFile};
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::policy::{Policy, WitnessedCheckpoint};

use crate::book::{self, Example};

/// What the examples say together.
pub struct World {
    examples: BTreeMap<String, Example>,
    /// What the client pins.
    pub trust: TrustFile,
    /// What it remembers.
    pub floor: Floor,
    /// The statement of epoch 1.
    pub statement: ParsedStatement,
    /// The log's entries, from its first one.
    pub entries: Vec<Vec<u8>>,
    /// The namespace after all of them.
    pub state: NamespaceState,
}

impl World {
    /// Reads the examples. The entries must obey every rule, in the order of the log.
    pub fn read() -> Self {
        let examples = book::examples();
        let bytes = |name: &str| examples[name].text.clone().into_bytes();
        let trust = TrustFile::parse(&bytes("trust")).unwrap();
        let mut state = NamespaceState::new(&trust).unwrap();
        let names = ["policy-change", "certified-statement", "activation", "evidence", "revocation"];
        let entries = names.map(bytes).to_vec();
        for entry in &entries {
            state.apply(entry).unwrap();
        }
        Self {
            floor: Floor::parse(&bytes("floor")).unwrap(),
            statement: ParsedStatement::parse(&bytes("statement")).unwrap(),
            examples,
            trust,
            entries,
            state,
        }
    }

    /// Every example, by name.
    pub const fn examples(&self) -> &BTreeMap<String, Example> {
        &self.examples
    }

    /// The text of an example.
    pub fn text(&self, name: &str) -> &str {
        &self.examples.get(name).unwrap_or_else(|| panic!("there is no example {name}")).text
    }

    /// The bytes of an example.
    pub fn bytes(&self, name: &str) -> &[u8] {
        self.text(name).as_bytes()
    }

    /// An example of one line without its newline.
    pub fn line(&self, name: &str) -> &str {
        self.text(name).strip_suffix('\n').unwrap()
    }

    /// The public half of the Ed25519 key that is made from a seed.
    pub fn ed25519(seed: u8) -> PublicKey {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap()
    }

    /// The witness policy in force.
    pub fn policy(&self) -> Policy {
        Policy::parse(self.trust.keys.policy.as_bytes()).unwrap()
    }

    /// The cosigned head over all entries.
    pub fn head(&self) -> WitnessedCheckpoint {
        self.policy().verify(&SignedCheckpoint::parse(self.bytes("checkpoint")).unwrap()).unwrap()
    }

    pub fn certified(&self) -> CertifiedStatement {
        match Entry::parse(&self.entries[1]).unwrap() {
            Entry::CertifiedStatement(entry) => entry,
            other => panic!("{}", other.type_name()),
        }
    }

    pub fn activation(&self) -> Activation {
        match Entry::parse(&self.entries[2]).unwrap() {
            Entry::Activation(entry) => entry,
            other => panic!("{}", other.type_name()),
        }
    }

    pub fn policy_change(&self) -> PolicyChange {
        match Entry::parse(&self.entries[0]).unwrap() {
            Entry::PolicyChange(entry) => entry,
            other => panic!("{}", other.type_name()),
        }
    }

    pub fn evidence(&self) -> Evidence {
        match Entry::parse(&self.entries[3]).unwrap() {
            Entry::Evidence(entry) => entry,
            other => panic!("{}", other.type_name()),
        }
    }

    pub fn revocation(&self) -> Revocation {
        match Entry::parse(&self.entries[4]).unwrap() {
            Entry::Revocation(entry) => entry,
            other => panic!("{}", other.type_name()),
        }
    }

    pub fn authority_change(&self) -> AuthorityChange {
        match Entry::parse(self.bytes("authority-change")).unwrap() {
            Entry::AuthorityChange(entry) => entry,
            other => panic!("{}", other.type_name()),
        }
    }
}
