use std::fs;

use clap::Parser;

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
    assert_eq!((serve.config, serve.exit_with_stdin), ("log.toml".into(), true));
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
    let check = async || run(Command::CheckConfig(CheckConfigArgs { config: path.clone() })).await;
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
    let refused = run(Command::Serve(ServeArgs { config: path, exit_with_stdin: false })).await.unwrap_err();
    assert!(matches!(refused, CommandError::Serve(ServeError::Namespace { .. })), "{refused}");
    assert_eq!(refused.exit_code(), 1);
}
