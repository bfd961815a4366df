//! What a log is judged by before its first entry, and what its entries have made of it since: one of each for every kind
//! of log.
//!
//! It decides nothing: the rules of `fleet-keys` logs are `countermark_bundle`'s; a `raw` log has none beyond the length of
//! an entry.

use std::sync::Arc;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::namespace_state::NamespaceState;
use countermark_bundle::trust::TrustFile;
use countermark_tlog::policy::{Policy, PolicyParseError};
use countermark_tlog::size::TreeSize;

use crate::ports::LogKind;

/// What a log is judged by before its first entry.
#[derive(Debug, Clone)]
pub enum Foundation {
    /// The trust file that a `fleet-keys` log was created with.
    FleetKeys(Box<TrustFile>),
    /// The witness policy of a `raw` log.
    Raw(RawFoundation),
}

/// What a `raw` log is judged by: its key and its witnesses, and no rule about entries.
#[derive(Debug, Clone)]
pub struct RawFoundation {
    /// The C2SP tlog-policy text: the log's key, witnesses, quorum.
    pub text: String,
    /// The text, read.
    pub policy: Arc<Policy>,
    /// How old the newest head may grow, in seconds.
    pub max_head_age_seconds: u64,
}

impl Foundation {
    /// The kind of log.
    #[must_use]
    pub const fn kind(&self) -> LogKind {
        match self {
            Self::FleetKeys(_) => LogKind::FleetKeys,
            Self::Raw(_) => LogKind::Raw,
        }
    }

    /// The trust file of a `fleet-keys` log.
    #[must_use]
    pub fn trust(&self) -> Option<&TrustFile> {
        match self {
            Self::FleetKeys(trust) => Some(trust),
            Self::Raw(_) => None,
        }
    }

    /// The tlog-policy text that the log was created with.
    #[must_use]
    pub fn policy_text(&self) -> &str {
        match self {
            Self::FleetKeys(trust) => &trust.keys.policy,
            Self::Raw(raw) => &raw.text,
        }
    }

    /// How old the newest head may grow, in seconds.
    #[must_use]
    pub fn max_head_age_seconds(&self) -> u64 {
        match self {
            Self::FleetKeys(trust) => trust.limits.max_head_age_seconds,
            Self::Raw(raw) => raw.max_head_age_seconds,
        }
    }

    /// The state before any entry.
    pub(crate) fn first_state(&self) -> Result<LogState, AuthorityKeysError> {
        match self {
            Self::FleetKeys(trust) => Ok(LogState::FleetKeys(Arc::new(NamespaceState::new(trust)?))),
            Self::Raw(raw) => Ok(raw.state_at(TreeSize::ZERO)),
        }
    }
}

impl RawFoundation {
    /// Reads a tlog-policy text of at most [`POLICY_BYTES_MAX`](countermark_tlog::policy::POLICY_BYTES_MAX) bytes.
    pub(crate) fn parse(text: &[u8], max_head_age_seconds: u64) -> Result<Self, PolicyParseError> {
        let policy = Arc::new(Policy::parse(text)?);
        Ok(Self { text: String::from_utf8_lossy(text).into_owned(), policy, max_head_age_seconds })
    }

    /// The state at any size: there are no rules that entries could have changed.
    pub(crate) fn state_at(&self, size: TreeSize) -> LogState {
        LogState::Raw(RawState { size, policy: Arc::clone(&self.policy) })
    }
}

/// What the entries of a log have made of it. Cheap to clone.
#[derive(Debug, Clone)]
pub enum LogState {
    /// Statements, activations, revocations, keys in force.
    FleetKeys(Arc<NamespaceState>),
    /// A number of entries.
    Raw(RawState),
}

/// The state of a `raw` log.
#[derive(Debug, Clone)]
pub struct RawState {
    size: TreeSize,
    policy: Arc<Policy>,
}

impl LogState {
    /// The number of entries.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        match self {
            Self::FleetKeys(state) => state.size(),
            Self::Raw(raw) => raw.size,
        }
    }

    /// The log keys, witnesses and quorum in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        match self {
            Self::FleetKeys(state) => state.authority().policy(),
            Self::Raw(raw) => &raw.policy,
        }
    }

    /// What a `fleet-keys` log says.
    #[must_use]
    pub fn fleet_keys(&self) -> Option<&NamespaceState> {
        match self {
            Self::FleetKeys(state) => Some(state),
            Self::Raw(_) => None,
        }
    }
}

/// A state that entries are being added to; nobody else sees it before they are durable.
#[derive(Debug)]
pub(crate) enum NextState {
    /// A copy that entries are folded into.
    FleetKeys(Box<NamespaceState>),
    /// A count.
    Raw(RawState),
}

impl LogState {
    /// A copy to add entries to.
    pub(crate) fn next(&self) -> NextState {
        match self {
            Self::FleetKeys(state) => NextState::FleetKeys(Box::new(NamespaceState::clone(state))),
            Self::Raw(raw) => NextState::Raw(raw.clone()),
        }
    }
}

impl NextState {
    /// The state with what was added.
    pub(crate) fn finish(self) -> LogState {
        match self {
            Self::FleetKeys(state) => LogState::FleetKeys(Arc::from(state)),
            Self::Raw(raw) => LogState::Raw(raw),
        }
    }
}

impl RawState {
    /// Counts one more entry. At the largest size it stays: the tree refuses the entry.
    pub(crate) fn count_one(&mut self) {
        self.size = self.size.checked_add(1).unwrap_or(self.size);
    }
}
