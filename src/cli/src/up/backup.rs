//! What the certified keys are for: a phone registers its backup key with the fleet, another phone recovers it, with
//! members missing too.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use countermark_bundle::ExitClass;
use serde_json::Value;

use super::child::{Children, Program};
use super::job::Report;
use super::journal::Folder;
use super::layout::{ACCOUNTS, FLEET, Layout, ORIGIN, USER};
use crate::documents;
use crate::failure::Failure;

/// How long the members may take until each of them staples the bundle.
const STAPLE_SECONDS: u64 = 60;
/// How long a recovery is tried again while the fleet finds a new leader.
const ELECTION_SECONDS: u64 = 30;
/// How long the last member may take until it knows that it is alone.
const NOTICE_MILLISECONDS: u64 = 1_500;
/// The size of the file that is encrypted.
const FILE_BYTES: usize = 24 * 1024 * 1024;

/// The user's password, as the user would type it, and one that is not it.
pub const PASSWORD: &str = "correct horse battery staple";
const OTHER_PASSWORD: &str = "incorrect horse battery staple";

/// Which members a client asks, in this order, and how it believes them.
struct Phone<'a> {
    program: &'a Program,
    layout: &'a Layout,
    folder: std::path::PathBuf,
    /// Options that say where belief comes from.
    belief: Vec<String>,
}

impl<'a> Phone<'a> {
    /// A phone that holds a trust file, an account token and the key that the token is bound to; nothing else.
    async fn set_up(program: &'a Program, layout: &'a Layout, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let trust = folder.join("trust.json");
        if !trust.exists() {
            documents::write(&trust, &documents::read(&layout.client().join("trust.json"))?)?;
        }
        let [key, passphrase, token] =
            ["account-proof.key", "passphrase", "account.jwt"].map(|name| text(folder, name));
        let key = program
            .verb(&[
                "keys",
                "new",
                "--role",
                "account-proof",
                "--key-file",
                &key,
                "--passphrase-file",
                &passphrase,
                "--if-absent",
            ])
            .await?;
        let public_key = key["public_key"].as_str().context("the phone's key")?;
        let accounts = layout.accounts();
        let [issuer_key, issuer_passphrase] = ["account-issuer.key", "passphrase"].map(|name| text(&accounts, name));
        let arguments = [
            ("--key-file", issuer_key.as_str()),
            ("--passphrase-file", &issuer_passphrase),
            ("--issuer", ACCOUNTS),
            ("--subject", USER),
            ("--origin", ORIGIN),
            ("--fleet", FLEET),
            ("--proof-public-key", public_key),
            ("--out", &token),
        ];
        let arguments = arguments.iter().flat_map(|(flag, value)| [*flag, *value]);
        program.text(&["token", "account"].into_iter().chain(arguments).collect::<Vec<_>>()).await?;
        let belief =
            vec!["--trust".to_string(), text(folder, "trust.json"), "--floor".into(), text(folder, "floor.json")];
        Ok(Self { program, layout, folder: folder.to_path_buf(), belief })
    }

    /// The arguments of a verb that opens a session, with the members in the order in which they are asked.
    fn arguments(&self, verb: &str, password: &str, members: &[usize], more: &[&str]) -> anyhow::Result<Vec<String>> {
        let password_file = self.folder.join("typed-password");
        documents::write(&password_file, password.as_bytes())?;
        let mut arguments = vec!["backup".to_string(), verb.to_string()];
        for number in members {
            arguments.extend(["--member".to_string(), self.layout.member_url(*number)]);
        }
        arguments.extend(self.belief.iter().cloned());
        for (flag, name) in [
            ("--account-token", "account.jwt"),
            ("--proof-key-file", "account-proof.key"),
            ("--passphrase-file", "passphrase"),
            ("--password-file", "typed-password"),
        ] {
            arguments.extend([flag.to_string(), text(&self.folder, name)]);
        }
        arguments.extend(more.iter().map(ToString::to_string));
        Ok(arguments)
    }

    /// Forgets what was typed.
    fn forget(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.folder.join("typed-password")).context("cannot forget the typed password")
    }

    async fn succeeds(&self, verb: &str, password: &str, members: &[usize], more: &[&str]) -> anyhow::Result<Value> {
        let outcome = self.program.verb(&self.arguments(verb, password, members, more)?).await;
        self.forget()?;
        outcome
    }

    /// What a verb that has to fail says, and its exit code.
    async fn fails(
        &self,
        verb: &str,
        password: &str,
        members: &[usize],
        more: &[&str],
    ) -> anyhow::Result<(u8, String)> {
        let outcome = self.program.refused(&self.arguments(verb, password, members, more)?).await;
        self.forget()?;
        outcome
    }
}

fn text(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

/// The members form a fleet, verify the bundle, adopt it and staple it.
pub async fn staple(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let begun = Instant::now();
    for number in 1..=3 {
        let status = stapled(program, layout, number, begun).await?;
        let who = format!(
            "epoch {}, size {}, {}",
            status["stapled"]["epoch"],
            status["stapled"]["size"],
            status["replica"]["role"].as_str().unwrap_or("member")
        );
        report.step(&format!("member-{number} staples the bundle"), &who, begun);
    }
    Ok(())
}

async fn stapled(program: &Program, layout: &Layout, number: usize, begun: Instant) -> anyhow::Result<Value> {
    let url = layout.member_url(number);
    loop {
        let status = program.verb(&["vault", "status", "--member", &url]).await;
        if let Ok(status) = &status
            && status["phase"] == "serving"
        {
            return Ok(status.clone());
        }
        if begun.elapsed() > Duration::from_secs(STAPLE_SECONDS) {
            let message = format!("member-{number} did not staple the bundle in {STAPLE_SECONDS} s: {status:?}");
            return Err(Failure::new(ExitClass::NotActive, message).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The first phone makes its backup key, registers it and encrypts a file with it.
pub async fn register(
    program: &Program,
    layout: &Layout,
    folder: &mut Folder,
    report: &mut Report,
) -> anyhow::Result<()> {
    if folder.journal().registered {
        report.note("the backup key of this folder's user is registered already");
        return Ok(());
    }
    let phone = Phone::set_up(program, layout, &layout.client()).await?;
    let (plain, sealed) = (layout.client().join("messages.db"), layout.public().join("messages.db.age"));
    write_messages(&plain)?;
    // A first start that was killed between registering and noting it registers again.
    remove(&sealed)?;
    let begun = Instant::now();
    let (plain, sealed) = (plain.to_string_lossy(), sealed.to_string_lossy());
    let answer = phone.succeeds("register", PASSWORD, &[1, 2, 3], &["--encrypt", &plain, "--out", &sealed]).await?;
    let what = format!("a backup key is registered; {} MiB encrypted with it", FILE_BYTES / 1024 / 1024);
    report.step(&what, "OPAQUE inside Noise; proved that it opens", begun);
    if let Some(until) = answer["waits_until"].as_str() {
        report.note(&format!("it replaces an older one after the cool-off, at {until}"));
        wait_until(until).await?;
    }
    folder.note(|journal| journal.registered = true)
}

/// Waits out a cool-off.
async fn wait_until(until: &str) -> anyhow::Result<()> {
    let until = countermark_bundle::identity::Timestamp::parse(until).context("the end of the cool-off")?;
    loop {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        if now > until.unix() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A file of this user, the same in every run.
fn write_messages(path: &Path) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).context("cannot write the user's file")?);
    let mut written = 0;
    for number in 0_u64.. {
        let line = format!("{number:>12}  a message that only its user may read\n");
        file.write_all(line.as_bytes())?;
        written += line.len();
        if written >= FILE_BYTES {
            break;
        }
    }
    file.into_inner().context("cannot write the user's file")?.sync_all().context("cannot write the user's file")
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A new phone, with an empty folder, recovers the key and decrypts the file. A wrong password before costs an attempt.
pub async fn recover(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let folder = layout.new_phone();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let phone = Phone::set_up(program, layout, &folder).await?;
    let begun = Instant::now();
    recover_file(&phone, layout, &[2, 3, 1]).await?;
    report.step("recovered by member-2, decrypted, the same bytes", "trust file, account token, password", begun);

    let begun = Instant::now();
    let (code, said) = phone.fails("recover", OTHER_PASSWORD, &[3, 1, 2], &[]).await?;
    report.step("a wrong password is refused", &format!("exit code {code}: {}", first_line(&said)), begun);
    let begun = Instant::now();
    let answer = phone.succeeds("recover", PASSWORD, &[1, 2, 3], &[]).await?;
    report.step("a right one refills the budget", &format!("{} attempts", answer["attempts_left"]), begun);
    Ok(())
}

fn first_line(said: &str) -> &str {
    said.lines().next().unwrap_or_default().trim_start_matches("countermark: ")
}

/// What is said of the one member that was asked.
fn no_majority(said: &str) -> &str {
    let line = first_line(said);
    line.find("no majority").and_then(|at| line.get(at..)).unwrap_or(line)
}

/// Recovers, decrypts, compares.
async fn recover_file(phone: &Phone<'_>, layout: &Layout, members: &[usize]) -> anyhow::Result<()> {
    let (sealed, plain) = (layout.public().join("messages.db.age"), phone.folder.join("messages.db"));
    remove(&plain)?;
    let (sealed, out) = (sealed.to_string_lossy(), plain.to_string_lossy());
    phone.succeeds("recover", PASSWORD, members, &["--decrypt", &sealed, "--out", &out]).await?;
    let same = std::fs::read(&plain)? == std::fs::read(layout.client().join("messages.db"))?;
    ensure!(same, Failure::new(ExitClass::Proof, "the decrypted file is not the one that was encrypted"));
    remove(&plain)
}

/// One member is killed, then a second one; they come back.
pub async fn drill(
    program: &Program,
    layout: &Layout,
    children: &mut Children,
    folder: &mut Folder,
    report: &mut Report,
) -> anyhow::Result<()> {
    if folder.journal().drilled {
        report.note("members of this folder were killed and came back before");
        return Ok(());
    }
    let phone = Phone::set_up(program, layout, &layout.new_phone()).await?;
    let leader = leader(program, layout).await?;
    let others: Vec<usize> = (1..=3).filter(|number| *number != leader).collect();
    let begun = Instant::now();
    children.kill(&format!("member-{leader}")).await?;
    let tried = recover_soon(&phone, &others).await?;
    let what = format!("member-{leader}, the leader, is killed; recovery goes on");
    report.step(&what, &format!("served again at try {tried}, with a new leader"), begun);

    let begun = Instant::now();
    children.kill(&format!("member-{}", others[0])).await?;
    // Until it misses the others' clocks, the last one takes commands that it cannot commit, and says so: "not known".
    tokio::time::sleep(Duration::from_millis(NOTICE_MILLISECONDS)).await;
    let (code, said) = phone.fails("recover", PASSWORD, &others[1..], &[]).await?;
    ensure!(
        said.contains("no majority"),
        Failure::new(ExitClass::OurFault, format!("not the answer expected: {said}"))
    );
    let what = format!("member-{} is killed too", others[0]);
    report.step(&what, &format!("exit code {code}: {}", no_majority(&said)), begun);

    let begun = Instant::now();
    for number in [leader, others[0]] {
        children.restart(program, &format!("member-{number}")).await?;
    }
    let tried = recover_soon(&phone, &[leader, others[0], others[1]]).await?;
    report.step("both return; everything is there", &format!("recovered at try {tried}"), begun);
    folder.note(|journal| journal.drilled = true)
}

async fn leader(program: &Program, layout: &Layout) -> anyhow::Result<usize> {
    let end = Instant::now() + Duration::from_secs(ELECTION_SECONDS);
    while Instant::now() < end {
        for number in 1..=3 {
            let status = program.verb(&["vault", "status", "--member", &layout.member_url(number)]).await?;
            if status["replica"]["role"] == "leader" {
                return Ok(number);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let message = format!("the fleet has had no leader for {ELECTION_SECONDS} s: `countermark vault status` says more");
    Err(Failure::new(ExitClass::Unreachable, message).into())
}

/// Recovers as a person would who is told that there is no majority: again, for a while.
async fn recover_soon(phone: &Phone<'_>, members: &[usize]) -> anyhow::Result<u32> {
    let end = Instant::now() + Duration::from_secs(ELECTION_SECONDS);
    for tried in 1.. {
        match phone.succeeds("recover", PASSWORD, members, &[]).await {
            Ok(_) => return Ok(tried),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    unreachable!("the loop ends with its deadline")
}

/// The same with the fleet's keys hard-coded in the client.
pub async fn pinned(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let mut phone = Phone::set_up(program, layout, &layout.new_phone()).await?;
    let begun = Instant::now();
    let (trust, log) = (text(&phone.folder, "trust.json"), layout.log_url());
    let pinned = text(&phone.folder, "pinned-trust.json");
    remove(Path::new(&pinned))?;
    program.text(&["trust", "pin", "--trust", &trust, "--log", &log, "--out", &pinned]).await?;
    phone.belief = ["--trust", &pinned, "--floor", &text(&phone.folder, "pinned-floor.json"), "--log", &log]
        .map(ToString::to_string)
        .to_vec();
    recover_file(&phone, layout, &[1, 2, 3]).await?;
    report.step("recovered with pinned fleet keys", "no stapled bundle; a fresh head from the log", begun);
    Ok(())
}
