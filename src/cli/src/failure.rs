//! From an error to an exit code.

use countermark_bundle::ExitClass;

/// An error that knows its class. It may stand anywhere in a chain of causes.
#[derive(Debug)]
pub struct Failure {
    class: ExitClass,
    message: String,
}

impl Failure {
    /// An error of a class.
    pub fn new(class: ExitClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// Its class.
    pub const fn class_of(&self) -> ExitClass {
        self.class
    }

    /// A wrong command line or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitClass::Usage, message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A child process that ended with an exit code of its own, which becomes ours.
#[derive(Debug)]
pub struct ChildFailure {
    /// Its exit code; 1 if a signal ended it.
    pub code: u8,
    /// What it said.
    pub message: String,
}

impl std::fmt::Display for ChildFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ChildFailure {}

/// Gives an error a class.
pub trait Class<T> {
    /// Gives the error a class, keeping it as the cause.
    fn class(self, class: ExitClass) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Class<T> for Result<T, E> {
    fn class(self, class: ExitClass) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error: anyhow::Error = error.into();
            let message = format!("{error:#}");
            error.context(Failure::new(class, message))
        })
    }
}

/// The exit code of a chain of causes: the outermost class that is named, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.class.code();
    }
    error.downcast_ref::<ChildFailure>().map_or(ExitClass::OurFault.code(), |child| child.code)
}
