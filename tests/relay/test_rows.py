"""Rows of relayed transactions: one per signature, held by one process, immutable at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from solders.keypair import Keypair
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from tests.relay.signed_transactions import create_market, signed
from zmart_pipelines.client_schemas.relayed_transactions import relayed_transaction
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.relay import rows
from zmart_pipelines.relay.rows import Confirmed, End, HeldTransaction, Refused, TooManyOpen
from zmart_pipelines.relay.signed_transaction import SignedTransaction, parse_signed
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role, act_as, act_as_relay
from zmart_pipelines.store.queries.relayed_transactions import (
    relayed_transaction as relayed_transaction_row,
)
from zmart_pipelines.store.stream import wallet_channel

T = TypeVar("T")
R = TypeVar("R")

WALLET = Keypair.from_seed(bytes(32))


@pytest.fixture
def api(database: str) -> Iterator[Engine]:
    made = role_engine(Role.API, database)
    yield made
    made.dispose()


def transaction(number: int) -> SignedTransaction:
    data = signed(WALLET, [create_market(WALLET, bytes([number]) * 32)])
    return parse_signed(data, DEFAULT_PROGRAM_ID)


def store(api: Engine, one: SignedTransaction, open_limit: int = 10) -> bool:
    with api.begin() as conn:
        act_as(conn, one.fee_payer)
        stored = rows.store(conn, one, 100, open_limit=open_limit)
    assert stored.row.signature == one.signature
    return stored.is_new


def claim(
    api: Engine, holder: str, *, seconds: float = 60, forgotten: bool = False
) -> list[HeldTransaction]:
    with api.begin() as conn:
        act_as_relay(conn)
        return rows.claim(
            conn, holder, forgotten=forgotten, seconds=seconds, abandoned=0, number=10
        )


def change(api: Engine, write: Callable[[Connection, list[T]], R], *changes: T) -> R:
    """Run a write in a transaction of the relay; return what it returns."""
    with api.begin() as conn:
        act_as_relay(conn)
        return write(conn, list(changes))


def test_signature_is_stored_once(api: Engine) -> None:
    assert [store(api, transaction(1)) for _ in range(3)] == [True, False, False]
    (row,) = claim(api, "a")
    assert (row.state, row.epoch, row.transaction) == ("stored", 1, transaction(1).data)


def test_wallet_has_a_limited_number_of_open_ones(api: Engine) -> None:
    assert store(api, transaction(1), 2)
    assert store(api, transaction(2), 2)
    with pytest.raises(TooManyOpen):
        store(api, transaction(3), 2)
    assert not store(api, transaction(2), 2), "what is stored already is answered"


def test_row_has_one_holder_until_its_lease_ends(api: Engine) -> None:
    store(api, transaction(1))
    (first,) = claim(api, "a", seconds=0)
    (second,) = claim(api, "b")
    assert (first.epoch, second.epoch) == (1, 2)
    assert claim(api, "c") == []
    for act in (rows.record_sent, rows.record_dropped):
        assert change(api, act, first) == set()
    with api.begin() as conn:
        act_as_relay(conn)
        assert rows.renew(conn, "a", [first], 60) == set()
        assert rows.renew(conn, "b", [second], 60) == {second.signature}
    assert change(api, rows.record_sent, first, second) == {second.signature}


def test_many_rows_change_at_once_each_to_its_own(api: Engine) -> None:
    """One statement for all: values must not change places."""
    for number in range(1, 6):
        store(api, transaction(number))
    held = sorted(claim(api, "a"), key=lambda row: row.signature)
    signatures = {row.signature for row in held}
    assert change(api, rows.record_sent, *held) == signatures
    refused = [Refused(row, f"refusal {number}") for number, row in enumerate(held)]
    assert change(api, rows.record_refused, *refused) == signatures
    confirmed = [Confirmed(row, slot) for slot, row in enumerate(held[:4], 10)]
    assert change(api, rows.record_confirmed, *confirmed) == {
        one.row.signature for one in confirmed
    }
    ends = [
        End(held[0], "finalized", 20),
        End(held[1], "failed", 21, {"InstructionError": [0, "Custom"]}),
        End(held[4], "expired"),
    ]
    assert change(api, rows.record_ends, *ends) == {end.row.signature for end in ends}
    with api.connect() as conn:
        act_as_relay(conn)
        found = [relayed_transaction_row(conn, row.signature) for row in held]
    assert [
        (row.state, row.sends, row.refusal, row.landed_slot, row.error) for row in found if row
    ] == [
        ("finalized", 1, "refusal 0", 20, None),
        ("failed", 1, "refusal 1", 21, {"InstructionError": [0, "Custom"]}),
        ("confirmed", 1, "refusal 2", 12, None),
        ("confirmed", 1, "refusal 3", 13, None),
        ("expired", 1, "refusal 4", None, None),
    ]


def test_holder_claims_again_what_it_has_forgotten(api: Engine) -> None:
    store(api, transaction(1))
    (row,) = claim(api, "a")
    assert claim(api, "a") == []
    assert [one.epoch for one in claim(api, "a", forgotten=True)] == [2]
    assert row.epoch == 1


def test_row_whose_lease_ended_is_not_claimed_by_its_own_holder(api: Engine) -> None:
    store(api, transaction(1))
    assert len(claim(api, "a", seconds=0)) == 1
    assert claim(api, "a", seconds=0) == []
    assert [one.epoch for one in claim(api, "b")] == [2]


def test_released_row_is_claimed_at_once(api: Engine) -> None:
    store(api, transaction(1))
    held = claim(api, "a")
    change(api, rows.release, *held)
    assert [one.epoch for one in claim(api, "b")] == [2]


def test_end_is_immutable_and_frees_a_place(api: Engine, database: str) -> None:
    store(api, transaction(1), 1)
    (row,) = claim(api, "a")
    error = {"InstructionError": [0, {"Custom": 6000}]}
    change(api, rows.record_ends, End(row, "failed", 7, error))
    assert claim(api, "b") == []
    owner = role_engine(Role.OWNER, database)
    with owner.connect() as conn, pytest.raises(IntegrityError, match="immutable"):
        conn.execute(text("UPDATE ops.relayed_transactions SET sends = 9"))
    owner.dispose()
    assert change(api, rows.record_ends, End(row, "expired")) == set()
    assert store(api, transaction(2), 1)


@pytest.mark.parametrize(
    ("state", "slot", "error"),
    [("finalized", None, None), ("failed", 7, None), ("expired", 7, None), ("sent", None, None)],
)
def test_end_without_its_evidence_is_refused(
    api: Engine, state: str, slot: int | None, error: object
) -> None:
    store(api, transaction(1))
    (row,) = claim(api, "a")
    with pytest.raises(IntegrityError):
        change(api, rows.record_ends, End(row, state, slot, error))


def frames(api: Engine) -> list[dict[str, Any]]:
    """The frames of the wallet's transactions."""
    with api.connect() as conn:
        frames = stream.read_after(conn, 0)
    channel = wallet_channel(bytes(WALLET.pubkey()))
    assert {(frame.channel, frame.type) for frame in frames} <= {(channel, "transaction")}
    return [frame.payload for frame in frames]


def test_wallet_is_told_of_each_state_of_its_transaction(api: Engine, database: str) -> None:
    signature = transaction(1).signature

    def shown() -> dict[str, Any]:
        with reader.connect() as conn:
            row = relayed_transaction_row(conn, signature)
        assert row is not None
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(relayed_transaction(row)))
        return found

    reader = role_engine(Role.READ, database)
    store(api, transaction(1))
    assert frames(api) == [shown()]
    (held,) = claim(api, "a")
    expected = [shown()]
    for act, made in (
        (rows.record_sent, held),
        (rows.record_refused, Refused(held, "MarketPaused")),
        (rows.record_confirmed, Confirmed(held, 7)),
        (rows.record_dropped, held),
        (rows.record_ends, End(held, "finalized", 8)),
    ):
        write: Callable[[Connection, list[Any]], set[bytes]] = act
        change(api, write, made)
        expected.append(shown())
        assert frames(api) == expected
    assert [row["state"] for row in expected] == [
        "stored",
        "sent",
        "sent",
        "confirmed",
        "sent",
        "finalized",
    ]
    # Neither a repetition nor a holder that lost the row tells anything.
    store(api, transaction(1))
    assert change(api, rows.record_sent, held) == set()
    assert frames(api) == expected
    reader.dispose()
