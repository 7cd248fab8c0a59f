"""A real HTTP server that answers as Pinata does, or badly on request."""

from __future__ import annotations

import base64
import email
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from zmart_pipelines import base58
from zmart_pipelines.ipfs.cid import cid_v0


def _v1(cid: str, codec: bytes = b"\x70") -> str:
    """Return the CIDv1, in base32, with the multihash of a CIDv0."""
    data = b"\x01" + codec + base58.decode(cid)
    return "b" + base64.b32encode(data).decode().rstrip("=").lower()


# How Pinata names the block that it pinned, by mode.
_NAMES: dict[str, Callable[[str], object]] = {
    "good": str,
    "twice": str,
    "wrong": str,
    "v1": _v1,
    "v1 base58": lambda cid: "z" + base58.encode(b"\x01\x70" + base58.decode(cid)),
    "v1 base16": lambda cid: "f0170" + base58.decode(cid).hex(),
    "raw": lambda cid: _v1(cid, b"\x55"),
    "v1 of others": lambda cid: _v1(cid_v0(b"other")),
    "cut": lambda cid: _v1(cid)[:-2],
    "nothing": lambda _: None,
    "number": lambda _: 7,
}


# What Pinata answers to the question how much an account has pinned, by mode.
_TOTALS: dict[str, Callable[[int], bytes]] = {
    "good": lambda size: json.dumps({"pin_count": 1, "pin_size_total": size}).encode(),
    "size as text": lambda size: json.dumps({"pin_size_total": str(size)}).encode(),
    "garbage": lambda _: b"<html>",
    "no size": lambda _: b'{"pin_count":1}',
    "size is null": lambda _: b'{"pin_size_total":null}',
    "size is no number": lambda _: b'{"pin_size_total":"much"}',
    "size is infinite": lambda _: b'{"pin_size_total":Infinity}',
    "size below zero": lambda _: b'{"pin_size_total":-1}',
    "list": lambda size: json.dumps([size]).encode(),
}


class Pinata(ThreadingHTTPServer):
    """Answers as Pinata's API and its gateway do, or badly on request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blocks: dict[str, bytes] = {}
        self.mode = "good"
        self.options: dict[str, object] = {}
        self.tokens: set[str | None] = set()
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Pinata

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.mode == "hang":
            self.server.release.wait(10)
            return
        if self.server.mode == "refuse":
            self._answer(401, b'{"error":"no"}')
            return
        if self.server.mode == "garbage":
            self._answer(200, b"<html>")
            return
        parts = self._parts(body)
        content = parts["file"]
        self.server.options = json.loads(parts.get("pinataOptions", b"{}"))
        cid = cid_v0(content if self.server.mode != "wrong" else content + b"!")
        self.server.blocks[cid] = content
        named = _NAMES[self.server.mode](cid)
        answer = json.dumps({"IpfsHash": named, "PinSize": len(content)}).encode()
        if self.server.mode == "twice":
            # The connection stays open, so that the second answer waits for the next request on it.
            self.protocol_version = "HTTP/1.1"
            self.close_connection = False
            self._answer(200, answer)
        self._answer(200, answer)

    def _parts(self, body: bytes) -> dict[str, bytes]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + body)
        assert message.is_multipart()
        contents: dict[str, bytes] = {}
        for part in message.walk():
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                contents[str(part.get_param("name", header="content-disposition"))] = content
        return contents

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        if self.path == "/data/userPinnedDataTotal":
            self._answer_total()
            return
        block = self.server.blocks.get(self.path.rsplit("/", 1)[1])
        if block is None:
            self._answer(404, b"")
        else:
            self._answer(200, block)

    def _answer_total(self) -> None:
        """Say how large the account's blocks are; without a token it has no account."""
        if self.server.mode == "hang":
            self.server.release.wait(10)
        elif self.server.mode == "refuse" or self.headers["Authorization"] is None:
            self._answer(401, b'{"error":"no"}')
        else:
            used = sum(map(len, self.server.blocks.values()))
            self._answer(200, _TOTALS[self.server.mode](used))


@contextmanager
def running_pinata() -> Iterator[Pinata]:
    """A server, stopped at the end."""
    server = Pinata()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()
