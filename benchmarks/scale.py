"""A large ledger: the cost of one more event, and the time of a rebuild."""

from __future__ import annotations

import base64
import copy as copying
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from statistics import median
from typing import Any, Final, NamedTuple

import psycopg
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, text

from benchmarks import large_ledger
from benchmarks.database import Clock, backend_of, databases, writer
from benchmarks.history import History
from benchmarks.intake import ingest_body
from benchmarks.rows import Row, cpu_seconds
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.model import fold
from zmart_pipelines.ledger.model.config_timeline import Timeline
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM

GOAL_GROWTH: Final = 1.5
GOAL_SECONDS: Final = 90.0
SMALL: Final = 10_000
_WARM_UP: Final = 20
_EVENT: Final = "Program data: "


class Ledgers(NamedTuple):
    """Two ledgers of one history: the original, and many copies of it."""

    small: str
    large: str
    large_superuser: str
    history: Iterator[dict[str, Any]]
    span: int  # slots of one copy
    copies: int


@contextmanager
def _ledgers(quick: bool) -> Iterator[Ledgers]:
    copies = 10 if quick else 100
    history = History()
    bodies = list(history.bodies(SMALL))
    with ExitStack() as stack:
        made = stack.enter_context(databases(durable=False))
        urls = [stack.enter_context(made.fresh()) for _ in range(2)]
        for url, times in zip(urls, (1, copies), strict=True):
            with writer(url) as engine:
                for body in bodies:
                    ingest_body(engine, body)
            with psycopg.connect(made.superuser(url)) as connection:
                large_ledger.finalize_all(connection)
                if times > 1:
                    large_ledger.multiply(connection, times, history.slots)
                large_ledger.vacuum(connection)
        small, large = urls
        yield Ledgers(
            small, large, made.superuser(large), history.elements(), history.slots, copies
        )


def _one_event(ledgers: Ledgers, count: int) -> Row:
    dice = random.Random(1)
    places: dict[str, int] = {}
    spent: dict[str, list[float]] = {"small": [], "large": []}
    cpu = dict.fromkeys(spent, 0.0)
    with writer(ledgers.small) as small, writer(ledgers.large) as large:
        engines = {"small": small, "large": large}
        backends = {side: backend_of(engine) for side, engine in engines.items()}
        known = _addresses(small)
        for number in range(count + _WARM_UP):
            element = next(ledgers.history)
            element["slot"] += ledgers.copies * ledgers.span
            market = next((key for key in _keys(element) if key in known), "")
            copy = places.setdefault(market, dice.randrange(ledgers.copies))
            bodies = {
                "small": json.dumps(element).encode(),
                "large": json.dumps(_moved(element, known.get(market), copy)).encode(),
            }
            for side, body in bodies.items():
                clock = Clock(backends[side])
                if ingest_body(engines[side], body) != 1:
                    raise AssertionError("it must be new")
                took = clock.read()
                if number >= _WARM_UP:
                    spent[side].append(took.wall)
                    cpu[side] += took.cpu
        sizes = {side: _size(engine) for side, engine in engines.items()}
    ours, theirs = (median(spent[side]) * 1000 for side in ("large", "small"))
    value = round(ours / theirs, 2)
    rival = (
        f"{theirs:.2f} ms at {sizes['small']}, {ours:.2f} ms at {sizes['large']} "
        f"(medians of {count} single webhooks, in turns; processor time "
        f"{cpu['large'] / cpu['small']:.2f} times)"
    )
    return Row("one_event_cost", value, "times the cost", GOAL_GROWTH, rival, value <= GOAL_GROWTH)


def _addresses(engine: Engine) -> dict[str, bytes]:
    """Return the ids of the copies' markets, by address in base58."""
    with engine.connect() as conn:
        found = conn.execute(text("SELECT address, market_id FROM market.markets"))
        return {str(Pubkey(address)): market_id for address, market_id in found}


def _size(engine: Engine) -> str:
    query = "SELECT count(*), (SELECT count(*) FROM market.markets) FROM chain.events"
    with engine.connect() as conn:
        events, markets = conn.execute(text(query)).one()
    return f"{events:,} events of {markets:,} markets"


def _keys(element: dict[str, Any]) -> list[str]:
    keys: list[str] = element["transaction"]["message"]["accountKeys"]
    return keys


def _moved(element: dict[str, Any], market_id: bytes | None, copy: int) -> dict[str, Any]:
    """Return the same transaction for the copy of the market."""
    if market_id is None or copy == 0:
        return element
    moved: dict[str, Any] = copying.deepcopy(element)
    name = large_ledger.market_id_in_copy(market_id, copy)
    old, new = (market_address_bytes(PROGRAM, one) for one in (market_id, name))
    keys = _keys(moved)
    keys[keys.index(str(Pubkey(old)))] = str(Pubkey(new))
    logs = moved["meta"]["logMessages"]
    for number, line in enumerate(logs):
        if line.startswith(_EVENT):
            raw = base64.b64decode(line.removeprefix(_EVENT))
            raw = raw.replace(market_id, name).replace(old, new)
            logs[number] = _EVENT + base64.b64encode(raw).decode()
    return moved


def _rebuild(ledgers: Ledgers) -> Row:
    with psycopg.connect(ledgers.large_superuser, autocommit=True) as connection:
        connection.execute("TRUNCATE market.markets CASCADE")
    with writer(ledgers.large) as engine:
        clock = Clock(backend_of(engine))
        report = rebuild.rebuild_projection(engine, PROGRAM)
        spent = clock.read()
        if len(report.changed) != report.markets:
            raise AssertionError("every market must be folded again")
        with engine.connect() as conn:
            bare = _bare_fold(conn, sorted(report.hashes)[: 2 * rebuild.CHUNK_SIZE])
    each = spent.wall / report.events
    # Scaled to a million events.
    seconds = each * 1_000_000
    rival = (
        f"{report.events:,} events of {report.markets:,} markets in {spent.wall:.1f} s "
        f"({spent.cpu:.1f} s of processor time, Postgres included), "
        f"{1 / each:,.0f} events/s, {each / bare:.1f} times what the bare fold in memory takes "
        f"({1 / bare:,.0f} events/s)"
    )
    return Row(
        "rebuild",
        round(seconds, 1),
        "s for 1,000,000 events",
        GOAL_SECONDS,
        rival,
        seconds <= GOAL_SECONDS,
    )


def _bare_fold(conn: Connection, market_ids: list[bytes]) -> float:
    """Return the processor seconds of folding one event that is decoded and in memory."""
    history = Timeline(market_rows.load_configuration_changes(conn))
    stored = market_rows.load_market_events(conn, market_ids, PROGRAM).values()
    events = [[one.placed for one in market] for market in stored]

    def work() -> None:
        for market in events:
            fold.fold(market, history)

    return cpu_seconds(work, 5) / sum(map(len, events))


@cache
def _measured(quick: bool) -> tuple[Row, Row]:
    # Both use the same ledgers, which take the longest to create.
    with _ledgers(quick) as ledgers:
        return _one_event(ledgers, 100 if quick else 500), _rebuild(ledgers)


def one_event_cost(quick: bool) -> Row:
    """Measure a webhook with one event in the large ledger against the small one."""
    return _measured(quick)[0]


def rebuilding(quick: bool) -> Row:
    """Measure the rebuild of the whole projection of the large ledger."""
    return _measured(quick)[1]
