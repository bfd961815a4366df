//! Settings of a configuration file that a flag or an environment variable may give, too. A flag counts before the
//! environment, the environment before the file.
//!
//! One table for each service says which settings there are; flags, variables, help and `check-config` follow from it.
//! Lists and tables (namespaces, logs, peers) stand in the file only. A secret is no setting: a setting names the file that
//! holds one, because an environment is inherited by every child and shown by the system.
//!
//! A relative path of the file is relative to the file, one of a flag or a variable to the working directory.
//!
//! Invariant: a variable with a service's prefix that is not one of its settings is refused. A typo is never ignored.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::{Table, Value};

use crate::configuration::{self, ReadError};
use crate::lifecycle::FORMAT_VARIABLE;

mod in_force;

pub use in_force::InForce;

/// The heading of the flags in `--help`.
const HEADING: &str = "Settings of the file (a flag counts before the environment, the environment before the file)";

/// A service with a configuration file.
pub trait Configurable {
    /// What its variables begin with, as `COUNTERMARK_LOG_`.
    const PREFIX: &'static str;
    /// The settings that can be given outside of the file.
    const SETTINGS: &'static [Setting];
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file; `postgres.url_file` stands in the table `postgres`.
    pub field: &'static str,
    /// What it is.
    pub form: Form,
    /// What it is for, in `--help`.
    pub help: &'static str,
    /// What holds where nobody says it, for people.
    pub unless_said: &'static str,
    /// Fields that this one takes the place of, where they were said with less weight.
    pub instead_of: &'static [&'static str],
}

/// What a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An IP address and a port.
    Address,
    /// A file or folder.
    Path,
    /// A folder, or a URL.
    Place,
    /// Any text.
    Text,
    /// A number from 0 on.
    Number,
    /// True or false.
    Switch,
}

impl Form {
    const fn value_name(self) -> &'static str {
        match self {
            Self::Address => "ADDRESS",
            Self::Path => "PATH",
            Self::Place => "PLACE",
            Self::Text => "TEXT",
            Self::Number => "NUMBER",
            Self::Switch => "BOOL",
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Address => "an IP address and a port",
            Self::Path => "a path",
            Self::Place => "a folder or a URL",
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Switch => "true or false",
        }
    }

    /// The value as the file would have it; `None` if it is none.
    fn value(self, text: &str) -> Option<Value> {
        match self {
            Self::Address => text.parse::<SocketAddr>().is_ok().then(|| Value::String(text.to_owned())),
            Self::Place if text.contains("://") => Some(Value::String(text.to_owned())),
            Self::Path | Self::Place => absolute(text),
            Self::Text => (!text.is_empty()).then(|| Value::String(text.to_owned())),
            Self::Number => text.parse::<i64>().ok().filter(|number| *number >= 0).map(Value::Integer),
            Self::Switch => text.parse::<bool>().ok().map(Value::Boolean),
        }
    }
}

/// A path of a flag or a variable is relative to the working directory.
fn absolute(text: &str) -> Option<Value> {
    let path = std::path::absolute(text).ok()?;
    path.into_os_string().into_string().ok().map(Value::String)
}

impl Setting {
    /// A setting that must be said.
    #[must_use]
    pub const fn new(field: &'static str, form: Form, help: &'static str) -> Self {
        Self { field, form, help, unless_said: "needed", instead_of: &[] }
    }

    /// The same with what holds where nobody says it.
    #[must_use]
    pub const fn or(self, unless_said: &'static str) -> Self {
        Self { unless_said, ..self }
    }

    /// The same with the fields that it takes the place of.
    #[must_use]
    pub const fn instead_of(self, fields: &'static [&'static str]) -> Self {
        Self { instead_of: fields, ..self }
    }

    /// Its flag, without the dashes before it.
    fn flag(&self) -> String {
        self.field.replace(['.', '_'], "-")
    }

    /// Its variable.
    fn variable(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.field.replace('.', "_").to_ascii_uppercase())
    }
}

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line, by this flag.
    Flag(String),
    /// By this variable.
    Environment(String),
    /// In this file.
    File(PathBuf),
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::File(path) => path.display().fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value that was said outside of the file.
#[derive(Debug, Clone)]
struct Said {
    setting: &'static Setting,
    text: String,
    origin: Origin,
}

/// A configuration file and what was said beside it: the arguments of every verb that reads one.
pub struct Configured<C> {
    file: PathBuf,
    /// The variables' first, then the flags'.
    said: Vec<Said>,
    of: PhantomData<fn() -> C>,
}

impl<C> fmt::Debug for Configured<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("file", &self.file).field("said", &self.said).finish()
    }
}

impl<C> Clone for Configured<C> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), said: self.said.clone(), of: PhantomData }
    }
}

/// Why settings were refused.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file was not read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// The text is not TOML, or lacks a field, or has one that is not known.
    #[error("the configuration {} is malformed{outside}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was said outside of it.
        outside: Outside,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A flag or a variable with another form of value.
    #[error("{origin}: {found:?} is not {expected}")]
    Value {
        /// Which flag or variable.
        origin: Origin,
        /// What was given.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A variable with the prefix of the service's that is none of them.
    #[error("the environment has {}, which is no setting; a typo would be ignored otherwise", name.display())]
    UnknownVariable {
        /// The variable.
        name: OsString,
    },
}

/// Which settings did not come from the file; nothing where all did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside(Vec<(&'static str, Origin)>);

impl Outside {
    /// Whether everything came from the file.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = " (not from the file: ";
        for (field, origin) in &self.0 {
            write!(f, "{before}{field} from {origin}")?;
            before = ", ";
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// What the file, the environment and the flags say together.
#[derive(Debug)]
pub struct Settings<T> {
    /// The fields of the file, with those that were said otherwise.
    pub fields: T,
    /// What relative paths in it are relative to.
    pub folder: PathBuf,
    /// What was said outside of the file.
    pub outside: Outside,
    /// Every setting, with its value and where that is from.
    pub in_force: Vec<InForce>,
}

impl<C: Configurable> Configured<C> {
    /// A file, and nothing beside it.
    #[must_use]
    pub const fn file(path: PathBuf) -> Self {
        Self { file: path, said: Vec::new(), of: PhantomData }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Reads the file and puts what was said otherwise in its place.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Settings<T>, SettingsError> {
        check_variables::<C>(std::env::vars_os().map(|(name, _)| name))?;
        let (text, folder) = configuration::read(&self.file)?;
        let outside = Outside(self.said.iter().map(|said| (said.setting.field, said.origin.clone())).collect());
        let malformed = |source| SettingsError::Malformed {
            path: self.file.clone(),
            outside: outside.clone(),
            source: Box::new(source),
        };
        let mut table: Table = toml::from_str(&text).map_err(malformed)?;
        let from_file = table.clone();
        let is_flag = |said: &&Said| matches!(said.origin, Origin::Flag(_));
        let (flags, variables): (Vec<&Said>, Vec<&Said>) = self.said.iter().partition(is_flag);
        for layer in [variables, flags] {
            put(&mut table, &layer)?;
        }
        // The text itself says where in it something is wrong.
        let fields = if outside.is_empty() { toml::from_str(&text) } else { table.clone().try_into() };
        let fields = fields.map_err(malformed)?;
        let in_force = in_force::list::<C>(&table, &from_file, &self.said, &self.file, &folder);
        Ok(Settings { fields, folder, outside, in_force })
    }
}

/// Puts values of one weight into the table.
fn put(table: &mut Table, layer: &[&Said]) -> Result<(), SettingsError> {
    // First what they take the place of: two of one weight that exclude each other both stay, and are refused as in a file.
    for field in layer.iter().flat_map(|said| said.setting.instead_of) {
        remove(table, field);
    }
    for said in layer {
        let Said { setting, text, origin } = said;
        let value = setting.form.value(text).ok_or_else(|| SettingsError::Value {
            origin: origin.clone(),
            found: text.clone(),
            expected: setting.form.expected(),
        })?;
        match setting.field.split_once('.') {
            None => {
                table.insert(setting.field.to_owned(), value);
            }
            Some((outer, inner)) => {
                let outer = table.entry(outer.to_owned()).or_insert_with(|| Value::Table(Table::new()));
                if let Some(outer) = outer.as_table_mut() {
                    outer.insert(inner.to_owned(), value);
                }
            }
        }
    }
    Ok(())
}

fn remove(table: &mut Table, field: &str) {
    match field.split_once('.') {
        None => {
            table.remove(field);
        }
        Some((outer, inner)) => {
            if let Some(outer) = table.get_mut(outer).and_then(Value::as_table_mut) {
                outer.remove(inner);
            }
        }
    }
}

/// Refuses a variable with the service's prefix that it does not know.
fn check_variables<C: Configurable>(names: impl Iterator<Item = OsString>) -> Result<(), SettingsError> {
    let known = |name: &OsStr| {
        let is = |text: &str| name == OsStr::new(text);
        is(FORMAT_VARIABLE)
            || is(&config_variable::<C>())
            || C::SETTINGS.iter().any(|setting| is(&setting.variable(C::PREFIX)))
    };
    let ours = |name: &OsString| name.as_encoded_bytes().starts_with(C::PREFIX.as_bytes());
    match names.filter(ours).find(|name| !known(name)) {
        Some(name) => Err(SettingsError::UnknownVariable { name }),
        None => Ok(()),
    }
}

fn config_variable<C: Configurable>() -> String {
    format!("{}CONFIG", C::PREFIX)
}

fn argument<C: Configurable>(setting: &'static Setting) -> Arg {
    let argument = Arg::new(setting.field)
        .long(setting.flag())
        .env(setting.variable(C::PREFIX))
        .hide_env_values(true)
        .value_name(setting.form.value_name())
        .help(setting.help)
        .help_heading(HEADING)
        .action(ArgAction::Set);
    match setting.form {
        Form::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Form::Address | Form::Path | Form::Place | Form::Text | Form::Number => argument,
    }
}

impl<C: Configurable> Args for Configured<C> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .env(config_variable::<C>())
            .hide_env_values(true)
            .value_name("FILE")
            .help("The configuration file")
            .required(true)
            .value_parser(clap::value_parser!(PathBuf));
        C::SETTINGS.iter().fold(command.arg(file), |command, setting| command.arg(argument::<C>(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<C: Configurable> FromArgMatches for Configured<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let file = matches.get_one::<PathBuf>("config").cloned();
        let file = file.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument))?;
        let said = C::SETTINGS.iter().filter_map(|setting| {
            let text = matches.get_one::<String>(setting.field)?.clone();
            let origin = match matches.value_source(setting.field)? {
                ValueSource::EnvVariable => Origin::Environment(setting.variable(C::PREFIX)),
                // Not our enum, and open: what is not from the environment is from the command line.
                _ => Origin::Flag(setting.flag()),
            };
            Some(Said { setting, text, origin })
        });
        Ok(Self { file, said: said.collect(), of: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
