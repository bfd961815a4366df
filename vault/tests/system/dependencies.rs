//! What the vault may not bring along: other services, and the weight of their dependencies.

use std::process::Command;

#[test]
fn the_vault_depends_on_no_other_service_and_none_of_their_weight() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "countermark-vault", "--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let found: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let ours =
        ["countermark-vault", "countermark-vault-core", "countermark-tlog", "countermark-bundle", "countermark-keys"];
    let weight = ["sqlx", "cedar-policy", "jsonwebtoken", "openraft"];
    for package in found {
        assert!(!weight.contains(&package), "{package}");
        assert!(!package.starts_with("countermark") || ours.contains(&package), "{package}");
    }
}
