"""A real HTTP server on loopback with scripted responses, including faults."""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


class Reply:
    """One HTTP response; ``drop`` closes the connection instead.

    ``drip``: seconds before each byte of the body.
    """

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        delay: float = 0,
        drip: float = 0,
        drop: bool = False,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = headers or {}
        self.delay = delay
        self.drip = drip
        self.drop = drop


Script = Callable[[dict[str, Any]], Reply]


def result(value: Any) -> Script:
    """Return a script that responds with a result."""

    def script(request: dict[str, Any]) -> Reply:
        return Reply(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": value}).encode())

    return script


def fault(code: int, message: str, data: Any = None, status: int = 200) -> Script:
    """Return a script that responds with a JSON-RPC error."""

    def script(request: dict[str, Any]) -> Reply:
        error = {"code": code, "message": message, "data": data}
        body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error})
        return Reply(body.encode(), status)

    return script


def reply(**arguments: Any) -> Script:
    """Return a script that responds with a fixed reply."""
    return lambda _: Reply(**arguments)


def forward(url: str) -> Script:
    """Return a script that forwards requests to a real node."""
    # Without certificates, whose loading takes longer than many calls.
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    node = httpx.Client(trust_env=False, timeout=30, verify=plain)

    def script(request: dict[str, Any]) -> Reply:
        response = node.post(url, json=request)
        return Reply(response.content, response.status_code)

    return script


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, except that a client left."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Endpoint:
    """Responds to requests with the scripts in order; the last one is repeated."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._scripts: list[Script] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet; two packets would wait for an acknowledgement.
            wbufsize = 2**16

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                endpoint.requests.append(request)
                endpoint.paths.append(self.path)
                scripts = endpoint._scripts
                reply = (scripts.pop(0) if len(scripts) > 1 else scripts[0])(request)
                time.sleep(reply.delay)
                if reply.drop:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                if not reply.drip:
                    self.wfile.write(reply.body)
                    return
                with contextlib.suppress(OSError):
                    for byte in reply.body:
                        time.sleep(reply.drip)
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, *scripts: Script) -> None:
        """The scripts from now on."""
        self._scripts = list(scripts)
        self.requests.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
