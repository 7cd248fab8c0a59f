"""Webhooks as Helius posts them: raw transactions of our program, at confirmed.

The body is an array of transactions, failed ones too; ``Authorization`` carries the
configured value. A delivery is tried once and three times more, a second apart, then
dropped; a 403 is not tried again. https://www.helius.dev/docs/webhooks
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import httpx
import msgspec

from localnet.blocks import Block, Commitment, Record
from localnet.node import Listener, Node
from localnet.rpc.encoding import transaction
from localnet.wire import WireTransaction

log = logging.getLogger("localnet.webhook")

RETRIES: Final = 3
PAUSE: Final = 1.0
TIMEOUT: Final = 5.0
MAX_PENDING: Final = 256
_encode = msgspec.json.Encoder().encode


def payload(record: Record, block: Block, index: int) -> dict[str, Any]:
    """A transaction in the form of a raw webhook."""
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


class Webhooks(Listener):
    """Posts each confirmed block's transactions of the program to one address."""

    def __init__(self, node: Node, url: str, secret: str | None) -> None:
        self._program = bytes(node.options.program_id)
        self._url = url
        headers = {"content-type": "application/json"}
        if secret is not None:
            headers["authorization"] = secret
        self._client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT, trust_env=False)
        self._tasks: set[asyncio.Task[None]] = set()
        self.delivered = 0
        self.dropped = 0

    def block(self, block: Block, level: Commitment) -> None:
        """Post what a newly confirmed block holds of the program."""
        if level is not Commitment.CONFIRMED:
            return
        found = [
            payload(record, block, index)
            for index, record in enumerate(block.records)
            if self._program in record.keys
        ]
        if not found:
            return
        if len(self._tasks) >= MAX_PENDING:
            self.dropped += 1
            return
        task = asyncio.get_running_loop().create_task(self._deliver(_encode(found)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    async def _deliver(self, body: bytes) -> None:
        reason = ""
        for attempt in range(1 + RETRIES):
            if attempt:
                await asyncio.sleep(PAUSE)
            try:
                answer = await self._client.post(self._url, content=body)
            except httpx.HTTPError as error:
                reason = type(error).__name__
                continue
            if answer.is_success:
                self.delivered += 1
                return
            reason = f"status {answer.status_code}"
            if answer.status_code == httpx.codes.FORBIDDEN:
                break
        self.dropped += 1
        log.warning("webhook dropped: %s", reason)
