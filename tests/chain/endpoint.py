"""A real HTTP server on loopback with scripted responses, including faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


class Reply:
    """One HTTP response; ``drop`` closes the connection instead."""

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        delay: float = 0,
        drop: bool = False,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = headers or {}
        self.delay = delay
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

    def script(request: dict[str, Any]) -> Reply:
        response = httpx.post(url, json=request, trust_env=False, timeout=30)
        return Reply(response.content, response.status_code)

    return script


class Endpoint:
    """Responds to requests with the scripts in order; the last one is repeated."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._scripts: list[Script] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

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
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
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
