//! One `countermark log serve` as a real process.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{program, text};

/// Longer than any answer takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// A log that answers. It ends when this is dropped.
pub struct Log {
    process: Child,
    address: String,
}

impl Log {
    /// Serves a configuration whose `listen` has port 0, and waits until it is ready.
    pub fn serve(config: &Path) -> Self {
        let mut process = Command::new(program("countermark"))
            .args(["log", "serve", "--exit-with-stdin", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(config.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let said = || std::fs::read_to_string(config.with_extension("log")).unwrap_or_default();
        let ready: Value = serde_json::from_str(&ready).unwrap_or_else(|_| panic!("it is not ready:\n{}", said()));
        Self { process, address: ready["address"].as_str().unwrap().to_owned() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A document that must be there.
    pub fn get_json(&self, path: &str) -> Value {
        self.exchange(&format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address), &[])
    }

    /// A submission that must be taken.
    pub fn post_json(&self, path: &str, token: &str, body: &[u8]) -> Value {
        let head = format!(
            "POST {path} HTTP/1.0\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.exchange(&head, body)
    }

    fn exchange(&self, head: &str, body: &[u8]) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = text(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().contains(" 200 "), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
