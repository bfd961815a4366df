"""Writes the first inputs of every target: the examples of FORMATS.md, and a few bytes that stand in no document.

Usage: seeds.py FOLDER; makes a folder for each target in it. A target without a seed fails.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

# The examples of FORMATS.md by their names, in the form of the files that they are.
EXAMPLES = {
    name: text.encode()
    for name, text in re.findall(r"^```\w+ example=([\w-]+)[^\n]*\n(.*?)^```$", (ROOT / "FORMATS.md").read_text(), re.M | re.S)
}
ENTRIES = ["policy-change", "certified-statement", "activation", "evidence", "revocation", "authority-change"]


def line(name: str) -> bytes:
    return EXAMPLES[name].rstrip(b"\n")


def raw(name: str) -> bytes:
    return bytes.fromhex(line(name).decode())


CHECKPOINT = EXAMPLES["checkpoint"]
COSIGNATURES = b"".join(l + b"\n" for l in CHECKPOINT.split(b"\n") if b" w" in l)
PROOF = bytes(range(32))
BUNDLE = b"".join(len(EXAMPLES[name]).to_bytes(2, "big") + EXAMPLES[name] for name in ENTRIES)
KEY = bytes.fromhex("8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394")
# The base point of P-384 (FIPS 186-5), which is a key like any other.
P384 = bytes.fromhex(
    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"
)
LOG = b"""listen = "127.0.0.1:0"
authority = "log.example"
database_folder = "databases"
register_folder = "register"
export = "s3://bucket/export"
submission_deadline_ms = 1000
[[namespace]]
name = "backup"
kind = "fleet-keys"
trust = "trust.json"
log_key_file = "log.key"
certificate_key_file = "certificate.key"
administration_key_file = "administration.key"
passphrase_file = "passphrase"
approvals_needed = 1
officers = [{ subject = "officer-0", public_key = "1398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca" }]
[[namespace]]
name = "digests"
kind = "raw"
witness_policy = "witnesses.policy"
log_key_file = "digests.key"
passphrase_file = "passphrase"
"""
WITNESS = b"""listen = "127.0.0.1:0"
name = "w0.example"
key_file = "witness.key"
passphrase_file = "passphrase"
state = "witness.sqlite"
[[log]]
origin = "log.example/backup"
vkeys = ["log.example/backup+550e6e5a+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"]
"""
COUNTERSIGNER = b"""listen = "127.0.0.1:0"
log_url = "http://127.0.0.1:1"
trust = "trust.json"
operator_key_file = "operator.key"
token_key_file = "token.key"
passphrase_file = "passphrase"
ledger = "ledger.sqlite"
token_audience = "log.example"
issuer = "operator"
subject = "countersigner"
cool_off_seconds = 0
poll_interval_ms = 100
"""
MEMBER = b"""listen = "127.0.0.1:0"
origin = "log.example/backup"
fleet_id = "fleet-1"
member_id = "member-1"
failure_domain = "site-1"
identity_key_file = "identity.key"
session_key_file = "session.key"
passphrase_file = "passphrase"
attestation_file = "attestation.json"
vendor_keys = [{ algorithm = "ed25519", public_key = "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394" }]
peer_listen = "127.0.0.1:0"
peers = [{ member_id = "member-1", address = "127.0.0.1:1" }, { member_id = "member-2", address = "127.0.0.1:2" }]
log_url = "http://127.0.0.1:1"
trust = "trust.json"
data_folder = "data"
counter_file = "counter"
sealing_key_file = "sealing.key"
account_issuers = [{ issuer = "accounts", public_key = "1398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca" }]
"""
# Batches of one command about one account, in postcard: a minute after the heads of the examples, each operation.
MINUTE_AFTER = bytes.fromhex("f8be83d806")
BATCHES = [bytes([1]) + MINUTE_AFTER + bytes([1, 2]) + bytes(32) + bytes([operation]) + bytes(420) for operation in range(7)]
AGE = b"age-encryption.org/v1\n-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n" + bytes(48)

SEEDS = {
    "access_token": [line("access-token")],
    "account_token": [line("account-token"), line("account-token-claims")],
    "add_checkpoint": [EXAMPLES["add-checkpoint"], b"5\n"],
    "approval": [line("approval")],
    "attestation": [EXAMPLES["attestation"]],
    "backup_file": [AGE, b""],
    "checkpoint": [CHECKPOINT, CHECKPOINT.split(b"\n\n")[0] + b"\n"],
    "configuration": [LOG, WITNESS, COUNTERSIGNER, MEMBER],
    "cosignature_lines": [COSIGNATURES],
    "entry": [EXAMPLES[name] for name in ENTRIES],
    "entry_bundle": [len(ENTRIES).to_bytes(2, "big") + BUNDLE, b"\x00\x01\x00\x01e"],
    "evidence_manifest": [EXAMPLES["evidence-manifest"]],
    "export": [b"e" + EXAMPLES["export"], b"c" + CHECKPOINT, b"t" + EXAMPLES["trust"]],
    "floor": [EXAMPLES["floor"]],
    "fork_evidence": [EXAMPLES["fork-evidence"]],
    "gossip": [EXAMPLES["gossip-heads"], b"consistent\nbehind\nfork " + b"0" * 64 + b"\n", b"0" * 64 + b"\n"],
    "json": [EXAMPLES["public-key"], EXAMPLES["statement"], b'{"a":[1,"\\u00e4",true,null,{}]}'],
    "key_file": [EXAMPLES["key-file"]],
    "key_set": [EXAMPLES["key-set"]],
    "log_list": [b"# a list\nlogs/v0\n\nvkey " + VKEY + b"\norigin none\nqpd 24\ncontact x\n"],
    "link": [EXAMPLES["link"]],
    "location": [b"s3://bucket/prefix", b"file:///srv/export", b"https://log.example/path", b"exports/log"],
    "log_answers": [
        b"i." + EXAMPLES["http-inclusion"],
        b"c." + EXAMPLES["http-consistency"],
        b"a." + EXAMPLES["plexi-audit"],
        b"l." + EXAMPLES["link"],
        b"t." + bytes(160),
        b"b." + EXAMPLES["validation-bundle"],
        b"h." + CHECKPOINT,
        b"p." + CHECKPOINT,
        b"ir" + EXAMPLES["http-problem"],
    ],
    "log_requests": [
        b"/digests/checkpoint",
        b"/healthz",
        b"/namespaces/digests/audits/1",
        b"/info",
        b"vproofs/inclusion?index=0&size=1",
        b"vproofs/consistency?from=0&to=1",
        b"vproofs/inclusion?leaf_hash=" + b"0" * 64,
        b"vreceipts/0",
        b"ventries/0",
        b"vlinks?from=0",
        b"vstatements/1/record",
        b"vbundles/newest",
        b"t0/000.p/1",
        b"tentries/x001/067.p/5",
        b"padd?wait=committed\nan entry",
        b"pentries?wait=published\n" + EXAMPLES["revocation"],
        b"pstatements\n" + EXAMPLES["http-submission"],
        b"a" + line("access-token") + b"\nan entry",
    ],
    "machine": [bytes([0]), bytes([1, 60, 1, 3]), bytes([1, 0, 0, 0, 0]), *BATCHES],
    "member_report": [EXAMPLES["member-report"]],
    "names": [b"fleet-1", b"2026-11-21T09:30:00Z", b"0" * 64, b"log.example/backup", EXAMPLES["public-key"]],
    "namespace_state": [b"".join(EXAMPLES[name] for name in ENTRIES[:5])],
    "noise_opening": [bytes(80), bytes(2128), bytes(2064)],
    "note": [CHECKPOINT, COSIGNATURES.split(b"\n")[0]],
    "number": [b"0", b"5", b"9223372036854775807", b"18446744073709551615", b"05"],
    "opaque_message": [bytes([2]) * length for length in (32, 64, 96, 192, 128)],
    "peer_link": [bytes(48), bytes(128), bytes(80)],
    "policy": [EXAMPLES["policy"], b"log " + line("policy").split()[1] + b"\nquorum none\n"],
    "policy_folder": [path.read_bytes() for path in sorted((ROOT / "signer-policy").rglob("*.cedar"))],
    "proofs": [(1).to_bytes(8, "big") + (5).to_bytes(8, "big") + PROOF * 4, (3).to_bytes(8, "big") * 2 + PROOF],
    "session_message": [raw("session-refused"), bytes([9]), bytes([1]) + bytes(96), bytes([4]) + bytes(32)],
    "signature": [b"e" + KEY + bytes(64), b"p" + P384 + b"\x01" * 96, b"x" + KEY],
    "statement": [EXAMPLES["statement"]],
    "tile_path": [b"tile/0/000", b"tile/entries/x001/067.p/5", b"tile/63/999"],
    "tlog_proof": [EXAMPLES["receipt"]],
    "trust": [EXAMPLES["trust"]],
    "validation_bundle": [EXAMPLES["validation-bundle"]],
    "vkey": [line("policy").split()[1], line("policy").split()[4]],
    "witness_requests": [EXAMPLES["add-checkpoint"], b"old 0\n\n" + CHECKPOINT],
    "wrap": [PROOF + raw("wrap-ciphertext")],
}


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    targets = {path.stem for path in (HERE / "fuzz_targets").glob("*.rs")}
    if targets != set(SEEDS):
        sys.exit(f"targets and seeds differ: {sorted(targets ^ set(SEEDS))}")
    for target, seeds in SEEDS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / target / f"seed-{number}").write_bytes(seed)


main()
