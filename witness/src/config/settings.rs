//! The settings of a witness that a flag or a variable may say in place of the file.

use countermark_service::settings::{Configurable, Form, Setting};

/// A witness's: `--listen`, `COUNTERMARK_WITNESS_LISTEN` and so on.
#[derive(Debug, Clone, Copy)]
pub struct WitnessSettings;

impl Configurable for WitnessSettings {
    const PREFIX: &'static str = "COUNTERMARK_WITNESS_";
    const SETTINGS: &'static [Setting] = &[
        Setting::new("listen", Form::Address, "Where to listen; port 0 takes any free port"),
        Setting::new("name", Form::Text, "The name of the witness's key"),
        Setting::new("key_file", Form::Path, "The witness's key"),
        Setting::new("passphrase_file", Form::Path, "What opens the key"),
        Setting::new("state", Form::Path, "The SQLite file of the state"),
        Setting::new("head_register", Form::Path, "The file that knows how far the state has come"),
        Setting::new("metrics_listen", Form::Address, "Where GET /metrics is served"),
    ];
}
