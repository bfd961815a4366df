"""Stands before a log and changes one thing in its answers, to show that a verifier notices.

Usage: lying_proxy.py URL; prints a line for each lie, `<lie> <address>`, and serves them all.
"""

import json
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def flipped(digits: str, at: int) -> str:
    return digits[:at] + f"{int(digits[at], 16) ^ 1:x}" + digits[at + 1 :]


def audit_with(field: str, change):
    """A lie about the certificate that is asked for."""

    def lie(path: str, answer):
        if "/audits/" in path:
            answer[field] = change(answer[field])

    return lie


def other_key(path: str, answer) -> None:
    """Another key with the same last byte, by which plexi picks a key."""
    if path == "/info":
        for key in answer["keys"]:
            key["public_key"] = flipped(key["public_key"], 0)


LIES = {
    "signature-begin": audit_with("signature", lambda digits: flipped(digits, 0)),
    "signature-end": audit_with("signature", lambda digits: flipped(digits, len(digits) - 2)),
    "digest": audit_with("digest", lambda digits: flipped(digits, 0)),
    "epoch": audit_with("epoch", lambda epoch: epoch + 1),
    "timestamp": audit_with("timestamp", lambda timestamp: timestamp + 1),
    "namespace": audit_with("namespace", lambda namespace: namespace + "x"),
    "other-key": other_key,
    "truth": lambda path, answer: None,
}


class Proxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            with urllib.request.urlopen(sys.argv[1] + self.path, timeout=30) as response:
                status, answer = response.status, json.load(response)
        except urllib.error.HTTPError as error:
            status, answer = error.code, json.load(error)
        self.server.lie(self.path, answer)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    lie = None


def main() -> None:
    for name, lie in LIES.items():
        server = Server(("127.0.0.1", 0), Proxy)
        server.lie = lie
        threading.Thread(target=server.serve_forever).start()
        print(name, f"http://127.0.0.1:{server.server_port}", flush=True)
    print("all", flush=True)


main()
