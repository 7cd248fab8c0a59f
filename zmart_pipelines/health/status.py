"""The report of ``zmart status``: services, ledger progress, open work, last error."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from zmart_pipelines.chain.connect import connect
from zmart_pipelines.health.chain_tips import ChainTips, read_tips_or_fault
from zmart_pipelines.health.measure import ServiceHealth, health
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import MissingLogin, Role, engine
from zmart_pipelines.store.queries.health import LedgerLag, ledger_lag
from zmart_pipelines.store.queries.markets import counts_by_state
from zmart_pipelines.store.queries.submissions import Intent, open_intents
from zmart_pipelines.store.tables.ops import alerts, heartbeats


class LastError(msgspec.Struct, frozen=True):
    """The most recent error that a service recorded."""

    service: str
    text: str
    at: datetime


class OpenAlert(msgspec.Struct, frozen=True):
    """A condition that has not been cleared."""

    topic: str
    market_id: bytes | None
    subject: str | None
    severity: str
    message: str
    raised_at: datetime


class DatabaseStatus(msgspec.Struct, frozen=True):
    """The status read from the tables. ``markets`` counts by state name."""

    ledger: LedgerLag
    markets: dict[str, int]
    open_intents: list[Intent]
    services: dict[str, ServiceHealth]
    alerts: list[OpenAlert]
    last_error: LastError | None


class Status(msgspec.Struct, frozen=True):
    """The system as seen from outside its processes.

    Attributes:
        chain_slot: The confirmed slot of the cluster; ``None`` when it does not answer.
        lag_slots: Slots from the newest slot the ledger has read to it.
        finalized_lag_slots: Slots from the end of the finalized window to the finalized slot.
        problems: What could not be read, and why.
    """

    database: DatabaseStatus | None
    chain_slot: int | None
    lag_slots: int | None
    finalized_lag_slots: int | None
    problems: list[str]


def read_status(settings: Settings) -> Status:
    """Read the status from database and chain; a failure of either is reported, not raised."""
    problems: list[str] = []
    with connect(settings, timeout=3.0) as rpc:
        tips, fault = read_tips_or_fault(rpc)
    database: DatabaseStatus | None = None
    try:
        database = _connect_and_read(settings, tips)
    except MissingLogin as error:
        problems.append(f"Postgres: {error}")
    except (OperationalError, ProgrammingError) as error:
        reason = str(error.orig or error).strip().splitlines()[0]
        problems.append(f"Postgres: {reason}")
    if fault is not None:
        problems.append(f"chain: {fault}")
    if tips is None:
        return Status(database, None, None, None, problems)
    ledger = None if database is None else database.ledger
    finalized = None if ledger is None else ledger.finalized_slot
    return Status(
        database=database,
        chain_slot=tips.confirmed,
        lag_slots=_behind(tips.confirmed, _newest_slot(ledger)),
        finalized_lag_slots=_behind(tips.finalized, finalized),
        problems=problems,
    )


def _behind(tip: int, read: int | None) -> int | None:
    return None if read is None else max(0, tip - read)


def _newest_slot(ledger: LedgerLag | None) -> int | None:
    """Return the newest slot that the ledger has read."""
    if ledger is None:
        return None
    slots = (ledger.confirmed_slot, ledger.finalized_slot)
    return max((slot for slot in slots if slot is not None), default=None)


def _connect_and_read(settings: Settings, tips: ChainTips | None) -> DatabaseStatus:
    pool = engine(Role.READ, settings, pool_size=1)
    try:
        with pool.connect() as conn:
            return _read_database(conn, settings, tips)
    finally:
        pool.dispose()


def _read_database(conn: Connection, settings: Settings, tips: ChainTips | None) -> DatabaseStatus:
    counts = dict.fromkeys((state.name for state in MarketState), 0)
    for state, count in counts_by_state(conn).items():
        counts[MarketState(state).name] = count
    return DatabaseStatus(
        ledger=ledger_lag(conn),
        markets=counts,
        open_intents=open_intents(conn),
        services=health(conn, settings, tips=tips),
        alerts=_open_alerts(conn),
        last_error=_last_error(conn),
    )


def _open_alerts(conn: Connection) -> list[OpenAlert]:
    statement = (
        select(alerts).where(alerts.c.cleared_at.is_(None)).order_by(alerts.c.raised_at).limit(100)
    )
    return [
        OpenAlert(
            topic=row.topic,
            market_id=row.market_id,
            subject=row.subject,
            severity=row.severity,
            message=row.message,
            raised_at=row.raised_at.astimezone(UTC),
        )
        for row in conn.execute(statement)
    ]


def _last_error(conn: Connection) -> LastError | None:
    statement = (
        select(heartbeats.c.service, heartbeats.c.last_error, heartbeats.c.last_error_at)
        .where(heartbeats.c.last_error_at.isnot(None))
        .order_by(heartbeats.c.last_error_at.desc())
        .limit(1)
    )
    row = conn.execute(statement).one_or_none()
    return None if row is None else LastError(row[0], row[1], row[2].astimezone(UTC))
