//! Running `countermark`, waiting for what it says, and looking for processes that should be gone.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// A program of the folder that `scripts/test` names.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("COUNTERMARK_BIN_DIR");
    let folder = folder.expect("COUNTERMARK_BIN_DIR is not set: run scripts/test, or build the workspace and set it");
    let program = PathBuf::from(folder).join(name);
    assert!(program.exists(), "{} is missing: build the workspace first", program.display());
    program
}

/// A folder for `up`, below a temporary one.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `up --once`, which must succeed.
    pub fn up_once(&self) -> String {
        self.up_once_with(&[])
    }

    /// `up --once` with more options, which must succeed.
    pub fn up_once_with(&self, more: &[&str]) -> String {
        let output = self.try_up_once(&program("countermark"), more);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{}\n{stdout}\n{stderr}\n{}", output.status, self.logs());
        stdout
    }

    pub fn try_up_once(&self, program: &Path, more: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(["up", "--once", "--port-base", "0", "--data"]).arg(self.data()).args(more);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// `up` that stays, and does the authority's part only.
    pub fn up(&self) -> Up {
        self.up_with(&["--authority-only"])
    }

    /// `up` that stays, with more options.
    pub fn up_with(&self, more: &[&str]) -> Up {
        let mut command = Command::new(program("countermark"));
        command.args(["up", "--port-base", "0", "--data"]).arg(self.data()).args(more);
        Up::start(command)
    }

    /// `up` that stays, does all of its job, and has every process say all that it can say.
    pub fn up_traced(&self) -> Up {
        let mut command = Command::new(program("countermark"));
        command.args(["up", "--port-base", "0", "--data"]).arg(self.data()).env("RUST_LOG", "trace");
        Up::start(command)
    }

    /// Every process that was started with a path of this home.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let needle = self.folder.path().to_str().unwrap().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let line = text(&line).replace('\0', " ");
            // A zombie has no command line any more.
            if line.contains(&needle) {
                found.push((pid, line));
            }
        }
        found
    }

    /// The one process that was started with this configuration.
    pub fn process_of(&self, config: &str) -> u32 {
        let found: Vec<_> = self.processes().into_iter().filter(|(_, line)| line.contains(config)).collect();
        assert_eq!(found.len(), 1, "{config}: {found:?}");
        found[0].0
    }

    pub fn wait_until_nothing_runs(&self) {
        let end = Instant::now() + DEADLINE;
        while !self.processes().is_empty() {
            assert!(Instant::now() < end, "still running: {:?}", self.processes());
            std::thread::yield_now();
        }
    }

    /// What the services logged, for a failure's message.
    pub fn logs(&self) -> String {
        let Ok(entries) = fs::read_dir(self.data().join("logs")) else { return String::new() };
        let read = |path: PathBuf| format!("== {}\n{}", path.display(), fs::read_to_string(&path).unwrap_or_default());
        entries.flatten().map(|entry| read(entry.path())).collect::<Vec<_>>().join("\n")
    }

    pub fn log_url(&self) -> String {
        let journal: Value =
            serde_json::from_slice(&fs::read(self.data().join("countermark-up.json")).unwrap()).unwrap();
        format!("http://127.0.0.1:{}", journal["ports"]["log"])
    }

    /// Where a member listens, from 0.
    pub fn member_url(&self, number: usize) -> String {
        let journal: Value =
            serde_json::from_slice(&fs::read(self.data().join("countermark-up.json")).unwrap()).unwrap();
        format!("http://127.0.0.1:{}", journal["ports"]["members"][number])
    }

    /// A GET of the log, which must succeed.
    pub fn get(&self, path: &str) -> Vec<u8> {
        request(&self.log_url(), "GET", path, &[])
    }

    /// The published head as `audit --known-head` takes it.
    pub fn known_head(&self) -> String {
        let checkpoint = String::from_utf8(self.get("/backup/checkpoint")).unwrap();
        let lines: Vec<&str> = checkpoint.lines().collect();
        format!("{}:{}", lines[1], lines[2])
    }

    /// The file `trust.json` of a role.
    pub fn trust(&self, role: &str) -> String {
        self.data().join(role).join("trust.json").to_str().unwrap().to_string()
    }
}

/// A request that must succeed: the body of its answer.
pub fn request(url: &str, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = text(&answer[..split]);
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    answer[split + 4..].to_vec()
}

/// Runs a verb to its end.
pub fn countermark(arguments: &[&str]) -> Output {
    Command::new(program("countermark")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs a verb that must end with a code, and returns what it printed on standard output and standard error.
pub fn ends_with(code: i32, arguments: &[&str]) -> String {
    let output = countermark(arguments);
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "countermark {}\n{said}", arguments.join(" "));
    said
}

/// Runs a verb with `--json` that must succeed.
pub fn json(arguments: &[&str]) -> Value {
    let output = countermark(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running `up`.
pub struct Up {
    process: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Up {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(process.stdout.take().unwrap()), Box::new(process.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { process, lines, said: Vec::new() }
    }

    /// Waits until `up` says something; false if it ended before.
    pub fn says(&mut self, what: &str) -> bool {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line.contains(what);
                    self.said.push(line);
                    if found {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("`up` never said {what:?}:\n{}", self.said.join("\n")),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the end and returns the exit code and everything that was said.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + DEADLINE;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.said.push(line);
        }
        let status = self.process.wait().unwrap();
        (status.code(), self.said.join("\n"))
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(self) -> (Option<i32>, String) {
        signal(self.pid(), "INT");
        self.wait()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A service that says where it listens.
pub struct Served {
    process: Child,
    url: String,
}

impl Served {
    /// Starts a verb and waits for its ready line.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program("countermark"));
        let mut process = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{arguments:?} is not ready: {line}"));
        Self { process, url: format!("http://{}", ready["address"].as_str().unwrap()) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "no process {pid}");
}
