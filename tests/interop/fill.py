"""Appends entries to a raw namespace, over one kept connection. They are the same in every run; their lengths are from
one byte to the most that a log takes, and their bytes are no text.

Usage: fill.py URL NAMESPACE COUNT, with the access token on standard input
"""

import hashlib
import http.client
import sys
from urllib.parse import urlsplit

ENTRY_BYTES_MAX = 65_535


def entry(number: int) -> bytes:
    # Each begins with its number, so that no two are the same.
    name = number.to_bytes(2, "big")
    if number == 0:
        return b"\x00"
    length = ENTRY_BYTES_MAX if number % 300 == 299 else 2 + number * 7 % 400
    stream = hashlib.shake_256(name).digest(length)
    return (name + stream)[:length]


def main() -> None:
    url, namespace, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    token = sys.stdin.read().strip()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    for number in range(count):
        connection.request(
            "POST",
            f"/v1/{namespace}/add?wait=published",
            entry(number),
            {"authorization": f"Bearer {token}"},
        )
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200 or answer.split(b"\n")[0] != b"%d" % number:
            sys.exit(f"entry {number}: {response.status}: {answer[:300]!r}")


main()
