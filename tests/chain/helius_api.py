"""A server on loopback that behaves as the webhook part of the Helius API is documented."""

from __future__ import annotations

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "helius-key-geheim"
TYPES = {"enhanced", "raw", "discord", "enhancedDevnet", "rawDevnet", "discordDevnet"}
REQUIRED = {"webhookURL", "transactionTypes", "accountAddresses", "webhookType"}
KNOWN = REQUIRED | {"authHeader", "txnStatus", "encoding"}


class HeliusApi:
    """A server that behaves as Helius' webhook API.

    ``hooks`` are by id, ``edits`` are the requested edits; ``fail`` is a status for all
    responses.
    """

    def __init__(self) -> None:
        self.hooks: dict[str, dict[str, Any]] = {}
        self.edits: list[str] = []
        self.fail: int | None = None
        self.body: bytes | None = None
        self.delay = 0.0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(length)
                time.sleep(api.delay)
                status, answer = api.answer(self.command, self.path, raw)
                body = api.body if api.body is not None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, **values: Any) -> str:
        """A webhook that is there already; its id."""
        made = str(uuid.uuid4())
        self.hooks[made] = {
            "webhookID": made,
            "wallet": "w",
            "project": "p",
            "transactionTypes": ["ANY"],
            "txnStatus": "all",
            "active": True,
        } | values
        return made

    def answer(self, method: str, target: str, raw: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        if parse_qs(parts.query).get("api-key") != [KEY]:
            # Like the service, it repeats the request.
            return 401, {"error": f"invalid api key {parts.query}"}
        if self.fail is not None:
            return self.fail, {"error": f"{target} {raw.decode()}"}
        path = parts.path.removeprefix("/v0/webhooks").strip("/")
        if method == "GET":
            return 200, list(self.hooks.values())
        body = json.loads(raw)
        self.edits.append(method)
        if method == "POST":
            return (200, self.hooks[self.add(**body)]) if self._valid(body) else (400, {})
        if path not in self.hooks:
            return 404, {"error": "no such webhook"}
        if method == "PUT":
            if not self._valid(body):
                return 400, {}
            self.hooks[path] |= body
        elif set(body) != {"active"}:
            return 400, {}
        else:
            self.hooks[path] |= body
        return 200, self.hooks[path]

    @staticmethod
    def _valid(body: dict[str, Any]) -> bool:
        return (
            set(body) >= REQUIRED
            and set(body) <= KNOWN
            and body["webhookType"] in TYPES
            and body.get("txnStatus", "all") in {"all", "success", "failed"}
        )
