//! A log that is exported while it is served, and what readers have of the export when the log is gone.

use crate::support::{Home, Served, ends_with, text};

#[test]
fn an_export_outlives_its_log() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let config = home.data().join("authority/log.toml").display().to_string();
    let to = home.path("export").display().to_string();
    // Once, and once more over itself, while the log is served.
    for _ in 0..2 {
        let said = ends_with(0, &["log", "export", "--config", &config, "--to", &to]);
        assert!(said.contains("/backup: exported, size "), "{said}");
    }
    let trust = home.trust("client");
    let live = home.get("/backup/checkpoint");
    drop(up);
    home.wait_until_nothing_runs();

    let folder = format!("{to}/backup");
    let exported = std::fs::read(format!("{folder}/checkpoint")).unwrap();
    // Cosignatures may have come between; the head is the same.
    let head = |note: Vec<u8>| text(&note).split("\n\n").next().unwrap().to_owned();
    assert_eq!(head(exported), head(live));
    ends_with(0, &["audit", "--log", &folder, "--trust", &trust]);
    let served = Served::start(&["log", "serve-static", "--from", &to, "--listen", "127.0.0.1:0", "--trust", &trust]);
    let floor = home.path("floor.json").display().to_string();
    ends_with(0, &["verify", "bundle", "--trust", &trust, "--log", served.url(), "--floor", &floor]);
    ends_with(0, &["audit", "--log", served.url(), "--trust", &trust]);
    // Where there is nothing, nothing is served.
    let nothing = home.path("nothing").display().to_string();
    let said = ends_with(1, &["log", "serve-static", "--from", &nothing, "--listen", "127.0.0.1:0"]);
    assert!(said.contains("there is no export at"), "{said}");
    // A register or a database is no place for what everybody may read.
    let databases = home.data().join("authority/databases").display().to_string();
    let said = ends_with(1, &["log", "export", "--config", &config, "--to", &databases]);
    assert!(said.contains("lie in one another"), "{said}");
}
