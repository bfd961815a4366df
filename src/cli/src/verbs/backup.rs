//! `countermark backup`: a user's backup key. Registered, recovered and deleted in a session with a fleet whose keys were
//! verified before; the key itself is never shown and never written.

mod file;
mod password;
mod reach;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countermark_bundle::Timestamp;
use countermark_client::backup::{BackupError, BackupKey, Done, new_key};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::present;
use file::{FileWork, FileWorkDone};
use reach::{Reach, Reached};

/// What to do with the backup key.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new backup key and register it under a password
    #[command(
        after_help = "Examples:\n  countermark backup register --member http://127.0.0.1:7340 --trust trust.json --floor floor.json \\\n    --account-token account.jwt --proof-key-file proof.key --passphrase-file proof.passphrase\n  countermark backup register … --encrypt messages.db --out messages.db.age\n\nThe file is in age's format. A key that replaces another one counts only after the fleet's cool-off."
    )]
    Register(Box<Register>),
    /// Recover the backup key with the password
    #[command(
        after_help = "Examples:\n  countermark backup recover --member http://127.0.0.1:7340 --trust trust.json --floor floor.json \\\n    --account-token account.jwt --proof-key-file proof.key --passphrase-file proof.passphrase \\\n    --member http://127.0.0.1:7341 --decrypt messages.db.age --out messages.db\n  countermark backup recover … --encrypt messages.db --out messages.db.age\n\nA wrong password spends one of the account's attempts; the last one erases the record."
    )]
    Recover(Box<Recover>),
    /// Keep the same backup key under another password
    #[command(
        after_help = "Example:\n  countermark backup change-password --member http://127.0.0.1:7340 --trust trust.json --floor floor.json \\\n    --account-token account.jwt --proof-key-file proof.key --passphrase-file proof.passphrase"
    )]
    ChangePassword(Box<ChangePassword>),
    /// Delete what the fleet keeps: at once with the password, after the cool-off without
    #[command(
        after_help = "Example:\n  countermark backup delete --member http://127.0.0.1:7340 --trust trust.json --floor floor.json \\\n    --account-token account.jwt --proof-key-file proof.key --passphrase-file proof.passphrase"
    )]
    Delete(Box<Delete>),
}

/// Arguments of `backup register`.
#[derive(Debug, Args)]
pub struct Register {
    #[command(flatten)]
    reach: Reach,
    /// The password; asked for on the terminal, twice, when it is missing
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Encrypt this file with the new key
    #[arg(long, value_name = "FILE", requires = "out")]
    encrypt: Option<PathBuf>,
    /// Where to write the encrypted file
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    out: Option<PathBuf>,
    /// Replace a file that is there already
    #[arg(long, requires = "out")]
    replace: bool,
}

/// Arguments of `backup recover`.
#[derive(Debug, Args)]
pub struct Recover {
    #[command(flatten)]
    reach: Reach,
    /// The password; asked for on the terminal when it is missing
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Decrypt this file with the recovered key
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with = "encrypt")]
    decrypt: Option<PathBuf>,
    /// Encrypt this file with the recovered key
    #[arg(long, value_name = "FILE", requires = "out")]
    encrypt: Option<PathBuf>,
    /// Where to write the decrypted or encrypted file; it appears only when it is whole
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a file that is there already
    #[arg(long, requires = "out")]
    replace: bool,
}

/// Arguments of `backup change-password`.
#[derive(Debug, Args)]
pub struct ChangePassword {
    #[command(flatten)]
    reach: Reach,
    /// The password up to now; asked for on the terminal when it is missing
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The password from now on; asked for on the terminal, twice, when it is missing
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

/// Arguments of `backup delete`.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    reach: Reach,
    /// The password; asked for on the terminal when it is missing
    #[arg(long, value_name = "FILE", conflicts_with = "without_password")]
    password_file: Option<PathBuf>,
    /// Ask without the password: the deletion waits for the fleet's cool-off, and a recovery meanwhile cancels it
    #[arg(long)]
    without_password: bool,
}

/// Does what the verb says.
pub async fn run(command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Register(arguments) => register(&arguments, json).await,
        Command::Recover(arguments) => recover(&arguments, json).await,
        Command::ChangePassword(arguments) => change_password(&arguments, json).await,
        Command::Delete(arguments) => delete(&arguments, json).await,
    }
}

async fn register(arguments: &Register, json: bool) -> anyhow::Result<()> {
    let work = FileWork::encrypt(arguments.encrypt.as_deref(), arguments.out.as_deref(), arguments.replace)?;
    let password = password::new(arguments.password_file.as_deref(), "New vault password")?;
    let reached = arguments.reach.believe(json).await?;
    let key = new_key()?;
    let done = reached.vault().register(password, &key).await.map_err(|error| refused(error, json))?;
    let file = finish(work, key, json).await;
    let waits_until = done.outcome.waits_until;
    if json {
        let outcome = json!({ "registered": true, "active": waits_until.is_none(), "waits_until": text(waits_until) });
        show_json(&reached, &done, &file, outcome);
        return file.map(drop);
    }
    match waits_until {
        None => present::done("the backup key is registered, and this password opens it"),
        Some(until) => {
            present::note(&format!("the backup key is registered and waits until {until}: it replaces an older one"));
            present::note(
                "until then the older password opens, and cancels this one; keep what was encrypted with the new key",
            );
        }
    }
    show(&reached, &done, &file, None);
    file.map(drop)
}

async fn recover(arguments: &Recover, json: bool) -> anyhow::Result<()> {
    let (out, replace) = (arguments.out.as_deref(), arguments.replace);
    let work = match (&arguments.decrypt, &arguments.encrypt) {
        (Some(file), _) => FileWork::decrypt(Some(file), out, replace)?,
        (None, file) => FileWork::encrypt(file.as_deref(), out, replace)?,
    };
    let password = password::known(arguments.password_file.as_deref(), "Vault password")?;
    let reached = arguments.reach.believe(json).await?;
    let done = reached.vault().recover(password).await.map_err(|error| refused(error, json))?;
    let (key, done) = taken(done);
    let file = finish(work, key, json).await;
    if json {
        show_json(&reached, &done, &file, json!({ "recovered": true, "attempts_left": done.outcome }));
        return file.map(drop);
    }
    present::done("the backup key is recovered");
    show(&reached, &done, &file, Some(done.outcome));
    file.map(drop)
}

/// The key apart from what is shown.
fn taken(done: Done<countermark_client::backup::Recovered>) -> (BackupKey, Done<u32>) {
    let Done { outcome, fleet_id, member_id, address, passed_over } = done;
    (outcome.key, Done { outcome: outcome.attempts_left, fleet_id, member_id, address, passed_over })
}

async fn change_password(arguments: &ChangePassword, json: bool) -> anyhow::Result<()> {
    let old = password::known(arguments.password_file.as_deref(), "Vault password")?;
    let new = password::new(arguments.new_password_file.as_deref(), "New vault password")?;
    let reached = arguments.reach.believe(json).await?;
    let done = reached.vault().change_password(old, new).await.map_err(|error| refused(error, json))?;
    let (waits_until, left) = (done.outcome.waits_until, done.outcome.attempts_left);
    if json {
        let outcome = json!({ "changed": true, "active": waits_until.is_none(), "waits_until": text(waits_until), "attempts_left": left });
        show_json(&reached, &done, &Ok(None), outcome);
        return Ok(());
    }
    match waits_until {
        None => present::done("the new password opens the same backup key"),
        Some(until) => present::note(&format!("the new password opens the same backup key from {until} on")),
    }
    show(&reached, &done, &Ok(None), Some(left));
    Ok(())
}

async fn delete(arguments: &Delete, json: bool) -> anyhow::Result<()> {
    let file = arguments.password_file.as_deref();
    let password = if arguments.without_password { None } else { Some(password::known(file, "Vault password")?) };
    let reached = arguments.reach.believe(json).await?;
    let done = reached.vault().delete(password).await.map_err(|error| refused(error, json))?;
    let waits_until = done.outcome.waits_until;
    if json {
        let outcome = json!({ "deleted": waits_until.is_none(), "waits_until": text(waits_until) });
        show_json(&reached, &done, &Ok(None), outcome);
        return Ok(());
    }
    match waits_until {
        None => present::done("the fleet keeps nothing of this account any more"),
        Some(until) => {
            present::note(&format!("the deletion waits until {until}; a recovery before cancels it"));
        }
    }
    show(&reached, &done, &Ok(None), None);
    Ok(())
}

/// What became of the file, if there was one. What the session did stands, whatever that is.
type File = anyhow::Result<Option<FileWorkDone>>;

async fn finish(work: Option<FileWork>, key: BackupKey, json: bool) -> File {
    match work {
        None => Ok(None),
        Some(work) => work.run(key, json).await.map(Some),
    }
}

fn text(waits_until: Option<Timestamp>) -> Option<String> {
    waits_until.map(|until| until.to_string())
}

/// What went wrong in the session, with its class; as JSON too, where programs read.
fn refused(error: BackupError, json: bool) -> anyhow::Error {
    let class = error.exit_class();
    if json {
        present::json(&json!({
            "done": false,
            "exit_code": class.code(),
            "refused": error.name(),
            "message": error.to_string(),
            "attempts_left": error.attempts_left(),
            "exhausted_until": text(error.exhausted_until()),
        }));
    }
    let message = format!("{}: {error}", class.as_str());
    anyhow::Error::new(error).context(Failure::new(class, message))
}

fn show<T>(reached: &Reached, done: &Done<T>, file: &File, attempts_left: Option<u32>) {
    for failure in &done.passed_over {
        present::note(&format!("passed over: {failure}"));
    }
    let mut rows = vec![
        ("fleet", format!("{}, epoch {}", done.fleet_id, reached.epoch())),
        ("member", format!("{} at {}", done.member_id, done.address)),
        ("believed", reached.how()),
    ];
    if let Some(left) = attempts_left {
        rows.push(("attempts left", left.to_string()));
    }
    match file {
        Ok(None) => {}
        Ok(Some(file)) => {
            rows.push(("file", format!("{} bytes {} into {}", file.bytes, file.what, file.out.display())));
        }
        Err(_) => rows.push(("file", "not written".to_string())),
    }
    present::facts(&rows);
}

fn show_json<T>(reached: &Reached, done: &Done<T>, file: &File, mut outcome: Value) {
    outcome["done"] = file.is_ok().into();
    outcome["fleet"] = done.fleet_id.as_str().into();
    outcome["member"] = done.member_id.as_str().into();
    outcome["address"] = done.address.as_str().into();
    outcome["epoch"] = reached.epoch().into();
    outcome["believed"] = reached.how().into();
    outcome["passed_over"] = done.passed_over.iter().map(ToString::to_string).collect::<Vec<_>>().into();
    match file {
        Ok(None) => {}
        Ok(Some(file)) => {
            outcome["file"] = json!({ "out": file.out.display().to_string(), "bytes": file.bytes, "was": file.what });
        }
        Err(error) => {
            outcome["exit_code"] = crate::failure::exit_code(error).into();
            outcome["file"] = json!({ "refused": error.to_string() });
        }
    }
    present::json(&outcome);
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::arguments::Cli;

    fn accepted(verb: &str, more: &[&str]) -> bool {
        let reach = ["--member", "http://a", "--trust", "t", "--account-token", "j", "--proof-key-file", "k"];
        let passphrase = ["--passphrase-file", "p"];
        let line = [&["countermark", "backup", verb][..], &reach, &passphrase, more].concat();
        Cli::try_parse_from(line).is_ok()
    }

    #[test]
    fn a_command_line_says_once_what_is_remembered_and_what_becomes_of_a_file() {
        for verb in ["register", "recover", "change-password", "delete"] {
            assert!(accepted(verb, &["--floor", "f"]) && accepted(verb, &["--no-floor"]), "{verb}");
            assert!(!accepted(verb, &[]) && !accepted(verb, &["--floor", "f", "--no-floor"]), "{verb}");
            assert!(accepted(verb, &["--floor", "f", "--member", "http://b", "--log", "http://c"]), "{verb}");
        }
        let file = |verb, more: &[&str]| accepted(verb, &[&["--floor", "f"], more].concat());
        assert!(file("register", &["--encrypt", "a", "--out", "b"]) && !file("register", &["--encrypt", "a"]));
        assert!(!file("register", &["--decrypt", "a", "--out", "b"]) && !file("register", &["--out", "b"]));
        assert!(file("recover", &["--decrypt", "a", "--out", "b", "--replace"]));
        assert!(file("recover", &["--encrypt", "a", "--out", "b"]) && !file("recover", &["--replace"]));
        assert!(!file("recover", &["--encrypt", "a", "--decrypt", "c", "--out", "b"]));
        assert!(!file("delete", &["--password-file", "a", "--without-password"]));
    }

    #[test]
    fn every_verb_and_flag_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
