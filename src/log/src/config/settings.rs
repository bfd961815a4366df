//! The settings of the log that a flag or a variable may say in place of the file.

use countermark_service::settings::{Configurable, Form, Setting};

/// The log's: `--listen`, `COUNTERMARK_LOG_LISTEN` and so on.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings;

impl Configurable for LogSettings {
    const PREFIX: &'static str = "COUNTERMARK_LOG_";
    const SETTINGS: &'static [Setting] = &[
        Setting::new("listen", Form::Address, "Where to listen; port 0 takes any free port"),
        Setting::new("metrics_listen", Form::Address, "Where GET /metrics is served for Prometheus").or("nowhere"),
        Setting::new("token_keys", Form::Path, "The key set of those whose access tokens count")
            .or("none: nothing is taken"),
        Setting::new("audience", Form::Text, "The audience of access tokens").or("the authority's name"),
        Setting::new(
            "behind_tls_proxy",
            Form::Switch,
            "Take tokens on an address that is not loopback: a proxy before it speaks TLS",
        )
        .or("false"),
        Setting::new("submission_deadline_ms", Form::Number, "How long a submission waits for its level").or("10000"),
        Setting::new("database_folder", Form::Path, "The folder of the databases, one SQLite file for each namespace")
            .or("none: [postgres]")
            .instead_of(&["postgres"]),
        Setting::new(
            "postgres.url_file",
            Form::Path,
            "A file with the URL of the PostgreSQL database; a URL itself is given in a file only",
        )
        .or("none: database_folder")
        .instead_of(&["database_folder", "postgres.url"]),
        Setting::new(
            "register_folder",
            Form::Path,
            "The folder of the head register, on other storage than the databases",
        )
        .or("none: register_url")
        .instead_of(&["register_url"]),
        Setting::new("register_url", Form::Place, "The head register in a bucket, s3://bucket/prefix")
            .or("none: register_folder")
            .instead_of(&["register_folder"]),
        Setting::new(
            "export",
            Form::Place,
            "Where everything that is published is exported to: a folder, or s3://bucket/prefix",
        )
        .or("nowhere"),
        Setting::new("object_store_credentials", Form::Path, "The credentials file of buckets")
            .or("the environment's (AWS_…)"),
        Setting::new(
            "scrub_entries_per_second",
            Form::Number,
            "The pace at which stored entries are recomputed; 0: never",
        )
        .or("2000"),
    ];
}
