//! Problem documents (RFC 9457): the one table from refusal to name, status and title, and how one is written.
//!
//! A name never changes its meaning: programs act on it. The detail is for people and may change.
//!
//! Nothing here decides; what the domain refuses is turned into a row of the table by [`super::refusals`].

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

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
    UnknownDigest 404 "unknown-digest" "No published statement has this digest."
    NoSuchCheckpoint 404 "no-such-checkpoint" "No head of this size was published."
    NotAcceptable 406 "not-acceptable" "The answer has no form that the request accepts."
    NoSuchEpoch 404 "no-such-epoch" "No published statement has this epoch."
    NotActive 404 "not-active" "The statement of this epoch is not countersigned yet."
    NothingActive 404 "nothing-active" "No statement of this namespace is active yet."
    RenewalNeeded 409 "renewal-needed" "More entries follow the newest activation than a bundle may carry."
    NotReady 503 "not-ready" "A namespace has no head that is young enough, or cannot publish one."
    // Who asks.
    SubmissionsClosed 403 "submissions-closed" "This server takes no submissions."
    TokenMissing 401 "token-missing" "A submission needs a bearer token."
    TokenMalformed 401 "token-malformed" "The authorization is not one well-formed bearer token."
    ApprovalAsToken 401 "approval-as-token" "An officer's approval is not an access token."
    TokenType 401 "token-type" "The token is of another type than an access token."
    TokenAlgorithm 401 "token-algorithm" "The token is signed with another algorithm than its key's."
    TokenKeyUnknown 401 "token-key-unknown" "No token is accepted under the key that the token names."
    TokenIssuer 401 "token-issuer" "The token names another issuer than its key's."
    TokenSignature 401 "token-signature" "The token's signature does not verify."
    TokenAudience 401 "token-audience" "The token is for another audience."
    TokenLifetime 401 "token-lifetime" "The token was made to live longer than a token may."
    TokenExpired 401 "token-expired" "The token has expired."
    TokenNotYetValid 401 "token-not-yet-valid" "The token is not valid yet."
    WrongNamespace 403 "wrong-namespace" "The token does not cover this namespace."
    MissingScope 403 "missing-scope" "The token lacks the scope of this act."
    TokenKeysUnreadable 503 "token-keys-unreadable" "The keys of token issuers cannot be read."
    RateLimited 429 "rate-limited" "This submitter has used up what it is allowed for now."
    // What is submitted: its form.
    BodyTooLarge 413 "body-too-large" "The body is larger than this address takes."
    BodyUnreadable 400 "body-unreadable" "The body did not arrive whole."
    MalformedSubmission 400 "malformed-submission" "The body is not a submission."
    MalformedStatement 400 "malformed-statement" "The statement breaks a rule of its format."
    MalformedEntry 400 "malformed-entry" "The entry breaks a rule of its format."
    OtherKind 404 "other-kind" "Logs of this kind have nothing at this address."
    EntryLength 400 "entry-length" "An entry has 1 to 65535 bytes."
    Frozen 403 "frozen" "The log is frozen: it never grows again."
    EntryType 422 "entry-type" "Entries of this type are not submitted."
    // What is submitted: a race that the next try can win.
    Epoch 409 "epoch" "The statement's epoch is not the next one."
    Chain 409 "chain" "The statement does not name the last certified one."
    Renewal 409 "renewal" "The activation's renewal number is not the next one."
    RenewalTooEarly 409 "renewal-too-early" "Too few entries follow the last activation."
    PolicySerial 409 "policy-serial" "The policy change's serial is not the next one."
    // What is submitted: refused for good.
    OtherLog 422 "other-log" "The entry is for another log."
    NoPolicy 422 "no-policy" "The log does not begin with its policy."
    StatementLifetime 422 "statement-lifetime" "The statement lives longer than the namespace allows."
    RevokedReturns 422 "revoked-returns" "A fleet or key that was revoked never returns."
    OtherPolicy 422 "other-policy" "The decision was made under another policy than the one in force."
    Certificate 422 "certificate" "The certificate does not certify."
    CertificateTime 422 "certificate-time" "The certificate's time does not rise."
    Approval 422 "approval" "Too few officers approve, or an approval does not count."
    Attestation 422 "attestation" "An attestation does not verify."
    Policy 422 "policy" "The authority's policy does not permit it."
    NotCertified 422 "not-certified" "The activation does not match a certified statement."
    ActivationOrder 422 "activation-order" "A newer epoch is active already."
    RevokedEpoch 422 "revoked-epoch" "The epoch was revoked."
    Countersignature 422 "countersignature" "The countersignatures do not activate."
    UnknownKey 422 "unknown-key" "The entry is signed by a key that may not."
    Signature 422 "signature" "The entry's signature does not verify."
    AuthorityChange 422 "authority-change" "The change of authority is not valid."
    // Ours.
    PolicyNotInForce 503 "policy-not-in-force" "The server has loaded another policy than the log announces."
    Overloaded 503 "overloaded" "Too many requests are under way."
    TimedOut 503 "timed-out" "The request took too long and was given up."
    NotCommittedInTime 503 "not-committed-in-time" "The deadline passed first; sending the submission again is safe."
    StorageUnavailable 503 "storage-unavailable" "The log's storage failed; sending the submission again is safe."
    Stopped 503 "stopped" "The namespace has stopped."
    Fault 500 "fault" "The server failed."
}

/// What a problem says beyond its row and its detail.
#[derive(Debug, Default)]
struct Extras {
    members: Map<String, Value>,
    retry_after: Option<Duration>,
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
        Self { kind, detail: detail.to_string(), extras: Box::default() }
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
        crate::metrics::problem(kind.name());
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
        // For whoever notes how requests were answered; it is not sent.
        response.extensions_mut().insert(kind);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // A refusal may not be true a second later.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = extras.retry_after.or_else(|| come_back(kind)) {
            // SPEC: RFC 9110 §10.2.3: whole seconds. Rounded up, or who obeys comes too early.
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(challenge) = challenge(kind) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// When to come back after what says that it is for a time, where nobody knows better.
const fn come_back(kind: ProblemKind) -> Option<Duration> {
    match (kind.status(), kind) {
        // Somebody has to do something first.
        (_, ProblemKind::Stopped | ProblemKind::PolicyNotInForce) => Some(Duration::from_secs(30)),
        // Where a submitter was told to look for its entry.
        (429 | 503, _) | (_, ProblemKind::BeyondPublishedHead) => Some(Duration::from_secs(1)),
        (_, _) => None,
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
