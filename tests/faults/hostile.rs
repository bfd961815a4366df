//! Thousands of callers that mean no good, for half a minute, and honest ones among them.
//!
//! The log has room for 512 connections here: half of the files that `prlimit` leaves it. Its bounds are those that it
//! ships with.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::authority::Authority;
use crate::log::Log;

/// The longest time that a caller of this kind is put up with, and some more for a busy machine.
const PATIENCE: Duration = Duration::from_secs(50);
/// How long an honest caller waits for one answer before it tries again.
const HONEST_PATIENCE: Duration = Duration::from_secs(10);
/// The most memory that the log may ever have had: twice of what it needs, measured.
const MEMORY_KIB_MAX: u64 = 400 * 1_024;
/// A bundle of this many entries of this many bytes is almost as large as one can be: 15 MiB.
const ENTRIES: usize = 256;
const ENTRY_BYTES: usize = 60_000;

#[test]
fn hostile_callers_cost_little_and_honest_ones_are_served() {
    let pid = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--nofile=8192:"]).status().unwrap();
    assert!(raised.success(), "3,000 connections need files of their own");
    let authority = Authority::new();
    let log = Log::start(&authority, &["prlimit", "--nofile=1024:1024"].map(ToString::to_string)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(attack(&log, &authority.token));
    let status = std::fs::read_to_string(format!("/proc/{}/status", log.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("the log had at most {} MiB", peak / 1_024);
    assert!(peak < MEMORY_KIB_MAX, "{} MiB", peak / 1_024);
    let ended = log.end();
    assert!(ended.status.success(), "{ended}");
    assert!(!ended.said.contains("panicked"), "{ended}");
}

/// Every kind of hostile caller at once; each must have been got rid of.
async fn attack(log: &Log, token: &str) {
    let address = log.address;
    fill(address, token).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let honest = tokio::spawn(honest(address, token.to_owned(), Arc::clone(&is_over)));
    let mut callers = Callers::default();
    for number in 0..3_000 {
        callers.add("idle", idle(address, number % 2 == 0));
    }
    for _ in 0..100 {
        callers.add("slow head", slow_head(address));
        callers.add("slow body", slow_body(address));
    }
    for _ in 0..10 {
        callers.add("endless body in chunks", endless_body(address, true));
        callers.add("endless body of 10 GB", endless_body(address, false));
        callers.add("garbage", garbage(address));
        callers.add("rapid reset", rapid_reset(address));
        callers.add("many streams", many_streams(address));
    }
    for _ in 0..40 {
        callers.add("unread answer", unread(address));
    }
    for _ in 0..4 {
        callers.add("unread streams", unread_streams(address));
    }
    callers.all_are_got_rid_of().await;
    is_over.store(true, Ordering::Relaxed);
    honest.await.unwrap();
}

/// Hostile callers, by kind.
#[derive(Default)]
struct Callers {
    tasks: JoinSet<&'static str>,
    left: BTreeMap<&'static str, usize>,
}

impl Callers {
    fn add(&mut self, kind: &'static str, caller: impl Future<Output = ()> + Send + 'static) {
        *self.left.entry(kind).or_default() += 1;
        self.tasks.spawn(async move {
            caller.await;
            kind
        });
    }

    async fn all_are_got_rid_of(mut self) {
        let (begun, mut ended_after) = (Instant::now(), BTreeMap::new());
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                let kind = ended.unwrap();
                *self.left.get_mut(kind).unwrap() -= 1;
                ended_after.insert(kind, begun.elapsed());
            }
        };
        let all = timeout(PATIENCE, all).await;
        println!("the last of each kind ended after {ended_after:?}");
        assert!(all.is_ok(), "still there: {:?}", self.left);
    }
}

/// Adds what a bundle is made of.
async fn fill(address: SocketAddr, token: &str) {
    let mut adding = JoinSet::new();
    for number in 0..ENTRIES {
        let mut entry = vec![b'x'; ENTRY_BYTES];
        entry[..8].copy_from_slice(format!("{number:08}").as_bytes());
        let token = token.to_owned();
        adding.spawn(async move { add(address, &token, &entry).await.unwrap() });
    }
    adding.join_all().await;
    let bundle = exchange(address, b"GET /opaque/tile/entries/000 HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(bundle.len() > ENTRIES * ENTRY_BYTES);
}

/// Reads and submits again and again. One that finds no room asks once more; nobody is turned away for good.
async fn honest(address: SocketAddr, token: String, is_over: Arc<AtomicBool>) {
    let (calls, again) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut slowest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let number = calls.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let answer = timeout(HONEST_PATIENCE, async {
                if number.is_multiple_of(4) {
                    add(address, &token, format!("honest {number}").as_bytes()).await
                } else {
                    let read = exchange(address, b"GET /opaque/checkpoint HTTP/1.0\r\nhost: a\r\n\r\n").await?;
                    if is_success(&read) { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
                }
            });
            tries += 1;
            match answer.await {
                Ok(Ok(())) => break,
                failure => assert!(tries < 3, "call {number} failed three times: {failure:?}"),
            }
            again.fetch_add(1, Ordering::Relaxed);
        }
        slowest = slowest.max(begun.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    let (calls, again) = (calls.into_inner(), again.into_inner());
    println!("{calls} honest calls, {again} of them tried again, the slowest took {slowest:?}");
    assert!(calls > 20 && again * 10 < calls, "{again} of {calls} were tried again");
}

async fn add(address: SocketAddr, token: &str, entry: &[u8]) -> io::Result<()> {
    let head = format!(
        "POST /v1/opaque/add?wait=published HTTP/1.0\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        entry.len()
    );
    let answer = exchange(address, &[head.as_bytes(), entry].concat()).await?;
    if is_success(&answer) { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned())) }
}

fn is_success(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200")
}

async fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A connection; `None` where the machine has no room for one more.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    TcpStream::connect(address).await.ok()
}

/// Reads until the log has ended the connection, in whatever way; gives how much came.
async fn until_closed(stream: &mut TcpStream) -> usize {
    let (mut piece, mut total) = (vec![0; 64 << 10], 0);
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return total,
            Ok(read) => total += read,
        }
    }
}

/// Writes the same bytes every so often until it can no more.
async fn drip(writing: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8], every: Duration) {
    while writing.write_all(bytes).await.is_ok() {
        sleep(every).await;
    }
}

/// Asks once, or nothing at all, and holds on.
async fn idle(address: SocketAddr, asks: bool) {
    let Some(mut stream) = connect(address).await else { return };
    if asks {
        // An error means that its place was needed.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    }
    // Those that are left are within the bound, and may stay for a minute.
    let _ = timeout(Duration::from_secs(20), until_closed(&mut stream)).await;
}

/// One byte of a head in a second.
async fn slow_head(address: SocketAddr) {
    let Some(stream) = connect(address).await else { return };
    let (mut reading, mut writing) = stream.into_split();
    tokio::select! {
        () = drip(&mut writing, b"G", Duration::from_secs(1)) => {}
        _ = reading.read_u8() => {}
    }
}

/// One byte of a body in a second, of someone without a token.
async fn slow_body(address: SocketAddr) {
    let Some(stream) = connect(address).await else { return };
    let (mut reading, mut writing) = stream.into_split();
    let head = b"POST /v1/opaque/add HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n";
    if writing.write_all(head).await.is_err() {
        return;
    }
    tokio::select! {
        () = drip(&mut writing, b"x", Duration::from_secs(1)) => {}
        // The answer, or the end.
        _ = reading.read_u8() => {}
    }
}

/// As much of a body as the log takes: in chunks without an end, or 10 GB that were announced.
async fn endless_body(address: SocketAddr, in_chunks: bool) {
    let Some(stream) = connect(address).await else { return };
    let (mut reading, mut writing) = stream.into_split();
    let (head, piece) = if in_chunks {
        ("transfer-encoding: chunked", format!("10000\r\n{}\r\n", "x".repeat(0x10000)))
    } else {
        ("content-length: 10000000000", "x".repeat(0x10000))
    };
    let head = format!("POST /v1/opaque/add HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n");
    let mut sent = 0_usize;
    let sending = async {
        if writing.write_all(head.as_bytes()).await.is_ok() {
            while writing.write_all(piece.as_bytes()).await.is_ok() {
                sent += piece.len();
            }
        }
    };
    let mut answer = Vec::new();
    tokio::join!(sending, reading.read_to_end(&mut answer)).1.ok();
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

/// Nothing that HTTP knows.
async fn garbage(address: SocketAddr) {
    let Some(mut stream) = connect(address).await else { return };
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    // An error means that it had enough.
    let _ = stream.write_all(&bytes).await;
    until_closed(&mut stream).await;
}

/// Asks for a large answer and reads none of it.
async fn unread(address: SocketAddr) {
    let Some(mut stream) = connect(address).await else { return };
    if stream.write_all(b"GET /opaque/tile/entries/000 HTTP/1.1\r\nhost: a\r\n\r\n").await.is_err() {
        return;
    }
    // Beyond the 30 seconds that a reader may stand still.
    sleep(Duration::from_secs(36)).await;
    // Those that were told to come back got a short answer, and may stay for a minute.
    let read = timeout(Duration::from_secs(5), until_closed(&mut stream)).await.unwrap_or_default();
    assert!(read < ENTRIES * ENTRY_BYTES, "all {read} bytes came");
}

/// The beginning of HTTP/2, with a window for answers of this many bytes.
fn preface(window: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SPEC: RFC 9113 §6.5: SETTINGS_INITIAL_WINDOW_SIZE.
    let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
    bytes.extend(frame(4, 0, 0, &setting));
    bytes
}

/// SPEC: RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a request, by HPACK without compression of its strings. `ends` says that there is no body.
fn headers(stream: u32, method: u8, path: &str, ends: bool) -> Vec<u8> {
    // SPEC: RFC 7541: indexed method and http, then literals under the names :path and :authority.
    let mut block = vec![method, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    frame(1, if ends { 5 } else { 4 }, stream, &block)
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// Requests that are taken back at once. Who may do that without an end would be idle for a minute afterwards.
async fn rapid_reset(address: SocketAddr) {
    let Some(mut stream) = connect(address).await else { return };
    let mut bytes = preface(65_535);
    for number in 0..100_000 {
        let id = 2 * number + 1;
        bytes.extend(headers(id, GET, "/healthz", true));
        bytes.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
    }
    // An error means that it had enough.
    let _ = stream.write_all(&bytes).await;
    timeout(Duration::from_secs(20), until_closed(&mut stream)).await.expect("rapid resets end the connection");
}

/// More requests at a time than one connection may have, each waiting for a body that never comes.
async fn many_streams(address: SocketAddr) {
    let Some(mut stream) = connect(address).await else { return };
    let mut bytes = preface(65_535);
    for number in 0..2_000 {
        bytes.extend(headers(2 * number + 1, POST, "/v1/opaque/add", false));
    }
    // An error means that it had enough.
    let _ = stream.write_all(&bytes).await;
    let _ = timeout(Duration::from_secs(40), until_closed(&mut stream)).await;
}

/// A hundred large answers on one connection, and no window for any of them.
async fn unread_streams(address: SocketAddr) {
    let Some(mut stream) = connect(address).await else { return };
    let mut bytes = preface(0);
    for number in 0..100 {
        bytes.extend(headers(2 * number + 1, GET, "/opaque/tile/entries/000", true));
    }
    // An error means that it had enough.
    let _ = stream.write_all(&bytes).await;
    let read = timeout(PATIENCE, until_closed(&mut stream)).await.expect("a reader that stands still is got rid of");
    assert!(read < 1 << 20, "{read} bytes came");
}
