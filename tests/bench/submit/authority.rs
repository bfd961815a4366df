//! The whole authority on this machine, as `countermark up` starts it, in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The namespace that `up` creates.
pub const NAMESPACE: &str = "backup";

/// A running authority; it ends with its value.
pub struct Authority {
    up: Child,
    /// Held open, so that `up` may write to it.
    _stdout: ChildStdout,
    address: String,
    data: PathBuf,
    /// Deleted last.
    _folder: TempDir,
}

impl Authority {
    /// Starts it below the build folder, whose disk is a real one, and waits until the main job was done once.
    pub fn start() -> Self {
        eprintln!("starting the authority");
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let data = folder.path().join("data");
        let mut up = Command::new(program("countermark"))
            .args(["up", "--json", "--port-base", "0", "--data"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = up.stdout.take().unwrap();
        // One document, once everything was done; then `up` stays.
        let mut documents = serde_json::Deserializer::from_reader(&mut stdout).into_iter::<Value>();
        let Some(Ok(report)) = documents.next() else {
            panic!("`countermark up` ended before it was ready: {:?}", up.wait());
        };
        let address = report["log"].as_str().unwrap().trim_start_matches("http://").to_string();
        assert_eq!(report["namespace"], NAMESPACE);
        Self { up, _stdout: stdout, address, data, _folder: folder }
    }

    /// Where the log listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The folder that `up` works in.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Lets the countersigner sleep, so that nobody but the benchmark submits.
    pub fn pause_countersigner(&self) {
        let countersigner = self.countersigner().expect("the countersigner runs as long as `up` does");
        assert!(signal(countersigner, "STOP"), "the countersigner cannot be paused");
    }

    /// Lets `up` itself sleep, so that it does not end because a child of it does.
    pub fn freeze(&self) {
        assert!(signal(self.up.id(), "STOP"), "`up` cannot be paused");
    }

    fn countersigner(&self) -> Option<u32> {
        let config = self.data.join("operator").join("countersigner.toml");
        let config = config.to_str().unwrap();
        let runs = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).split('\0').any(|argument| argument == config)
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        pids.find(runs)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // One that sleeps would not see that its standard input closes.
        if let Some(countersigner) = self.countersigner() {
            signal(countersigner, "CONT");
        }
        signal(self.up.id(), "CONT");
        signal(self.up.id(), "INT");
        let _ = self.up.wait();
    }
}

/// A program of the folder that `scripts/bench` names.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("COUNTERMARK_BIN_DIR");
    let folder = folder.expect("COUNTERMARK_BIN_DIR is not set: run scripts/bench");
    let program = PathBuf::from(folder).join(name);
    assert!(program.exists(), "{} is missing: run scripts/bench", program.display());
    program
}

/// Sends a signal by name; false if there is nobody to take it.
fn signal(pid: u32, name: &str) -> bool {
    Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().is_ok_and(|status| status.success())
}
