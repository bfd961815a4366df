//! A server on a bench: what the tests of the surface share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::identity::{Digest, Namespace};
use countermark_bundle::statement::Statement;
use countermark_keys::Role;
use countermark_migrations::{Database, Open, open_sqlite};
use countermark_signer_policy::access_token::{self, Audience, Claims, Issuer, KeySet, Scope, TokenKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::auth::TokenGate;
use crate::http::{Service, router};
use crate::limits::Limits;
use crate::ports::Store;
use crate::sequencer::{NamespaceHandle, Submission, WaitLevel};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use crate::testing::world::{at, entry, name};
use crate::testing::{Manner, NOW, TestSigner, World};

pub(super) const AUDIENCE: &str = "log.example";
pub(super) const ISSUER: &str = "https://issuer.example";

pub(super) struct Bench {
    pub(super) world: World,
    pub(super) handle: NamespaceHandle,
    pub(super) issuer: TestSigner,
    pub(super) token_file: PathBuf,
    store: Arc<dyn Store>,
    router: Router,
    _folder: TempDir,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The name of a problem; everything that is the same in all problems is checked on the way.
    pub(super) fn problem(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {text}", self.status);
        assert_eq!(self.header("cache-control"), "no-store");
        let document = self.problem_document();
        assert_eq!(document["status"], self.status);
        for field in ["title", "detail"] {
            assert!(document[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
        let name = document["type"].as_str().unwrap();
        name.strip_prefix("urn:countermark:refusal:").unwrap().to_owned()
    }

    pub(super) fn problem_document(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Bench {
    /// A namespace of two published entries: its policy and some evidence.
    pub(super) async fn new() -> Self {
        let bench = Self::unpublished().await;
        // Exactly a quorum: a fourth cosignature would change the head at a moment of its own.
        for endpoint in &bench.world.endpoints[..3] {
            bench.world.witnesses.behave(&endpoint.url, Manner::Honest);
        }
        bench.publish_evidence(0).await;
        bench
    }

    /// A namespace whose witnesses are out of reach.
    pub(super) async fn unpublished() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("backup.sqlite");
        let pool = open_sqlite(&database, Database::Log, Open::CreateNew).await.unwrap();
        Self::over(Arc::new(SqliteStore::open(pool).await.unwrap()), folder, Duration::from_secs(10)).await
    }

    /// The same without a file, for tests that stop the time: nothing of it happens outside the runtime.
    pub(super) async fn in_memory(deadline: Duration) -> Self {
        Self::over(Arc::new(MemoryStore::default()), tempfile::tempdir().unwrap(), deadline).await
    }

    async fn over(store: Arc<dyn Store>, folder: TempDir, deadline: Duration) -> Self {
        Self::of(World::new(), store, folder, deadline).await
    }

    /// A log of opaque entries, empty and published.
    pub(super) async fn raw() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pool = open_sqlite(&folder.path().join("backup.sqlite"), Database::Log, Open::CreateNew).await.unwrap();
        let store = Arc::new(SqliteStore::open(pool).await.unwrap());
        let bench = Self::of(World::raw(), store, folder, Duration::from_secs(10)).await;
        for endpoint in &bench.world.endpoints[..3] {
            bench.world.witnesses.behave(&endpoint.url, Manner::Honest);
        }
        bench
    }

    /// The same log without a file, whose witnesses are out of reach.
    pub(super) async fn raw_in_memory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(World::raw(), Arc::new(MemoryStore::default()), folder, Duration::from_secs(10)).await
    }

    async fn of(world: World, store: Arc<dyn Store>, folder: TempDir, deadline: Duration) -> Self {
        for endpoint in &world.endpoints {
            world.witnesses.behave(&endpoint.url, Manner::Unreachable);
        }
        world.create(store.clone()).await;
        let handle = world.start(store.clone()).await;
        let issuer = TestSigner::new(Role::TokenIssuer, 31);
        let token_file = folder.path().join("token-keys.json");
        write_keys(&token_file, &[(ISSUER, &issuer)]);
        let audience = Audience::new(AUDIENCE).unwrap();
        let gate = TokenGate::open(&token_file, audience).await.unwrap();
        let service = Service::new([handle.clone()], Some(gate), deadline);
        let router = router(Arc::new(service));
        Self { world, handle, issuer, token_file, store, router, _folder: folder }
    }

    /// The same namespace behind a service that takes no tokens.
    pub(super) fn closed(self) -> Self {
        let service = Service::new([self.handle.clone()], None, Duration::from_secs(10));
        Self { router: router(Arc::new(service)), ..self }
    }

    /// The same log after an orderly end, over the same store.
    pub(super) async fn restarted(self) -> Self {
        self.handle.shutdown().await;
        let handle = self.world.start(self.store.clone()).await;
        let gate = TokenGate::open(&self.token_file, Audience::new(AUDIENCE).unwrap()).await.unwrap();
        let service = Service::new([handle.clone()], Some(gate), Duration::from_secs(10));
        Self { handle, router: router(Arc::new(service)), ..self }
    }

    /// The same namespace behind a service that allows each submitter so much.
    pub(super) async fn limited(self, limits: Limits) -> Self {
        let gate = TokenGate::open(&self.token_file, Audience::new(AUDIENCE).unwrap()).await.unwrap();
        let mut service = Service::new([self.handle.clone()], Some(gate), Duration::from_secs(10));
        service.limit_submitters(limits);
        Self { router: router(Arc::new(service)), ..self }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Waits until a changed file of token keys is looked at again.
    pub(super) async fn look_again(&self) {
        tokio::time::sleep(crate::auth::LOOK_EVERY).await;
    }

    pub(super) async fn call(&self, method: Method, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }

    /// Submits with these `authorization` headers.
    pub(super) async fn post(&self, path: &str, authorization: &[&str], body: impl Into<Body>) -> Answer {
        let mut request = Request::post(path);
        for value in authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Submits with a token that allows everything.
    pub(super) async fn submit(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.post(path, &[&self.bearer()], body).await
    }

    pub(super) fn bearer(&self) -> String {
        self.bearer_with(|_| {})
    }

    pub(super) fn bearer_with(&self, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = claims();
        change(&mut claims);
        format!("Bearer {}", access_token::mint(&self.issuer, &claims).unwrap())
    }

    /// Publishes an entry that changes nothing.
    pub(super) async fn publish_evidence(&self, number: u64) -> u64 {
        let submission = entry(&self.world.evidence(number));
        let submitted = self.handle.submit(submission, WaitLevel::Published, Duration::from_secs(20)).await;
        submitted.unwrap().index.get()
    }

    /// Certifies a statement of this epoch over HTTP; gives its digest.
    pub(super) async fn certify(&self, epoch: u64, previous: Option<Digest>) -> Digest {
        let statement = self.world.statement(epoch, previous);
        let answer = self.submit("/v1/backup/statements", self.statement_body(&statement)).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        Digest::of(&statement.write())
    }

    /// Activates a certified epoch over HTTP, or renews its activation.
    pub(super) async fn activate(&self, epoch: u64) -> u64 {
        let state = self.handle.published().unwrap().state.clone();
        let answer = self.submit("/v1/backup/entries", self.world.activation(&state, epoch).write()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["index"].as_u64().unwrap()
    }

    pub(super) fn statement_body(&self, statement: &Statement) -> Vec<u8> {
        let Submission::Statement { statement, approvals, attestations, .. } = self.world.submission(statement) else {
            panic!("a statement is submitted as one");
        };
        let attestations: Vec<String> = attestations.iter().map(|one| STANDARD.encode(one)).collect();
        let body = json!({
            "statement": STANDARD.encode(statement),
            "approvals": approvals,
            "attestations": attestations,
        });
        body.to_string().into_bytes()
    }
}

/// A request and its answer, without a socket.
pub(super) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
    super::described::check(&method, &path, &answer);
    answer
}

/// A token that allows everything in the namespace of every test, for an hour from now.
pub(super) fn claims() -> Claims {
    Claims {
        issuer: Issuer::new(ISSUER).unwrap(),
        subject: name("operator"),
        audience: Audience::new(AUDIENCE).unwrap(),
        issued_at: at(NOW),
        expires_at: at(NOW + 3_600),
        token_id: None,
        namespaces: BTreeSet::from([Namespace::parse("backup").unwrap()]),
        scopes: BTreeSet::from(Scope::ALL),
    }
}

pub(super) fn write_keys(path: &std::path::Path, keys: &[(&str, &TestSigner)]) {
    let keys = keys
        .iter()
        .map(|(issuer, signer)| TokenKey { issuer: Issuer::new(issuer).unwrap(), key: signer.public().clone() });
    std::fs::write(path, KeySet::new(keys.collect()).unwrap().write()).unwrap();
}
