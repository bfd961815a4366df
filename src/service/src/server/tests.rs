use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Short enough to wait for, long enough for a busy machine.
fn limits() -> Limits {
    Limits {
        connections_max: 4,
        head_max: Duration::from_millis(500),
        idle_max: Duration::from_mins(10),
        stall_max: Duration::from_millis(500),
        upload_time_max: Duration::from_millis(500),
        sweep_every: Duration::from_millis(20),
        ..Limits::default()
    }
}

struct Running {
    server: Server,
    address: SocketAddr,
}

async fn begin(router: Router, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Running { server: Server::begin(listener, None, router, limits), address }
}

fn pages() -> Router {
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }))
        .route("/body", post(|body: axum::body::Bytes| async move { body.len().to_string() }))
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        ask(&mut self.connect().await, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
    }
}

/// Sends a request and reads to the end.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    to_end(stream).await
}

async fn to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is closed with bytes unread ends with an error, which is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// One request on a connection that stays.
async fn ask_on(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"here") {
        assert_ne!(timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap(), 0, "it was closed");
    }
}

/// Whether the server has closed a connection; it has sent nothing more.
async fn is_closed(stream: &mut TcpStream) -> bool {
    match timeout(Duration::from_millis(200), stream.read_u8()).await {
        Ok(Err(_)) => true,
        Ok(Ok(byte)) => panic!("it sent {byte}"),
        Err(_) => false,
    }
}

#[tokio::test]
async fn both_versions_are_answered_and_a_handler_may_know_who_asks() {
    let running = begin(pages(), limits()).await;
    let mut stream = running.connect().await;
    let own = stream.local_addr().unwrap().to_string();
    let answer = ask(&mut stream, "GET /peer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&own), "{answer}");
    // Whatever it is, it is installed once.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http2 = reqwest::Client::builder().tls_certs_only([]).http2_prior_knowledge().build().unwrap();
    let answer = http2.get(format!("http://{}/large", running.address)).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.bytes().await.unwrap().len(), 64 << 20);
    let answer = http2.post(format!("http://{}/body", running.address)).body(vec![0; 1 << 20]).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), (1 << 20).to_string());
    assert!(running.get("/large").await.len() > 64 << 20);
}

#[tokio::test]
async fn a_connection_without_a_request_does_not_hold_the_end_up_and_a_request_does() {
    let (arrived, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, waits) = (Arc::clone(&arrived), Arc::clone(&goes_on));
    let slow = get(|| async move {
        tells.notify_one();
        waits.notified().await;
        "done"
    });
    let running = begin(pages().route("/slow", slow), limits()).await;
    let (mut silent, mut half, mut idle) = (running.connect().await, running.connect().await, running.connect().await);
    half.write_all(b"GET / HT").await.unwrap();
    ask_on(&mut idle).await;
    let mut asks = running.connect().await;
    asks.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    arrived.notified().await;
    let address = running.address;
    let ending = tokio::spawn(running.server.finish(PATIENCE));
    for stream in [&mut silent, &mut half, &mut idle] {
        assert_eq!(to_end(stream).await, "");
    }
    assert!(TcpStream::connect(address).await.is_err(), "no new connection is taken");
    assert!(!ending.is_finished());
    goes_on.notify_one();
    assert!(to_end(&mut asks).await.ends_with("done"));
    timeout(PATIENCE, ending).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let arrived = Arc::new(Notify::new());
    let tells = Arc::clone(&arrived);
    let never = get(|| async move {
        tells.notify_one();
        std::future::pending::<&'static str>().await
    });
    let running = begin(Router::new().route("/", never), limits()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    arrived.notified().await;
    running.server.finish(Duration::from_millis(50)).await;
    assert_eq!(to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_ends_and_a_connection_between_requests_stays() {
    let running = begin(pages(), limits()).await;
    let (mut stays, mut slow) = (running.connect().await, running.connect().await);
    ask_on(&mut stays).await;
    let begun = Instant::now();
    let (mut reading, mut writing) = slow.split();
    let drip = async {
        loop {
            // An error means that it was closed.
            if writing.write_all(b"G").await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = async { reading.read(&mut [0; 64]).await };
    tokio::select! {
        () = drip => unreachable!("it has no end"),
        ended = timeout(PATIENCE, ended) => assert!(matches!(ended.unwrap(), Ok(0) | Err(_))),
    }
    assert!(begun.elapsed() >= limits().head_max, "{:?}", begun.elapsed());
    ask_on(&mut stays).await;
}

#[tokio::test]
async fn a_connection_that_is_idle_for_too_long_ends() {
    let idle_max = Duration::from_millis(100);
    let running = begin(pages(), Limits { idle_max, ..limits() }).await;
    let (mut silent, mut idle) = (running.connect().await, running.connect().await);
    ask_on(&mut idle).await;
    assert_eq!((to_end(&mut silent).await, to_end(&mut idle).await), (String::new(), String::new()));
}

#[tokio::test]
async fn idle_connections_give_way_and_one_with_a_request_never_does() {
    let (arrived, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, waits) = (Arc::clone(&arrived), Arc::clone(&goes_on));
    let slow = get(|| async move {
        tells.notify_one();
        waits.notified().await;
        "done"
    });
    let running = begin(pages().route("/slow", slow), limits()).await;
    let mut asks = running.connect().await;
    asks.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    arrived.notified().await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = running.connect().await;
        ask_on(&mut stream).await;
        idle.push(stream);
    }
    ask_on(&mut idle[0]).await;
    // All four places are taken; these take those of the two that asked nothing for longer.
    let (mut one, mut two) = (running.connect().await, running.connect().await);
    ask_on(&mut one).await;
    ask_on(&mut two).await;
    let mut closed = Vec::new();
    for stream in &mut idle {
        closed.push(is_closed(stream).await);
    }
    assert_eq!(closed, [false, true, true]);
    for _ in 0..20 {
        assert!(running.get("/").await.ends_with("here"));
    }
    goes_on.notify_one();
    assert!(to_end(&mut asks).await.ends_with("done"));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_with_its_connection() {
    let running = begin(pages(), limits()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    sleep(limits().stall_max * 4).await;
    let answer = to_end(&mut stream).await;
    assert!(answer.len() < 64 << 20, "{} bytes came", answer.len());
    // One that is read slowly, but read, comes whole.
    let mut stream = running.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut piece = vec![0; 4 << 20];
    let mut total = 0;
    loop {
        let read = timeout(PATIENCE, stream.read(&mut piece)).await.unwrap().unwrap();
        if read == 0 {
            break;
        }
        total += read;
        sleep(Duration::from_millis(2)).await;
    }
    assert!(total > 64 << 20, "{total}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let running = begin(pages(), limits()).await;
    let many = "a: b\r\n".repeat(HEADERS_MAX);
    let long = format!("a: {}\r\n", "b".repeat(BUFFER_BYTES_MAX));
    for headers in [many, long] {
        let mut stream = running.connect().await;
        let answer = ask(&mut stream, &format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let mut stream = running.connect().await;
    let answer = ask(&mut stream, "\x16\x03\x01 this is not HTTP\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn more_requests_than_there_is_room_for_are_told_to_come_back() {
    let running = begin(pages(), Limits { requests_max: 0, ..limits() }).await;
    let answer = running.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    let running = begin(pages(), Limits { answer_bytes_max: 1 << 20, ..limits() }).await;
    let answer = running.get("/large").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(running.get("/").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_arrives_before_its_handler_is_called_and_a_slow_one_never_does() {
    let called = Arc::new(Notify::new());
    let tells = Arc::clone(&called);
    let taking = post(|body: axum::body::Bytes| async move {
        tells.notify_one();
        body.len().to_string()
    });
    let running = begin(Router::new().route("/", taking), limits()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
    let mut slow = running.connect().await;
    assert!(ask(&mut slow, &format!("{head}1234")).await.starts_with("HTTP/1.1 408"));
    assert!(timeout(Duration::ZERO, called.notified()).await.is_err(), "a handler was called");
    let mut whole = running.connect().await;
    assert!(ask(&mut whole, &format!("{head}12345")).await.ends_with('5'));
    let mut broken = running.connect().await;
    broken.write_all(format!("{head}12").as_bytes()).await.unwrap();
    broken.shutdown().await.unwrap();
    assert!(to_end(&mut broken).await.starts_with("HTTP/1.1 400"), "the handler is told that it broke off");
}

#[tokio::test]
async fn bodies_that_arrive_for_longest_give_way() {
    let running = begin(pages(), Limits { uploads_max: 1, upload_time_max: PATIENCE, ..limits() }).await;
    let head = "POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
    let mut slow = running.connect().await;
    slow.write_all(head.as_bytes()).await.unwrap();
    // It is there as soon as somebody else's request is answered on a connection that came later.
    assert!(running.get("/").await.ends_with("here"));
    let mut quick = running.connect().await;
    assert!(ask(&mut quick, &format!("{head}12345")).await.ends_with('5'));
    let mut piece = running.connect().await;
    piece.write_all(head.as_bytes()).await.unwrap();
    assert!(to_end(&mut slow).await.starts_with("HTTP/1.1 503"));
    assert!(ask(&mut piece, "12345").await.ends_with('5'));
}

#[tokio::test]
async fn a_body_that_is_larger_than_what_arrives_first_comes_whole() {
    let running = begin(pages(), limits()).await;
    for bytes in [limits::UPLOAD_BYTES_MAX, limits::UPLOAD_BYTES_MAX + 1, 4 * limits::UPLOAD_BYTES_MAX] {
        let head = format!("POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
        let mut stream = running.connect().await;
        let answer = ask(&mut stream, &(head + &"x".repeat(bytes))).await;
        assert!(answer.ends_with(&format!("\r\n{bytes}")), "{answer}");
    }
}
