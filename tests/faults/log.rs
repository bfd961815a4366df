//! A `countermark log serve` that runs: how it is started, also under another program, watched, and ended.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::authority::{Authority, around_program};

/// The longest that anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_mins(1);

pub struct Log {
    pub address: SocketAddr,
    process: Child,
    stdin: Option<ChildStdin>,
    stderr: Arc<Mutex<String>>,
}

/// A log that ended before it served.
#[derive(Debug)]
pub struct Refused {
    pub status: ExitStatus,
    pub said: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.status, self.said)
    }
}

impl Log {
    /// Starts the log, under another program where `around` names one, and waits until it serves or has ended.
    pub fn start(authority: &Authority, around: &[String]) -> Result<Self, Refused> {
        let mut command = around_program(around);
        command.args(["log", "serve", "--exit-with-stdin", "--config"]).arg(authority.path("log.toml"));
        Self::start_command(command)
    }

    /// Starts another verb that serves.
    pub fn start_verb(verb: &[&str]) -> Result<Self, Refused> {
        let mut command = around_program(&[]);
        command.args(verb);
        Self::start_command(command)
    }

    fn start_command(mut command: Command) -> Result<Self, Refused> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = collect(process.stderr.take().unwrap());
        let lines = lines_of(process.stdout.take().unwrap());
        let stdin = process.stdin.take();
        if let Ok(line) = lines.recv_timeout(DEADLINE) {
            let ready: Value = serde_json::from_str(&line).unwrap();
            let address = ready["address"].as_str().unwrap().parse().unwrap();
            return Ok(Self { address, process, stdin, stderr });
        }
        drop(stdin);
        let status = wait(&mut process).unwrap_or_else(|| {
            let _ = process.kill();
            panic!("the log neither serves nor ends:\n{}", stderr.lock().unwrap())
        });
        // The thread that reads has the rest of it in no time, but is not to be waited for.
        let said = settled(&stderr);
        Err(Refused { status, said })
    }

    /// What it has logged so far.
    pub fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// The process that was started: the log itself, or the program around it.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Sends SIGKILL while others still use it.
    pub fn strike(&self) {
        signal(self.process.id(), "KILL");
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        // An error means that it is gone already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// Waits for an end that is not asked for.
    pub fn wait(mut self) -> Refused {
        let status = wait(&mut self.process).unwrap_or_else(|| panic!("the log did not end:\n{}", self.said()));
        Refused { status, said: settled(&self.stderr) }
    }

    /// Asks it to end, as a parent that ends does, and waits for it.
    pub fn end(mut self) -> Refused {
        drop(self.stdin.take());
        self.wait()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success(), "no process {pid}");
}

/// Waits for a process to end, bounded.
fn wait(process: &mut Child) -> Option<ExitStatus> {
    poll(|| process.try_wait().unwrap())
}

/// Asks until there is an answer, or the deadline has passed.
pub fn poll<T>(mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A text that a thread writes, as it is when it has not grown for a moment.
fn settled(text: &Mutex<String>) -> String {
    let mut last = usize::MAX;
    loop {
        let now = text.lock().unwrap().len();
        if now == last {
            return text.lock().unwrap().clone();
        }
        last = now;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let writing = Arc::clone(&text);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = writing.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    text
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
