"""A real HTTP server that answers as an IPFS gateway does, or badly on request."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, TypeAlias

from zmart_pipelines.ipfs.cid import MAX_BLOCK

Mode: TypeAlias = Literal[
    "file", "block", "wrong", "large", "html", "hang", "redirect", "error", "cut"
]


class Gateway(ThreadingHTTPServer):
    """Serves ``files`` by CID, and ``blocks`` to who asks for blocks; counts what it was asked."""

    daemon_threads = True

    def __init__(self, mode: Mode) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode: Mode = mode
        self.files: dict[str, bytes] = {}
        self.blocks: dict[str, bytes] = {}
        self.asked: list[dict[str, str]] = []
        self.release = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/ipfs"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        cid = self.path.rsplit("/", 1)[1]
        match self.server.mode:
            case "hang":
                self.server.release.wait(30)
            case "redirect":
                self.send_response(302)
                self.send_header("Location", f"http://{self.server.host}/elsewhere/{cid}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "error":
                self._answer(500, b"no")
            case "html":
                self._answer(200, b"<html>not found</html>")
            case "large":
                self._answer(200, bytes(2 * MAX_BLOCK))
            case "wrong":
                self._answer(200, self.server.files[cid] + b"!")
            case "cut":
                self.send_response(200)
                self.send_header("Content-Length", str(len(self.server.files[cid])))
                self.end_headers()
                self.wfile.write(self.server.files[cid][:1])
            case "file":
                found = self.server.files.get(cid)
                self._answer(404 if found is None else 200, found or b"")
            case "block":
                self._answer(200, self.server.blocks[cid])

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # The client may have seen enough.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)


@contextlib.contextmanager
def running_gateway(mode: Mode = "file") -> Iterator[Gateway]:
    """A gateway, stopped at the end."""
    server = Gateway(mode)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()
