"""Verifies COSE receipts (RFC 9942) of a log with pycose and cbor2; the Merkle path is folded by RFC 9162 §2.1.3.2.

It shares no line with ours. Each receipt is verified once more with one thing changed, and must fail there.

Usage: cose_receipts.py URL NAMESPACE VERIFIER-KEY; --self-test URL NAMESPACE instead signs receipts over the log's own
inclusion proofs with a throwaway key, to show that this program takes and refuses what it should.

Standard output: for each check a line of its name, a tab, and how often it was done.
"""

import base64
import hashlib
import json
import sys
import urllib.request

import cbor2
from pycose.algorithms import EdDSA
from pycose.headers import Algorithm, KID
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

# RFC 9942: header parameters, the tree of RFC 9162 with SHA-256, the label of inclusion proofs.
VDS, VDP = 395, 396
RFC9162_SHA256 = 1
INCLUSION = -1
MEDIA_TYPE = "application/cose"


class Refused(Exception):
    pass


def get(address: str, accept: str = "*/*") -> tuple[str, bytes]:
    request = urllib.request.Request(address, headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.headers.get_content_type(), response.read()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to: RFC 9162 §2.1.3.2."""
    if not 0 <= index < size:
        raise Refused("the index is outside of the tree")
    at, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Refused("the path is too long")
        if at & 1 or at == last:
            result = node(sibling, result)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            result = node(result, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise Refused("the path is too short")
    return result


def parameter(header: dict, label: int):
    """A header parameter; pycose keeps those that it does not know under their number."""
    for key, value in header.items():
        if getattr(key, "identifier", key) == label:
            return value
    raise Refused(f"no header parameter {label}")


def verify(receipt: bytes, entry: bytes, index: int, key: OKPKey) -> int:
    """The size of the tree under which an entry stands at an index."""
    try:
        message = Sign1Message.decode(receipt)
    except Exception as error:
        raise Refused(f"no COSE_Sign1: {error}") from error
    if message.payload is not None:
        raise Refused("the payload is not detached")
    if parameter(message.phdr, Algorithm.identifier) is not EdDSA:
        raise Refused("another algorithm")
    if parameter(message.phdr, VDS) != RFC9162_SHA256:
        raise Refused("another verifiable data structure")
    if not parameter(message.phdr, KID.identifier):
        raise Refused("no key id")
    proofs = parameter(message.uhdr, VDP)[INCLUSION]
    if len(proofs) != 1:
        raise Refused("not one inclusion proof")
    size, at, path = cbor2.loads(proofs[0])
    if at != index or any(len(sibling) != 32 for sibling in path):
        raise Refused("another index, or no hashes")
    payload = root(hashlib.sha256(b"\x00" + entry).digest(), at, size, path)
    message.key = key
    try:
        good = message.verify_signature(detached_payload=payload)
    except Exception as error:
        raise Refused(f"the signature cannot be read: {error}") from error
    if not good:
        raise Refused("the signature does not verify over the root that the path leads to")
    return size


def taken(receipt: bytes, entry: bytes, index: int, key: OKPKey) -> bool:
    try:
        verify(receipt, entry, index, key)
    except Exception:  # tampered bytes may be no CBOR, or other CBOR: any way of not taking them will do
        return False
    return True


def refuses(receipt: bytes, entry: bytes, index: int, key: OKPKey) -> int:
    """Everything of a receipt that is signed or proves: each byte of signature, path and protected header."""
    other_key = OKPKey(crv=Ed25519, x=bytes([7]) * 32)
    others = [(receipt, entry + b".", index, key), (receipt, entry, index + 1, key), (receipt, entry, index, other_key)]
    tag = cbor2.loads(receipt)
    protected, unprotected, payload, signature = tag.value
    size, at, path = cbor2.loads(unprotected[VDP][INCLUSION][0])

    def again(protected=protected, proof=(size, at, path), signature=signature):
        vdp = {VDP: {INCLUSION: [cbor2.dumps(list(proof))]}}
        return cbor2.dumps(cbor2.CBORTag(tag.tag, [protected, vdp, payload, signature]))

    def flips(data: bytes):
        return (data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in range(len(data)))

    changed = [again(protected=other) for other in flips(protected)]
    changed += [again(signature=other) for other in flips(signature)]
    for i, sibling in enumerate(path):
        changed += [again(proof=(size, at, path[:i] + [other] + path[i + 1 :])) for other in flips(sibling)]
        changed.append(again(proof=(size, at, path[:i] + path[i + 1 :])))
    changed.append(again(proof=(size, at, path + [bytes(32)])))
    others += [(other, entry, index, key) for other in changed]
    for i, other in enumerate(others):
        if taken(*other):
            sys.exit(f"receipt of entry {index}: changed in the way {i}, and still taken")
    return len(others)


def self_made(url: str, namespace: str, index: int, signer: OKPKey) -> bytes:
    """A receipt over the log's own path, signed by somebody else."""
    proof = json.loads(get(f"{url}/v1/{namespace}/proofs/inclusion?index={index}")[1])
    path = [base64.b64decode(sibling) for sibling in proof["path"]]
    entry = get(f"{url}/v1/{namespace}/entries/{index}")[1]
    vdp = {INCLUSION: [cbor2.dumps([proof["size"], index, path])]}
    phdr = {Algorithm: EdDSA, KID: b"self-test", VDS: RFC9162_SHA256}
    message = Sign1Message(phdr=phdr, uhdr={VDP: vdp})
    message.key = signer
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    return message.encode(detached_payload=root(leaf, index, proof["size"], path))


def log_key(vkey: str) -> OKPKey:
    """The key of a C2SP verifier key, which stands behind its type byte."""
    key = base64.b64decode(vkey.split("+", 2)[2])
    if len(key) != 33 or key[0] != 1:
        sys.exit(f"{vkey} is no Ed25519 key of a log")
    return OKPKey(crv=Ed25519, x=key[1:])


def main() -> None:
    testing = sys.argv[1] == "--self-test"
    url, namespace = sys.argv[2:4] if testing else sys.argv[1:3]
    signer = OKPKey.generate_key(crv=Ed25519) if testing else None
    key = signer or log_key(sys.argv[3])
    size = json.loads(get(f"{url}/v1/{namespace}/status")[1])["size"]
    # All of a small log, some of a large one; of these its edges.
    chosen = range(size) if size <= 64 else sorted({0, 1, 255, 256, 257, 511, 512, size - 2, size - 1} & set(range(size)))
    verified = refused = 0
    for index in chosen:
        if testing:
            receipt = self_made(url, namespace, index, signer)
        else:
            media_type, receipt = get(f"{url}/v1/{namespace}/receipts/{index}", MEDIA_TYPE)
            if media_type != MEDIA_TYPE:
                sys.exit(f"asked for {MEDIA_TYPE}, the log answers {media_type}")
        entry = get(f"{url}/v1/{namespace}/entries/{index}")[1]
        verify(receipt, entry, index, key)
        verified += 1
        refused += refuses(receipt, entry, index, key)
    of = "COSE receipts that this program made itself" if testing else "COSE receipts"
    print(f"{of}: verified\t{verified}")
    print(f"{of}, one byte changed: refused\t{refused}")


main()
