use std::fs;

use clap::Parser;
use countermark_service::settings::Configurable as _;

use super::*;
use crate::config::house::House;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn parse(line: &str) -> Option<Command> {
    Line::try_parse_from(std::iter::once("log").chain(line.split(' '))).ok().map(|line| line.command)
}

#[test]
fn the_verbs_are_read_with_their_arguments() {
    let Some(Command::Serve(serve)) = parse("serve --config log.toml --exit-with-stdin") else { panic!("serve") };
    assert_eq!((serve.config.path(), serve.exit_with_stdin), (Path::new("log.toml"), true));
    let Some(Command::Create(create)) = parse("create --config log.toml") else { panic!("create") };
    assert!(!create.if_absent);
    assert!(matches!(parse("create --config log.toml --if-absent"), Some(Command::Create(create)) if create.if_absent));
    let owned = parse("create --config log.toml --owner-url-file owner.url");
    assert!(matches!(owned, Some(Command::Create(create)) if create.owner_url_file == Some("owner.url".into())));
    assert!(matches!(parse("migrate --config log.toml --owner-url-file owner.url"), Some(Command::Migrate(_))));
    assert!(matches!(parse("check-config --config log.toml"), Some(Command::CheckConfig(_))));
    for wrong in
        ["serve", "create", "check-config", "migrate --config a", "serve --config a --config b", "start --config a"]
    {
        assert!(parse(wrong).is_none(), "{wrong}");
    }
}

#[tokio::test]
async fn a_configuration_is_checked_with_everything_that_it_names() {
    let house = House::new(&["backup"]);
    let path = house.path("log.toml");
    let check = async || {
        run(Command::CheckConfig(CheckConfigArgs { config: Configured::file(path.clone()), json: false })).await
    };
    assert_eq!(check().await.unwrap_err().exit_code(), 2, "there is no file");
    fs::write(&path, &house.text).unwrap();
    check().await.unwrap();
    fs::write(house.path("backup/passphrase"), "another one, of at least 32 bytes\n").unwrap();
    let refused = check().await.unwrap_err();
    assert!(matches!(&refused, CommandError::Open { namespace, .. } if namespace == "backup"), "{refused}");
    assert_eq!(refused.exit_code(), 2);
}

#[tokio::test]
async fn a_log_that_was_not_made_is_not_served() {
    let house = House::new(&["backup"]);
    let path = house.path("log.toml");
    fs::write(&path, &house.text).unwrap();
    fs::create_dir(house.path("register")).unwrap();
    let refused =
        run(Command::Serve(ServeArgs { config: Configured::file(path), exit_with_stdin: false })).await.unwrap_err();
    assert!(matches!(refused, CommandError::Serve(ServeError::Namespace { .. })), "{refused}");
    assert_eq!(refused.exit_code(), 1);
}

#[test]
fn the_rules_of_the_whole_hold_for_what_is_said_outside_of_the_file() {
    let house = House::new(&["backup"]);
    let path = house.path("log.toml");
    fs::write(&path, &house.text).unwrap();
    let given = |flags: &str| {
        let line = format!("serve --config {} {flags}", path.display());
        let Some(Command::Serve(serve)) = parse(line.trim()) else { panic!("{line}") };
        Config::given(&serve.config)
    };
    let (config, _) = given("--listen 127.0.0.1:1 --submission-deadline-ms 7 --register-folder elsewhere").unwrap();
    assert_eq!((config.listen.port(), config.submission_deadline.as_millis()), (1, 7));
    let here = std::env::current_dir().unwrap();
    assert_eq!(config.register, Location::Folder(here.join("elsewhere")));
    assert!(matches!(given("").unwrap().0.register, Location::Folder(folder) if folder == house.path("register")));
    let refused = given("--listen 0.0.0.0:1 --token-keys keys.json").unwrap_err().to_string();
    assert!(refused.contains("in the clear at 0.0.0.0:1"), "{refused}");
    assert!(refused.ends_with("(not from the file: listen from --listen, token_keys from --token-keys)"), "{refused}");
    let refused = given("--submission-deadline-ms 0").unwrap_err();
    assert!(
        matches!(&refused, ConfigError::Outside { source, .. }
        if matches!(**source, ConfigError::SubmissionDeadline { found: 0 })),
        "{refused}"
    );
}

#[test]
fn every_setting_of_the_table_is_a_field_of_the_file() {
    let house = House::new(&["backup"]);
    let mut checked = 0;
    for setting in LogSettings::SETTINGS {
        let top = setting.field.split('.').next().unwrap();
        // A field that is not known is refused with the list of those that are.
        let refused = house.parse(&format!("not_a_field = 1\n{}", house.text)).unwrap_err();
        let refused = countermark_service::lifecycle::with_causes(&refused);
        assert!(refused.contains(&format!("`{top}`")), "{top} is no field: {refused}");
        checked += 1;
    }
    assert_eq!(checked, 13);
}
