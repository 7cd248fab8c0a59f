"""Each role can do its work and nothing else; wallets' rows are the wallets'."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM, Recorder
from tests.store.conftest import Engines
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.store.engine import LOGINS, Role, act_as
from zmart_pipelines.store.tables import SCHEMAS

A, B = bytes([1]) * 32, bytes([2]) * 32

# Tables that not every role reads, and who does. Dagster's role reads none at all.
READERS: dict[str, set[Role]] = {
    "ops.api_keys": {Role.API, Role.BACKUP},
    "community.documents": {Role.API, Role.PIPELINES, Role.BACKUP},
    "community.former_texts": {Role.API, Role.BACKUP},
    "community.comment_votes": {Role.API, Role.BACKUP},
    "community.comment_reports": {Role.API, Role.BACKUP},
    "community.idempotency_keys": {Role.API, Role.PIPELINES, Role.BACKUP},
    "accounts.nonces": {Role.API, Role.PIPELINES, Role.BACKUP},
    "accounts.sessions": {Role.API, Role.PIPELINES, Role.BACKUP},
    "accounts.refresh_tokens": {Role.API, Role.PIPELINES, Role.BACKUP},
    "accounts.session_writes": {Role.API, Role.PIPELINES, Role.BACKUP},
    # The API redeems them by a function that asks for the ticket.
    "accounts.realtime_tickets": {Role.PIPELINES, Role.BACKUP},
    "ops.audit": {Role.API, Role.PIPELINES, Role.INGEST, Role.BACKUP},
    # The reader sees their progress, not their bytes.
    "ops.relayed_transactions": {Role.API, Role.PIPELINES, Role.BACKUP},
    "ops.orders": {Role.API, Role.PIPELINES, Role.BACKUP},
    # The reader sees the signatures alone.
    "community.signed_requests": {Role.API, Role.PIPELINES, Role.BACKUP},
}

# What each role may change: schema.table to the letters of insert, update, delete.
WRITES: dict[Role, dict[str, str]] = {
    Role.READ: {},
    Role.INGEST: {
        "chain.deliveries": "iu",
        "voting.change_queue": "i",
        "chain.transactions": "iu",
        "chain.events": "iu",
        "chain.coverage": "iud",
        "chain.gaps": "iud",
        "chain.hints": "iu",
        "chain.cursors": "iud",
        "market.markets": "iud",
        "market.positions": "iud",
        "market.trades": "iud",
        "market.claims": "iud",
        "market.chain_votes": "iud",
        "market.withdrawals": "iud",
        "market.config_history": "iud",
        "community.market_drafts": "u",
        "ops.stream": "i",
        "ops.heartbeats": "iu",
        "ops.alerts": "iu",
        "ops.differences": "iu",
        "ops.reconciliations": "i",
        "ops.repairs": "i",
        "ops.audit": "i",
    },
    Role.API: {
        "community.users": "iu",
        "community.market_drafts": "iu",
        "community.documents": "i",
        "community.discussions": "iu",
        "community.signed_requests": "i",
        "community.idempotency_keys": "i",
        "community.comment_votes": "id",
        "community.comment_reports": "i",
        "voting.ballots": "i",
        "voting.tallies": "iu",
        "voting.change_queue": "i",
        "ops.stream": "i",
        "ops.heartbeats": "iu",
        "ops.alerts": "iu",
        "ops.alert_messages": "iu",
        "ops.alert_silences": "iu",
        "ops.api_counts": "iu",
        "ops.api_keys": "u",
        "accounts.nonces": "id",
        "accounts.sessions": "iu",
        "accounts.refresh_tokens": "iu",
        "accounts.session_writes": "i",
        "accounts.realtime_tickets": "i",
        "ops.orders": "i",
        "ops.audit": "i",
        "ops.relayed_transactions": "iu",
    },
    Role.PIPELINES: {
        "voting.tallies": "iu",
        "voting.counted_ballots": "i",
        "voting.change_queue": "id",
        "voting.scans": "iu",
        "ops.intents": "iu",
        "ops.attempts": "iu",
        "ops.backups": "iu",
        "ops.leases": "iud",
        "ops.stream": "iud",
        "ops.alerts": "iud",
        "ops.alert_messages": "iud",
        "ops.alert_silences": "iud",
        "ops.api_counts": "d",
        "ops.table_sizes": "id",
        "ops.program_code": "iu",
        "ops.heartbeats": "iud",
        "ops.switches": "iud",
        "ops.breakers": "iud",
        "ops.differences": "iud",
        "ops.run_claims": "iud",
        "ops.job_runs": "iud",
        "ops.reconciliations": "d",
        "ops.repairs": "d",
        "ops.orders": "u",
        "ops.audit": "i",
        "ops.relayed_transactions": "ud",
        "chain.deliveries": "d",
        "chain.hints": "d",
        "chain.gaps": "d",
        "chain.cursors": "iu",
        "market.candles": "iud",
        "market.market_statistics": "iud",
        "market.wallet_statistics": "iud",
        "market.pool_history": "iud",
        "market.wallet_hours": "iud",
        "market.leaderboards": "iud",
        "market.leaderboard_entries": "iud",
        "market.leaderboard_queue": "id",
        "community.market_drafts": "d",
        "community.ipfs_anchors": "iud",
        "community.documents": "d",
        "community.signed_requests": "d",
        "accounts.nonces": "d",
        "accounts.sessions": "d",
        "accounts.refresh_tokens": "d",
        "accounts.session_writes": "d",
        "accounts.realtime_tickets": "d",
        "community.idempotency_keys": "d",
    },
}

_RELAY_PROGRESS = {
    *("state", "sends", "refusal", "landed_slot", "error", "holder", "epoch", "leased_until"),
    *("sent_at", "confirmed_at", "settled_at"),
}
_RELAYED = {"signature", "fee_payer", "instructions", "last_valid_block_height"}

# Where a role may write some columns of a table only: role, table and letter to the columns.
COLUMNS: dict[tuple[Role, str, str], set[str]] = {
    (Role.INGEST, "chain.deliveries", "u"): {"status", "error", "attempts", "ingested_at"},
    (Role.INGEST, "chain.transactions", "u"): {
        *(
            "commitment",
            "sources",
            "index_in_block",
            "block_time",
            "fee",
            "confirmed_at",
            "finalized_at",
            "superseded_by",
            "superseded_reason",
        ),
    },
    (Role.INGEST, "chain.events", "u"): {
        *("commitment", "index_in_block", "market_id", "name", "data", "instruction"),
        "quarantine_reason",
    },
    (Role.INGEST, "community.market_drafts", "u"): {"matched_at"},
    (Role.READ, "community.signed_requests", "s"): {"signature"},
    (Role.READ, "ops.relayed_transactions", "s"): _RELAYED | _RELAY_PROGRESS | {"received_at"},
    (Role.API, "ops.relayed_transactions", "i"): _RELAYED | {"transaction"},
    (Role.API, "ops.relayed_transactions", "u"): _RELAY_PROGRESS,
    (Role.PIPELINES, "ops.relayed_transactions", "u"): _RELAY_PROGRESS,
    (Role.API, "ops.orders", "i"): {
        *("kind", "parameters", "reason", "idempotency_key", "wallet", "service", "key_id")
    },
    (Role.PIPELINES, "community.ipfs_anchors", "u"): {"pinned_at", "failed_pins", "pin_error"},
    (Role.PIPELINES, "ops.orders", "u"): {
        *("status", "result", "run_id", "attempts", "accepted_at", "ended_at")
    },
    (Role.API, "ops.api_keys", "u"): {"last_used_on"},
    (Role.API, "accounts.sessions", "u"): {"last_used_at", "ended_at", "end_reason"},
    (Role.API, "accounts.refresh_tokens", "u"): {"used_at", "successor"},
    (Role.API, "community.users", "u"): {"last_seen_at", "name", "bio", "avatar_cid"},
    (Role.API, "community.market_drafts", "u"): {"replaced_at", "withdrawn_at"},
    (Role.API, "community.discussions", "i"): {
        *("market_id", "parent_id", "wallet", "content", "signature"),
    },
    (Role.API, "community.discussions", "u"): {"content", "deleted_at", "hidden_at"},
    (Role.API, "voting.tallies", "i"): {"market_id", "kind", "round", "weight_unit"},
    (Role.API, "voting.tallies", "u"): {"votes_for", "votes_against", "ballots", "counted_at"},
}

_COLUMN_RIGHTS = text(
    """
    SELECT n.nspname || '.' || c.relname AS name, lower(left(p.privilege, 1)) AS letter,
        array_agg(a.attname::text) AS columns
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN (VALUES ('INSERT'), ('UPDATE'), ('SELECT')) AS p (privilege)
    WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'v')
        AND has_column_privilege(:role, c.oid, a.attnum, p.privilege)
        AND NOT has_table_privilege(:role, c.oid, p.privilege)
    GROUP BY 1, 2
    """
)

_RIGHTS = text(
    """
    SELECT n.nspname || '.' || c.relname AS name,
        has_table_privilege(:role, c.oid, 'SELECT') AS reads,
        has_any_column_privilege(:role, c.oid, 'INSERT') AS i,
        has_any_column_privilege(:role, c.oid, 'UPDATE') AS u,
        has_table_privilege(:role, c.oid, 'DELETE') AS d,
        has_table_privilege(:role, c.oid, 'TRUNCATE') AS truncates
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'v')
    """
)


@pytest.mark.parametrize("role", LOGINS)
def test_roles_write_exactly_the_documented_columns(engines: Engines, role: Role) -> None:
    with engines[Role.READ].connect() as conn:
        rows = conn.execute(_COLUMN_RIGHTS, {"role": role.value, "schemas": list(SCHEMAS)}).all()
    found = {(role, row.name, row.letter): set(row.columns) for row in rows}
    assert found == {key: columns for key, columns in COLUMNS.items() if key[0] is role}


@pytest.mark.parametrize("role", LOGINS)
def test_roles_have_exactly_the_documented_rights(engines: Engines, role: Role) -> None:
    with engines[Role.READ].connect() as conn:
        rows = conn.execute(_RIGHTS, {"role": role.value, "schemas": list(SCHEMAS)}).all()
    assert len(rows) > 20
    unread = {row.name for row in rows if not row.reads}
    everything = {row.name for row in rows}
    hidden = {name for name, readers in READERS.items() if role not in readers}
    assert unread == (everything if role is Role.DAGSTER else hidden)
    assert not any(row.truncates for row in rows)
    found = {row.name: "".join(letter for letter in "iud" if getattr(row, letter)) for row in rows}
    assert {name: letters for name, letters in found.items() if letters} == WRITES.get(role, {})


def test_no_role_has_superuser_or_inherited_rights(engines: Engines) -> None:
    with engines[Role.READ].connect() as conn:
        rows = conn.execute(
            text(
                "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,"
                " rolreplication FROM pg_roles WHERE rolname = ANY(:names)"
            ),
            {"names": [role.value for role in Role]},
        ).all()
        owned = conn.execute(
            text(
                "SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_class AS c"
                " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ANY(:schemas)"
            ),
            {"schemas": list(SCHEMAS)},
        ).scalars()
        assert list(owned) == [Role.OWNER.value]
    assert len(rows) == len(Role)
    assert not any(any(row[2:]) for row in rows)
    assert {row.rolname for row in rows if row.rolcanlogin} == {role.value for role in LOGINS}


def test_views_use_the_callers_rights(engines: Engines) -> None:
    with engines[Role.READ].connect() as conn:
        views = conn.execute(
            text(
                "SELECT c.relname, c.reloptions FROM pg_class AS c"
                " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE c.relkind = 'v' AND n.nspname = ANY(:schemas)"
            ),
            {"schemas": list(SCHEMAS)},
        ).all()
    assert [tuple(row) for row in views] == [("effective_ballots", ["security_invoker=true"])]


def as_wallet(engine: Engine, identity: bytes | None, statement: str, **values: object) -> int:
    """Run a statement as a wallet; how many rows it touched."""
    with engine.begin() as conn:
        act_as(conn, identity)
        return conn.execute(text(statement), values).rowcount


USER = "INSERT INTO community.users (wallet) VALUES (:wallet)"
SAY = (
    "INSERT INTO community.discussions (market_id, wallet, content)"
    " VALUES (:market, :wallet, 'hello')"
)
BALLOT = (
    "INSERT INTO voting.ballots (market_id, kind, wallet, choice, scheme, message, signature,"
    " nonce) VALUES (:market, 'proposal', :wallet, true, 's', 'm', :signature, 'n')"
)
DRAFT = (
    "INSERT INTO community.market_drafts (market_id, creator, nonce, question_hash, document,"
    " question, category, ends_at, expires_at)"
    " VALUES (:market, :wallet, 'n', 'Qm', '', 'Is this a question?', 'crypto', now(), now())"
)
REQUEST = (
    "INSERT INTO community.signed_requests (signature, wallet, action, digest)"
    " VALUES (:signature, :wallet, 'comment', :wallet)"
)
ANSWER = (
    "INSERT INTO community.idempotency_keys (wallet, key, digest, answer)"
    " VALUES (:wallet, 'k', :wallet, '{}')"
)
OWN_ROWS = {
    "user": USER,
    "discussion": SAY,
    "ballot": BALLOT,
    "draft": DRAFT,
    "request": REQUEST,
    "answer": ANSWER,
}


@pytest.mark.parametrize("statement", OWN_ROWS.values(), ids=OWN_ROWS)
@pytest.mark.parametrize("identity", [None, B], ids=["nobody", "another"])
def test_api_writes_only_rows_of_its_current_wallet(
    engines: Engines, statement: str, identity: bytes | None
) -> None:
    values = {"wallet": A, "market": A, "signature": bytes(64)}
    as_wallet(engines[Role.API], A, USER, wallet=A) if statement == SAY else None
    with pytest.raises(ProgrammingError, match="row-level security"):
        as_wallet(engines[Role.API], identity, statement, **values)
    assert as_wallet(engines[Role.API], A, statement, **values) == 1


def test_other_wallets_rows_are_readable_but_immutable(engines: Engines) -> None:
    api = engines[Role.API]
    as_wallet(api, A, USER, wallet=A)
    as_wallet(api, A, SAY, wallet=A, market=A)
    delete = "UPDATE community.discussions SET deleted_at = now()"
    assert as_wallet(api, B, delete) == 0
    assert as_wallet(api, None, delete) == 0
    assert as_wallet(api, B, "UPDATE community.users SET last_seen_at = now()") == 0
    with api.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM community.discussions")).scalar_one() == 1
    assert as_wallet(api, A, delete) == 1


def test_draft_is_visible_only_to_its_creator_until_matched(engines: Engines) -> None:
    api = engines[Role.API]
    as_wallet(api, A, DRAFT, wallet=A, market=A)
    seen = "SELECT FROM community.market_drafts"
    assert [as_wallet(api, one, seen) for one in (A, B, None)] == [1, 0, 0]
    with engines[Role.INGEST].begin() as conn:
        conn.execute(text("UPDATE community.market_drafts SET matched_at = now()"))
    assert [as_wallet(api, one, seen) for one in (A, B, None)] == [1, 1, 1]


def test_wallet_identity_ends_with_its_transaction(engines: Engines) -> None:
    api = engines[Role.API]
    with api.connect() as conn:
        with conn.begin():
            act_as(conn, A)
            conn.execute(text(USER), {"wallet": A})
        with conn.begin(), pytest.raises(ProgrammingError, match="row-level security"):
            conn.execute(text(USER), {"wallet": A})


def test_row_level_policies_isolate_wallets(engines: Engines) -> None:
    """The control: without row-level security the same statement goes through."""
    with engines[Role.OWNER].begin() as conn:
        conn.execute(text("ALTER TABLE community.users DISABLE ROW LEVEL SECURITY"))
    assert as_wallet(engines[Role.API], B, USER, wallet=A) == 1


@pytest.fixture
def recorded(engines: Engines) -> Engines:
    """A ledger with a market in it."""
    chain = Recorder()
    chain.create(1)
    ingest_committed(
        engines[Role.INGEST],
        chain.transactions,
        source=Source.CONFIRMED_POLL,
        commitment="confirmed",
        program=PROGRAM,
    )
    return engines


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE chain.events SET raw = 'x'",
        "UPDATE chain.events SET slot = 1",
        "UPDATE chain.transactions SET logs = 'x'",
        "DELETE FROM chain.events",
        "DELETE FROM chain.transactions",
        "TRUNCATE chain.events",
    ],
)
def test_ingest_role_cannot_change_the_ledger(recorded: Engines, statement: str) -> None:
    with recorded[Role.INGEST].connect() as conn, pytest.raises(ProgrammingError, match="denied"):
        conn.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE chain.events SET raw = 'x'",
        "UPDATE chain.events SET name = 'x'",
        "UPDATE chain.events SET market_id = sha256('x') WHERE market_id IS NOT NULL",
        "UPDATE chain.events SET commitment = 'reported'",
        "UPDATE chain.transactions SET slot = 1",
        "UPDATE chain.transactions SET commitment = 'reported'",
        "UPDATE chain.transactions SET fee = 1",
        "DELETE FROM chain.events",
        "DELETE FROM chain.transactions",
        "TRUNCATE chain.events",
    ],
)
def test_owner_cannot_change_the_ledger(recorded: Engines, statement: str) -> None:
    with recorded[Role.OWNER].connect() as conn, pytest.raises(DBAPIError) as caught:
        conn.execute(text(statement))
    assert isinstance(caught.value, IntegrityError)


def test_finalized_rows_cannot_be_changed(recorded: Engines) -> None:
    def move(conn: Connection, level: str) -> None:
        conn.execute(text(f"UPDATE chain.events SET commitment = '{level}'"))

    with recorded[Role.INGEST].begin() as conn:
        move(conn, "orphaned")
        move(conn, "confirmed")
        move(conn, "finalized")
    with recorded[Role.INGEST].connect() as conn, pytest.raises(IntegrityError, match="finalized"):
        move(conn, "orphaned")


def test_finalized_reading_ends_only_with_the_one_that_supersedes_it(recorded: Engines) -> None:
    ingest = recorded[Role.INGEST]
    supersede = text(
        "UPDATE chain.transactions SET commitment = 'orphaned', superseded_by = :other,"
        " superseded_reason = 'the log was lost'"
    )
    insert_other = text(
        "INSERT INTO chain.transactions (signature, digest, slot, failed, logs, logs_truncated,"
        " instructions, commitment, sources) SELECT signature, :other, slot, failed, logs,"
        " logs_truncated, instructions, CAST(:level AS chain.commitment), sources"
        " FROM chain.transactions"
    )
    other = {"other": b"o" * 16}
    with ingest.begin() as conn:
        conn.execute(text("UPDATE chain.transactions SET commitment = 'finalized'"))
        conn.execute(text("UPDATE chain.events SET commitment = 'finalized'"))
    with ingest.connect() as conn, pytest.raises(IntegrityError, match="unless another"):
        conn.execute(text("UPDATE chain.transactions SET commitment = 'orphaned'"))
    with ingest.connect() as conn, pytest.raises(IntegrityError, match="unless another"):
        conn.execute(text("UPDATE chain.events SET commitment = 'orphaned'"))
    with ingest.connect() as conn, pytest.raises(IntegrityError, match="superseded"):
        conn.execute(text("UPDATE chain.transactions SET superseded_by = :other"), other)
    for level in (None, "confirmed"):
        with ingest.connect() as conn:
            conn.execute(supersede, other)
            if level is not None:
                conn.execute(insert_other, {**other, "level": level})
            with pytest.raises(IntegrityError, match="is not stored as finalized"):
                conn.commit()
    with ingest.begin() as conn:
        conn.execute(supersede, other)
        conn.execute(text("UPDATE chain.events SET commitment = 'orphaned'"))
        conn.execute(insert_other, {**other, "level": "finalized"})
    with ingest.connect() as conn:
        alert = conn.execute(text("SELECT topic, message FROM ops.alerts")).one()
    assert alert.topic == "superseded_reading"
    assert "the log was lost" in alert.message
    # What was superseded cannot be presented as something else.
    with ingest.connect() as conn, pytest.raises(IntegrityError, match="superseded"):
        conn.execute(
            text(
                "UPDATE chain.transactions SET superseded_reason = 'nothing'"
                " WHERE commitment = 'orphaned'"
            )
        )


def test_ballots_cannot_be_changed_or_deleted(engines: Engines) -> None:
    values = {"wallet": A, "market": A, "signature": bytes(64)}
    as_wallet(engines[Role.API], A, BALLOT, **values)
    for statement in ("UPDATE voting.ballots SET choice = false", "DELETE FROM voting.ballots"):
        with engines[Role.OWNER].connect() as conn, pytest.raises(IntegrityError):
            conn.execute(text(statement))
