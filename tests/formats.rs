//! FORMATS.md against the code, and what the other documents say about files, types and bounds.
//!
//! An example that is missing, that does not parse or verify, or that nobody checks fails here; so does a type, a context
//! line, a problem name, a route, a role or an exit code that the specification does not describe.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "formats/alarms.rs"]
mod alarms;
#[path = "formats/book.rs"]
mod book;
#[path = "formats/coverage.rs"]
mod coverage;
#[path = "formats/documents.rs"]
mod documents;
#[path = "formats/examples.rs"]
mod examples;
#[path = "formats/http.rs"]
mod http;
#[path = "formats/vault.rs"]
mod vault;
#[path = "formats/world.rs"]
mod world;
