//! What each signer agrees to sign.
//!
//! The hard rules of the log are not here: a policy can refuse more than they do, never permit what they refuse. Nothing
//! here verifies a signature on a statement or an approval; what comes in was verified, and says so by its type.
//!
//! * [`policy_set`]: the Cedar policies of a signer, shipped or from a folder, validated before they can decide
//!   anything, with the digest that the log's entries name.
//! * [`facts`]: what the policies can ask about, counted from the statement and the one before it.
//! * [`access_token`]: who may submit. A token is never accepted as an approval, nor an approval as a token.
//!
//! Invariant: a request is permitted only if some policy permits it, none forbids it, and every policy could be
//! evaluated.
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::as_conversions))]

pub mod access_token;
pub mod facts;
pub mod policy_set;
pub mod request;

pub use policy_set::{LoadError, PolicySet, Refusal};
pub use request::{Action, Request};
