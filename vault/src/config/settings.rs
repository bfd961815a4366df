//! The settings of a vault member that a flag or a variable may say in place of the file.

use countermark_service::settings::{Configurable, Form, Setting};

/// A vault member's: `--listen`, `COUNTERMARK_VAULT_LISTEN` and so on.
#[derive(Debug, Clone, Copy)]
pub struct VaultSettings;

impl Configurable for VaultSettings {
    const PREFIX: &'static str = "COUNTERMARK_VAULT_";
    const SETTINGS: &'static [Setting] = &[
        Setting::new("listen", Form::Address, "Where to listen; port 0 takes any free port"),
        Setting::new("origin", Form::Text, "The log that the fleet's keys are stated in"),
        Setting::new("fleet_id", Form::Text, "The fleet"),
        Setting::new("member_id", Form::Text, "The member's name within the fleet"),
        Setting::new("failure_domain", Form::Text, "What the member shares its fate with"),
        Setting::new("identity_key_file", Form::Path, "The key that the member signs with"),
        Setting::new("session_key_file", Form::Path, "The key that sessions are opened to"),
        Setting::new("passphrase_file", Form::Path, "What opens the keys"),
        Setting::new("attestation_file", Form::Path, "Where the vendor's attestation is kept"),
        Setting::new("peer_listen", Form::Address, "Where other members connect to").or("no fleet"),
        Setting::new("log_url", Form::Text, "The log's address").or("no fleet"),
        Setting::new("trust", Form::Path, "Which log and which operator are believed").or("no fleet"),
        Setting::new("data_folder", Form::Path, "Where the replicated state is kept, sealed").or("no fleet"),
        Setting::new(
            "counter_file",
            Form::Path,
            "What tells an older data folder from the newest one; elsewhere than it",
        )
        .or("no fleet"),
        Setting::new("sealing_key_file", Form::Path, "The key that seals the data folder; elsewhere than it")
            .or("no fleet"),
        Setting::new("cool_off_seconds", Form::Number, "How long a new record waits; the same on each member")
            .or("604800"),
        Setting::new("write_deadline_ms", Form::Number, "How long a write may take").or("5000"),
        Setting::new("heartbeat_ms", Form::Number, "How often a leader shows that it lives; the same on each member")
            .or("150"),
        Setting::new("bundle_poll_interval_ms", Form::Number, "How often the log is asked for a newer bundle")
            .or("60000"),
    ];
}
