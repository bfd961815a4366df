//! Why something was not fetched.

use std::time::Duration;

use countermark_bundle::ExitClass;
use countermark_bundle::link::LinkError;
use countermark_tlog::entry_bundle::EntryBundleError;
use countermark_tlog::proof::ProofError;
use serde::Deserialize;

/// What stands before every name in a `type` of ours.
const PROBLEM_PREFIX: &str = "urn:countermark:refusal:";
/// The most characters of a problem's texts that are kept.
const PROBLEM_TEXT_MAX: usize = 300;

/// A URL or a path, as an error shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Box<str>);

impl Place {
    pub(crate) fn new(place: impl std::fmt::Display) -> Self {
        Self(place.to_string().into())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a service says about a refusal (RFC 9457). Untrusted text, without control characters and shortened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The problem's type, as `urn:countermark:refusal:<name>`.
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

impl Problem {
    /// Reads a problem document of any service. What is not one gives `None`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let problem: Self = serde_json::from_slice(bytes).ok()?;
        // It will stand on somebody's terminal: nothing in it may move the cursor or fill the screen.
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(PROBLEM_TEXT_MAX).collect();
        Some(Self { kind: shown(&problem.kind), title: shown(&problem.title), detail: shown(&problem.detail) })
    }

    /// Its type, a URI.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name in a type of ours; the whole type of anybody else's.
    #[must_use]
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(PROBLEM_PREFIX).unwrap_or(&self.kind)
    }

    /// What it says to a person.
    #[must_use]
    pub fn detail(&self) -> &str {
        if self.detail.is_empty() { &self.title } else { &self.detail }
    }
}

fn said(problem: Option<&Problem>) -> String {
    problem.map(|problem| format!(": {problem}")).unwrap_or_default()
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.kind, self.detail())
    }
}

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, or one that broke.
    #[error("{place} cannot be reached")]
    Unreachable {
        /// Where.
        place: Place,
        /// What failed.
        source: reqwest::Error,
    },
    /// No whole answer before the deadline.
    #[error("{place} did not answer in time")]
    TimedOut {
        /// Where.
        place: Place,
    },
    /// The service says that it cannot answer now: 5xx or 429.
    #[error("{place} cannot answer now, status {status}{}", said(problem.as_deref()))]
    Unavailable {
        /// Where.
        place: Place,
        /// The HTTP status.
        status: u16,
        /// When it asks to be asked again (`Retry-After` in seconds).
        retry_after: Option<Duration>,
        /// The problem document, where there was one.
        problem: Option<Box<Problem>>,
    },
    /// There is no such thing.
    #[error("{place} does not exist{}", said(problem.as_deref()))]
    NotFound {
        /// Where.
        place: Place,
        /// The problem document, where there was one.
        problem: Option<Box<Problem>>,
    },
    /// An answer that points elsewhere: what is fetched is where the caller says, or nowhere.
    #[error("{place} answers with status {status} and points elsewhere; redirects are not followed")]
    Redirected {
        /// Where.
        place: Place,
        /// The HTTP status.
        status: u16,
    },
    /// The service refuses.
    #[error("{place} refuses with status {status}{}", said(problem.as_deref()))]
    Refused {
        /// Where.
        place: Place,
        /// The HTTP status.
        status: u16,
        /// The problem document, where there was one.
        problem: Option<Box<Problem>>,
    },
    /// More bytes than the format allows; the rest was not read.
    #[error("{place} has more than {limit} bytes")]
    TooLarge {
        /// Where.
        place: Place,
        /// Bytes allowed.
        limit: usize,
    },
    /// An answer that is not what was asked for.
    #[error("{place}: {source}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong.
        source: MalformedAnswer,
    },
    /// A file that is there and cannot be read.
    #[error("{place} cannot be read")]
    Unreadable {
        /// Where.
        place: Place,
        /// What the system said.
        source: std::io::Error,
    },
    /// The runtime is shutting down.
    #[error("the fetch was stopped")]
    Stopped,
}

/// Why an answer is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum MalformedAnswer {
    /// Not the expected JSON.
    #[error("not the expected JSON document: {0}")]
    Json(serde_json::Error),
    /// A tile of another length.
    #[error("the tile has {found} bytes, expected {expected}")]
    TileLength {
        /// Bytes of a tile of this width.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Not an entry bundle of this width.
    #[error(transparent)]
    EntryBundle(#[from] EntryBundleError),
    /// Not a consistency link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Not a proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The answer to another question: another index, size or namespace than asked for.
    #[error("the answer is about another {field}")]
    OtherQuestion {
        /// What differs.
        field: &'static str,
    },
}

impl FetchError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self.problem().map(Problem::name) {
            Some("nothing-active" | "not-active") => return ExitClass::NotActive,
            Some("renewal-needed") => return ExitClass::Stale,
            Some(_) | None => {}
        }
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Unavailable { .. }
            | Self::Redirected { .. }
            | Self::Unreadable { .. } => ExitClass::Unreachable,
            Self::NotFound { .. } | Self::Refused { .. } => ExitClass::NotChecked,
            Self::TooLarge { .. } | Self::Malformed { .. } => ExitClass::Malformed,
            Self::Stopped => ExitClass::OurFault,
        }
    }

    /// What the service says about it, where it says anything.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Unavailable { problem, .. } | Self::NotFound { problem, .. } | Self::Refused { problem, .. } => {
                problem.as_deref()
            }
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Redirected { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Unreadable { .. }
            | Self::Stopped => None,
        }
    }

    /// Whether the service says that there is no such thing.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
