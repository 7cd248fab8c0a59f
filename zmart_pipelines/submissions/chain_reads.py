"""Reads of the chain for many intents at once, as events of the machine.

A node that does not answer gives :class:`~messages.Unreachable` for the intents of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from solders.pubkey import Pubkey

from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import MAX_ACCOUNTS, MAX_STATUSES, RpcClient
from zmart_pipelines.chain.rpc_types import Status
from zmart_pipelines.program.errors import describe
from zmart_pipelines.submissions import messages
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.market_reads import MarketRead, read_markets
from zmart_pipelines.submissions.verdicts import account_verdict

Observations = list[tuple[DrivenIntent, messages.Event]]

NODE_ERRORS = (RpcError, RpcUnavailable)


def read_accounts(rpc: RpcClient, program: Pubkey, intents: Sequence[DrivenIntent]) -> Observations:
    """Read the market account of each intent at finalized."""

    def read(part: Sequence[DrivenIntent]) -> Observations:
        markets = read_markets(rpc, program, [driven.intent.market_id for driven in part])
        return [(driven, _account(driven, markets[driven.intent.market_id])) for driven in part]

    return _each(intents, MAX_ACCOUNTS, read)


def read_statuses(
    rpc: RpcClient, intents: Sequence[DrivenIntent], *, history: bool
) -> Observations:
    """Read the status of each intent's live signature."""

    def read(part: Sequence[DrivenIntent]) -> Observations:
        signatures = [driven.live.signature for driven in part]
        answer = rpc.signature_statuses(signatures, search_history=history)
        return [
            (driven, _status(answer.slot, status))
            for driven, status in zip(part, answer.value, strict=True)
        ]

    return _each(intents, MAX_STATUSES, read)


def read_heights(rpc: RpcClient, intents: Sequence[DrivenIntent]) -> Observations:
    """Read the finalized block height and its slot, both from one answer."""

    def read(part: Sequence[DrivenIntent]) -> Observations:
        finalized = next(rpc.heights("finalized"))
        event = messages.HeightSeen(slot=finalized.slot, height=finalized.height)
        return [(driven, event) for driven in part]

    return _each(intents, len(intents) or 1, read)


def _each(
    intents: Sequence[DrivenIntent],
    size: int,
    read: Callable[[Sequence[DrivenIntent]], Observations],
) -> Observations:
    events: Observations = []
    for part in _parts(intents, size):
        try:
            events += read(part)
        except NODE_ERRORS as error:
            events += [(driven, messages.Unreachable(str(error))) for driven in part]
    return events


def _parts(intents: Sequence[DrivenIntent], size: int) -> Iterator[Sequence[DrivenIntent]]:
    for start in range(0, len(intents), size):
        yield intents[start : start + size]


def _account(driven: DrivenIntent, market: MarketRead) -> messages.Event:
    if market.fault is not None:
        return messages.Unreachable(f"the market's account cannot be read: {market.fault}")
    verdict, reason = account_verdict(driven.intent.action, driven.intent.arguments, market.account)
    return messages.AccountSeen(slot=market.slot, verdict=verdict, reason=reason)


def _status(slot: int, status: Status | None) -> messages.StatusSeen:
    # A block that is only processed may be dropped, also by the node that reports it.
    if status is None or status.commitment == "processed":
        return messages.StatusSeen(slot=slot)
    return messages.StatusSeen(
        slot=slot,
        landed_slot=status.slot,
        finalized=status.commitment == "finalized",
        error=None if status.error is None else describe(status.error),
    )
