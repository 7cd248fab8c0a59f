"""A node that serves JSON-RPC from a recorded chain.

Every reader of a chain can run on it, without network and keys, with the same results each
time.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import msgspec

from zmart_pipelines import base58
from zmart_pipelines.chain.recording import PAGE, ListedTransaction, Recording
from zmart_pipelines.program.ids import CLOCK_SYSVAR
from zmart_pipelines.program.payout import rent_minimum

# https://github.com/anza-xyz/agave/blob/master/rpc-client-api/src/custom_error.rs
_BEHIND: Final = -32016
_NO_METHOD: Final = -32601
_BAD_PARAMS: Final = -32602
_SYSVARS: Final = "Sysvar1111111111111111111111111111111111111"


class _Refused(Exception):
    """A call to which the node responds with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Message(msgspec.Struct, rename="camel"):
    account_keys: list[str]


class _Signed(msgspec.Struct):
    message: _Message


class _Loaded(msgspec.Struct):
    writable: list[str] = []
    readonly: list[str] = []


class _Meta(msgspec.Struct, rename="camel"):
    loaded_addresses: _Loaded | None = None


class _NamedAddresses(msgspec.Struct):
    """The part of a transaction that names addresses."""

    transaction: _Signed
    meta: _Meta | None = None


class RecordedNode:
    """Responds to JSON-RPC calls from a recording, in which everything is finalized."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._accounts = {account.address: account.data for account in recording.accounts}
        self._accounts[str(CLOCK_SYSVAR)] = recording.clock
        self._named = {name: _addresses(raw) for name, raw in recording.transactions.items()}

    def respond(self, body: bytes) -> bytes:
        """Return the response to one request."""
        request = msgspec.json.decode(body, type=dict[str, Any])
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            answer["result"] = self.call(str(request.get("method")), request.get("params") or [])
        except _Refused as refused:
            answer["error"] = {"code": refused.code, "message": str(refused)}
        except (LookupError, TypeError, ValueError) as error:
            answer["error"] = {"code": _BAD_PARAMS, "message": f"Invalid params: {error}"}
        return msgspec.json.encode(answer)

    def call(self, method: str, params: list[Any]) -> Any:
        """Return the result of a method."""
        options = params[-1] if params and isinstance(params[-1], dict) else {}
        if int(options.get("minContextSlot") or 0) > self._recording.slot:
            raise _Refused(_BEHIND, "Minimum context slot has not been reached")
        handler = _METHODS.get(method)
        if handler is None:
            raise _Refused(_NO_METHOD, f"a recorded chain does not support {method}")
        return handler(self, params, options)

    def _slot(self, _params: list[Any], _options: dict[str, Any]) -> int:
        return self._recording.slot

    def _first(self, _params: list[Any], _options: dict[str, Any]) -> int:
        return 0

    def _health(self, _params: list[Any], _options: dict[str, Any]) -> str:
        return "ok"

    def _context(self, value: Any) -> dict[str, Any]:
        return {"context": {"slot": self._recording.slot}, "value": value}

    def _account(self, address: str) -> dict[str, Any] | None:
        data = self._accounts.get(address)
        if data is None:
            return None
        owner = _SYSVARS if address == str(CLOCK_SYSVAR) else self._recording.program
        return {
            "data": [b64encode(data).decode(), "base64"],
            "executable": False,
            "lamports": rent_minimum(len(data)),
            "owner": owner,
            "rentEpoch": 0,
            "space": len(data),
        }

    def _one_account(self, params: list[Any], _options: dict[str, Any]) -> dict[str, Any]:
        return self._context(self._account(params[0]))

    def _some_accounts(self, params: list[Any], _options: dict[str, Any]) -> dict[str, Any]:
        return self._context([self._account(address) for address in params[0]])

    def _program_accounts(self, params: list[Any], options: dict[str, Any]) -> dict[str, Any]:
        if params[0] != self._recording.program:
            return self._context([])
        filters = options.get("filters") or []
        return self._context(
            [
                {"pubkey": account.address, "account": self._account(account.address)}
                for account in self._recording.accounts
                if all(_matches(account.data, wanted) for wanted in filters)
            ]
        )

    def _signatures(self, params: list[Any], options: dict[str, Any]) -> list[ListedTransaction]:
        rows = [row for row in self._recording.listed if params[0] in self._named[row.signature]]
        names = [row.signature for row in rows]
        before = options.get("before")
        if before is not None and before not in names:
            return []
        start = 0 if before is None else names.index(before) + 1
        return rows[start : start + int(options.get("limit") or PAGE)]

    def _transaction(self, params: list[Any], _options: dict[str, Any]) -> msgspec.Raw | None:
        return self._recording.transactions.get(params[0])

    def _statuses(self, params: list[Any], _options: dict[str, Any]) -> dict[str, Any]:
        known = {row.signature: row for row in self._recording.listed}
        return self._context(
            [
                {
                    "slot": row.slot,
                    "confirmations": None,
                    "err": row.err,
                    "confirmationStatus": "finalized",
                }
                if (row := known.get(name)) is not None
                else None
                for name in params[0]
            ]
        )


_METHODS: Final[dict[str, Callable[[RecordedNode, list[Any], dict[str, Any]], Any]]] = {
    "getSlot": RecordedNode._slot,
    "getFirstAvailableBlock": RecordedNode._first,
    "getHealth": RecordedNode._health,
    "getAccountInfo": RecordedNode._one_account,
    "getMultipleAccounts": RecordedNode._some_accounts,
    "getProgramAccounts": RecordedNode._program_accounts,
    "getSignaturesForAddress": RecordedNode._signatures,
    "getSignatureStatuses": RecordedNode._statuses,
    "getTransaction": RecordedNode._transaction,
}


def _addresses(raw: msgspec.Raw) -> set[str]:
    named = msgspec.json.decode(raw, type=_NamedAddresses)
    loaded = named.meta.loaded_addresses if named.meta is not None else None
    return {
        *named.transaction.message.account_keys,
        *(loaded.writable + loaded.readonly if loaded is not None else []),
    }


def _matches(data: bytes, wanted: dict[str, Any]) -> bool:
    size: int | None = wanted.get("dataSize")
    if size is not None:
        return len(data) == size
    compared = base58.decode(wanted["memcmp"]["bytes"])
    start: int = wanted["memcmp"]["offset"]
    return data[start:].startswith(compared)


@contextmanager
def serve(recording: Recording) -> Iterator[str]:
    """Serve the recording on a free loopback port and yield the node's URL."""
    node = RecordedNode(recording)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet; two packets would wait for an acknowledgement.
        wbufsize = 2**16

        def do_POST(self) -> None:
            answer = node.respond(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_request(self, *_details: object) -> None:
            """Log nothing; callers report what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="recorded-chain", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
