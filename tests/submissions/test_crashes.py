"""Crashes between intent and final, on the real chain: one effect, and nobody touches it.

The submitter dies before a step; then what it sent stays, is forked away, or is forked away
and expires. A new submitter takes over. ``aggregate_proposal_votes`` is the action: the chain
itself would take it twice.
"""

import pytest
from sqlalchemy import select, text

from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.tables.ops import attempts, intents
from zmart_pipelines.submissions.job import Job
from zmart_pipelines.submissions.shell import DriveReport, Observer

# The steps in order; from "send" on, bytes may be out.
WINDOWS = (
    "simulate",
    "sign",
    "commit",
    "committed",
    "send",
    "sent",
    "MarkSent",
    "MarkLanded",
    "Settle",
)


class Crash(BaseException):
    """Not an Exception: nothing may catch it on its way out, like a SIGKILL."""


def crash_before(step: str) -> Observer:
    def observe(name: str, job: Job) -> None:
        if name == step and job.intent.action == "aggregate_proposal_votes":
            raise Crash(step)

    return observe


def take_over(world: World) -> DriveReport:
    """A new submitter, after the dead one's lease has run out."""
    assert world.drive().refused == "another submitter holds the lease"
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE ops.leases SET expires_at = clock_timestamp()"))
    return world.drive()


def proposed(world: World, numbers: range) -> list[bytes]:
    creator = wallet(1)
    world.fund(creator)
    markets = [world.propose(number, creator) for number in numbers]
    world.sync()
    return markets


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fate", ["lands", "is forked away", "is forked away and expires"])
def test_crash_at_every_window(world: World, fate: str) -> None:
    # What is finalized cannot be forked away, so the last window has one fate only.
    windows = WINDOWS if fate == "lands" else WINDOWS[:-1]
    markets = proposed(world, range(1, len(windows) + 1))
    for window, market in zip(windows, markets, strict=True):
        world.vote(market, [True] * 10)
        world.plan()
        if fate != "lands":
            world.chain.control.command("hold-finality")
        with pytest.raises(Crash, match=window):
            world.drive(observer=crash_before(window))
        if fate != "lands":
            status = world.chain.control.status()
            depth = status["processed"]["slot"] - status["finalized"]["slot"] - 1
            world.chain.control.fork(max(depth, 0), [])
            world.chain.control.command("release-finality")
        if fate == "is forked away and expires":
            world.chain.control.advance(slots=170)
        report = take_over(world)
        assert {one.status for one in report.outcomes} == {"final"}, (window, report)
        assert world.market(market).state == MarketState.APPROVED, window
        assert world.effects(market, "ProposalAggregated") == 1, window
        assert world.effects(market, "ProposalApproved") == 1, window
        with world.engine.connect() as conn:
            tried = conn.execute(
                select(attempts.c.status)
                .join(intents, intents.c.id == attempts.c.intent_id)
                .where(
                    attempts.c.market_id == market,
                    intents.c.action == "aggregate_proposal_votes",
                )
                .order_by(attempts.c.id)
            ).scalars()
            *dead, last = tried
            assert last == "final", window
            # A fork may take the very blockhash that the attempt was signed with.
            signed = WINDOWS.index(window) > WINDOWS.index("commit")
            most = 1 if signed and fate != "lands" else 0
            least = 1 if signed and fate == "is forked away and expires" else 0
            assert least <= len(dead) <= most, window
            assert set(dead) <= {"dead"}, window
            assert not conn.execute(
                select(intents.c.id).where(intents.c.status.in_(["planned", "live"]))
            ).all()
