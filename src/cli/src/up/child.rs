//! Child processes: services that stay, verbs that answer.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use countermark_bundle::ExitClass;
use countermark_countersigner::config::CountersignerSettings;
use countermark_log::config::LogSettings;
use countermark_service::lifecycle::FORMAT_VARIABLE;
use countermark_service::settings::Configurable as _;
use countermark_vault::VaultSettings;
use countermark_witness::WitnessSettings;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStdin, Command};

use super::layout::Service;
use crate::failure::{ChildFailure, Failure};

/// How long a service may take until it says that it is ready.
const READY_SECONDS: u64 = 60;
/// How long after a step failed a service may be found to have ended.
const END_NOTICE: Duration = Duration::from_millis(500);
/// How long a service may take to end by itself.
const STOP_SECONDS: u64 = 20;

/// This program, which every child is.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// The running executable.
    pub fn this() -> anyhow::Result<Self> {
        let path = std::env::current_exe().context("cannot find the running executable")?;
        Ok(Self { path })
    }

    /// SHA-256 of the executable in hex: what the vendor is asked to attest.
    pub fn sha256(&self) -> anyhow::Result<String> {
        use sha2::Digest as _;
        let mut file = File::open(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let mut hasher = HashWriter(sha2::Sha256::new());
        std::io::copy(&mut file, &mut hasher).with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(hex::encode(hasher.0.finalize()))
    }

    fn command(&self, arguments: &[impl AsRef<str>]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments.iter().map(AsRef::as_ref)).kill_on_drop(true);
        // What is set for a service of this machine is not meant for these.
        for variable in std::env::vars_os().map(|(name, _)| name).filter(|name| is_a_setting(name)) {
            command.env_remove(variable);
        }
        command
    }

    /// Runs a verb to its end and reads the JSON document that it prints. Its exit code becomes the error's.
    pub async fn verb(&self, arguments: &[impl AsRef<str>]) -> anyhow::Result<Value> {
        let output = self.output(arguments, true).await?;
        serde_json::from_slice(&output).with_context(|| format!("what `{}` printed", line(arguments)))
    }

    /// Runs a verb to its end and returns what it prints.
    pub async fn text(&self, arguments: &[impl AsRef<str>]) -> anyhow::Result<String> {
        String::from_utf8(self.output(arguments, false).await?).context("a verb printed something that is not UTF-8")
    }

    /// Runs a verb that must fail: its exit code and what it said. That it succeeds is an error.
    pub async fn refused(&self, arguments: &[impl AsRef<str>]) -> anyhow::Result<(u8, String)> {
        let output = self.command(arguments).stdin(Stdio::null()).output().await;
        let output = output.with_context(|| format!("cannot run `{}`", line(arguments)))?;
        if output.status.success() {
            let message = format!("`countermark {}` succeeded, and must not", line(arguments));
            return Err(Failure::new(ExitClass::OurFault, message).into());
        }
        Ok((code(output.status), String::from_utf8_lossy(&output.stderr).trim().to_string()))
    }

    async fn output(&self, arguments: &[impl AsRef<str>], json: bool) -> anyhow::Result<Vec<u8>> {
        let mut command = self.command(arguments);
        if json {
            command.arg("--json");
        }
        let output =
            command.stdin(Stdio::null()).output().await.with_context(|| format!("cannot run `{}`", line(arguments)))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let message = format!("`countermark {}` failed: {}", line(arguments), said.trim());
        Err(ChildFailure { code: code(output.status), message }.into())
    }
}

/// Whether a variable sets something of a service beyond the form of its records.
fn is_a_setting(name: &std::ffi::OsStr) -> bool {
    let prefixes = [LogSettings::PREFIX, WitnessSettings::PREFIX, CountersignerSettings::PREFIX, VaultSettings::PREFIX];
    let begins = |prefix: &str| name.as_encoded_bytes().starts_with(prefix.as_bytes());
    name != FORMAT_VARIABLE && prefixes.into_iter().any(begins)
}

struct HashWriter(sha2::Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        use sha2::Digest as _;
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn line(arguments: &[impl AsRef<str>]) -> String {
    arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// A running service.
#[derive(Debug)]
pub struct Child {
    service: Service,
    process: tokio::process::Child,
    /// The service ends when this closes, however this process ends.
    stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts a service and waits until it says that it is ready.
    pub async fn start(program: &Program, service: &Service) -> anyhow::Result<Self> {
        if let Some(folder) = service.log.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&service.log)
            .with_context(|| format!("cannot write {}", service.log.display()))?;
        let begins_at = log.metadata()?.len();
        // A group of its own, so that Ctrl-C reaches `up` alone, which then ends its children in order.
        let mut process = program
            .command(&service.arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start it")?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let mut lines = BufReader::new(stdout.context("a child without standard output")?).lines();
        let ready = tokio::time::timeout(Duration::from_secs(READY_SECONDS), lines.next_line()).await;
        match ready {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None) | Err(_)) => {
                let status = process.wait().await.context("cannot wait for it")?;
                let said = last_line(&service.log, begins_at).await;
                return Err(ChildFailure { code: code(status), message: said }.into());
            }
            Err(_) => {
                let message = format!("it was not ready after {READY_SECONDS} s");
                return Err(Failure::new(ExitClass::OurFault, message).into());
            }
        }
        // Whatever else it prints is read and dropped, so that it never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { service: service.clone(), process, stdin })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    fn explain(&self, status: ExitStatus) -> anyhow::Error {
        let message = format!(
            "{} ended unexpectedly ({status}); its log: {}. `countermark up` on the same folder goes on where this stopped",
            self.service.name,
            self.service.log.display()
        );
        ChildFailure { code: code(status).max(1), message }.into()
    }
}

/// The last line that a service wrote to its log since it was started.
async fn last_line(log: &std::path::Path, begins_at: u64) -> String {
    let mut text = String::new();
    if let Ok(mut file) = tokio::fs::File::open(log).await {
        use tokio::io::AsyncSeekExt as _;
        if file.seek(std::io::SeekFrom::Start(begins_at)).await.is_ok() {
            let _ = file.read_to_string(&mut text).await;
        }
    }
    let useful = |line: &&str| !line.trim().is_empty() && !line.contains("exit code");
    text.lines().rfind(useful).unwrap_or("it said nothing").to_string()
}

/// Every running service, in the order of starting.
#[derive(Debug, Default)]
pub struct Children(Vec<Child>);

impl Children {
    /// Starts one more.
    pub async fn start(&mut self, program: &Program, service: &Service) -> anyhow::Result<()> {
        self.0.push(Child::start(program, service).await?);
        Ok(())
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Child> {
        self.0.iter()
    }

    /// Kills one as a power failure would, and forgets that it should run.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let child = self.named(name)?;
        child.stdin = None;
        child.process.kill().await.with_context(|| format!("cannot kill {name}"))
    }

    /// Starts one again that was killed.
    pub async fn restart(&mut self, program: &Program, name: &str) -> anyhow::Result<()> {
        let child = self.named(name)?;
        *child = Child::start(program, &child.service.clone()).await?;
        Ok(())
    }

    fn named(&mut self, name: &str) -> anyhow::Result<&mut Child> {
        self.0.iter_mut().find(|child| child.name() == name).with_context(|| format!("no service is called {name}"))
    }

    /// Waits until a service ends, which none should.
    pub async fn first_end(&mut self) -> anyhow::Error {
        loop {
            if let Some(ended) = self.ended() {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The first service that has ended by itself, or does so in a moment: its connections break before the system says
    /// that it is gone.
    pub async fn ended_soon(&mut self) -> Option<anyhow::Error> {
        tokio::time::timeout(END_NOTICE, self.first_end()).await.ok()
    }

    /// The first service that has ended by itself.
    pub fn ended(&mut self) -> Option<anyhow::Error> {
        // A killed one has no standard input any more: it ended because it was told to.
        self.0.iter_mut().filter(|child| child.stdin.is_some()).find_map(|child| match child.process.try_wait() {
            Ok(Some(status)) => Some(child.explain(status)),
            Ok(None) => None,
            Err(error) => Some(anyhow::Error::new(error).context(format!("cannot wait for {}", child.name()))),
        })
    }

    /// Ends every service, in the reverse order of starting: their standard input closes, and who does not end is killed.
    pub async fn stop(mut self) {
        while let Some(mut child) = self.0.pop() {
            drop(child.stdin.take());
            if tokio::time::timeout(Duration::from_secs(STOP_SECONDS), child.process.wait()).await.is_err() {
                let _ = child.process.kill().await;
            }
        }
    }
}
