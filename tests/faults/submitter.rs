//! Who submits, and remembers what was acknowledged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use crate::authority::Authority;
use crate::http::{self, Answer};

/// What became of a submission.
#[derive(Debug)]
pub enum Outcome {
    /// It is in the log, here.
    Acknowledged(u64),
    /// The log said why not.
    Problem(Answer),
    /// No answer.
    Broken,
}

/// Everything that was acknowledged: by namespace and entry, the index.
#[derive(Default)]
pub struct Ledger {
    acknowledged: Mutex<BTreeMap<(&'static str, Vec<u8>), u64>>,
}

impl Ledger {
    /// Hands in an entry with this text and notes what is acknowledged. The same entry is never at two places.
    pub fn submit(&self, authority: &Authority, address: SocketAddr, namespace: &'static str, text: &str) -> Outcome {
        let entry = entry(authority, namespace, text);
        let path = if namespace == "opaque" { "/v1/opaque/add" } else { "/v1/backup/entries?wait=committed" };
        let Ok(answer) = http::post(address, path, &authority.token, &entry) else { return Outcome::Broken };
        if answer.status != 200 {
            return Outcome::Problem(answer);
        }
        let index = match namespace {
            "opaque" => answer.text().lines().next().unwrap().parse().unwrap(),
            _ => answer.json()["index"].as_u64().unwrap(),
        };
        let before = self.acknowledged.lock().unwrap().insert((namespace, entry), index);
        assert!(before.is_none_or(|before| before == index), "{text} was acknowledged at {before:?} and at {index}");
        Outcome::Acknowledged(index)
    }

    /// As [`Self::submit`], which must be acknowledged.
    pub fn must(&self, authority: &Authority, address: SocketAddr, namespace: &'static str, text: &str) -> u64 {
        match self.submit(authority, address, namespace, text) {
            Outcome::Acknowledged(index) => index,
            Outcome::Problem(answer) => panic!("{text}: {answer:?} {}", answer.text()),
            Outcome::Broken => panic!("{text}: no answer"),
        }
    }

    pub fn acknowledged(&self) -> BTreeMap<(&'static str, Vec<u8>), u64> {
        self.acknowledged.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

/// An entry of a namespace.
pub fn entry(authority: &Authority, namespace: &str, text: &str) -> Vec<u8> {
    if namespace == "opaque" { text.as_bytes().to_vec() } else { authority.evidence(text) }
}
