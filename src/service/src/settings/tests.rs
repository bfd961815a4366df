#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::Parser;
use serde::Deserialize;

use super::*;

struct Example;

impl Configurable for Example {
    const PREFIX: &'static str = "COUNTERMARK_EXAMPLE_OF_A_TEST_";
    const SETTINGS: &'static [Setting] = &[
        Setting::new("listen", Form::Address, "Where").or("nowhere"),
        Setting::new("folder", Form::Path, "A folder").or("none").instead_of(&["url", "server"]),
        Setting::new("url", Form::Place, "A place").or("none").instead_of(&["folder"]),
        Setting::new("server.url_file", Form::Path, "A file").or("none"),
        Setting::new("most", Form::Number, "A bound").or("5"),
        Setting::new("fast", Form::Switch, "A switch").or("false"),
    ];
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Fields {
    listen: SocketAddr,
    folder: Option<PathBuf>,
    url: Option<String>,
    server: Option<Table>,
    most: Option<u64>,
    #[serde(default)]
    fast: bool,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    configured: Configured<Example>,
}

fn parse(path: &Path, flags: &[&str]) -> Configured<Example> {
    let line = ["example", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).configured
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// As if a variable had been set: what clap reads from the environment is the process's, which tests share.
fn by_variable(mut configured: Configured<Example>, field: &str, text: &str) -> Configured<Example> {
    let setting = Example::SETTINGS.iter().find(|setting| setting.field == field).unwrap();
    let origin = Origin::Environment(setting.variable(Example::PREFIX));
    configured.said.retain(|said| said.setting.field != field);
    configured.said.push(Said { setting, text: text.to_owned(), origin });
    configured
}

#[test]
fn a_flag_counts_before_a_variable_and_a_variable_before_the_file() {
    let (folder, path) = file("listen = '127.0.0.1:1'\nmost = 1\nfolder = 'data'");
    let configured = by_variable(parse(&path, &["--listen", "127.0.0.1:3", "--fast"]), "most", "2");
    let settings: Settings<Fields> = configured.read().unwrap();
    let Fields { listen, most, fast, .. } = &settings.fields;
    assert_eq!((listen.port(), *most, *fast), (3, Some(2), true));
    let shown: Vec<_> = settings.in_force.iter().map(|one| (one.setting, one.value.as_str(), one.from)).collect();
    let data = folder.path().join("data").display().to_string();
    let expected = [
        ("listen", "127.0.0.1:3", "flag"),
        ("folder", data.as_str(), "file"),
        ("url", "none", "default"),
        ("server.url_file", "none", "default"),
        ("most", "2", "environment"),
        ("fast", "true", "flag"),
    ];
    assert_eq!(shown, expected);
    let lines = InForce::lines(&settings.in_force).join("\n");
    assert!(lines.contains("--listen") && lines.contains("COUNTERMARK_EXAMPLE_OF_A_TEST_MOST"), "{lines}");
    assert!(lines.contains(path.to_str().unwrap()), "{lines}");
}

#[test]
fn a_path_from_outside_is_relative_to_the_working_directory() {
    let (_folder, path) = file("listen = '127.0.0.1:1'");
    let settings: Settings<Fields> = parse(&path, &["--folder", "here", "--server-url-file", "x"]).read().unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(settings.fields.folder, Some(here.join("here")));
    let server = settings.fields.server.unwrap();
    assert_eq!(server["url_file"].as_str(), here.join("x").to_str());
    let settings: Settings<Fields> = parse(&path, &["--url", "s3://bucket/prefix"]).read().unwrap();
    assert_eq!(settings.fields.url.as_deref(), Some("s3://bucket/prefix"));
}

#[test]
fn what_is_said_with_more_weight_takes_the_place_of_what_excludes_it() {
    let (_folder, path) = file("listen = '127.0.0.1:1'\nfolder = 'data'");
    let settings: Settings<Fields> = parse(&path, &["--url", "s3://b"]).read().unwrap();
    assert_eq!((settings.fields.folder, settings.fields.url.as_deref()), (None, Some("s3://b")));
    let both: Settings<Fields> = parse(&path, &["--url", "s3://b", "--folder", "c"]).read().unwrap();
    assert!(both.fields.folder.is_some() && both.fields.url.is_some(), "of one weight, for the service to refuse");
    let flag_wins = by_variable(parse(&path, &["--url", "s3://b"]), "folder", "c");
    let settings: Settings<Fields> = flag_wins.read().unwrap();
    assert_eq!((settings.fields.folder, settings.fields.url.as_deref()), (None, Some("s3://b")));
}

#[test]
fn a_wrong_value_is_refused_by_the_name_of_where_it_was_said() {
    let (_folder, path) = file("listen = '127.0.0.1:1'");
    let refused = |configured: Configured<Example>| configured.read::<Fields>().unwrap_err().to_string();
    for (flag, value, expected) in [
        ("--listen", "localhost", "--listen: \"localhost\" is not an IP address and a port"),
        ("--most", "many", "--most: \"many\" is not a number"),
        ("--most", "99999999999999999999", "is not a number"),
        ("--folder", "", "--folder: \"\" is not a path"),
        ("--fast=perhaps", "", "--fast: \"perhaps\" is not true or false"),
    ] {
        let flags: &[&str] = if flag.contains('=') { &[flag] } else { &[flag, value] };
        let said = refused(parse(&path, flags));
        assert!(said.contains(expected), "{said}");
    }
    let said = refused(by_variable(parse(&path, &[]), "listen", "x"));
    assert!(said.starts_with("COUNTERMARK_EXAMPLE_OF_A_TEST_LISTEN: "), "{said}");
    let (_folder, path) = file("folder = 1");
    let said = refused(parse(&path, &["--most", "1"]));
    assert!(said.contains("example.toml is malformed (not from the file: most from --most)"), "{said}");
}

#[test]
fn a_variable_with_the_prefix_that_is_no_setting_is_refused() {
    let check = |names: &[&str]| check_variables::<Example>(names.iter().map(OsString::from));
    let known = ["LISTEN", "SERVER_URL_FILE", "CONFIG"].map(|name| format!("{}{name}", Example::PREFIX));
    assert!(check(&known.each_ref().map(String::as_str)).is_ok());
    assert!(check(&["PATH", "COUNTERMARK_EXAMPLES", FORMAT_VARIABLE]).is_ok());
    let typo = format!("{}LISTEM", Example::PREFIX);
    let refused = check(&[&known[0], &typo]).unwrap_err();
    assert!(matches!(&refused, SettingsError::UnknownVariable { name } if *name == *typo), "{refused}");
}
