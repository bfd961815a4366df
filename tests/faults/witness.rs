//! A witness in a thread of the test: it cosigns, remembers every head that it was ever shown, and misbehaves on demand.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use countermark_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
use countermark_tlog::cosignature::{Cosignature, cosignature_message};
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use countermark_tlog::proof::verify_consistency;
use countermark_tlog::size::TreeSize;
use countermark_tlog::witness_wire::{AddCheckpointRequest, conflict_body, monitoring_path};
use ed25519_dalek::{Signer as _, SigningKey};

/// How a witness behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Keeps the protocol.
    Honest,
    /// Takes the request and never answers.
    Hangs,
    /// Cosigns the head with a key that is not its own.
    OtherKey,
    /// Cosigns another head than it was asked about.
    OtherHead,
    /// Answers 200 and nonsense.
    Garbage,
    /// Answers 200 and more than anybody reads.
    Huge,
    /// Answers 409 with the size that it was asked about.
    SameSize,
    /// Answers 409 with this size, whatever it is asked.
    Claims(u64),
    /// Answers a status.
    Status(u16),
    /// Closes the connection.
    Closes,
}

pub struct Witness {
    pub vkey: VerifierKey,
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    vkey: VerifierKey,
    key: SigningKey,
    manner: Mutex<Manner>,
    ended: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By origin.
    newest: HashMap<String, (Checkpoint, Vec<u8>)>,
    shown: Vec<Vec<u8>>,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Witness {
    pub fn start(number: u8) -> Self {
        let key = SigningKey::from_bytes(&[number; 32]);
        let name = KeyName::new(&format!("w{number}.example")).unwrap();
        let vkey = VerifierKey::new(name, SignatureType::CosignatureEd25519, key.verifying_key().as_bytes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            vkey: vkey.clone(),
            key,
            manner: Mutex::new(Manner::Honest),
            ended: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.talk(stream));
            }
        });
        Self { vkey, url, shared }
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Every checkpoint that it was ever shown, well or badly signed.
    pub fn shown(&self) -> Vec<Vec<u8>> {
        self.shared.state.lock().unwrap().shown.clone()
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.state.lock().unwrap().shown.len()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl Shared {
    fn talk(&self, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
        let mut reader = BufReader::new(stream);
        loop {
            let (path, body) = request(&mut reader)?;
            let manner = *self.manner.lock().unwrap();
            let answer = if path == "/add-checkpoint" { self.add(&body, manner)? } else { self.newest(&path, manner)? };
            let head = format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\n\r\n", answer.status, answer.body.len());
            reader.get_mut().write_all(&[head.as_bytes(), &answer.body].concat()).ok()?;
        }
    }

    /// `None` closes the connection.
    fn add(&self, body: &[u8], manner: Manner) -> Option<Answer> {
        let request = AddCheckpointRequest::parse(body).unwrap();
        self.state.lock().unwrap().shown.push(request.checkpoint.clone());
        let answer = |status, body: Vec<u8>| Some(Answer { status, body });
        match manner {
            Manner::Honest => Some(self.honest(&request)),
            Manner::Hangs => {
                self.hang();
                None
            }
            Manner::OtherKey => answer(200, self.line(&SigningKey::from_bytes(&[99; 32]), &request.checkpoint)),
            Manner::OtherHead => {
                let mut other = SignedCheckpoint::parse(&request.checkpoint).unwrap().checkpoint().clone();
                other.size = TreeSize::new(other.size.get() + 1).unwrap();
                answer(200, self.cosign(&self.key, &other))
            }
            Manner::Garbage => answer(200, b"<html>\n".to_vec()),
            Manner::Huge => answer(200, vec![b'x'; 10_000_000]),
            Manner::SameSize => answer(409, conflict_body(request.old).into_bytes()),
            Manner::Claims(size) => answer(409, format!("{size}\n").into_bytes()),
            Manner::Status(status) => answer(status, Vec::new()),
            Manner::Closes => None,
        }
    }

    fn honest(&self, request: &AddCheckpointRequest) -> Answer {
        let signed = SignedCheckpoint::parse(&request.checkpoint).unwrap();
        let head = signed.checkpoint().clone();
        let origin = head.origin.as_str().to_string();
        let mut state = self.state.lock().unwrap();
        let known = state.newest.get(&origin).map(|(newest, _)| (newest.size, newest.root));
        let size = known.map_or(TreeSize::ZERO, |(size, _)| size);
        if request.old != size {
            return Answer { status: 409, body: conflict_body(size).into_bytes() };
        }
        if let Some((size, root)) = known
            && verify_consistency(size, root, head.size, head.root, &request.proof).is_err()
        {
            return Answer { status: 422, body: Vec::new() };
        }
        state.newest.insert(origin, (head, request.checkpoint.clone()));
        Answer { status: 200, body: self.line(&self.key, &request.checkpoint) }
    }

    fn newest(&self, path: &str, manner: Manner) -> Option<Answer> {
        if manner == Manner::Hangs {
            self.hang();
            return None;
        }
        let state = self.state.lock().unwrap();
        let found = state.newest.values().find(|(head, _)| path.ends_with(&monitoring_path(&head.origin)));
        Some(match found {
            Some((_, note)) => Answer { status: 200, body: note.clone() },
            None => Answer { status: 404, body: Vec::new() },
        })
    }

    /// Until it is told to behave otherwise, or the test is over.
    fn hang(&self) {
        while *self.manner.lock().unwrap() == Manner::Hangs && !self.ended.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn line(&self, key: &SigningKey, note: &[u8]) -> Vec<u8> {
        self.cosign(key, SignedCheckpoint::parse(note).unwrap().checkpoint())
    }

    fn cosign(&self, key: &SigningKey, head: &Checkpoint) -> Vec<u8> {
        let timestamp = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let signature = key.sign(&cosignature_message(timestamp, &head.text())).to_bytes();
        Cosignature { timestamp, signature: signature.to_vec() }.to_note_signature(&self.vkey).to_line().into_bytes()
    }
}

/// Reads one request; `None` when the connection is over.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_string();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}
