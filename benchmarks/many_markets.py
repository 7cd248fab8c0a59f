"""Many markets with realistic questions, for measuring reads.

The same ``count`` gives the same markets, except that times count back from now.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg
from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import MarketState

CREATORS: Final = 500
_STATEMENTS: Final = Path(__file__).with_suffix(".sql")
_SPAN: Final = 300 * 86_400  # seconds over which the markets were created

# Of ten markets: two proposed, one approved, four active, one each of the others.
_STATES: Final = (0, 2, 2, 5, 1, 2, 0, 3, 2, 4)

_SUBJECTS: Final = {
    "politics": ("the coalition", "the senate", "the mayor of Lyon", "parliament", "the governor"),
    "sports": ("Arsenal", "the Lakers", "Serena's pupil", "the national team", "Red Bull Racing"),
    "crypto": ("bitcoin", "Solana", "ether", "a spot ETF", "the stablecoin bill"),
    "science": ("the Mars probe", "a fusion reactor", "the vaccine trial", "the telescope", "CERN"),
    "entertainment": ("the sequel", "the album", "the series", "the festival", "the musical"),
    "other": ("the heatwave", "the ferry line", "the airport", "the reservoir", "the harvest"),
}
_PREDICATES: Final = (
    "reach a new record",
    "win the final vote",
    "be delayed again",
    "fall below last year's figure",
    "be approved by the committee",
    "beat every forecast",
    "announce a new partner",
    "finish ahead of its rival",
)
_MONTHS: Final = ("January", "March", "May", "July", "September", "November")
_TAGS: Final = ("election", "league", "token", "space", "cinema", "weather", "vote", "record", "eu")
# What a rival would maintain in place of counting.
_COUNTER: Final = """
    CREATE SCHEMA rival;
    CREATE TABLE rival.market_count AS SELECT count(*)::int AS total FROM market.markets;
    GRANT USAGE ON SCHEMA rival TO zmart_read;
    GRANT SELECT ON rival.market_count TO zmart_read;
"""
_TABLE: Final = """
    CREATE TEMPORARY TABLE made (n int8, market_id bytea, address bytea, creator bytea, state int,
        created_at bigint, trades int, question text, description text, category text,
        tags text[], address_text text, creator_text text)
"""


def fill(url: str, count: int) -> None:
    """Store ``count`` markets in a fresh database of the superuser's ``url``, and analyze it."""
    now = int(time.time())
    states = {state.name: int(state) for state in MarketState}
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE zmart_owner")
        connection.execute(_TABLE)
        with connection.cursor().copy("COPY made FROM STDIN") as copy:
            for row in _rows(count, now):
                copy.write_row(row)
        connection.execute(_STATEMENTS.read_text().format(now=now, **states).encode())
        connection.execute("RESET ROLE")
        connection.execute(_COUNTER)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def market_ids(url: str, limit: int) -> list[str]:
    """Return the ids of the newest markets in hexadecimal."""
    query = "SELECT encode(market_id, 'hex') FROM market.markets ORDER BY created_at DESC LIMIT %s"
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(query, [limit])]


def _rows(count: int, now: int) -> Iterator[tuple[Any, ...]]:
    dice = Random(count)
    creators = [Pubkey(sha256(b"creator %d" % number).digest()) for number in range(CREATORS)]
    for number in range(count):
        market_id = sha256(b"market %d" % number).digest()
        # The search for a program address takes longer than all else; its place suffices.
        address = Pubkey(sha256(b"address %d" % number).digest())
        creator = dice.choice(creators)
        state = dice.choice(_STATES)
        category = dice.choice(list(_SUBJECTS))
        subject = dice.choice(_SUBJECTS[category])
        question = (
            f"Will {subject} {dice.choice(_PREDICATES)} before {dice.choice(_MONTHS)}"
            f" {dice.randint(2026, 2031)}, round {number}?"
        )
        description = (
            f"Resolves YES if {subject} is reported to {dice.choice(_PREDICATES)} by two"
            f" independent sources. Filed under number {dice.randint(0, 10 * count)}; disputes are"
            " decided by the holders' vote after the period that the program sets."
        )
        yield (
            number,
            market_id,
            bytes(address),
            bytes(creator),
            state,
            now - 3600 - _SPAN * (count - number) // count,
            number % 7 if state >= MarketState.ACTIVE else 0,
            question,
            description,
            category,
            dice.sample(_TAGS, number % 4),
            str(address),
            str(creator),
        )
