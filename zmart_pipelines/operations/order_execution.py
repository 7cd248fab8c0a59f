"""Carry out orders, each once.

A run accepts the order, does what its kind says and ends it. Acts on the database commit together
with the end of the order, which is locked: however many runs there are, one of them does it. The
others (a resolution, a backfill, a delivery, a decoding) can be repeated without further effect, so
that a run may take over where another was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.ledger.readers.backfill import backfill_client
from zmart_pipelines.operations import ledger_acts, operator_acts, order_parameters
from zmart_pipelines.operations.operator_acts import ActRefused
from zmart_pipelines.operations.order_parameters import ParametersRefused
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.audit import Operator
from zmart_pipelines.store.queries import orders
from zmart_pipelines.store.queries.orders import OrderRow
from zmart_pipelines.submissions.market_reads import NoSuchMarket, read_market_by_name
from zmart_pipelines.submissions.resolutions import (
    Resolution,
    ResolutionRefused,
    request_resolution,
)

# Runs that may accept an order and end without a result, before it is given up.
MOST_ATTEMPTS: Final = 5
MAX_RESULT: Final = 2_000


class Means(msgspec.Struct, frozen=True):
    """What acts need from outside.

    Attributes:
        pipelines: Connections of the pipelines' role.
        ingest: Connections of the ingesting role.
        reader: Makes the reader of the chain's accounts.
        settings: Keys, endpoints and rules.
    """

    pipelines: Engine
    ingest: Engine
    reader: Callable[[], AccountReader]
    settings: Settings


class Ended(msgspec.Struct, frozen=True):
    """How an order has ended, or that it had."""

    status: orders.Status
    result: str


def carry_out(means: Means, order_id: int, run_id: str) -> Ended:
    """Carry out an order and return how it has ended; at once if it has already.

    Raises:
        LookupError: There is no such order.
        Exception: What the act raises other than a refusal: the order stays accepted, and another
            run takes it over.
    """
    with means.pipelines.begin() as conn:
        order = orders.accept(conn, order_id, run_id)
    if order is None:
        return _ended(means, order_id)
    by = Operator(order.requester, "dagster", {"order": order.id, "run_id": run_id})
    try:
        parameters = order_parameters.parse(order.kind, order.parameters)
        _act(parameters, means, order, by)
    except (ActRefused, ParametersRefused, ResolutionRefused, NoSuchMarket) as refusal:
        _fail(means, order, by, str(refusal))
    return _ended(means, order_id)


def give_up(means: Means, order: OrderRow) -> None:
    """End an order whose runs have all ended without a result."""
    by = Operator(order.requester, "dagster", {"order": order.id, "run_id": order.run_id})
    _fail(means, order, by, f"given up after {MOST_ATTEMPTS} runs that ended without a result")


def _ended(means: Means, order_id: int) -> Ended:
    with means.pipelines.connect() as conn:
        order = orders.by_id(conn, order_id)
    if order is None:
        raise LookupError(f"there is no order {order_id}")
    return Ended(order.status, order.result or "")


def _fail(means: Means, order: OrderRow, by: Operator, reason: str) -> None:
    with means.pipelines.begin() as conn:
        if orders.end(conn, order.id, "failed", reason[:MAX_RESULT]):
            facts = {"kind": order.kind, "why": reason}
            by.record(conn, "order_failed", str(order.id), order.reason, facts)


def _commit_act(
    means: Means, order: OrderRow, by: Operator, act: Callable[[Connection], str]
) -> None:
    """Do an act on the database and end its order in one transaction, unless another run has."""
    with means.pipelines.begin() as conn:
        if orders.lock_accepted(conn, order.id, str(by.details["run_id"])):
            orders.end(conn, order.id, "done", act(conn)[:MAX_RESULT])


def _end_done(means: Means, order: OrderRow, result: str) -> None:
    with means.pipelines.begin() as conn:
        orders.end(conn, order.id, "done", result[:MAX_RESULT])


@singledispatch
def _act(parameters: Any, means: Means, order: OrderRow, by: Operator) -> None:
    """Do what the order says, record it, and end the order."""
    raise TypeError(f"orders of kind {order.kind} have no act")


@_act.register
def _switch(
    parameters: order_parameters.Switch, means: Means, order: OrderRow, by: Operator
) -> None:
    action, enabled = parameters.action, parameters.enabled

    def act(conn: Connection) -> str:
        operator_acts.set_switch(conn, by, action, enabled=enabled, reason=order.reason)
        return f"{action} is {'on' if enabled else 'off'}"

    _commit_act(means, order, by, act)


@_act.register
def _breaker_reset(
    parameters: order_parameters.BreakerReset, means: Means, order: OrderRow, by: Operator
) -> None:
    def act(conn: Connection) -> str:
        operator_acts.reset_breaker(conn, by, parameters.name, order.reason)
        return f"{parameters.name} is closed"

    _commit_act(means, order, by, act)


@_act.register
def _retry_submission(
    parameters: order_parameters.RetrySubmission, means: Means, order: OrderRow, by: Operator
) -> None:
    def act(conn: Connection) -> str:
        intent = operator_acts.retry_submission(conn, by, parameters.intent, order.reason)
        return f"intent {intent.id} is {intent.status}"

    _commit_act(means, order, by, act)


@_act.register
def _close_submission(
    parameters: order_parameters.CloseSubmission, means: Means, order: OrderRow, by: Operator
) -> None:
    def act(conn: Connection) -> str:
        intent = operator_acts.close_submission(conn, by, parameters.intent, order.reason)
        return f"intent {intent.id} is closed"

    _commit_act(means, order, by, act)


@_act.register
def _reopen_vote(
    parameters: order_parameters.ReopenVote, means: Means, order: OrderRow, by: Operator
) -> None:
    chain_time = means.reader().rpc.chain_clock("finalized").unix_timestamp

    def act(conn: Connection) -> str:
        number = operator_acts.reopen_vote(
            conn,
            by,
            bytes.fromhex(parameters.market),
            parameters.kind,
            order.reason,
            chain_time=chain_time,
        )
        return f"the {parameters.kind} vote is open in round {number}"

    _commit_act(means, order, by, act)


@_act.register
def _resolve_market(
    parameters: order_parameters.ResolveMarket, means: Means, order: OrderRow, by: Operator
) -> None:
    reader = means.reader()
    market = read_market_by_name(reader.rpc, means.settings.program, parameters.market)
    requested = request_resolution(
        means.pipelines,
        reader,
        means.settings,
        Resolution(
            market_id=market.market_id,
            outcome=parameters.outcome,
            evidence=parameters.evidence,
            before_end=parameters.before_end,
        ),
        by=by,
        reason=order.reason,
    )
    _end_done(
        means,
        order,
        f"intent {requested.intent.id} resolves it, with the evidence {requested.evidence_cid}",
    )


@_act.register
def _backfill(
    parameters: order_parameters.Backfill, means: Means, order: OrderRow, by: Operator
) -> None:
    with backfill_client(means.settings) as rpc:
        report = ledger_acts.read_range(
            means.ingest,
            by,
            rpc,
            means.settings,
            (parameters.first_slot, parameters.last_slot),
            order.reason,
        )
    if not report.complete:
        raise ActRefused(f"not complete: {report.missing}")
    _end_done(
        means,
        order,
        f"{report.covered_before} slots were covered, {report.covered_now} are now;"
        f" {report.result.new_events} new events",
    )


@_act.register
def _redeliver(
    parameters: order_parameters.Redeliver, means: Means, order: OrderRow, by: Operator
) -> None:
    done = ledger_acts.redeliver(
        means.ingest, by, parameters.delivery, order.reason, program=means.settings.program
    )
    if not done.complete:
        raise ActRefused(f"delivery {parameters.delivery} could not be read")
    _end_done(
        means,
        order,
        f"{done.result.new_transactions} new transactions, {done.result.new_events} new events",
    )


@_act.register
def _redecode(
    _parameters: order_parameters.Redecode, means: Means, order: OrderRow, by: Operator
) -> None:
    report = ledger_acts.redecode(means.ingest, by, means.settings.program, order.reason)
    _end_done(
        means, order, f"{report.decoded} of {report.quarantined} quarantined events are decoded"
    )
