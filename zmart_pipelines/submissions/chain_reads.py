"""What the chain says of many jobs at once, as the machine's events.

A node that does not answer yields :class:`~messages.Unreachable` for the jobs asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
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


def read_accounts(rpc: RpcClient, program: Pubkey, jobs: Sequence[DrivenIntent]) -> Observations:
    """What each job's market account says at finalized."""

    def read(part: Sequence[DrivenIntent]) -> Observations:
        found = read_markets(rpc, program, [job.intent.market_id for job in part])
        return [(job, _account(job, found[job.intent.market_id])) for job in part]

    return _each(jobs, MAX_ACCOUNTS, read)


def read_statuses(rpc: RpcClient, jobs: Sequence[DrivenIntent], *, history: bool) -> Observations:
    """What a node knows of each job's signature."""

    def read(part: Sequence[DrivenIntent]) -> Observations:
        signatures = [job.live.signature for job in part]
        answer = rpc.signature_statuses(signatures, search_history=history)
        return [
            (job, _status(answer.slot, status))
            for job, status in zip(part, answer.value, strict=True)
        ]

    return _each(jobs, MAX_STATUSES, read)


class _EpochInfo(msgspec.Struct, rename="camel"):
    absolute_slot: int
    block_height: int


def read_heights(rpc: RpcClient, jobs: Sequence[DrivenIntent]) -> Observations:
    """The finalized block height and its slot, of one answer: behind one address there may be
    nodes that differ, and two answers would not belong together.
    """

    def read(part: Sequence[DrivenIntent]) -> Observations:
        info = rpc.read("getEpochInfo", [{"commitment": "finalized"}], _EpochInfo)
        event = messages.HeightSeen(slot=info.absolute_slot, height=info.block_height)
        return [(job, event) for job in part]

    return _each(jobs, len(jobs) or 1, read)


def _each(
    jobs: Sequence[DrivenIntent], size: int, read: Callable[[Sequence[DrivenIntent]], Observations]
) -> Observations:
    seen: Observations = []
    for part in _parts(jobs, size):
        try:
            seen += read(part)
        except NODE_ERRORS as error:
            seen += [(job, messages.Unreachable(str(error))) for job in part]
    return seen


def _parts(jobs: Sequence[DrivenIntent], size: int) -> Iterator[Sequence[DrivenIntent]]:
    for start in range(0, len(jobs), size):
        yield jobs[start : start + size]


def _account(job: DrivenIntent, market: MarketRead) -> messages.Event:
    if market.fault is not None:
        return messages.Unreachable(f"the market's account cannot be read: {market.fault}")
    verdict, reason = account_verdict(job.intent.action, job.intent.arguments, market.account)
    return messages.AccountSeen(slot=market.slot, verdict=verdict, reason=reason)


def _status(slot: int, status: Status | None) -> messages.StatusSeen:
    # A block that is only processed may be dropped by the very node that shows it.
    if status is None or status.commitment == "processed":
        return messages.StatusSeen(slot=slot)
    return messages.StatusSeen(
        slot=slot,
        landed_slot=status.slot,
        finalized=status.commitment == "finalized",
        error=None if status.error is None else describe(status.error),
    )
