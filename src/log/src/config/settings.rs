//! The settings of the log that a flag or a variable may say in place of the file.

use countermark_service::settings::{Configurable, Form, Setting};

/// The log's: `--listen`, `COUNTERMARK_LOG_LISTEN` and so on.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings;

impl Configurable for LogSettings {
    const PREFIX: &'static str = "COUNTERMARK_LOG_";
    const SETTINGS: &'static [Setting] = &[
        Setting {
            field: "listen",
            form: Form::Address,
            help: "Where to listen; port 0 takes any free port",
            unless_said: "needed",
            instead_of: &[],
        },
        Setting {
            field: "metrics_listen",
            form: Form::Address,
            help: "Where GET /metrics is served for Prometheus",
            unless_said: "nowhere",
            instead_of: &[],
        },
        Setting {
            field: "token_keys",
            form: Form::Path,
            help: "The key set of those whose access tokens count",
            unless_said: "none: nothing is taken",
            instead_of: &[],
        },
        Setting {
            field: "audience",
            form: Form::Text,
            help: "The audience of access tokens",
            unless_said: "the authority's name",
            instead_of: &[],
        },
        Setting {
            field: "behind_tls_proxy",
            form: Form::Switch,
            help: "Take tokens on an address that is not loopback: a proxy before it speaks TLS",
            unless_said: "false",
            instead_of: &[],
        },
        Setting {
            field: "submission_deadline_ms",
            form: Form::Number,
            help: "How long a submission waits for its level",
            unless_said: "10000",
            instead_of: &[],
        },
        Setting {
            field: "database_folder",
            form: Form::Path,
            help: "The folder of the databases, one SQLite file for each namespace",
            unless_said: "none: [postgres]",
            instead_of: &["postgres"],
        },
        Setting {
            field: "postgres.url_file",
            form: Form::Path,
            help: "A file with the URL of the PostgreSQL database; a URL itself is given in a file only",
            unless_said: "none: database_folder",
            instead_of: &["database_folder", "postgres.url"],
        },
        Setting {
            field: "register_folder",
            form: Form::Path,
            help: "The folder of the head register, on other storage than the databases",
            unless_said: "none: register_url",
            instead_of: &["register_url"],
        },
        Setting {
            field: "register_url",
            form: Form::Place,
            help: "The head register in a bucket, s3://bucket/prefix",
            unless_said: "none: register_folder",
            instead_of: &["register_folder"],
        },
        Setting {
            field: "export",
            form: Form::Place,
            help: "Where everything that is published is exported to: a folder, or s3://bucket/prefix",
            unless_said: "nowhere",
            instead_of: &[],
        },
        Setting {
            field: "object_store_credentials",
            form: Form::Path,
            help: "The credentials file of buckets",
            unless_said: "the environment's (AWS_…)",
            instead_of: &[],
        },
        Setting {
            field: "scrub_entries_per_second",
            form: Form::Number,
            help: "The pace at which stored entries are recomputed; 0: never",
            unless_said: "2000",
            instead_of: &[],
        },
    ];
}
