//! The settings of a countersigner that a flag or a variable may say in place of the file.

use countermark_service::settings::{Configurable, Form, Setting};

/// A countersigner's: `--listen`, `COUNTERMARK_COUNTERSIGNER_LISTEN` and so on.
#[derive(Debug, Clone, Copy)]
pub struct CountersignerSettings;

impl Configurable for CountersignerSettings {
    const PREFIX: &'static str = "COUNTERMARK_COUNTERSIGNER_";
    const SETTINGS: &'static [Setting] = &[
        Setting::new(
            "listen",
            Form::Address,
            "Where the status page listens, a loopback address; port 0 takes any free port",
        )
        .or("127.0.0.1:0"),
        Setting::new("log_url", Form::Text, "The log's address"),
        Setting::new("trust", Form::Path, "The operator's own trust file"),
        Setting::new("operator_key_file", Form::Path, "The countersigning key"),
        Setting::new("token_key_file", Form::Path, "The key that access tokens are signed with"),
        Setting::new("passphrase_file", Form::Path, "What opens both keys"),
        Setting::new("ledger", Form::Path, "The ledger's database"),
        Setting::new("policy", Form::Path, "A folder of Cedar policies").or("the shipped ones"),
        Setting::new("token_audience", Form::Text, "The audience of access tokens: the log's name for itself"),
        Setting::new("issuer", Form::Text, "The issuer of access tokens, as the log's key set names the token key"),
        Setting::new("subject", Form::Text, "The countersigner's name in access tokens"),
        Setting::new("cool_off_seconds", Form::Number, "How long an addition waits before it is countersigned"),
        Setting::new("poll_interval_ms", Form::Number, "How often the log is asked for its checkpoint").or("500"),
    ];
}
