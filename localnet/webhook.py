"""Webhooks as Helius posts them: raw transactions of our program, at confirmed.

The body is an array of transactions, including failed ones; the Authorization header carries
the configured value. A failed delivery is retried three times, a second apart, then dropped; a
403 is not retried. https://www.helius.dev/docs/webhooks
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Any, Final

import httpx
import msgspec

from localnet.blocks import Block, Commitment, Record
from localnet.faults import WEBHOOK, Fault, FaultKind
from localnet.node import Listener, Node
from localnet.rpc.encoding import signature_text, transaction
from localnet.wire_transaction import WireTransaction

log = logging.getLogger("localnet.webhook")

RETRIES: Final = 3
PAUSE: Final = 1.0
TIMEOUT: Final = 5.0
MAX_PENDING: Final = 256
_AFTER: Final = 0.5
_WRONG_SECRET: Final = "not the configured value"  # noqa: S105
_encode = msgspec.json.Encoder().encode


def payload(record: Record, block: Block, index: int) -> dict[str, Any]:
    """Return a transaction in the form of a raw webhook."""
    meta: dict[str, Any] = msgspec.json.decode(record.meta)
    for name in ("status", "computeUnitsConsumed", "returnData"):
        meta.pop(name, None)
    shown = transaction(record.wire, "json")
    message = shown["message"]
    message.setdefault("addressTableLookups", None)
    for instruction in message["instructions"]:
        del instruction["stackHeight"]
    version = WireTransaction(record.wire).version
    return {
        "blockTime": block.unix_time,
        "indexWithinBlock": index,
        "meta": meta,
        "slot": block.slot,
        "transaction": {"message": message, "signatures": shown["signatures"]},
        "version": "legacy" if version is None else version,
    }


def forged(row: dict[str, Any]) -> dict[str, Any]:
    """Return the transaction under an invented signature."""
    signed = row["transaction"]
    invented = [
        signature_text(hashlib.sha512(text.encode()).digest()) for text in signed["signatures"]
    ]
    return {**row, "transaction": {**signed, "signatures": invented}}


class Webhooks(Listener):
    """Posts each confirmed block's transactions of the program to one URL."""

    def __init__(self, node: Node, url: str, secret: str | None) -> None:
        self._program = bytes(node.options.program_id)
        self._url = url
        self._secret = secret
        self._faults = node.faults
        self._held: list[dict[str, Any]] | None = None
        self._client = httpx.AsyncClient(
            headers={"content-type": "application/json"}, timeout=TIMEOUT, trust_env=False
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self.delivered = 0
        self.dropped = 0

    def block(self, block: Block, level: Commitment) -> None:
        """Post the program's transactions of a newly confirmed block."""
        if level is not Commitment.CONFIRMED:
            return
        found = [
            payload(record, block, index)
            for index, record in enumerate(block.records)
            if self._program in record.keys
        ]
        if not found:
            return
        fault = self._faults.consume(WEBHOOK) if self._faults.armed else None
        if fault is None:
            self._post(found)
        else:
            self._post_faulty(fault, found)
        if self._held is not None and (
            fault is None or fault.kind is not FaultKind.WEBHOOK_REORDER
        ):
            held, self._held = self._held, None
            self._post(held, pause=_AFTER)

    def _post(
        self, found: list[dict[str, Any]], *, pause: float = 0.0, secret: str | None = None
    ) -> None:
        if len(self._tasks) >= MAX_PENDING:
            self.dropped += 1
            return
        deliver = self._deliver(_encode(found), pause, secret or self._secret)
        task = asyncio.get_running_loop().create_task(deliver)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _post_faulty(self, fault: Fault, found: list[dict[str, Any]]) -> None:
        match fault.kind:
            case FaultKind.WEBHOOK_DUPLICATE:
                self._post(found)
                self._post(found)
            case FaultKind.WEBHOOK_DELAY:
                self._post(found, pause=fault.seconds)
            case FaultKind.WEBHOOK_REORDER:
                self._held = (self._held or []) + found
            case FaultKind.WEBHOOK_SPLIT:
                for position, row in enumerate(reversed(found)):
                    self._post([row], pause=position * _AFTER)
            case FaultKind.WEBHOOK_FORGE:
                self._post(
                    [forged(row) for row in found],
                    secret=None if fault.authorized else _WRONG_SECRET,
                )
                self._post(found, pause=_AFTER)

    async def close(self) -> None:
        """Cancel deliveries in progress."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    async def _deliver(self, body: bytes, pause: float, secret: str | None) -> None:
        reason = ""
        headers = {} if secret is None else {"authorization": secret}
        await asyncio.sleep(pause)
        for attempt in range(1 + RETRIES):
            if attempt:
                await asyncio.sleep(PAUSE)
            try:
                response = await self._client.post(self._url, content=body, headers=headers)
            except httpx.HTTPError as error:
                reason = type(error).__name__
                continue
            if response.is_success:
                self.delivered += 1
                return
            reason = f"HTTP status {response.status_code}"
            if response.status_code == httpx.codes.FORBIDDEN:
                break
        self.dropped += 1
        log.warning("webhook delivery dropped: %s", reason)
