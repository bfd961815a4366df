//! The migration files inside the binary, as sqlx's migrations.

use std::borrow::Cow;

use rust_embed::RustEmbed;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::Database;

#[derive(RustEmbed)]
#[folder = "sqlite/log"]
struct LogFiles;

#[derive(RustEmbed)]
#[folder = "sqlite/witness"]
struct WitnessFiles;

#[derive(RustEmbed)]
#[folder = "sqlite/countersigner"]
struct CountersignerFiles;

#[cfg(feature = "postgres")]
#[derive(RustEmbed)]
#[folder = "postgres/log"]
struct PostgresLogFiles;

/// Keeps an empty folder under version control.
const PLACEHOLDER: &str = ".gitkeep";

/// The migrations of `database` in order.
pub(crate) fn migrator(database: Database) -> Migrator {
    Migrator::with_migrations(match database {
        Database::Log => migrations::<LogFiles>(),
        Database::Witness => migrations::<WitnessFiles>(),
        Database::Countersigner => migrations::<CountersignerFiles>(),
    })
}

/// The migrations of the log's PostgreSQL database in order.
#[cfg(feature = "postgres")]
pub(crate) fn postgres_migrator() -> Migrator {
    Migrator::with_migrations(migrations::<PostgresLogFiles>())
}

/// The newest schema version that this binary knows; 0 where there is no migration yet.
pub(crate) fn newest_version(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn migrations<Files: RustEmbed>() -> Vec<Migration> {
    Files::iter()
        .filter(|name| name != PLACEHOLDER)
        .map(|name| {
            let file = Files::get(&name).expect("rust-embed lists only files that it holds");
            migration(&name, file.data)
        })
        .collect()
}

fn migration(name: &str, bytes: Cow<'static, [u8]>) -> Migration {
    let (version, title) = parse_name(name).expect("a test checks every embedded name: four digits, `_`, name, `.sql`");
    let sql = String::from_utf8(bytes.into_owned()).expect("a test checks that every file is UTF-8");
    Migration::new(
        version,
        title.to_owned().into(),
        MigrationType::Simple,
        // Safe: the text is fixed when the binary is built; nothing of a caller enters it.
        AssertSqlSafe(sql).into_sql_str(),
        false,
    )
}

/// `0001_heads.sql` -> `(1, "heads")`.
fn parse_name(name: &str) -> Option<(i64, &str)> {
    let (digits, title) = name.strip_suffix(".sql")?.split_once('_')?;
    let well_formed = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (well_formed && !title.is_empty()).then_some((digits.parse().ok()?, title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_migrations_are_numbered_from_one_without_gaps() {
        for database in Database::ALL {
            let versions: Vec<i64> = migrator(database).iter().map(|m| m.version).collect();
            let expected: Vec<i64> = (1..).take(versions.len()).collect();
            assert_eq!(versions, expected, "{database}");
        }
        #[cfg(feature = "postgres")]
        {
            let versions: Vec<i64> = postgres_migrator().iter().map(|m| m.version).collect();
            assert_eq!(versions, (1..).take(versions.len()).collect::<Vec<i64>>(), "PostgreSQL");
        }
    }

    #[test]
    fn migration_names_are_four_digits_and_a_title() {
        let cases = [
            ("0001_heads.sql", Some((1, "heads"))),
            ("0012_two_words.sql", Some((12, "two_words"))),
            ("1_heads.sql", None),
            ("+001_heads.sql", None),
            ("0001heads.sql", None),
            ("0001_.sql", None),
            ("0001_heads.SQL", None),
            ("0001_heads", None),
            ("notes.md", None),
        ];
        for (name, expect) in cases {
            assert_eq!(parse_name(name), expect, "{name}");
        }
    }
}
