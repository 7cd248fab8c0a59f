"""The control API: what no real cluster lets its clients do. Loopback only."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from localnet.blocks import Commitment
from localnet.faults import Fault
from localnet.node import Node
from localnet.rpc.encoding import address, signature_text
from localnet.rpc.errors import RpcError
from localnet.rpc.params import signature
from localnet.views import Sight
from zmart_pipelines import base58

_encode = msgspec.json.Encoder().encode
MAX_SLOTS = 100_000


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """Let time pass and slots close."""

    slots: int = 1
    seconds: int = 0


class Fork(msgspec.Struct, forbid_unknown_fields=True):
    """Drop the open slot and ``depth`` blocks below it; ``keep`` runs again."""

    depth: int
    keep: list[str] | None = []


class Snapshot(msgspec.Struct, forbid_unknown_fields=True):
    """The file of a copy of the chain: a new one to write, or one to go on from."""

    path: str


class Empty(msgspec.Struct, forbid_unknown_fields=True):
    """A command without arguments."""


class Control:
    """Commands by path; each takes a JSON object and answers with the chain's status."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._commands: dict[str, tuple[type[Any], Callable[[Any], Any]]] = {
            "advance": (Advance, self._advance),
            "finalize": (Empty, self._finalize),
            "pause": (Empty, self._pause),
            "resume": (Empty, self._resume),
            "hold-finality": (Empty, self._hold),
            "release-finality": (Empty, self._release),
            "fork": (Fork, self._fork),
            "fault": (Fault, self._fault),
            "clear-faults": (Empty, self._clear),
            "snapshot": (Snapshot, self._snapshot),
            "restore": (Snapshot, self._restore),
        }

    async def handle(self, scope: Any, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer a request below ``/control``."""
        if not _from_here(scope):
            return 403, _error("the control API answers to this machine only")
        name = path.removeprefix("/control").strip("/")
        if name in ("", "status"):
            return 200, _encode(self.status())
        if name not in self._commands:
            known = ", ".join(["status", *self._commands])
            return 404, _error(f"unknown command {name!r}; there are: {known}")
        if method != "POST":
            return 405, _error(f"/control/{name} takes POST")
        kind, command = self._commands[name]
        try:
            result = command(msgspec.json.decode(body or b"{}", type=kind))
        except (msgspec.DecodeError, ValueError, RpcError, OSError) as error:
            return 400, _error(str(error))
        return 200, _encode({**self.status(), **(result or {})})

    def status(self) -> dict[str, Any]:
        """Where the chain stands and how it was started."""
        node = self._node
        sight = Sight(node.bank)
        options = node.options
        return {
            "processed": sight.view(Commitment.PROCESSED)._asdict(),
            "confirmed": sight.view(Commitment.CONFIRMED)._asdict(),
            "finalized": sight.view(Commitment.FINALIZED)._asdict(),
            "manual_clock": options.manual_clock,
            "paused": node.paused,
            "finality_held": node.bank.hold_finality,
            "faults": node.faults.describe(),
            "slot_ms": options.slot_ms,
            "confirm_depth": options.confirm_depth,
            "finality_depth": options.finality_depth,
            "seed": options.seed,
            "genesis_hash": base58.encode(node.genesis_hash),
            "program_id": str(options.program_id),
            "state": str(options.state.resolve()),
            "keys": {role: address(bytes(key.pubkey())) for role, key in node.keys.items()},
        }

    def _advance(self, wanted: Advance) -> None:
        if not 0 <= wanted.slots <= MAX_SLOTS:
            raise ValueError(f"slots: must be between 0 and {MAX_SLOTS}")
        self._node.advance(wanted.slots, wanted.seconds)

    def _finalize(self, _: Empty) -> None:
        self._node.finalize()

    def _pause(self, _: Empty) -> None:
        self._node.paused = True

    def _resume(self, _: Empty) -> None:
        self._node.paused = False

    def _hold(self, _: Empty) -> None:
        self._node.bank.hold_finality = True

    def _release(self, _: Empty) -> None:
        self._node.bank.hold_finality = False

    def _fork(self, wanted: Fork) -> dict[str, Any]:
        keep = None if wanted.keep is None else [signature(text) for text in wanted.keep]
        return {"dropped": [signature_text(lost) for lost in self._node.fork(wanted.depth, keep)]}

    def _fault(self, fault: Fault) -> None:
        self._node.faults.arm(fault)

    def _clear(self, _: Empty) -> None:
        self._node.faults.clear()

    def _snapshot(self, wanted: Snapshot) -> None:
        self._node.history.snapshot(Path(wanted.path))

    def _restore(self, wanted: Snapshot) -> None:
        self._node.restore(Path(wanted.path))


def _from_here(scope: Any) -> bool:
    """Whether a program of this machine asks, and not a web page in its browser."""
    headers = dict(scope["headers"])
    host = urlsplit("//" + headers.get(b"host", b"").decode("latin-1")).hostname or ""
    client = (scope.get("client") or ("",))[0]
    return b"origin" not in headers and _is_loopback(client) and _is_loopback(host)


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _error(message: str) -> bytes:
    return _encode({"error": message})
