//! Rebuilds the crate when a migration is added: rust-embed alone notices changed files, not new ones.

fn main() {
    println!("cargo:rerun-if-changed=sqlite");
    println!("cargo:rerun-if-changed=postgres");
}
