//! From files to policies that can decide: parsed, named, validated in strict mode.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use cedar_policy::{
    Effect, ParseErrors, Policy, PolicyId, Schema, ValidationError, ValidationMode, ValidationWarning, Validator,
};
use countermark_bundle::identity::{Name, NameError, Side};

use super::files::{FILE_BYTES_MAX, FILES_MAX, PolicyFiles, SCHEMA};
use super::{PolicySet, Rule};

/// Why no policy set was loaded. Each names the file, and the rule where there is one.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder cannot be read.
    #[error("{}: the policy folder could not be read", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("{}: the policy file could not be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something else than a regular file `*.cedar` lies in the folder.
    #[error("{}: a policy folder holds files named *.cedar and nothing else", path.display())]
    NotAPolicyFile {
        /// What was found.
        path: PathBuf,
    },
    /// More files than allowed.
    #[error("{}: more than {FILES_MAX} policy files", path.display())]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
    },
    /// A file larger than allowed.
    #[error("{}: more than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not UTF-8.
    #[error("{}: not UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Not Cedar.
    #[error("{file}: {source}")]
    Syntax {
        /// The file.
        file: String,
        /// Where and why.
        source: Box<ParseErrors>,
    },
    /// A template: it decides nothing, so it was meant as something else.
    #[error("{file}: a policy template decides nothing")]
    Template {
        /// The file.
        file: String,
    },
    /// A policy without `@id`.
    #[error("{file}: policy {position} has no @id")]
    NoId {
        /// The file.
        file: String,
        /// Which of the file's policies, from 1.
        position: usize,
    },
    /// An `@id` that the log's entries could not name.
    #[error("{file}: @id({id:?}): {source}")]
    Id {
        /// The file.
        file: String,
        /// The id.
        id: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A policy without `@reason`, or with an empty one.
    #[error("{file}: {rule} has no @reason")]
    NoReason {
        /// The file.
        file: String,
        /// The rule.
        rule: Name,
    },
    /// Two policies of one name.
    #[error("{file}: {rule} is the name of another policy already")]
    Duplicate {
        /// The file with the second.
        file: String,
        /// The rule.
        rule: Name,
    },
    /// A policy that does not fit the schema.
    #[error("{file}: {rule}: {source}")]
    Invalid {
        /// The file.
        file: String,
        /// The rule.
        rule: Name,
        /// What the validator found.
        source: Box<ValidationError>,
    },
    /// A policy that fits the schema and still cannot be meant so, as one that can never apply.
    #[error("{file}: {rule}: {source}")]
    Suspicious {
        /// The file.
        file: String,
        /// The rule.
        rule: Name,
        /// What the validator found.
        source: Box<ValidationWarning>,
    },
    /// Nothing is ever permitted.
    #[error("no policy permits anything")]
    NothingPermitted,
}

impl PolicySet {
    /// The policies inside this program.
    #[must_use]
    pub fn shipped(side: Side) -> Self {
        Self::from_shipped(&PolicyFiles::shipped(side))
    }

    /// Loads every file `*.cedar` of a folder. Nothing else may lie in it. The schema comes with the program.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        Self::from_files(&PolicyFiles::read(folder)?)
    }

    fn from_shipped(files: &PolicyFiles) -> Self {
        // A test loads both; they cannot differ from what it loaded, being part of the program.
        Self::from_files(files).expect("the shipped policies are valid")
    }

    fn from_files(files: &PolicyFiles) -> Result<Self, LoadError> {
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA).expect("the shipped schema is valid");
        let validator = Validator::new(schema.clone());
        let mut set = Self {
            digest: files.digest(),
            schema,
            all: cedar_policy::PolicySet::new(),
            permits: cedar_policy::PolicySet::new(),
            rules: BTreeMap::new(),
        };
        for (file, text) in files.iter() {
            set.take_file(&validator, file, text)?;
        }
        if set.permits.is_empty() {
            return Err(LoadError::NothingPermitted);
        }
        Ok(set)
    }

    fn take_file(&mut self, validator: &Validator, file: &str, text: &str) -> Result<(), LoadError> {
        let file = || file.to_owned();
        let parsed: cedar_policy::PolicySet =
            text.parse().map_err(|source| LoadError::Syntax { file: file(), source: Box::new(source) })?;
        if parsed.templates().next().is_some() {
            return Err(LoadError::Template { file: file() });
        }
        // Cedar numbers the policies of a text; the numbers are their order, but not as text.
        let mut policies: Vec<&Policy> = parsed.policies().collect();
        policies.sort_by_key(|policy| (policy.id().to_string().len(), policy.id().to_string()));
        for (index, policy) in policies.into_iter().enumerate() {
            let rule = rule_of(policy, &file(), index + 1)?;
            let id = PolicyId::new(rule.name.as_str());
            if self.rules.contains_key(&id) {
                return Err(LoadError::Duplicate { file: file(), rule: rule.name });
            }
            let policy = policy.new_id(id.clone());
            validate(validator, &policy, &file(), &rule.name)?;
            if rule.effect == Effect::Permit {
                self.permits.add(policy.clone()).expect("a static policy with a name of its own");
            }
            self.all.add(policy).expect("a static policy with a name of its own");
            self.rules.insert(id, rule);
        }
        Ok(())
    }
}

fn rule_of(policy: &Policy, file: &str, position: usize) -> Result<Rule, LoadError> {
    let file = || file.to_owned();
    let id = policy.annotation("id").ok_or_else(|| LoadError::NoId { file: file(), position })?;
    let name = Name::parse(id).map_err(|source| LoadError::Id { file: file(), id: id.to_owned(), source })?;
    match policy.annotation("reason") {
        Some(reason) if !reason.trim().is_empty() => {
            Ok(Rule { name, reason: reason.to_owned(), effect: policy.effect() })
        }
        Some(_) | None => Err(LoadError::NoReason { file: file(), rule: name }),
    }
}

/// Validates one policy alone, so that what is wrong has a name.
fn validate(validator: &Validator, policy: &Policy, file: &str, rule: &Name) -> Result<(), LoadError> {
    let alone = cedar_policy::PolicySet::from_policies([policy.clone()]).expect("one static policy");
    let result = validator.validate(&alone, ValidationMode::Strict);
    let (file, rule) = (file.to_owned(), rule.clone());
    if let Some(error) = result.validation_errors().next() {
        return Err(LoadError::Invalid { file, rule, source: Box::new(error.clone()) });
    }
    if let Some(warning) = result.validation_warnings().next() {
        return Err(LoadError::Suspicious { file, rule, source: Box::new(warning.clone()) });
    }
    Ok(())
}
