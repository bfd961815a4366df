//! A vault member as a service: it makes its keys inside its own process, measures the executable that it runs, reports
//! both, and keeps the attestation that a vendor makes of them. Beside it stands the vendor's verb, which attests.
//!
//! What a report and an attestation mean, and which are refused, is decided in `countermark-vault-core`; here are the
//! files, the sockets and the clock around it.
//!
//! * [`config`]: the configuration file.
//! * [`software`]: the measurement of the running executable.
//! * [`member`]: the one state of a member, its attestation.
//! * [`http`]: the routes.
//! * [`service`]: `init` and `serve`.
//! * [`endorse`]: the vendor's side.
//! * [`command`]: the verbs of the command line.
//!
//! Invariants: a private key never leaves the process that made it, but sealed, into its own file. An attestation is
//! stored durably before anybody is told that it was.
//!
//! What this is not: an HSM. The measurement is the member's own word, made by the executable that is measured; a real
//! device measures from outside. The vendor attests what it was told to attest, and the evidence says how it knew.
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod command;
pub mod config;
pub mod endorse;
pub mod http;
pub mod member;
pub mod service;
pub mod software;

#[cfg(test)]
mod testing;

/// An error and its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // A transparent error has its source's text already.
        if !line.ends_with(&inner_text) {
            line.push_str(": ");
            line.push_str(&inner_text);
        }
        cause = inner.source();
    }
    line
}
