//! The command line.

use clap::{Parser, Subcommand};
use countermark_service::lifecycle::{FORMAT_VARIABLE, LogFormat};

use crate::{drill, up, verbs};

/// A transparency log and bundle-signing authority for HSM fleets
///
/// The log signs, a witness cosigns, the operator countersigns. A client verifies the result offline before it trusts
/// a fleet's keys. Start with `countermark up`.
#[derive(Debug, Parser)]
#[command(name = "countermark", version, max_term_width = 120)]
#[command(
    after_help = "Exit codes: 0 everything asked for was done or verified, 1 our fault, 2 usage, 10 malformed, 11 signature or proof,\n12 quorum, 13 stale, 14 rollback, 15 fork, 16 revoked, 17 not active, 18 unknown authority, 19 something was not checked,\n20 refused by policy, 21 unreachable."
)]
pub struct Cli {
    /// Report as one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// How records are written on standard error
    #[arg(long, global = true, value_name = "FORMAT", env = FORMAT_VARIABLE, hide_env_values = true, default_value = "text")]
    pub log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole authority on this machine and do its main job once
    #[command(after_help = "Examples:\n  countermark up\n  countermark up --once --data /tmp/try")]
    Up(up::Arguments),
    /// The authority's log, and the recomputation of anybody's
    #[command(
        after_help = "Examples:\n  countermark log serve --config log.toml\n  countermark log fsck ./export --trust trust.json"
    )]
    Log {
        #[command(subcommand)]
        command: verbs::log::Command,
    },
    /// A witness that cosigns tree heads
    #[command(after_help = "Example:\n  countermark witness serve --config witness.toml")]
    Witness {
        #[command(subcommand)]
        command: countermark_witness::command::Command,
    },
    /// The operator's countersigner
    #[command(after_help = "Example:\n  countermark countersigner serve --config countersigner.toml")]
    Countersigner {
        #[command(subcommand)]
        command: countermark_countersigner::command::Command,
    },
    /// A member of the vault, and the vendor that attests it
    #[command(after_help = "Example:\n  countermark vault serve --config member.toml")]
    Vault {
        #[command(subcommand)]
        command: countermark_vault::command::Command,
    },
    /// Key files
    Keys {
        #[command(subcommand)]
        command: verbs::keys::Command,
    },
    /// Trust files: what a client pins
    Trust {
        #[command(subcommand)]
        command: verbs::trust::Command,
    },
    /// Access tokens for submitters, account tokens for users
    Token {
        #[command(subcommand)]
        command: verbs::token::Command,
    },
    /// Fleet statements
    Fleet {
        #[command(subcommand)]
        command: verbs::fleet::Command,
    },
    /// Approve a fleet statement as an officer
    #[command(
        after_help = "Example:\n  countermark approve --statement statement.json --officer alice \\\n    --key-file alice.key --passphrase-file alice.passphrase > alice.jws"
    )]
    Approve(verbs::approve::Arguments),
    /// Submit a statement or a finished entry to a log, and verify the receipt
    #[command(
        after_help = "Example:\n  countermark submit --log http://127.0.0.1:7310 --trust trust.json --statement statement.json \\\n    --approval alice.jws --approval bob.jws --attestation member-1.json \\\n    --token-key-file issuer.key --token-passphrase-file issuer.passphrase --issuer operator --subject release --audience log.example"
    )]
    Submit(Box<verbs::submit::Arguments>),
    /// Show an authority at a glance: heads, ages, witnesses, namespaces, the last refusals
    #[command(
        after_help = "Examples:\n  countermark status --log http://127.0.0.1:7310\n  countermark status --log http://127.0.0.1:7310 --watch\n  countermark status --log http://127.0.0.1:7310 --namespace backup"
    )]
    Status(verbs::status::Arguments),
    /// Verify a bundle or a receipt, offline
    Verify {
        #[command(subcommand)]
        command: verbs::verify::Command,
    },
    /// A user's backup key: register it with a verified fleet, recover it, encrypt a file with it
    Backup {
        #[command(subcommand)]
        command: verbs::backup::Command,
    },
    /// Replay a log from its first entry and check every rule
    #[command(after_help = "Example:\n  countermark audit --log http://127.0.0.1:7310 --trust trust.json")]
    Audit(verbs::audit::Arguments),
    /// What goes wrong seldom, made to go wrong on purpose
    Drill {
        #[command(subcommand)]
        command: drill::Command,
    },
    /// Set what witnesses show of a log against each other
    #[command(
        after_help = "Example:\n  countermark gossip --trust trust.json --log http://127.0.0.1:7310 --evidence-out fork-evidence.txt"
    )]
    Gossip(verbs::gossip::Arguments),
    /// Fetch a proof and verify it here
    Prove {
        #[command(subcommand)]
        command: verbs::prove::Command,
    },
}
