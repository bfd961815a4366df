//! Every file that reads bytes is fuzzed, or says who wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use countermark_tests::root;

use crate::{MAY_IMPORT, is_test, production, sources};

/// What shows that a file reads bytes.
const READING: [&str; 6] = [
    "fn parse",
    "fn decode",
    "serde_json::from_",
    "toml::from_str",
    "postcard::from_bytes",
    "postcard::take_from_bytes",
];

/// Who hands bytes to a file.
enum Reads {
    /// Strangers; the targets of `tests/fuzz` that do so.
    Fuzzed(&'static [&'static str]),
    /// Nobody who could profit: why.
    Own(&'static str),
}
use Reads::{Fuzzed, Own};

const OWN_DISK: &str = "sealed or digested by this process, and damage is noticed before it is read";
const OWN_MEMBERS: &str = "members of one release, behind a channel that proved who they are";
const READ_ELSEWHERE: &str = "hands over to a parser that is fuzzed";

/// Every file with a parser.
const PARSERS: &[(&str, Reads)] = &[
    ("migrations/src/embedded.rs", Own("names of files in this program")),
    ("migrations/src/postgres/url.rs", Own("the operator's own URL, read by the library that connects")),
    ("signer-policy/src/access_token.rs", Fuzzed(&["access_token"])),
    ("signer-policy/src/access_token/key_set.rs", Fuzzed(&["key_set"])),
    ("signer-policy/src/access_token/verify.rs", Fuzzed(&["access_token", "log_requests"])),
    ("src/bundle/src/approval.rs", Fuzzed(&["approval"])),
    ("src/bundle/src/attestation.rs", Fuzzed(&["attestation"])),
    ("src/bundle/src/entry.rs", Fuzzed(&["entry", "namespace_state"])),
    ("src/bundle/src/evidence.rs", Fuzzed(&["evidence_manifest"])),
    ("src/bundle/src/identity.rs", Fuzzed(&["names"])),
    ("src/bundle/src/json.rs", Fuzzed(&["json"])),
    ("src/bundle/src/link.rs", Fuzzed(&["link"])),
    ("src/bundle/src/statement.rs", Fuzzed(&["statement"])),
    ("src/bundle/src/trust.rs", Fuzzed(&["trust", "floor"])),
    ("src/bundle/src/validation_bundle.rs", Fuzzed(&["validation_bundle"])),
    ("src/bundle/src/wire.rs", Fuzzed(&["entry", "validation_bundle"])),
    ("src/cli/src/up/child.rs", Own("what this very program printed")),
    ("src/cli/src/up/journal.rs", Own("the journal that `up` wrote, of a demonstration")),
    ("src/cli/src/verbs/keys.rs", Own("a word of the command line")),
    ("src/client/src/backup/account.rs", Own("the user's own token, to see when it ends")),
    ("src/client/src/fetch.rs", Fuzzed(&["location"])),
    ("src/client/src/fetch/error.rs", Fuzzed(&["log_answers"])),
    ("src/client/src/fetch/http.rs", Fuzzed(&["log_answers"])),
    ("src/client/src/fsck.rs", Own("an address of the command line; the same forms as `location`")),
    ("src/countersigner/src/config.rs", Fuzzed(&["configuration"])),
    ("src/countersigner/src/ledger/sqlite/rows.rs", Own(OWN_DISK)),
    (
        "src/countersigner/src/log_client.rs",
        Own("a log's answers, of which an index and a name are taken by a derived reader"),
    ),
    ("src/keys/src/key_file.rs", Own(READ_ELSEWHERE)),
    ("src/keys/src/key_file/document.rs", Fuzzed(&["key_file"])),
    ("src/keys/src/pkcs11/reference.rs", Fuzzed(&["key_file"])),
    ("src/keys/src/private_key.rs", Own("what was sealed under a passphrase")),
    ("src/log/src/admit.rs", Own(READ_ELSEWHERE)),
    ("src/log/src/config.rs", Fuzzed(&["configuration"])),
    ("src/log/src/config/house.rs", Own("configurations of tests")),
    ("src/log/src/export/document.rs", Fuzzed(&["export"])),
    ("src/log/src/foundation.rs", Fuzzed(&["policy"])),
    ("src/log/src/head_register/document.rs", Own("the log's own register; what is in it is verified by signature")),
    ("src/log/src/http/parameters.rs", Fuzzed(&["log_requests"])),
    ("src/log/src/http/submissions.rs", Fuzzed(&["log_requests"])),
    ("src/log/src/objects/access.rs", Own("the operator's own credentials")),
    ("src/log/src/objects/location.rs", Fuzzed(&["location"])),
    ("src/log/src/ports.rs", Fuzzed(&["export"])),
    ("src/log/src/sequencer/owner.rs", Own(READ_ELSEWHERE)),
    ("src/log/src/witness_client.rs", Own("the URL of a witness in the log's own policy")),
    ("src/tlog/src/checkpoint.rs", Fuzzed(&["checkpoint"])),
    ("src/tlog/src/entry_bundle.rs", Fuzzed(&["entry_bundle"])),
    ("src/tlog/src/fork.rs", Fuzzed(&["fork_evidence"])),
    ("src/tlog/src/gossip.rs", Fuzzed(&["gossip"])),
    ("src/tlog/src/log_list.rs", Fuzzed(&["log_list"])),
    ("src/tlog/src/note.rs", Fuzzed(&["note", "vkey"])),
    ("src/tlog/src/policy.rs", Fuzzed(&["policy"])),
    ("src/tlog/src/policy/parse.rs", Fuzzed(&["policy"])),
    ("src/tlog/src/size.rs", Fuzzed(&["number"])),
    ("src/tlog/src/tile/path.rs", Fuzzed(&["tile_path"])),
    ("src/tlog/src/tlog_proof.rs", Fuzzed(&["tlog_proof"])),
    ("src/tlog/src/witness_wire.rs", Fuzzed(&["add_checkpoint", "cosignature_lines"])),
    ("src/tlog/src/witness_wire/sign_subtree.rs", Fuzzed(&["add_checkpoint"])),
    ("vault/core/src/account_token.rs", Fuzzed(&["account_token"])),
    ("vault/core/src/machine.rs", Fuzzed(&["machine"])),
    ("vault/core/src/member.rs", Fuzzed(&["member_report"])),
    ("vault/core/src/opaque/server.rs", Fuzzed(&["opaque_message"])),
    ("vault/core/src/session/message.rs", Fuzzed(&["session_message"])),
    ("vault/raft/src/peers/message.rs", Own(OWN_MEMBERS)),
    ("vault/raft/src/storage.rs", Own(OWN_DISK)),
    ("vault/raft/src/storage/log.rs", Own(OWN_DISK)),
    ("vault/src/account_token.rs", Own("two parts of a token whose form was checked, by a derived reader")),
    ("src/service/src/settings.rs", Own("the operator's own flags and variables")),
    ("vault/src/config.rs", Fuzzed(&["configuration"])),
    ("vault/src/fetch.rs", Own("a problem document of the log, for a line in the member's own log")),
    ("vault/src/fleet/formation_file.rs", Own(OWN_DISK)),
    ("vault/src/http/staple.rs", Own("one parameter, a number")),
    ("vault/src/status/ask.rs", Own("a member's status, shown to who asked for it")),
    ("witness/src/authenticate.rs", Fuzzed(&["witness_requests"])),
    ("witness/src/config.rs", Fuzzed(&["configuration"])),
    (
        "witness/src/register.rs",
        Own("the witness's own register, digested; every changed byte is refused by its tests"),
    ),
];

/// Targets for what is read without a parser of ours: proofs, handshakes, ciphertexts.
const OTHER_TARGETS: [&str; 7] =
    ["backup_file", "noise_opening", "peer_link", "policy_folder", "proofs", "signature", "wrap"];

#[test]
fn every_parser_of_strangers_bytes_has_a_fuzz_target() {
    let listed: BTreeMap<&str, &Reads> = PARSERS.iter().map(|(file, reads)| (*file, reads)).collect();
    assert_eq!(listed.len(), PARSERS.len(), "a file is listed twice");
    let mut found = BTreeSet::new();
    for (_, folder, _) in MAY_IMPORT {
        for path in sources(&root().join(folder).join("src")).iter().filter(|path| !is_test(path)) {
            let text = production(path);
            let reads =
                |line: &str| !line.trim_start().starts_with("//") && READING.iter().any(|word| line.contains(word));
            if text.lines().any(reads) {
                found.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_string());
            }
        }
    }
    let listed_files: BTreeSet<String> = listed.keys().map(ToString::to_string).collect();
    let missing: Vec<_> = found.difference(&listed_files).collect();
    assert!(missing.is_empty(), "parsers without a fuzz target: {missing:?}");
    let gone: Vec<_> = listed_files.difference(&found).collect();
    assert!(gone.is_empty(), "no parser stands there any more: {gone:?}");
}

#[test]
fn every_fuzz_target_is_there_for_something() {
    let folder = root().join("tests/fuzz/fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let targets: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect();
    let mut wanted: BTreeSet<String> = OTHER_TARGETS.iter().map(ToString::to_string).collect();
    for (file, reads) in PARSERS {
        match reads {
            Fuzzed(names) => wanted.extend(names.iter().map(ToString::to_string)),
            Own(why) => assert!(!why.is_empty(), "{file}: who wrote what it reads?"),
        }
    }
    assert_eq!(targets, wanted);
    let manifest = fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
    for target in &targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target} is not built");
    }
}
