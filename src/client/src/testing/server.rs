//! The log's HTTP service over a [`World`], and servers that misbehave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::certificate::CertificateMessage;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::tile::{TileCoord, TilePath};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{World, epoch, namespace};
use crate::fetch::{LogReader, Timeouts};

/// What a path answers instead of the truth.
#[derive(Clone)]
pub(crate) enum Lie {
    /// These bytes, with status 200.
    Bytes(Vec<u8>),
    /// This status and, if it is not empty, this problem type.
    Status(u16, &'static str),
    /// A redirect to the same server's root.
    Redirect,
}

/// A log's HTTP service; it ends when this is dropped.
pub(crate) struct TestLog {
    pub reader: LogReader,
    pub address: String,
    site: Arc<Site>,
    task: tokio::task::JoinHandle<()>,
}

struct Site {
    world: World,
    /// The published size: what the world holds beyond it is not shown.
    published: Mutex<u64>,
    lies: Mutex<BTreeMap<String, Lie>>,
    asked: Mutex<Vec<String>>,
}

impl Drop for TestLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestLog {
    /// Serves the whole world.
    pub async fn serve(world: World) -> Self {
        let site = Arc::new(Site {
            published: Mutex::new(world.len()),
            world,
            lies: Mutex::default(),
            asked: Mutex::default(),
        });
        let for_router = Arc::clone(&site);
        let router = Router::new().fallback(move |uri: Uri| {
            let site = Arc::clone(&for_router);
            async move { site.answer(&uri) }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let reader = LogReader::new(&address, &namespace(), Timeouts::default()).unwrap();
        Self { reader, address, site, task }
    }

    pub fn world(&self) -> &World {
        &self.site.world
    }

    pub fn publish(&self, len: u64) {
        *self.site.published.lock().unwrap() = len;
    }

    /// Answers a path, without a slash in front, with a lie from now on.
    pub fn lie(&self, path: &str, lie: Lie) {
        self.site.lies.lock().unwrap().insert(path.to_string(), lie);
    }

    /// How often a path that begins so was asked for.
    pub fn asked(&self, prefix: &str) -> usize {
        self.site.asked.lock().unwrap().iter().filter(|path| path.starts_with(prefix)).count()
    }
}

impl Site {
    fn answer(&self, uri: &Uri) -> Response<Body> {
        let path = uri.path_and_query().unwrap().as_str().trim_start_matches('/').to_string();
        self.asked.lock().unwrap().push(path.clone());
        let lie = self.lies.lock().unwrap().get(&path).cloned();
        match lie {
            Some(Lie::Bytes(bytes)) => respond(200, "application/octet-stream", bytes),
            Some(Lie::Status(status, "")) => respond(status, "text/plain", b"no".to_vec()),
            Some(Lie::Status(status, kind)) => problem(status, kind),
            Some(Lie::Redirect) => {
                let response = Response::builder().status(StatusCode::FOUND).header(header::LOCATION, "/");
                response.body(Body::empty()).unwrap()
            }
            None => match self.truth(&path) {
                Some(bytes) => respond(200, "application/octet-stream", bytes),
                None => problem(404, "not-found"),
            },
        }
    }

    fn truth(&self, path: &str) -> Option<Vec<u8>> {
        let (world, len) = (&self.world, *self.published.lock().unwrap());
        if let Some(path) = path.strip_prefix("v1/backup/") {
            return self.v1(path, len);
        }
        if let Some(number) = path.strip_prefix("namespaces/backup/audits/") {
            return self.certificate(number.parse().unwrap());
        }
        match path.strip_prefix("backup/")? {
            "checkpoint" => Some(world.checkpoint(len).into_bytes()),
            path => match TileCoord::parse_path(path).ok()? {
                TilePath::Hashes(tile) => world.grown.tile(tile),
                TilePath::Entries(bundle) => world.grown.entry_bundle(bundle),
            },
        }
    }

    fn v1(&self, path: &str, len: u64) -> Option<Vec<u8>> {
        let world = &self.world;
        let query = |name: &str| -> Option<u64> {
            let (_, query) = path.split_once('?')?;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        let (kind, rest) = path.split_once(['/', '?'])?;
        match kind {
            "entries" => world.grown.entry(rest.parse().unwrap()).cloned(),
            "receipts" => Some(world.receipt(rest.parse().unwrap(), len)),
            "bundles" => world.bundle(len),
            "links" => Some(world.link(query("from")?, len).write()),
            "statements" => Some(world.state.statement(epoch(rest.parse().unwrap()))?.statement.bytes().to_vec()),
            "proofs" if rest.starts_with("consistency") => {
                let (from, to) = (query("from")?, query("to")?);
                let proof = world.grown.consistency(from, to);
                let hashes: Vec<String> = proof.hashes().iter().map(|hash| STANDARD.encode(hash.0)).collect();
                Some(json!({"origin": "x", "from": from, "to": to, "proof": hashes}).to_string().into_bytes())
            }
            "proofs" => {
                let size = query("size")?;
                let by_hash = || {
                    let wanted = path.split_once("leaf_hash=")?.1.split('&').next()?.to_string();
                    let found = world.grown.entries.iter().position(|entry| leaf_hash(entry).to_string() == wanted)?;
                    u64::try_from(found).ok()
                };
                let index = query("index").or_else(by_hash)?;
                let leaf = leaf_hash(world.grown.entry(index)?).to_string();
                let proof = world.grown.inclusion(index, size);
                let path: Vec<String> = proof.hashes().iter().map(|hash| STANDARD.encode(hash.0)).collect();
                let answer = json!({"index": index, "size": size, "leaf_hash": leaf, "path": path});
                Some(answer.to_string().into_bytes())
            }
            _ => None,
        }
    }

    fn certificate(&self, number: u64) -> Option<Vec<u8>> {
        let record = self.world.state.statement(epoch(number))?;
        let (namespace, certificate) = (namespace(), &record.certificate);
        let (timestamp_ms, digest) = (certificate.timestamp_ms, record.statement.digest());
        let message = CertificateMessage { namespace: &namespace, timestamp_ms, epoch: epoch(number), digest };
        let answer = json!({
            "version": 1, "ciphersuite": 1, "namespace": namespace.as_str(), "timestamp": timestamp_ms,
            "epoch": number, "digest": digest.to_hex(), "signature": hex::encode(&certificate.signature),
            "key_id": self.world.certificate.public().bytes().last(),
            "serialized_message": hex::encode(message.encode()),
        });
        Some(answer.to_string().into_bytes())
    }
}

fn respond(status: u16, kind: &str, bytes: Vec<u8>) -> Response<Body> {
    Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(Body::from(bytes)).unwrap()
}

fn problem(status: u16, name: &str) -> Response<Body> {
    let kind = format!("urn:countermark:refusal:{name}");
    let document = json!({"type": kind, "title": "a title", "status": status, "detail": "a detail\u{1b}[2J"});
    respond(status, "application/problem+json", document.to_string().into_bytes())
}

/// A server that answers every connection with `begin`, then repeats `forever` until the other side goes, and if that
/// is empty says nothing more and keeps the connection.
pub(crate) async fn serve_raw(begin: &'static [u8], forever: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(begin).await;
                while !forever.is_empty() && socket.write_all(forever).await.is_ok() {}
                // Until the other side closes.
                let _ = socket.read(&mut request).await;
            });
        }
    });
    address
}
