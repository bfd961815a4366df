//! An export that somebody else wrote: its description, its head and its trust file, read as at the start of a server.
#![no_main]

use std::fs;
use std::sync::OnceLock;

use countermark_fuzz::{folder, trust};
use countermark_log::objects::location::Location;
use countermark_log::serve_static::{StaticConfig, serve_static};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
const DESCRIPTION: &str = r#"{"type":"countermark/export/v1","kind":"fleet-keys","origin":"log.example/backup","namespace":"backup","max_head_age_seconds":86400,"software":"fuzz"}"#;

// A letter for the file, and what is in it.
fuzz_target!(|input: &[u8]| {
    let Some((letter, bytes)) = input.split_first() else { return };
    let changed = match letter {
        b'e' => "export.json",
        b'c' => "checkpoint",
        b't' => "trust.json",
        _ => return,
    };
    let export = folder("export/backup");
    fs::write(export.join("export.json"), DESCRIPTION).unwrap();
    fs::write(export.join("trust.json"), trust().write()).unwrap();
    let _ = fs::remove_file(export.join("checkpoint"));
    fs::write(export.join(changed), bytes).unwrap();
    let config = StaticConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        from: Location::Folder(folder("export")),
        trust: Vec::new(),
        credentials: None,
    };
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().build().unwrap());
    let _ = runtime.block_on(serve_static(config, |_| {}, std::future::ready(())));
});
