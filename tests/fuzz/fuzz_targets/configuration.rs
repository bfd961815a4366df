//! Configuration files of log, witness, countersigner and member. Beside them lie the files that they may name.
#![no_main]

use std::fs;
use std::sync::Once;

use countermark_fuzz::{folder, trust};
use libfuzzer_sys::fuzz_target;

static FILES: Once = Once::new();

fuzz_target!(|text: &str| {
    let folder = folder("configuration");
    FILES.call_once(|| {
        fs::write(folder.join("trust.json"), trust().write()).unwrap();
        fs::write(folder.join("witnesses.policy"), &trust().keys.policy).unwrap();
    });
    let _ = countermark_log::config::Config::parse(text, &folder);
    let _ = countermark_witness::Config::parse(text, &folder);
    let _ = countermark_vault::Config::parse(text, &folder);
    let file = folder.join("countersigner.toml");
    fs::write(&file, text).unwrap();
    let _ = countermark_countersigner::config::Config::load(&file);
});
