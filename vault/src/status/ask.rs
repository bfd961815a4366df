//! Asking a member how it is, and showing it to a person.

use std::fmt;

use countermark_bundle::ExitClass;
use thiserror::Error;

use super::{MemberStatus, PhaseStatus};
use crate::fetch::{self, FetchError};

/// The most bytes of a status: 64 KiB.
const STATUS_BYTES_MAX: usize = 64 * 1024;

/// Why a member did not say how it is.
#[derive(Debug, Error)]
pub enum AskStatusError {
    /// The address is none.
    #[error("the member's address must be http:// or https://, a host, and at most a path")]
    Address,
    /// There is no HTTP client.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// It cannot be reached, or answers something else.
    #[error("the member does not say how it is")]
    Fetch(#[from] FetchError),
    /// The answer is none.
    #[error("the answer is not a member's status")]
    Malformed(#[source] serde_json::Error),
}

impl AskStatusError {
    /// The class of the failure, which fixes the exit code.
    #[must_use]
    pub const fn class(&self) -> ExitClass {
        match self {
            Self::Address => ExitClass::Usage,
            Self::Client(_) => ExitClass::OurFault,
            Self::Fetch(_) => ExitClass::Unreachable,
            Self::Malformed(_) => ExitClass::Malformed,
        }
    }
}

/// Asks the member at an address how it is.
pub async fn ask_status(member: &str) -> Result<MemberStatus, AskStatusError> {
    let url = fetch::base(member).and_then(|base| base.join("v1/status").ok()).ok_or(AskStatusError::Address)?;
    let http = fetch::client(&url).map_err(AskStatusError::Client)?;
    let bytes = fetch::ask(http.get(url.clone()), &url, STATUS_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(AskStatusError::Malformed)
}

impl PhaseStatus {
    /// The phase in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attesting => "attesting: not configured to be part of a fleet",
            Self::Seeking => "seeking: no bundle states its fleet with its keys",
            Self::Joined => "joined: nothing is stapled yet",
            Self::Serving => "serving",
            Self::Mistrusting => "mistrusting: its fleet was founded under another trust file",
            Self::Stopped => "stopped",
        }
    }
}

/// One line for each thing, aligned; what another machine said is shown without control characters.
impl fmt::Display for MemberStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![
            ("member", format!("{} of {}, {}", self.member_id, self.fleet_id, self.origin)),
            ("phase", self.phase.as_str().to_owned()),
            ("attested", if self.attested { "yes" } else { "no" }.to_owned()),
        ];
        lines.extend(self.waits_for.clone().map(|reason| ("waits for", reason)));
        if let Some(replica) = &self.replica {
            let leader = replica.leader.as_deref().unwrap_or("nobody");
            lines.push(("role", format!("{} in term {}, leader {leader}", replica.role, replica.term)));
            lines.push(("lags", if replica.lags { "yes" } else { "no" }.to_owned()));
            for member in &replica.members {
                let stated = if member.stated { "" } else { ", not stated any more" };
                lines.push(("peer", format!("{} ({}){stated}", member.member_id, member.number)));
            }
        }
        if let Some(stapled) = &self.stapled {
            lines
                .push(("stapled", format!("epoch {}, tree of {}, {}", stapled.epoch, stapled.size, stapled.statement)));
            lines.push(("fresh", format!("from {} until {}", stapled.head_time, stapled.stale_at)));
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (index, (name, text)) in lines.iter().enumerate() {
            let text: String = text.chars().filter(|character| !character.is_control()).collect();
            let end = if index + 1 == lines.len() { "" } else { "\n" };
            write!(f, "{name:width$}  {text}{end}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{MemberDocument, ReplicaDocument, StapledDocument};

    fn status() -> MemberStatus {
        MemberStatus {
            member_id: "member-1".to_owned(),
            fleet_id: "fleet-1".to_owned(),
            origin: "log.example/backup".to_owned(),
            attested: true,
            phase: PhaseStatus::Serving,
            waits_for: None,
            replica: Some(ReplicaDocument {
                role: "leader".to_owned(),
                term: 2,
                leader: Some("member-1".to_owned()),
                lags: false,
                members: vec![MemberDocument {
                    member_id: "member-2\u{1b}[2J".to_owned(),
                    number: "00".to_owned(),
                    stated: false,
                }],
            }),
            stapled: Some(StapledDocument {
                statement: "ab".to_owned(),
                epoch: 1,
                size: 3,
                head_time: "2026-11-21T00:00:00Z".to_owned(),
                stale_at: "2026-11-21T12:00:00Z".to_owned(),
            }),
        }
    }

    #[test]
    fn a_person_reads_aligned_lines_that_cannot_play_with_the_terminal() {
        let expect = "\
member    member-1 of fleet-1, log.example/backup
phase     serving
attested  yes
role      leader in term 2, leader member-1
lags      no
peer      member-2[2J (00), not stated any more
stapled   epoch 1, tree of 3, ab
fresh     from 2026-11-21T00:00:00Z until 2026-11-21T12:00:00Z";
        assert_eq!(status().to_string(), expect);
    }

    #[test]
    fn the_document_is_read_as_written() {
        let json = serde_json::to_string(&status()).unwrap();
        assert_eq!(serde_json::from_str::<MemberStatus>(&json).unwrap(), status());
        assert!(json.contains("\"phase\":\"serving\"") && !json.contains("user"));
    }

    #[tokio::test]
    async fn an_address_that_is_none_and_a_member_that_is_away_are_told_apart() {
        let error = ask_status("member-1").await.unwrap_err();
        assert_eq!(error.class(), ExitClass::Usage);
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let error = ask_status(&format!("http://{address}")).await.unwrap_err();
        assert_eq!(error.class().code(), 21);
    }
}
