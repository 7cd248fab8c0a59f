"""The thin edge around the machine: reads, signs, sends and writes what it says."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Engine

from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions.states import ACTIONS, Action, IntentStatus

if TYPE_CHECKING:
    from zmart_pipelines.chain.reader import ChainReader
    from zmart_pipelines.chain.rpc import RpcClient
    from zmart_pipelines.submissions.signers import Signers

ACTIONS: tuple[Action, ...] = (
    "aggregate_proposal_votes",
    "approve_proposal",
    "finalize_market",
    "resolve_market",
)


class Outcome(msgspec.Struct, frozen=True):
    """What became of one intent in this run. ``fee`` in lamports, of all its attempts."""

    intent_id: int
    market_id: bytes
    action: Action
    round: int
    status: IntentStatus
    reason: str | None
    signatures: tuple[str, ...]
    slot: int | None
    fee: int | None
    compute_units: int | None
    bundle_cid: str | None


class DriveReport(msgspec.Struct, frozen=True):
    """One run of the submitter. ``refused`` says why nothing was driven at all: the lease is
    another's, or our key is not the authority that the chain names.
    """

    outcomes: tuple[Outcome, ...]
    epoch: int | None
    seconds: float
    refused: str | None = None

    def by_status(self, status: IntentStatus) -> tuple[Outcome, ...]:
        """The outcomes that ended in this status."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)


def drive(
    engine: Engine,
    rpc: RpcClient,
    reader: ChainReader,
    signers: Signers,
    settings: Settings,
    *,
    actions: Collection[Action] = ACTIONS,
    run_id: str | None = None,
    seconds: float | None = None,
) -> DriveReport:
    """Drives every open intent of ``actions`` to a verdict, all markets at once.

    Live attempts of an earlier run are driven first, whatever their action. Returns when
    nothing is left to do or after ``seconds`` (default: ``submission_run_seconds``); what is
    still open then is resumed by the next call. Rejections by the program and an unreachable
    node are outcomes, not exceptions.
    """
    raise NotImplementedError
