"""A server that answers as a test says, for failures that the API cannot be made to have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


# What a request gets, by the request and its number from 1; None cuts the connection.
Script = Callable[[Received, int], Answer | None]


def error(status: int, code: str, retry_after: str | None = None) -> Answer:
    """An error as the API sends it."""
    texts = dict.fromkeys(
        ("error", "message", "timestamp", "path", "type", "title", "detail", "instance"), code
    )
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status, {**texts, "status": status, "code": code}, headers)


@contextmanager
def scripted_api(script: Script) -> Iterator[tuple[str, list[Received]]]:
    """Yield the server's address and the requests that it has received."""
    received: list[Received] = []
    numbering = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with numbering:
                request = Received(self.command, self.path, headers, body)
                received.append(request)
                number = len(received)
            answer = script(request, number)
            if answer is None:
                self.close_connection = True
                return
            content = msgspec.json.encode(answer.body)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
