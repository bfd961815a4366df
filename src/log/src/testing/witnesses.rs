//! Witnesses in memory that keep the protocol, and break it on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use countermark_tlog::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use countermark_tlog::cosignature::{Cosignature, cosignature_message, message_of};
use countermark_tlog::hash::empty_root;
use countermark_tlog::note::{NoteSignature, VerifierKey};
use countermark_tlog::proof::verify_consistency;
use countermark_tlog::size::TreeSize;
use countermark_tlog::witness_wire::{AddCheckpointRequest, conflict_body};
use tokio::sync::watch;

use super::keys::TestSigner;
use super::ports::TestClock;
use crate::ports::{Clock as _, PortFuture, UntrustedWitnessAnswer, WitnessClient, WitnessEndpoint, WitnessError};

/// How a witness behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Keeps the protocol.
    Honest,
    /// Answers a status.
    Status(u16),
    /// Answers 200 and nonsense.
    Garbage,
    /// Answers with more bytes than are read.
    TooLong,
    /// Cosigns with the wrong key under its own name.
    BadSignature,
    /// Cosigns for the year 292 277 026 596.
    BadStamp,
    /// Cosigns, with its own key, another head than it was asked about.
    OtherHead,
    /// Cosigns with its Ed25519 key alone, though it has another.
    Ed25519Alone,
    /// Cosigns, and its ML-DSA-44 signature does not verify.
    BadMlDsa44,
    /// Answers 200 without a line of its own.
    SomebodyElse,
    /// Answers 409 with a size that nobody asked about, whatever it is asked.
    Claims(u64),
    /// Answers 409 and nonsense.
    ClaimsNonsense,
    /// Never answers.
    Hangs,
    /// No connection.
    Unreachable,
    /// Cosigns and remembers, but its answer is lost.
    LosesAnswer,
}

/// What a witness holds, and everything it was ever shown.
struct Peer {
    manner: watch::Sender<Manner>,
    signer: TestSigner,
    vkey: VerifierKey,
    /// Its ML-DSA-44 key, if it has one.
    second: Option<(TestSigner, VerifierKey)>,
    newest: Option<(Checkpoint, Vec<u8>)>,
    shown: Vec<Vec<u8>>,
    calls: usize,
}

/// Witnesses by URL.
pub(crate) struct SimulatedWitnesses {
    peers: Mutex<HashMap<String, Peer>>,
    clock: Arc<TestClock>,
}

impl SimulatedWitnesses {
    /// Each with its keys in the order of the endpoint's.
    pub(crate) fn new(
        clock: Arc<TestClock>,
        peers: impl IntoIterator<Item = (WitnessEndpoint, Vec<TestSigner>)>,
    ) -> Self {
        let peers = peers.into_iter().map(|(endpoint, signers)| {
            let mut keys = signers.into_iter().zip(endpoint.vkeys);
            let (signer, vkey) = keys.next().unwrap();
            let peer = Peer {
                manner: watch::Sender::new(Manner::Honest),
                signer,
                vkey,
                second: keys.next(),
                newest: None,
                shown: Vec::new(),
                calls: 0,
            };
            (endpoint.url, peer)
        });
        Self { peers: Mutex::new(peers.collect()), clock }
    }

    fn with<T>(&self, url: &str, f: impl FnOnce(&mut Peer) -> T) -> T {
        f(self.peers.lock().unwrap().get_mut(url).unwrap())
    }

    pub(crate) fn behave(&self, url: &str, manner: Manner) {
        self.with(url, |peer| peer.manner.send_replace(manner));
    }

    /// Every checkpoint that any witness was ever shown.
    pub(crate) fn shown(&self) -> Vec<Vec<u8>> {
        self.peers.lock().unwrap().values().flat_map(|peer| peer.shown.clone()).collect()
    }

    /// How often a witness was asked.
    pub(crate) fn calls(&self, url: &str) -> usize {
        self.with(url, |peer| peer.calls)
    }

    /// The size a witness knows.
    pub(crate) fn known(&self, url: &str) -> u64 {
        self.with(url, |peer| peer.newest.as_ref().map_or(0, |(head, _)| head.size.get()))
    }

    /// Makes a witness show a checkpoint that it was never asked about.
    pub(crate) fn show(&self, url: &str, note: &[u8]) {
        let checkpoint = SignedCheckpoint::parse(note).unwrap().checkpoint().clone();
        self.with(url, |peer| peer.newest = Some((checkpoint, note.to_vec())));
    }

    /// Makes a witness forget, as a retired one that was replaced.
    pub(crate) fn forget(&self, url: &str) {
        self.with(url, |peer| peer.newest = None);
    }

    fn honest(&self, peer: &mut Peer, body: &[u8]) -> UntrustedWitnessAnswer {
        let refused = |status| UntrustedWitnessAnswer::Refused { status };
        let Ok(request) = AddCheckpointRequest::parse(body) else { return refused(400) };
        let Ok(signed) = SignedCheckpoint::parse(&request.checkpoint) else { return refused(400) };
        let head = signed.checkpoint().clone();
        let (size, root) =
            peer.newest.as_ref().map_or((TreeSize::ZERO, empty_root()), |(newest, _)| (newest.size, newest.root));
        if request.old != size {
            return UntrustedWitnessAnswer::OtherSize(conflict_body(size).into_bytes());
        }
        if verify_consistency(size, root, head.size, head.root, &request.proof).is_err() {
            return refused(422);
        }
        let stamp = match *peer.manner.borrow() {
            Manner::BadStamp => (1 << 63) - 1,
            _ => self.clock.now_ms() / 1_000,
        };
        let message = cosignature_message(stamp, &head.text());
        let signature = peer.signer.make_signature(&message);
        let mut lines = vec![Cosignature { timestamp: stamp, signature }.to_note_signature(&peer.vkey)];
        let manner = *peer.manner.borrow();
        if let Some((signer, vkey)) = peer.second.as_ref().filter(|_| manner != Manner::Ed25519Alone) {
            let mut signature = signer.make_signature(&message_of(vkey, stamp, &head.text()).unwrap());
            if manner == Manner::BadMlDsa44 {
                signature[7] ^= 1;
            }
            lines.push(Cosignature { timestamp: stamp, signature }.to_note_signature(vkey));
        }
        let note = lines.iter().fold(signed, |note, line| note.with_signature(line.clone())).to_bytes();
        peer.newest = Some((head, note));
        let body: String = lines.iter().map(NoteSignature::to_line).collect();
        UntrustedWitnessAnswer::Cosignatures(body.into_bytes())
    }

    fn answer(&self, peer: &mut Peer, body: &[u8]) -> Result<UntrustedWitnessAnswer, WitnessError> {
        let manner = *peer.manner.borrow();
        Ok(match manner {
            Manner::Honest | Manner::BadStamp | Manner::Ed25519Alone | Manner::BadMlDsa44 => self.honest(peer, body),
            Manner::Status(status) => UntrustedWitnessAnswer::Refused { status },
            Manner::Garbage => UntrustedWitnessAnswer::Cosignatures(b"<html>\n".to_vec()),
            Manner::BadSignature => {
                let line = Cosignature { timestamp: 1, signature: vec![7; 64] }.to_note_signature(&peer.vkey);
                UntrustedWitnessAnswer::Cosignatures(line.to_line().into_bytes())
            }
            Manner::TooLong => return Err(WitnessError::TooLong),
            Manner::OtherHead => {
                let message = cosignature_message(1, "log.example/backup\n7\nnot this head\n");
                let signature = peer.signer.make_signature(&message);
                let line = Cosignature { timestamp: 1, signature }.to_note_signature(&peer.vkey);
                UntrustedWitnessAnswer::Cosignatures(line.to_line().into_bytes())
            }
            Manner::SomebodyElse => {
                let other = TestSigner::new(countermark_keys::Role::Witness, 99);
                let vkey = other.vkey("other.example", peer.vkey.kind());
                let line = Cosignature { timestamp: 1, signature: vec![7; 64] }.to_note_signature(&vkey);
                UntrustedWitnessAnswer::Cosignatures(line.to_line().into_bytes())
            }
            Manner::Claims(size) => UntrustedWitnessAnswer::OtherSize(format!("{size}\n").into_bytes()),
            Manner::ClaimsNonsense => UntrustedWitnessAnswer::OtherSize(b"many\n".to_vec()),
            Manner::Hangs | Manner::Unreachable => return Err(unreachable()),
            Manner::LosesAnswer => {
                self.honest(peer, body);
                return Err(unreachable());
            }
        })
    }

    async fn add(&self, url: &str, body: Vec<u8>) -> Result<UntrustedWitnessAnswer, WitnessError> {
        let mut manner = self.with(url, |peer| {
            peer.calls += 1;
            if let Ok(request) = AddCheckpointRequest::parse(&body) {
                peer.shown.push(request.checkpoint);
            }
            peer.manner.subscribe()
        });
        if *manner.borrow() == Manner::Hangs {
            // Until it is told to behave otherwise, or the caller gives up.
            manner.wait_for(|manner| *manner != Manner::Hangs).await.unwrap();
        }
        let mut peers = self.peers.lock().unwrap();
        self.answer(peers.get_mut(url).unwrap(), &body)
    }
}

fn unreachable() -> WitnessError {
    WitnessError::Unreachable { source: "no route".into() }
}

impl WitnessClient for SimulatedWitnesses {
    fn add_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        body: Vec<u8>,
    ) -> PortFuture<'a, Result<UntrustedWitnessAnswer, WitnessError>> {
        Box::pin(self.add(&witness.url, body))
    }

    fn newest_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        _origin: &'a Origin,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, WitnessError>> {
        Box::pin(async move {
            let (manner, newest) = self.with(&witness.url, |peer| (*peer.manner.borrow(), peer.newest.clone()));
            match manner {
                Manner::Hangs => std::future::pending().await,
                Manner::Unreachable => Err(unreachable()),
                Manner::Status(status) => Err(WitnessError::Status { status }),
                Manner::Garbage => Ok(Some(b"<html>\n".to_vec())),
                Manner::TooLong => Err(WitnessError::TooLong),
                Manner::Honest
                | Manner::OtherHead
                | Manner::BadSignature
                | Manner::BadStamp
                | Manner::Ed25519Alone
                | Manner::BadMlDsa44
                | Manner::SomebodyElse
                | Manner::Claims(_)
                | Manner::ClaimsNonsense
                | Manner::LosesAnswer => Ok(newest.map(|(_, note)| note)),
            }
        })
    }
}
