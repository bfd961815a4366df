//! The whole service: files, SQLite, HTTP on both sides, over the tests' log behind a real server.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use countermark_bundle::key::PublicKey;
use countermark_keys::create_passphrase_file;
use countermark_tlog::tile::TilePath;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::ports::{Clock, LogReader, LogSubmitter, SubmitError, UntrustedAnswer};
use crate::testing::*;
use tokio::net::TcpListener;

type Files = (StatusCode, Vec<u8>);

async fn file(State(log): State<FakeLog>, UrlPath(path): UrlPath<String>) -> Files {
    let read = match path.as_str() {
        "checkpoint" => log.checkpoint().await,
        path => match countermark_tlog::tile::TileCoord::parse_path(path).unwrap() {
            TilePath::Hashes(tile) => log.tile(tile).await,
            TilePath::Entries(bundle) => log.entry_bundle(bundle).await,
        },
    };
    read.map_or((StatusCode::BAD_GATEWAY, Vec::new()), |bytes| (StatusCode::OK, bytes))
}

async fn entries(State(log): State<FakeLog>, headers: HeaderMap, entry: Bytes) -> Files {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    match log.submit(&entry, token).await {
        Ok(UntrustedAnswer::Published { index, size }) => {
            let body = format!(r#"{{"index":{index},"level":"published","size":{size}}}"#);
            (StatusCode::OK, body.into_bytes())
        }
        Ok(UntrustedAnswer::Accepted) => (StatusCode::ACCEPTED, Vec::new()),
        Err(SubmitError::Refused { status, .. }) => (StatusCode::from_u16(status).unwrap(), Vec::new()),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    }
}

/// The log behind HTTP; its address.
async fn serve_log(log: &FakeLog) -> String {
    let router = Router::new()
        .route("/backup/{*path}", get(file))
        .route("/v1/backup/entries", post(entries))
        .with_state(log.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// Key files of its own, a trust file that names them, a configuration; and the log made for them.
struct Deployment {
    folder: TempDir,
    config: Config,
    log: FakeLog,
    now: u64,
}

impl Deployment {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        create_passphrase_file(&at("passphrase")).unwrap();
        let create = |name: &str, role| {
            let made = KeyFile::create(&at(name), role, &at("passphrase")).unwrap();
            let json = format!(r#"{{"algorithm":"{}","public_key":"{}"}}"#, made.algorithm, made.public_key);
            serde_json::from_str::<PublicKey>(&json).unwrap()
        };
        let mut trust = trust();
        trust.keys.operator.keys = vec![create("operator.key", Role::Operator)];
        std::fs::write(at("trust.json"), trust.write()).unwrap();
        let now = SystemClock.now().unix();
        let log = FakeLog::for_operator(&trust, &create("token.key", Role::TokenIssuer), &TestClock::at(now));
        let text = format!(
            "log_url = {:?}\ntrust = \"trust.json\"\noperator_key_file = \"operator.key\"\n\
             token_key_file = \"token.key\"\npassphrase_file = \"passphrase\"\nledger = \"ledger.sqlite\"\n\
             token_audience = {AUDIENCE:?}\nissuer = {ISSUER:?}\nsubject = \"countersigner\"\n\
             cool_off_seconds = 0\npoll_interval_ms = 10\n",
            serve_log(&log).await
        );
        std::fs::write(at("countersigner.toml"), text).unwrap();
        let config = Config::load(&at("countersigner.toml")).unwrap();
        Self { folder, config, log, now }
    }

    /// Certifies a statement that is valid today.
    fn certify(&self, number: u64) {
        let mut statement = statement(number);
        (statement.not_before, statement.not_after) = (at(self.now - 10), at(self.now + 86_400));
        self.log.certify_at(statement, self.now + number);
        self.log.publish(self.now + number);
    }

    async fn refused(&self) -> ServeError {
        serve(self.config.clone(), |_| panic!("it is ready"), std::future::pending()).await.unwrap_err()
    }
}

/// Asks until the status page says so, at most ten seconds.
async fn status_when(address: SocketAddr, says: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let asking = async {
        loop {
            let page = reqwest::get(format!("http://{address}/v1/status")).await.unwrap().text().await.unwrap();
            let page: serde_json::Value = serde_json::from_str(&page).unwrap();
            if says(&page) {
                return page;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), asking).await.unwrap()
}

/// Runs the service while `during` does.
async fn while_serving<F: Future<Output = ()>>(config: &Config, during: impl FnOnce(SocketAddr) -> F) {
    let (ready, address) = oneshot::channel();
    let (end, ended) = oneshot::channel::<()>();
    let serving = serve(config.clone(), |address| ready.send(address).unwrap(), async { ended.await.unwrap() });
    let driving = async {
        during(address.await.unwrap()).await;
        end.send(()).unwrap();
    };
    let (served, ()) = tokio::join!(serving, driving);
    served.unwrap();
}

#[tokio::test]
async fn the_service_countersigns_over_http_and_goes_on_after_a_restart() {
    let deployment = Deployment::new().await;
    assert_eq!(init(&deployment.config, false).await.unwrap(), Initialised::Created);
    deployment.certify(1);
    while_serving(&deployment.config, async |address| {
        let page = status_when(address, |page| page["countersigned"][0]["activation"] == 2).await;
        assert_eq!((&page["state"], &page["newest_active"]), (&"following".into(), &1.into()));
        assert_eq!(page["verified_head"]["size"], 3);
        let health = reqwest::get(format!("http://{address}/healthz")).await.unwrap();
        assert_eq!(health.text().await.unwrap(), "ok\n");
    })
    .await;
    deployment.certify(2);
    while_serving(&deployment.config, async |address| {
        status_when(address, |page| page["countersigned"][0]["activation"] == 4).await;
    })
    .await;
    assert_eq!((deployment.log.activations(1), deployment.log.activations(2)), (vec![2], vec![4]));
}

#[tokio::test]
async fn an_error_and_a_stop_are_on_the_status_page() {
    let deployment = Deployment::new().await;
    init(&deployment.config, false).await.unwrap();
    let before = deployment.log.fork();
    deployment.log.push_filler();
    deployment.log.publish(deployment.now);
    while_serving(&deployment.config, async |address| {
        status_when(address, |page| page["verified_head"]["size"] == 2).await;
        deployment.log.unreachable(true);
        let page = status_when(address, |page| !page["last_error"].is_null()).await;
        assert_eq!(page["last_error"]["message"], "the log answered 502 to a request for its checkpoint");
        deployment.log.become_like(&before);
        let page = status_when(address, |page| page["state"] == "stopped").await;
        assert_eq!(page["stop"]["name"], "rollback");
    })
    .await;
}

#[tokio::test]
async fn the_ledger_is_made_by_init_alone() {
    let deployment = Deployment::new().await;
    assert!(matches!(deployment.refused().await, ServeError::Ledger(OpenError::Missing { .. })));
    assert!(!deployment.config.ledger.exists());
    assert_eq!(init(&deployment.config, true).await.unwrap(), Initialised::Created);
    assert_eq!(init(&deployment.config, true).await.unwrap(), Initialised::Existing);
    assert!(matches!(init(&deployment.config, false).await, Err(OpenError::AlreadyExists { .. })));
    std::fs::write(&deployment.config.ledger, "something else").unwrap();
    assert!(init(&deployment.config, true).await.is_err());
}

#[tokio::test]
async fn whatever_is_missing_or_wrong_is_refused_before_the_page_is_up() {
    let deployment = Deployment::new().await;
    init(&deployment.config, false).await.unwrap();
    let with = |change: fn(&mut Config)| {
        let mut other = deployment.config.clone();
        change(&mut other);
        serve(other, |_| panic!("it is ready"), std::future::pending())
    };
    let error = with(|config| config.trust = "/nowhere".into()).await.unwrap_err();
    assert!(matches!(error, ServeError::TrustFile { .. }));
    let error = with(|config| config.trust = config.passphrase_file.clone()).await.unwrap_err();
    assert!(matches!(error, ServeError::Trust { .. }));
    let error = with(|config| config.operator_key_file = config.token_key_file.clone()).await.unwrap_err();
    assert!(matches!(error, ServeError::Key(countermark_keys::OpenError::WrongRole { .. })));
    let error = with(|config| config.policy = Some("/nowhere".into())).await.unwrap_err();
    assert!(matches!(error, ServeError::Policy(_)));
    let error = with(|config| config.log_url = "log.example".to_owned()).await.unwrap_err();
    assert!(matches!(error, ServeError::Client(ClientError::Url)));

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let busy = Config { listen: taken.local_addr().unwrap(), ..deployment.config.clone() };
    let error = serve(busy, |_| panic!("it is ready"), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind(BindError::AddressInUse { .. })));

    let mut later = TrustFile::parse(&std::fs::read(&deployment.config.trust).unwrap()).unwrap();
    later.serial = 1;
    std::fs::write(deployment.folder.path().join("trust.json"), later.write()).unwrap();
    assert!(matches!(deployment.refused().await, ServeError::Start(StartError::LaterTrust { .. })));
}
