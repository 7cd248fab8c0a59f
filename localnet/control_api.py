"""The control API: operations that no real cluster offers. Loopback only."""

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
from localnet.views import ChainView
from zmart_pipelines import base58

_encode = msgspec.json.Encoder().encode
MAX_SLOTS = 100_000
MAX_SECONDS = 366 * 24 * 3600


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """Advances time by ``seconds`` and closes ``slots`` slots."""

    slots: int = 1
    seconds: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.slots <= MAX_SLOTS:
            raise ValueError(f"slots: must be between 0 and {MAX_SLOTS}")
        if not 0 <= self.seconds <= MAX_SECONDS:
            raise ValueError(
                f"seconds: must be between 0 and {MAX_SECONDS} (a year), chain time never goes back"
            )


class Fork(msgspec.Struct, forbid_unknown_fields=True):
    """Drops the open slot and ``depth`` blocks below it; ``keep`` is executed again."""

    depth: int
    keep: list[str] | None = []


class Snapshot(msgspec.Struct, forbid_unknown_fields=True):
    """The file of a copy of the chain: one to write, or one to restore."""

    path: str


class Empty(msgspec.Struct, forbid_unknown_fields=True):
    """A command without arguments."""


class Control:
    """Commands by path; each takes a JSON object and returns the chain's status."""

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
        """Return status and body of the response to a request below ``/control``."""
        if not _is_local(scope):
            return 403, _error("the control API accepts requests from this machine only")
        name = path.removeprefix("/control").strip("/")
        if name in ("", "status"):
            return 200, _encode(self.status())
        if name not in self._commands:
            known = ", ".join(["status", *self._commands])
            return 404, _error(f"unknown command {name!r}; known commands: {known}")
        if method != "POST":
            return 405, _error(f"/control/{name} requires POST")
        kind, execute = self._commands[name]
        try:
            result = execute(msgspec.json.decode(body or b"{}", type=kind))
        except (msgspec.DecodeError, ValueError, RpcError, OSError) as error:
            return 400, _error(str(error))
        return 200, _encode({**self.status(), **(result or {})})

    def status(self) -> dict[str, Any]:
        """Return the state of the chain and how it was started."""
        node = self._node
        view = ChainView(node.bank)
        options = node.options
        return {
            "processed": view.tip(Commitment.PROCESSED)._asdict(),
            "confirmed": view.tip(Commitment.CONFIRMED)._asdict(),
            "finalized": view.tip(Commitment.FINALIZED)._asdict(),
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

    def _advance(self, command: Advance) -> None:
        self._node.advance(command.slots, command.seconds)

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

    def _fork(self, command: Fork) -> dict[str, Any]:
        keep = None if command.keep is None else [signature(text) for text in command.keep]
        return {"dropped": [signature_text(lost) for lost in self._node.fork(command.depth, keep)]}

    def _fault(self, fault: Fault) -> None:
        self._node.faults.arm(fault)

    def _clear(self, _: Empty) -> None:
        self._node.faults.clear()

    def _snapshot(self, command: Snapshot) -> None:
        self._node.history.snapshot(Path(command.path))

    def _restore(self, command: Snapshot) -> None:
        self._node.restore(Path(command.path))


def _is_local(scope: Any) -> bool:
    """Return whether the client is a program on this machine, not a web page in its browser."""
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
