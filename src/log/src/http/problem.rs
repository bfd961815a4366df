//! Problem documents (RFC 9457): the one table from refusal to name, status and title, and how one is written.
//!
//! A name never changes its meaning: programs act on it. The detail is for people and may change.
//!
//! Nothing here decides; what the domain refuses is turned into a row of the table by [`super::refusals`].

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countermark_bundle::identity::{Digest, Epoch};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What stands before every name in `type`.
pub(crate) const TYPE_PREFIX: &str = "urn:countermark:refusal:";

/// Writes the table once, as an enum and its columns.
macro_rules! problems {
    ($($kind:ident $status:literal $name:literal $title:literal)*) => {
        /// Everything that this service answers instead of what was asked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum ProblemKind {
            $(#[doc = $title] $kind,)*
        }

        impl ProblemKind {
            /// Every row of the table, in its order.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name: what stands behind [`TYPE_PREFIX`].
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The HTTP status.
            pub(crate) const fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// The same sentence each time.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }
        }
    };
}

problems! {
    // The address.
    NotFound 404 "not-found" "There is nothing at this address."
    MethodNotAllowed 405 "method-not-allowed" "This address does not take this method."
    PathNotCanonical 400 "path-not-canonical" "The path has a percent sign; every path here is written without."
    UnknownParameter 400 "unknown-parameter" "The query has a parameter that this address does not know."
    MalformedParameter 400 "malformed-parameter" "A parameter is missing, doubled or malformed."
    UnknownNamespace 404 "unknown-namespace" "This authority serves no such namespace."
    MalformedTilePath 404 "malformed-tile-path" "This is not the one path of a tile or entry bundle."
    // What is read.
    NothingPublished 503 "nothing-published" "No head of this log has met the witness quorum yet."
    BeyondPublishedHead 404 "beyond-published-head" "The log has published nothing at this place yet."
    SizesOutOfOrder 400 "sizes-out-of-order" "The first size is larger than the second."
    UnknownLeaf 404 "unknown-leaf" "No published entry has this leaf hash."
    NotCertified 404 "not-certified" "No published statement has this epoch."
    NotActive 404 "not-active" "There is a statement, but the operator's countersignature is not published yet."
    NothingActive 404 "nothing-active" "No statement of this namespace is active yet."
    RenewalNeeded 409 "renewal-needed" "More entries follow the newest activation than a bundle may carry."
    AuthorityChanged 501 "authority-changed" "The namespace's keys have changed; bundles across a change are not served yet."
    NotReady 503 "not-ready" "A namespace has no published head that is young enough."
    // Who asks.
    SubmissionsClosed 403 "submissions-closed" "This server takes no submissions."
    TokenMissing 401 "token-missing" "A submission needs a bearer token."
    TokenMalformed 401 "token-malformed" "The authorization is not one bearer token."
    ApprovalAsToken 401 "approval-as-token" "An officer's approval is not an access token."
    TokenType 401 "token-type" "The token is of another type than an access token."
    TokenAlgorithm 401 "token-algorithm" "The token is signed with an algorithm that is not accepted."
    TokenIssuer 401 "token-issuer" "The token's issuer or key is not known here."
    TokenSignature 401 "token-signature" "The token's signature does not verify."
    TokenExpired 401 "token-expired" "The token has expired."
    TokenNotYetValid 401 "token-not-yet-valid" "The token is not valid yet."
    TokenAudience 401 "token-audience" "The token is for another audience."
    TokenClaims 401 "token-claims" "The token's claims are not those of an access token."
    WrongNamespace 403 "wrong-namespace" "The token does not cover this namespace."
    MissingScope 403 "missing-scope" "The token lacks the scope of this act."
    TokenKeysUnreadable 503 "token-keys-unreadable" "The keys of token issuers cannot be read."
    // What is submitted.
    BodyTooLarge 413 "body-too-large" "The body is larger than this address takes."
    BodyUnreadable 400 "body-unreadable" "The body did not arrive whole."
    SubmissionMalformed 400 "submission-malformed" "The body is not a submission."
    // Ours.
    Overloaded 503 "overloaded" "Too many requests are under way."
    TimedOut 503 "timed-out" "The request took too long and was given up."
    NotCommittedInTime 503 "not-committed-in-time" "The deadline passed first; sending the submission again is safe."
    Stopped 503 "stopped" "The namespace has stopped."
    Fault 500 "fault" "The server failed."
}

/// What a problem says beyond its row and its detail.
#[derive(Debug, Default)]
struct Extras {
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    authenticate: Option<HeaderValue>,
}

/// One answer that is not what was asked for.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    extras: Box<Extras>,
}

impl Problem {
    /// A problem with what is special about this one.
    pub(crate) fn new(kind: ProblemKind, detail: impl Display) -> Self {
        Self {
            kind,
            detail: detail.to_string(),
            extras: Box::default(),
        }
    }

    /// A failure of ours. It is logged here, once, with everything that led to it; the caller learns nothing of it.
    pub(crate) fn fault(action: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(action, error = chain(error), "a request failed");
        Self::new(ProblemKind::Fault, format_args!("the server failed to {action}"))
    }

    /// Tells when to come back.
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.extras.retry_after = Some(after);
        self
    }

    /// Tells what the next statement must say.
    pub(crate) fn next_statement(self, epoch: Epoch, previous: Option<Digest>) -> Self {
        self.member("next_epoch", json!(epoch)).member("previous", json!(previous))
    }

    /// Adds an extension member.
    pub(crate) fn member(mut self, name: &str, value: Value) -> Self {
        self.extras.members.insert(name.to_owned(), value);
        self
    }

    /// The row of the table.
    #[cfg(test)]
    pub(crate) const fn kind(&self) -> ProblemKind {
        self.kind
    }
}

/// An error and everything under it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { kind, detail, extras } = self;
        let document = Document {
            r#type: format!("{TYPE_PREFIX}{}", kind.name()),
            title: kind.title(),
            status: kind.status(),
            detail: &detail,
            members: &extras.members,
        };
        let body = serde_json::to_vec(&document).expect("a document of strings and numbers always serialises");
        let status = StatusCode::from_u16(kind.status()).expect("the table has statuses only");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // A refusal may not be true a second later.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = extras.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(challenge) = extras.authenticate.or_else(|| challenge(kind)) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// SPEC: RFC 6750 §3: a challenge with every 401, without an error code where no token was given.
fn challenge(kind: ProblemKind) -> Option<HeaderValue> {
    let text = match (kind.status(), kind) {
        (_, ProblemKind::TokenMissing) => "Bearer realm=\"countermark\"",
        (_, ProblemKind::MissingScope | ProblemKind::WrongNamespace) => {
            "Bearer realm=\"countermark\", error=\"insufficient_scope\""
        }
        (401, _) => "Bearer realm=\"countermark\", error=\"invalid_token\"",
        (_, _) => return None,
    };
    Some(HeaderValue::from_static(text))
}
