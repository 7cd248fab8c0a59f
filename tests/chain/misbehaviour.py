"""Every way in which a stand-in endpoint misbehaves: HTTP status x body x JSON-RPC code.

The stand-in stands in front of a real node. What must follow from each misbehaviour is stated
here independently of the table in ``zmart_pipelines.chain.faults``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from tests.chain.endpoint import Reply, Script, forward

# What a caller with a second, good endpoint sees. ANSWERED: that one's result.
Outcome = Literal["answered", "raised"]

STATUSES: Final = (
    *(200, 201, 202, 204, 206, 301, 302, 307, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410),
    *(413, 414, 415, 422, 425, 429, 451, 499, 500, 501, 502, 503, 504, 508, 520, 522, 529, 530),
)
CODES: Final = (
    *range(-32020, -32000),
    *(-32700, -32600, -32601, -32602, -32603),
    *(-32000, -32050, -32099, -32401, -32403, -32429, -1, 0, 1, 401, 403, 429, 500, 503),
)
# JSON-RPC errors by which the call itself is refused, wherever it goes.
REFUSED_CODES: Final = frozenset({-32700, -32600, -32602, -32015, -32018})
# Verdicts on a transaction, in calls that hold one.
VERDICT_CODES: Final = frozenset({-32002, -32003, -32006, -32013})
VERDICT_METHODS: Final = frozenset({"simulateTransaction", "sendTransaction"})
# The node works, but cannot answer this call: it is behind, pruned, or does not offer it.
HEALTHY_CODES: Final = frozenset(
    {-32601, -32001, -32004, -32007, -32008, -32009, -32010, -32011, -32014, -32016, -32017}
)
PAUSING_CODES: Final = frozenset({429, -32429})
# Statuses with which a JSON-RPC server sends its own errors.
OWN_STATUSES: Final = frozenset({200, 400, 404, 405, 413, 415, 422})


Mangle = Callable[[dict[str, Any], dict[str, Any]], bytes]


def _with_result(value: Any) -> Mangle:
    return lambda request, _: json.dumps(
        {"jsonrpc": "2.0", "id": request["id"], "result": value}
    ).encode()


def _encoded(change: Callable[[dict[str, Any]], Any]) -> Mangle:
    return lambda _, good: json.dumps(change(good)).encode()


# The values of these methods are lists with one member for each thing asked for.
BATCHES: Final = frozenset({"getMultipleAccounts", "getSignatureStatuses"})


def _members(change: Callable[[list[Any]], list[Any]]) -> Mangle:
    """Change the members of a batch's answer; other results become a list."""

    def mangle(request: dict[str, Any], good: dict[str, Any]) -> bytes:
        result = good["result"]
        if request["method"] in BATCHES:
            result = {**result, "value": change(result["value"])}
        else:
            result = [[result]]
        return json.dumps({**good, "result": result}).encode()

    return mangle


BODIES: Final[dict[str, Mangle]] = {
    "empty": lambda *_: b"",
    "html": lambda *_: b"<html><body>Access denied</body></html>",
    "text": lambda *_: b"upstream connect error",
    "latin1": lambda *_: '"\xe9"'.encode("latin-1"),
    "truncated": lambda _, good: json.dumps(good).encode()[:-7],
    "nested": lambda *_: b"[" * 50_000,
    "null": lambda *_: b"null",
    "batch": lambda _, good: json.dumps([good]).encode(),
    "empty batch": lambda *_: b"[]",
    "wrong id": _encoded(lambda good: {**good, "id": good["id"] + 1_000_000}),
    "no id": _encoded(lambda good: {k: v for k, v in good.items() if k != "id"}),
    "no result": _encoded(lambda good: {k: v for k, v in good.items() if k != "result"}),
    "error is text": _encoded(lambda good: {**good, "error": "Forbidden"}),
    "error without code": _encoded(lambda good: {**good, "error": {"message": "Forbidden"}}),
    "code is text": _encoded(lambda good: {**good, "error": {"code": "403", "message": "no"}}),
    "refusal of another request": _encoded(
        lambda good: {"id": good["id"] + 1_000_000, "error": {"code": -32602, "message": "no"}}
    ),
    "result is text": _with_result("seven"),
    "result is a fraction": _with_result(7.5),
    "result is negative": _with_result(-7),
    "result is beyond 64 bits": _with_result(2**64),
    "result is false": _with_result(False),
    "result is {}": _with_result({}),
    "value is missing": _with_result({"context": {"slot": 2**40}}),
    "value is text": _with_result({"context": {"slot": 2**40}, "value": "none"}),
    "context is text": _with_result({"context": "now", "value": None}),
    "member missing": _members(lambda members: members[1:]),
    "member too many": _members(lambda members: [*members, None]),
    "member is text": _members(lambda members: [*members[1:], "none"]),
}
# The bodies whose result is an object.
OBJECTS: Final = frozenset({"result is {}", "value is missing", "value is text", "context is text"})
# Right content, so that the HTTP status alone decides.
RESULT: Final = "result"


@dataclass(frozen=True)
class Misbehaviour:
    """One way to misbehave. ``code`` is that of the JSON-RPC error, if the body is one."""

    status: int
    body: str
    code: int | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.body}" + ("" if self.code is None else f" {self.code}")

    def script(self, node: Script) -> Script:
        """Return the stand-in for a node."""

        def script(request: dict[str, Any]) -> Reply:
            good = json.loads(node(request).body)
            return Reply(self._content(request, good), self.status)

        return script

    def _content(self, request: dict[str, Any], good: dict[str, Any]) -> bytes:
        if self.status == 204:
            return b""
        if self.code is not None:
            error = {"code": self.code, "message": "sorry"}
            return json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode()
        if self.body == RESULT:
            return json.dumps(good).encode()
        return BODIES[self.body](request, good)

    @property
    def _is_error_of_server(self) -> bool:
        return self.code is not None and self.status in OWN_STATUSES

    def outcome(self, method: str) -> Outcome:
        """Return what the caller of ``method`` sees."""
        if not self._is_error_of_server:
            return "answered"
        is_verdict = self.code in VERDICT_CODES and method in VERDICT_METHODS
        return "raised" if is_verdict or self.code in REFUSED_CODES else "answered"

    def opens_breaker(self, method: str) -> bool:
        """Return whether the endpoint's breaker opens after some such answers."""
        if self.status == 429 or self.outcome(method) == "raised":
            return False
        if self._is_error_of_server:
            return self.code not in HEALTHY_CODES | PAUSING_CODES
        return True


def remembering(url: str) -> Script:
    """Return a script that forwards each request once to a node whose answers do not change."""
    ask, known = forward(url), dict[str, bytes]()

    def script(request: dict[str, Any]) -> Reply:
        key = json.dumps([request["method"], request["params"]])
        if key not in known:
            known[key] = ask(request).body
        return Reply(json.dumps({**json.loads(known[key]), "id": request["id"]}).encode())

    return script


def all_misbehaviours() -> Iterator[Misbehaviour]:
    """Yield the product of statuses, bodies and codes."""
    for status, body in itertools.product(STATUSES, (RESULT, *BODIES)):
        if (status, body) != (200, RESULT):
            yield Misbehaviour(status, body)
    for status, code in itertools.product(STATUSES, CODES):
        yield Misbehaviour(status, "error", code)
