"""What the chain says of many jobs at once, as the machine's events.

A node that does not answer yields :class:`~machine.Unreachable` for the jobs asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import MAX_ACCOUNTS, MAX_STATUSES, RpcClient
from zmart_pipelines.chain.rpc_types import Status
from zmart_pipelines.program.errors import describe
from zmart_pipelines.submissions import machine
from zmart_pipelines.submissions.job import Job
from zmart_pipelines.submissions.market_reads import MarketSeen, read_markets
from zmart_pipelines.submissions.verdicts import judge

Seen = list[tuple[Job, machine.Event]]

NODE_ERRORS = (RpcError, RpcUnavailable)


def accounts(rpc: RpcClient, program: Pubkey, jobs: Sequence[Job]) -> Seen:
    """What each job's market account says at finalized."""

    def read(part: Sequence[Job]) -> Seen:
        found = read_markets(rpc, program, [job.intent.market_id for job in part])
        return [(job, _account(job, found[job.intent.market_id])) for job in part]

    return _each(jobs, MAX_ACCOUNTS, read)


def statuses(rpc: RpcClient, jobs: Sequence[Job], *, history: bool) -> Seen:
    """What a node knows of each job's signature."""

    def read(part: Sequence[Job]) -> Seen:
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


def heights(rpc: RpcClient, jobs: Sequence[Job]) -> Seen:
    """The finalized block height and its slot, of one answer: behind one address there may be
    nodes that differ, and two answers would not belong together.
    """

    def read(part: Sequence[Job]) -> Seen:
        info = rpc.read("getEpochInfo", [{"commitment": "finalized"}], _EpochInfo)
        event = machine.HeightSeen(slot=info.absolute_slot, height=info.block_height)
        return [(job, event) for job in part]

    return _each(jobs, len(jobs) or 1, read)


def _each(jobs: Sequence[Job], size: int, read: Callable[[Sequence[Job]], Seen]) -> Seen:
    seen: Seen = []
    for part in _parts(jobs, size):
        try:
            seen += read(part)
        except NODE_ERRORS as error:
            seen += [(job, machine.Unreachable(str(error))) for job in part]
    return seen


def _parts(jobs: Sequence[Job], size: int) -> Iterator[Sequence[Job]]:
    for start in range(0, len(jobs), size):
        yield jobs[start : start + size]


def _account(job: Job, market: MarketSeen) -> machine.Event:
    if market.fault is not None:
        return machine.Unreachable(f"the market's account cannot be read: {market.fault}")
    verdict, reason = judge(job.intent.action, job.intent.arguments, market.account)
    return machine.AccountSeen(slot=market.slot, verdict=verdict, reason=reason)


def _status(slot: int, status: Status | None) -> machine.StatusSeen:
    # A block that is only processed may be dropped by the very node that shows it.
    if status is None or status.commitment == "processed":
        return machine.StatusSeen(slot=slot)
    return machine.StatusSeen(
        slot=slot,
        landed_slot=status.slot,
        finalized=status.commitment == "finalized",
        error=None if status.error is None else describe(status.error),
    )
