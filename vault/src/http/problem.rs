//! Problem documents (RFC 9457): the one table from refusal to status, name and title.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use countermark_bundle::attestation::AttestationError;
use countermark_bundle::identity::Digest;
use countermark_vault_core::attest::AdmitError;

use crate::session_service::OpenRefusal;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// What is answered may be something else a moment later.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Everything that is answered instead of what was asked for. A name never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    NotFound,
    MethodNotAllowed,
    NotLoopback,
    BodyTooLarge,
    BodyUnreadable,
    UnknownParameter,
    MalformedParameter,
    UnknownNamespace,
    NothingActive,
    BeyondPublishedHead,
    UnknownLink,
    NotServing,
    OtherStatement,
    OpeningMalformed,
    Busy,
    UnknownSession,
    Malformed,
    SelfSigned,
    UnknownVendor,
    Signature,
    OtherMember,
    OtherKeys,
    OtherSoftware,
    Fault,
}

/// A problem and what is to be said about it.
#[derive(Debug)]
pub(super) struct Refused {
    problem: Problem,
    detail: String,
}

impl Refused {
    pub(super) fn answer(&self) -> Response {
        self.problem.answer(&self.detail)
    }
}

impl Problem {
    /// The problem, to be answered by whoever asked.
    pub(super) fn refuse(self, detail: impl Into<String>) -> Refused {
        Refused { problem: self, detail: detail.into() }
    }

    /// The one table from refusals to names.
    pub(super) fn of(refusal: &AdmitError) -> Self {
        match refusal {
            AdmitError::Attestation(error) => match error {
                AttestationError::Json(_) | AttestationError::Algorithms => Self::Malformed,
                AttestationError::SelfSigned => Self::SelfSigned,
                AttestationError::UnknownVendor { .. } => Self::UnknownVendor,
                AttestationError::Signature(_) => Self::Signature,
            },
            AdmitError::OtherMember { .. } => Self::OtherMember,
            AdmitError::OtherKeys => Self::OtherKeys,
            AdmitError::OtherSoftware { .. } => Self::OtherSoftware,
        }
    }

    /// What a session that was not opened is answered with.
    pub(super) const fn of_opening(refusal: OpenRefusal) -> Self {
        match refusal {
            OpenRefusal::NotServing => Self::NotServing,
            OpenRefusal::OtherStatement { .. } => Self::OtherStatement,
            OpenRefusal::Malformed => Self::OpeningMalformed,
            OpenRefusal::Busy => Self::Busy,
            OpenRefusal::Fault => Self::Fault,
        }
    }

    /// Status, name and title.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NotFound => (404, "not-found", "There is nothing at this address."),
            Self::MethodNotAllowed => (405, "method-not-allowed", "This address does not take this method."),
            Self::NotLoopback => (403, "not-loopback", "Attestations are taken on a loopback listener only."),
            Self::BodyTooLarge => (413, "body-too-large", "The body is larger than this address takes."),
            Self::BodyUnreadable => (400, "body-unreadable", "The body did not arrive whole."),
            Self::UnknownParameter => {
                (400, "unknown-parameter", "The query has a parameter that this address does not know.")
            }
            Self::MalformedParameter => (400, "malformed-parameter", "A parameter is missing, doubled or malformed."),
            Self::UnknownNamespace => (404, "unknown-namespace", "This member's fleet is of another namespace."),
            Self::NothingActive => (404, "nothing-active", "The fleet has adopted no bundle yet."),
            Self::BeyondPublishedHead => (404, "beyond-published-head", "The stapled head is of a smaller tree."),
            Self::UnknownLink => (404, "unknown-link", "The fleet has no link from this size; ask the log."),
            Self::NotServing => (503, "not-serving", "This member opens no sessions yet."),
            Self::OtherStatement => (409, "other-statement", "The fleet has adopted another statement."),
            Self::OpeningMalformed => (400, "opening-malformed", "The body does not open a session."),
            Self::Busy => (503, "busy", "This member has no room for another session."),
            Self::UnknownSession => (404, "unknown-session", "There is no such session."),
            Self::Malformed => (400, "attestation-malformed", "The body is not an attestation."),
            Self::SelfSigned => (422, "attestation-self-signed", "A member cannot attest itself."),
            Self::UnknownVendor => {
                (422, "attestation-unknown-vendor", "The attestation is by none of this member's vendors.")
            }
            Self::Signature => (422, "attestation-signature", "The vendor's signature does not verify."),
            Self::OtherMember => {
                (422, "attestation-other-member", "The attestation is for another log, fleet or member.")
            }
            Self::OtherKeys => (422, "attestation-other-keys", "The attestation is for other keys."),
            Self::OtherSoftware => {
                (422, "attestation-other-software", "The attestation is for another executable than the one that runs.")
            }
            Self::Fault => (500, "fault", "The member failed."),
        }
    }

    pub(super) fn answer(self, detail: &str) -> Response {
        self.answer_about(detail, None)
    }

    /// The problem, and the statement that the fleet has adopted instead.
    pub(super) fn answer_about(self, detail: &str, adopted: Option<Digest>) -> Response {
        let (status, name, title) = self.row();
        let mut document = serde_json::json!({
            "type": format!("urn:countermark:refusal:{name}"),
            "title": title,
            "status": status,
            "detail": detail,
        });
        if let Some(adopted) = adopted {
            document["adopted"] = adopted.to_hex().into();
        }
        let status = StatusCode::from_u16(status).expect("the table's statuses are statuses");
        (status, [(CONTENT_TYPE, PROBLEM), (CACHE_CONTROL, NO_STORE)], document.to_string()).into_response()
    }
}
