//! One HTTP request over one connection, bounded in time; a connection that breaks is an answer too.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any deadline of the log.
const TIMEOUT: Duration = Duration::from_secs(40);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The name of a problem document.
    pub fn problem(&self) -> String {
        let document = self.json();
        let name = document["type"].as_str().unwrap_or_default();
        name.trim_start_matches("urn:countermark:refusal:").to_string()
    }

    pub fn has_retry_after(&self) -> bool {
        self.head.to_ascii_lowercase().contains("\r\nretry-after:")
    }
}

pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: log\r\nconnection: close\r\n\r\n"), &[])
}

pub fn post(address: SocketAddr, path: &str, token: &str, body: &[u8]) -> io::Result<Answer> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: log\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    exchange(address, &head, body)
}

fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    let body = bytes[split + 4..].to_vec();
    let lower = head.to_ascii_lowercase();
    let length = lower.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    // Half an answer is none.
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(broken());
    }
    Ok(Answer { status, head, body })
}
