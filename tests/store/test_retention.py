"""What is past its retention goes; what a client, a gap or a hint still needs stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from tests.store.conftest import Engines
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import retention, stream, stream_sources
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.retention import RULES, prune

NOW = datetime.now(UTC)


@pytest.fixture
def owner(engines: Engines) -> Engine:
    return engines[Role.OWNER]


def settings(**days: int) -> Settings:
    return Settings(**days)  # type: ignore[arg-type]


def rows(owner: Engine, table: str) -> int:
    with owner.connect() as conn:
        return int(conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def prune_as_pipelines(engines: Engines, in_days: int) -> dict[str, int]:
    freed: dict[str, int] = {}
    for result in prune(engines[Role.PIPELINES], settings(), NOW + timedelta(days=in_days)):
        freed[result.table] = freed.get(result.table, 0) + result.rows
    return freed


def frame(channel: str, type_: str = "market_state") -> stream.Frame:
    return stream.Frame(channel, type_, {})


MARKET_A = [stream_sources.Source("market:a")]


def test_last_frame_of_every_type_of_a_channel_stays(engines: Engines, owner: Engine) -> None:
    """A client of the trades alone has to learn that some of them are gone."""
    with engines[Role.PIPELINES].begin() as conn:
        stream.append(conn, [frame("market:a", type_) for type_ in ("trade", "trade", "vote")])
    assert prune_as_pipelines(engines, 8)["ops.stream"] == 1
    with owner.connect() as conn:
        left = stream_sources.read(conn, MARKET_A, 0)
    assert [(one.type, one.previous, one.type_previous) for one in left] == [
        ("trade", 1, 1),
        ("vote", 2, 0),
    ]


def test_last_frame_of_every_channel_stays(engines: Engines, owner: Engine) -> None:
    with engines[Role.PIPELINES].begin() as conn:
        stream.append(conn, [frame("market:a"), frame("market:a"), frame("market:b")])
    assert prune_as_pipelines(engines, 6)["ops.stream"] == 0
    assert prune_as_pipelines(engines, 8)["ops.stream"] == 1
    with owner.connect() as conn:
        (left,) = stream_sources.read(conn, MARKET_A, 0)
        head = stream.head(conn)
    # A client that asks for what followed the first frame sees that frames are gone.
    assert left.previous > 0
    with engines[Role.PIPELINES].begin() as conn:
        stream.append(conn, [frame("market:a")])
    with owner.connect() as conn:
        following = stream_sources.read(conn, MARKET_A, left.position)
        assert [later.previous for later in following] == [left.position]
        assert stream.head(conn) == head + 1


DELIVERY = text(
    "INSERT INTO chain.deliveries (source, body, body_sha256, transaction_count, status)"
    " VALUES ('helius', ''::bytea, :digest, 0, :status) RETURNING id"
)


def add_delivery(owner: Engine, status: str, number: int) -> int:
    with owner.begin() as conn:
        digest = number.to_bytes(32, "big")
        return int(conn.execute(DELIVERY, {"digest": digest, "status": status}).scalar_one())


def test_deliveries_go_by_what_became_of_them(engines: Engines, owner: Engine) -> None:
    add_delivery(owner, "ingested", 1)
    add_delivery(owner, "failed", 2)
    add_delivery(owner, "received", 3)
    explains_a_hint = add_delivery(owner, "ingested", 4)
    with owner.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO chain.hints (signature, delivery_id, status)"
                " VALUES (:signature, :delivery, 'pending')"
            ),
            {"signature": bytes(64), "delivery": explains_a_hint},
        )
    assert prune_as_pipelines(engines, 13)["chain.deliveries"] == 0
    assert prune_as_pipelines(engines, 15)["chain.deliveries"] == 1
    assert prune_as_pipelines(engines, 91)["chain.deliveries"] == 1
    with owner.begin() as conn:
        statuses = conn.execute(text("SELECT status FROM chain.deliveries ORDER BY id")).scalars()
        assert list(statuses) == ["received", "ingested"], "unprocessed, and behind an open hint"
        conn.execute(text("UPDATE chain.hints SET status = 'read', settled_at = now()"))
    freed = prune_as_pipelines(engines, 15)
    assert (freed["chain.hints"], freed["chain.deliveries"]) == (1, 1)


def test_open_gaps_and_alerts_stay(engines: Engines, owner: Engine) -> None:
    with owner.begin() as conn:
        for closed in ("NULL", "now()"):
            conn.execute(
                text(
                    "INSERT INTO chain.gaps (signature, kind, reason, closed_at)"
                    f" VALUES ('\\x00', 'unread', '-', {closed})"
                )
            )
            conn.execute(
                text(
                    "INSERT INTO ops.alerts (topic, severity, message, cleared_at)"
                    f" VALUES ('test', 'medium', '-', {closed})"
                )
            )
    freed = prune_as_pipelines(engines, 91)
    assert (freed["chain.gaps"], freed["ops.alerts"]) == (1, 1)
    assert (rows(owner, "chain.gaps"), rows(owner, "ops.alerts")) == (1, 1)


def test_signatures_of_writes_go_after_their_texts_have_long_expired(
    engines: Engines, owner: Engine
) -> None:
    with owner.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO community.signed_requests (signature, wallet, action, digest)"
                " VALUES (:signature, :wallet, 'comment', :wallet)"
            ),
            {"signature": bytes(64), "wallet": bytes(32)},
        )
    assert prune_as_pipelines(engines, 6)["community.signed_requests"] == 0
    assert prune_as_pipelines(engines, 8)["community.signed_requests"] == 1
    # The shortest retention, a day, is far beyond every text's validity.
    with pytest.raises(ValueError, match="auth_window_seconds"):
        settings(auth_window_seconds=3601)


def test_answers_of_writes_are_kept_for_a_day(engines: Engines, owner: Engine) -> None:
    with owner.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO community.idempotency_keys (wallet, key, digest, answer)"
                " VALUES (:wallet, 'k', :wallet, '{}')"
            ),
            {"wallet": bytes(32)},
        )
    assert prune_as_pipelines(engines, 0)["community.idempotency_keys"] == 0
    assert prune_as_pipelines(engines, 2)["community.idempotency_keys"] == 1


def test_sessions_go_after_they_have_ended(engines: Engines, owner: Engine) -> None:
    """With their tokens; those that go on stay, and so do used tokens that would still be valid."""
    with owner.begin() as conn:
        for number, (expires, ended) in enumerate(
            (("60 days", "NULL"), ("60 days", "now()"), ("0 days", "NULL"))
        ):
            conn.execute(
                text(
                    "WITH made AS (INSERT INTO accounts.sessions"
                    " (wallet, csrf, expires_at, ended_at, end_reason) VALUES (:wallet, 'c',"
                    f" now() + interval '{expires}', {ended},"
                    f" CASE WHEN {ended} IS NULL THEN NULL ELSE 'logout' END) RETURNING id)"
                    " INSERT INTO accounts.refresh_tokens (hash, session, wallet, expires_at,"
                    " used_at, successor) SELECT :hash, id, :wallet, now() + interval '14 days',"
                    " now(), :hash FROM made"
                ),
                {"wallet": bytes(32), "hash": bytes([number]) * 32},
            )
        conn.execute(
            text(
                "INSERT INTO accounts.nonces (nonce, wallet, origin, issued_at, expires_at)"
                " VALUES (repeat('0', 32), :wallet, 'http://x', now(), now())"
            ),
            {"wallet": bytes(32)},
        )
        conn.execute(
            text(
                "INSERT INTO accounts.session_writes (session, wallet, address, action)"
                " VALUES (gen_random_uuid(), :wallet, '192.0.2.1', 'comment')"
            ),
            {"wallet": bytes(32)},
        )
        conn.execute(
            text(
                "INSERT INTO accounts.realtime_tickets"
                " (hash, wallet, session, is_operator, expires_at)"
                " VALUES (:wallet, :wallet, gen_random_uuid(), false, now())"
            ),
            {"wallet": bytes(32)},
        )
    early = prune_as_pipelines(engines, 6)
    assert not any(early[name] for name in early if name.startswith("accounts."))
    freed = prune_as_pipelines(engines, 8)
    assert {name: freed[name] for name in freed if name.startswith("accounts.")} == {
        "accounts.nonces": 1,
        "accounts.session_writes": 1,
        "accounts.realtime_tickets": 1,
        "accounts.refresh_tokens": 0,
        "accounts.sessions": 2,
    }
    assert rows(owner, "accounts.refresh_tokens") == 1
    # The session that goes on forgets tokens that would not be valid any more.
    assert prune_as_pipelines(engines, 22)["accounts.refresh_tokens"] == 1
    assert rows(owner, "accounts.sessions") == 1


def test_more_rows_than_one_batch(
    engines: Engines, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for number in range(5):
        add_delivery(owner, "ingested", number)
    assert prune_as_pipelines(engines, 15)["chain.deliveries"] == 5


def test_every_rule_names_a_setting_and_a_table_that_the_record_is_not_in() -> None:
    forbidden = {
        *("chain.transactions", "chain.events", "voting.ballots", "voting.tallies"),
        *("voting.counted_ballots", "community.users", "community.discussions"),
        *("ops.intents", "ops.attempts"),
    }
    for rule in RULES:
        assert rule.table not in forbidden
        assert isinstance(getattr(settings(), rule.days), int)


def test_relayed_transactions_go_after_their_end(engines: Engines, owner: Engine) -> None:
    for number, ended in ((1, "now()"), (2, "NULL")):
        state = "stored" if ended == "NULL" else "expired"
        with owner.begin() as conn:
            conn.exec_driver_sql(
                "INSERT INTO ops.relayed_transactions (signature, fee_payer, transaction,"
                " instructions, last_valid_block_height, state, settled_at) VALUES"
                f" (decode(repeat('0{number}', 64), 'hex'), sha256('w'), 'x', '{{buy_shares}}', 1,"
                f" '{state}', {ended})"
            )
    assert prune_as_pipelines(engines, 29)["ops.relayed_transactions"] == 0
    assert prune_as_pipelines(engines, 31)["ops.relayed_transactions"] == 1
    assert rows(owner, "ops.relayed_transactions") == 1
