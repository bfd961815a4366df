//! A real S3 server process for tests: moto, with one bucket, in memory.
//!
//! It is not a model of every S3: moto does not check signatures, and forgets everything when its process ends. It honours
//! `If-Match` and `If-None-Match: *` of PUT, which is what the head register and the checkpoint of an export stand on.
//!
//! Invariant: its process is gone when the value is.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::root;

/// The one bucket.
pub const BUCKET: &str = "countermark";

const LAUNCH: &str = include_str!("s3_server/launch.py");

/// A running server, or one that was stopped.
#[derive(Debug)]
pub struct S3Server {
    running: Option<(Child, BufReader<ChildStdout>)>,
    port: u16,
}

impl S3Server {
    /// Starts a server on a free port and waits until it listens.
    ///
    /// # Panics
    /// If moto is not installed where `scripts/test` installs it, or does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut server = Self { running: None, port: 0 };
        server.start_again();
        server
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills the process: connections break, and what was stored is forgotten.
    ///
    /// # Panics
    /// If the process cannot be waited for.
    pub fn kill(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            // An error means that it has ended already.
            let _ = child.kill();
            child.wait().expect("a child of ours can be waited for");
        }
    }

    /// Starts the process at the same port, with an empty bucket.
    ///
    /// # Panics
    /// As [`S3Server::start`], and if the port was taken meanwhile.
    pub fn start_again(&mut self) {
        self.kill();
        let python = python();
        let mut child = Command::new(&python)
            .args(["-c", LAUNCH, &self.port.to_string(), BUCKET])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; scripts/test installs moto there", python.display()));
        let mut said = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("standard output can be read");
        self.port =
            line.trim().parse().unwrap_or_else(|_| panic!("moto did not start; is it installed in target/moto?"));
        self.running = Some((child, said));
    }

    /// Stops the process where it stands: connections stay open and nobody answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let (child, _) = self.running.as_ref().expect("the server runs");
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn python() -> PathBuf {
    root().join("target/moto/bin/python3")
}
