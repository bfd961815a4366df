//! The client against a server on a free port that answers with any bytes at all.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::{index, size};

/// What the server does after it has read a request.
#[derive(Clone)]
enum Reply {
    /// Answers and closes.
    Bytes(Vec<u8>),
    /// Answers and keeps the connection open without a word.
    BytesThenSilence(Vec<u8>),
}

/// Everything that a client sent, request by request.
type Requests = Arc<Mutex<Vec<String>>>;

async fn server(reply: Reply) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Requests::default());
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, reply.clone(), Arc::clone(&seen)));
        }
    });
    (format!("http://{address}"), requests)
}

async fn answer(mut stream: TcpStream, reply: Reply, seen: Requests) {
    let mut request = Vec::new();
    // Every request of these tests ends with an empty line or with this body.
    while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"the entry") || is_post_head(&request) {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
    seen.lock().unwrap().push(String::from_utf8(request).unwrap());
    match reply {
        Reply::Bytes(bytes) => stream.write_all(&bytes).await.unwrap(),
        Reply::BytesThenSilence(bytes) => {
            stream.write_all(&bytes).await.unwrap();
            std::future::pending::<()>().await;
        }
    }
}

fn is_post_head(request: &[u8]) -> bool {
    request.starts_with(b"POST") && request.ends_with(b"\r\n\r\n")
}

fn http(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

fn client(url: &str) -> LogClient {
    // Short where a test waits for it, long where it must not matter.
    let deadlines = Deadlines { read: Duration::from_millis(300), submit: Duration::from_millis(300) };
    LogClient::new(url, Namespace::parse("backup").unwrap(), deadlines).unwrap()
}

async fn checkpoint(reply: Reply) -> Result<Vec<u8>, ReadError> {
    client(&server(reply).await.0).checkpoint().await
}

async fn submit(reply: Reply) -> Result<UntrustedAnswer, SubmitError> {
    client(&server(reply).await.0).submit(b"the entry", "the.access.token").await
}

#[tokio::test]
async fn the_static_files_are_asked_for_below_the_namespace() {
    let (url, requests) = server(Reply::Bytes(http(200, "bytes"))).await;
    let client = client(&format!("{url}/"));
    assert_eq!(client.checkpoint().await.unwrap(), b"bytes");
    client.tile(TileCoord::new(1, 0, 7).unwrap()).await.unwrap();
    client.entry_bundle(TileCoord::new(0, 1234, 256).unwrap()).await.unwrap();
    let lines: Vec<String> =
        requests.lock().unwrap().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "GET /backup/checkpoint HTTP/1.1",
            "GET /backup/tile/1/000.p/7 HTTP/1.1",
            "GET /backup/tile/entries/x001/234 HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn an_entry_is_posted_as_it_is_with_its_token() {
    let body = r#"{"index":4,"leaf_hash":"x","identity":"y","level":"published","size":6,"duplicate":false}"#;
    let (url, requests) = server(Reply::Bytes(http(200, body))).await;
    let answer = client(&url).submit(b"the entry", "the.access.token").await.unwrap();
    assert_eq!(answer, UntrustedAnswer::Published { index: index(4), size: size(6) });
    let request = requests.lock().unwrap().remove(0);
    assert!(request.starts_with("POST /v1/backup/entries?wait=published HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer the.access.token\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nthe entry"), "{request}");
}

#[tokio::test]
async fn an_entry_that_is_not_published_yet_is_only_accepted() {
    let committed = r#"{"index":4,"level":"committed","size":6}"#;
    assert_eq!(submit(Reply::Bytes(http(200, committed))).await.unwrap(), UntrustedAnswer::Accepted);
    assert_eq!(submit(Reply::Bytes(http(202, ""))).await.unwrap(), UntrustedAnswer::Accepted);
}

#[tokio::test]
async fn a_refusal_is_told_from_a_conflict_an_overload_and_a_failure() {
    let problem = r#"{"type":"urn:countermark:refusal:revoked-epoch","title":"x","status":422,"detail":"y"}"#;
    let name = ProblemName::new("urn:countermark:refusal:revoked-epoch");
    assert!(matches!(
        submit(Reply::Bytes(http(422, problem))).await,
        Err(SubmitError::Refused { status: 422, problem }) if problem == name
    ));
    assert!(matches!(
        submit(Reply::Bytes(http(401, "no JSON"))).await,
        Err(SubmitError::Refused { status: 401, problem: None })
    ));
    assert!(matches!(
        submit(Reply::Bytes(http(409, problem))).await,
        Err(SubmitError::Conflict { problem }) if problem == name
    ));
    for status in [429, 503] {
        assert!(matches!(submit(Reply::Bytes(http(status, ""))).await, Err(SubmitError::Overloaded { .. })));
    }
    for status in [500, 502, 504] {
        let answer = submit(Reply::Bytes(http(status, ""))).await;
        assert!(matches!(answer, Err(SubmitError::Failed { status: found }) if found == status));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_documented_one_is_malformed() {
    let too_long = "x".repeat(ANSWER_BYTES_MAX + 1);
    let cases = [
        (200, ""),
        (200, "{}"),
        (200, r#"{"index":4,"level":"published","size":9223372036854775808}"#),
        (200, r#"{"index":-1,"level":"published","size":6}"#),
        (200, r#"{"index":4,"level":"hoped","size":6}"#),
        (204, ""),
        (307, ""),
        (422, &too_long),
    ];
    for (status, body) in cases {
        let answer = submit(Reply::Bytes(http(status, body))).await;
        assert!(matches!(answer, Err(SubmitError::Malformed { .. })), "{status} {body:.60}: {answer:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_fit_to_be_shown_is_left_out() {
    for name in ["", "two words", "new\nline", "\u{1b}[31m", &"x".repeat(129)] {
        assert_eq!(ProblemName::new(name), None, "{name:?}");
    }
}

#[tokio::test]
async fn silence_ends_with_the_deadline_also_in_the_middle_of_an_answer() {
    let half = b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    for said in [Vec::new(), half] {
        let read = checkpoint(Reply::BytesThenSilence(said.clone())).await;
        assert!(matches!(read, Err(ReadError::TimedOut)), "{read:?}");
        let submitted = submit(Reply::BytesThenSilence(said)).await;
        assert!(matches!(submitted, Err(SubmitError::TimedOut)), "{submitted:?}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_unreachable() {
    let half = b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    for said in [Vec::new(), half] {
        let read = checkpoint(Reply::Bytes(said.clone())).await;
        assert!(matches!(read, Err(ReadError::Unreachable { .. })), "{read:?}");
        let submitted = submit(Reply::Bytes(said)).await;
        assert!(matches!(submitted, Err(SubmitError::Unreachable { .. })), "{submitted:?}");
    }
}

#[tokio::test]
async fn a_status_other_than_200_is_no_file_and_no_redirect_is_followed() {
    for status in [204, 301, 307, 404, 500] {
        let read = checkpoint(Reply::Bytes(http(status, "bytes"))).await;
        assert!(
            matches!(read, Err(ReadError::Status { what: Resource::Checkpoint, status: found }) if found == status),
            "{status}: {read:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_too_long_is_not_read_to_its_end() {
    let long = http(200, &"x".repeat(TILE_BYTES_MAX + 1));
    let (url, _) = server(Reply::BytesThenSilence(long)).await;
    let read = client(&url).tile(TileCoord::new(0, 0, 256).unwrap()).await;
    assert!(matches!(read, Err(ReadError::TooLong { what: Resource::Tile, bytes_max: TILE_BYTES_MAX })), "{read:?}");
}

#[test]
fn only_the_address_of_a_log_makes_a_client() {
    for url in ["", "log.example", "ftp://log.example", "https://log.example/?a=b", "https://log.example/#a"] {
        let refused = LogClient::new(url, Namespace::parse("backup").unwrap(), Deadlines::default());
        assert!(matches!(refused, Err(ClientError::Url)), "{url}");
    }
}
