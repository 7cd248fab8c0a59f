"""What row-level security lets each login do with the rows of two wallets, A and B.

A table with rows of users has its entry in ``SECURED``; every other table of ours has its reason in
``REASONS``. ``tests/store/test_row_security.py`` compares both with the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from zmart_pipelines.store.engine import Role

A, B = bytes([0xA]) * 32, bytes([0xB]) * 32

# Whom a transaction acts for: no wallet, A, B, a batch with A's ballot, the operator A, the relay
# of signed transactions.
Identity = Literal["none", "A", "B", "voter A", "operator A", "relay"]
IDENTITIES: Final[Mapping[Identity, Mapping[str, str]]] = {
    "none": {},
    "A": {"app.wallet": A.hex()},
    "B": {"app.wallet": B.hex()},
    "voter A": {"app.voters": A.hex()},
    "operator A": {"app.wallet": A.hex(), "app.operator": "on"},
    "relay": {"app.relay": "on"},
}
# Where an identity is not named, it reaches what this one does.
LIKE: Final[Mapping[Identity, Identity]] = {"relay": "none"}

# What is expected, by role and identity. Identities that are not named share "*". Written as
# "read A,B; insert A; update A; delete A": whose rows each statement reaches, in this order; a
# statement that reaches none is left out.
Expected = Mapping[Role, Mapping[str, str]]
NONE: Final = {"*": ""}
READ: Final = {"*": "read A,B"}


class SecuredTable(msgspec.Struct, frozen=True):
    """The rows of one table, and what each role may do with them.

    Attributes:
        label: SQL that names a row: ``A``, ``B``, or these with an addition.
        rows: Statements that make the rows that are read, updated and deleted.
        inserts: Statements that insert a row of ``:wallet``, by an addition to its label. They may
            use ``:key`` (32 bytes) and ``:signature`` (64).
        referenced: Statements that make what the rows refer to.
        updates: Statements without a condition; each is tried by itself.
        label_as: The label for roles that may read some columns only.
    """

    label: str
    rows: tuple[str, ...]
    inserts: Mapping[str, str]
    expected: Expected
    updates: tuple[str, ...] = ()
    referenced: tuple[str, ...] = ()
    label_as: Mapping[Role, str] = {}


def owner_label(column: str) -> str:
    """Return the SQL that names a row by the wallet in ``column``."""
    return f"CASE {column} WHEN '\\x{A.hex()}' THEN 'A' WHEN '\\x{B.hex()}' THEN 'B' END"


def for_wallets(statement: str) -> tuple[str, ...]:
    """Return the statement for A and for B, with ``:wallet`` filled in."""
    return tuple(statement.replace(":wallet", f"'\\x{one.hex()}'::bytea") for one in (A, B))


_USER = "INSERT INTO community.users (wallet) VALUES (:wallet)"
_COMMENT = (
    "INSERT INTO community.discussions (market_id, wallet, content)"
    " VALUES (sha256('m'), :wallet, 'hello')"
)
_ID = "'2f1b7c1e-7b0c-4f0e-9a53-0d6f9c1b2a10'"
# A comment of a third wallet.
_THREAD = (
    "INSERT INTO community.users (wallet) VALUES (sha256('author'))",
    (
        "INSERT INTO community.discussions (id, market_id, wallet, content)"
        f" VALUES ({_ID}, sha256('m'), sha256('author'), 'hello')"
    ),
)
_FORMER_TEXT = f"INSERT INTO community.former_texts (comment_id, content) VALUES ({_ID}, :text)"
_COMMENT_VOTE = f"INSERT INTO community.comment_votes (comment_id, wallet) VALUES ({_ID}, :wallet)"
_REPORT = (
    "INSERT INTO community.comment_reports (comment_id, wallet, reason)"
    f" VALUES ({_ID}, :wallet, 'spam')"
)
_BALLOT = (
    "INSERT INTO voting.ballots (market_id, kind, wallet, choice, scheme, message, signature,"
    " nonce) VALUES ({market}, 'proposal', :wallet, true, 's', 'm', {signature}, 'n')"
)
_DRAFT = (
    "INSERT INTO community.market_drafts (market_id, creator, nonce, question_hash, document,"
    " question, category, ends_at, expires_at, matched_at)"
    " VALUES ({key}, :wallet, {key}, 'Qm', '', 'Is this a question?', 'crypto', now(), now(),"
    " {matched})"
)
_DOCUMENT = (
    "INSERT INTO community.documents (wallet, cid, media_type, size)"
    " VALUES (:wallet, repeat('Q', 46), 'text/plain', 1)"
)
_REQUEST = (
    "INSERT INTO community.signed_requests (signature, wallet, action, digest)"
    " VALUES ({signature}, :wallet, 'comment', :wallet)"
)
_SILENCE = (
    "INSERT INTO ops.alert_silences (topic, reason, created_by, ends_at)"
    " VALUES ('run', 'r', encode(:wallet, 'hex'), now() + interval '1 hour')"
)
_IDEMPOTENCY_KEY = (
    "INSERT INTO community.idempotency_keys (wallet, key, digest, answer)"
    " VALUES (:wallet, 'k', sha256('d'), '')"
)
_NONCE = (
    "INSERT INTO accounts.nonces (nonce, wallet, origin, issued_at, expires_at)"
    " VALUES (encode(substr({key}, 1, 16), 'hex'), :wallet, 'http://x', now(), now())"
)
# A session's id is the first half of its wallet.
_SESSION = (
    "INSERT INTO accounts.sessions (id, wallet, csrf, expires_at)"
    " VALUES (encode(substr({key}, 1, 16), 'hex')::uuid, :wallet, 'c', now())"
)
_REFRESH_TOKEN = (
    "INSERT INTO accounts.refresh_tokens"
    " (hash, session, wallet, expires_at, used_at, successor)"
    " VALUES ({key}, encode(substr(:wallet, 1, 16), 'hex')::uuid, :wallet, now(), {used})"
)
_TICKET = (
    "INSERT INTO accounts.realtime_tickets (hash, wallet, session, is_operator, expires_at)"
    " VALUES ({key}, :wallet, gen_random_uuid(), {is_operator}, now())"
)
_SESSION_WRITE = (
    "INSERT INTO accounts.session_writes (session, wallet, address, action)"
    " VALUES (gen_random_uuid(), :wallet, '192.0.2.1', 'comment')"
)
_RELAYED = (
    "INSERT INTO ops.relayed_transactions (signature, fee_payer, transaction, instructions,"
    " last_valid_block_height) VALUES ({signature}, :wallet, 'bytes', '{{buy_shares}}', 1)"
)
_ORDER = (
    "INSERT INTO ops.orders (kind, parameters, reason, idempotency_key, wallet)"
    " VALUES ('redecode', '{}', 'why', encode(:wallet, 'hex'), :wallet)"
)
_AUDIT = "INSERT INTO ops.audit (entry_point, wallet, action) VALUES ('{0}', :wallet, 'switch')"

SECURED: Final[Mapping[str, SecuredTable]] = {
    "community.users": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_USER),
        inserts={"": _USER},
        updates=("UPDATE community.users SET last_seen_at = now()",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            Role.API: {
                "none": "read A,B",
                "B": "read A,B; insert B; update B",
                "*": "read A,B; insert A; update A",
            },
            Role.INGEST: READ,
            Role.PIPELINES: READ,
            Role.READ: READ,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "community.market_drafts": SecuredTable(
        label=f"{owner_label('creator')} || CASE WHEN matched_at IS NULL THEN '' ELSE '.m' END",
        rows=(
            *for_wallets(_DRAFT.format(key="sha256(:wallet)", matched="NULL")),
            for_wallets(_DRAFT.format(key="sha256('m')", matched="now()"))[1],
        ),
        inserts={
            "": _DRAFT.format(key=":key", matched="NULL"),
            ".m": _DRAFT.format(key=":key", matched="now()"),
        },
        updates=(
            "UPDATE community.market_drafts SET matched_at = matched_at",
            "UPDATE community.market_drafts SET withdrawn_at = now()",
        ),
        expected={
            Role.OWNER: {"*": "read A,B,B.m; insert A,A.m,B,B.m; update A,B,B.m"},
            Role.API: {
                "none": "read B.m",
                "voter A": "read B.m",
                "B": "read B,B.m; insert B; update B",
                "*": "read A,B.m; insert A; update A",
            },
            Role.INGEST: {"*": "read A,B,B.m; update A,B,B.m"},
            # The database refuses to delete the document of a market that exists.
            Role.PIPELINES: {"*": "read A,B,B.m"},
            Role.READ: {"*": "read B.m"},
            Role.BACKUP: {"*": "read A,B,B.m"},
            Role.DAGSTER: NONE,
        },
    ),
    "community.documents": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_DOCUMENT),
        inserts={"": _DOCUMENT},
        updates=("UPDATE community.documents SET size = 2",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; delete A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B",
                "*": "read A; insert A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "community.discussions": SecuredTable(
        label=owner_label("wallet"),
        referenced=for_wallets(_USER),
        rows=for_wallets(_COMMENT),
        inserts={"": _COMMENT},
        updates=(
            "UPDATE community.discussions SET deleted_at = now()",
            "UPDATE community.discussions SET hidden_at = now()",
        ),
        expected={
            # Only its author deletes a comment, whatever the role, and only operators hide it.
            Role.OWNER: {
                "operator A": "read A,B; insert A,B; update A,B",
                "*": "read A,B; insert A,B",
            },
            Role.API: {
                "none": "read A,B",
                "voter A": "read A,B",
                "operator A": "read A,B; insert A; update A,B",
                "B": "read A,B; insert B; update B",
                "*": "read A,B; insert A; update A",
            },
            Role.INGEST: READ,
            Role.PIPELINES: READ,
            Role.READ: READ,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "community.former_texts": SecuredTable(
        label="content",
        referenced=_THREAD,
        rows=tuple(_FORMER_TEXT.replace(":text", f"'{one}'") for one in "AB"),
        inserts={"": _FORMER_TEXT.replace(":text", owner_label(":wallet"))},
        updates=("UPDATE community.former_texts SET content = ''",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B"},
            Role.API: {"operator A": "read A,B", "*": ""},
            Role.INGEST: NONE,
            Role.PIPELINES: NONE,
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "community.comment_votes": SecuredTable(
        label=owner_label("wallet"),
        referenced=_THREAD,
        rows=for_wallets(_COMMENT_VOTE),
        inserts={"": _COMMENT_VOTE},
        updates=("UPDATE community.comment_votes SET created_at = now()",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; delete A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B; delete B",
                "*": "read A; insert A; delete A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: NONE,
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "community.comment_reports": SecuredTable(
        label=owner_label("wallet"),
        referenced=_THREAD,
        rows=for_wallets(_REPORT),
        inserts={"": _REPORT},
        updates=("UPDATE community.comment_reports SET note = 'x'",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B",
                "A": "read A; insert A",
                "operator A": "read A,B; insert A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: NONE,
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "community.signed_requests": SecuredTable(
        label=owner_label("wallet"),
        label_as={
            Role.READ: "CASE substr(signature, 1, 1) WHEN '\\x0a'::bytea THEN 'A' ELSE 'B' END"
        },
        rows=for_wallets(_REQUEST.format(signature=":wallet || :wallet")),
        inserts={"": _REQUEST.format(signature=":signature")},
        updates=("UPDATE community.signed_requests SET action = 'draft'",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; delete A,B"},
            # All are read, because an address has many wallets and shares their limit.
            Role.API: {
                "none": "read A,B",
                "B": "read A,B; insert B",
                "*": "read A,B; insert A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: READ,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "community.idempotency_keys": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_IDEMPOTENCY_KEY),
        inserts={"": _IDEMPOTENCY_KEY},
        updates=("UPDATE community.idempotency_keys SET answer = ''",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; delete A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B",
                "*": "read A; insert A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "voting.ballots": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_BALLOT.format(market="sha256('m')", signature=":wallet || :wallet")),
        inserts={"": _BALLOT.format(market=":key", signature=":signature")},
        updates=("UPDATE voting.ballots SET choice = false",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B"},
            Role.API: {
                "none": "read A,B",
                "B": "read A,B; insert B",
                "*": "read A,B; insert A",
            },
            Role.INGEST: READ,
            Role.PIPELINES: READ,
            Role.READ: READ,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "accounts.nonces": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_NONCE.format(key=":wallet")),
        inserts={"": _NONCE.format(key=":key")},
        updates=("UPDATE accounts.nonces SET origin = 'http://y'",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B; delete B",
                "*": "read A; insert A; delete A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "accounts.sessions": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_SESSION.format(key=":wallet")),
        inserts={"": _SESSION.format(key=":key")},
        updates=(
            "UPDATE accounts.sessions SET last_used_at = now()",
            "UPDATE accounts.sessions SET ended_at = now(), end_reason = 'ended'",
        ),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B; update B",
                "*": "read A; insert A; update A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "accounts.refresh_tokens": SecuredTable(
        label=owner_label("wallet"),
        referenced=for_wallets(_SESSION.format(key=":wallet")),
        rows=for_wallets(_REFRESH_TOKEN.format(key=":wallet", used="now(), sha256('s')")),
        inserts={"": _REFRESH_TOKEN.format(key=":key", used="NULL, NULL")},
        updates=("UPDATE accounts.refresh_tokens SET used_at = now(), successor = sha256('t')",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B; update B",
                "*": "read A; insert A; update A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "accounts.session_writes": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_SESSION_WRITE),
        inserts={"": _SESSION_WRITE},
        updates=("UPDATE accounts.session_writes SET action = 'draft'",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            # All are read, because an address has many wallets and shares their limit.
            Role.API: {
                "none": "read A,B",
                "voter A": "read A,B",
                "B": "read A,B; insert B",
                "*": "read A,B; insert A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "accounts.realtime_tickets": SecuredTable(
        label=f"{owner_label('wallet')} || CASE WHEN is_operator THEN '.o' ELSE '' END",
        rows=for_wallets(_TICKET.format(key=":wallet", is_operator="false")),
        inserts={
            addition: _TICKET.format(key=":key", is_operator=is_operator)
            for addition, is_operator in (("", "false"), (".o", "true"))
        },
        updates=("UPDATE accounts.realtime_tickets SET service = 'x'",),
        expected={
            Role.OWNER: {
                "*": "read A,B; insert A,A.o,B,B.o; update A,B; delete A,B",
            },
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "insert B",
                "operator A": "insert A,A.o",
                "*": "insert A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; delete A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "ops.relayed_transactions": SecuredTable(
        label=owner_label("fee_payer"),
        rows=for_wallets(_RELAYED.format(signature=":wallet || :wallet")),
        inserts={"": _RELAYED.format(signature=":signature")},
        updates=("UPDATE ops.relayed_transactions SET sends = 1",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            Role.API: {
                "none": "",
                "voter A": "",
                "B": "read B; insert B",
                "relay": "read A,B; update A,B",
                "*": "read A; insert A",
            },
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; update A,B; delete A,B"},
            Role.READ: READ,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "ops.orders": SecuredTable(
        label=owner_label("wallet"),
        rows=for_wallets(_ORDER),
        inserts={"": _ORDER},
        updates=("UPDATE ops.orders SET status = 'accepted', accepted_at = now()",),
        expected={
            Role.OWNER: READ,
            Role.API: {"operator A": "read A,B; insert A", "*": ""},
            Role.INGEST: NONE,
            Role.PIPELINES: {"*": "read A,B; update A,B"},
            Role.READ: NONE,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "ops.alert_silences": SecuredTable(
        label=f"CASE created_by WHEN '{A.hex()}' THEN 'A' WHEN '{B.hex()}' THEN 'B' END",
        rows=for_wallets(_SILENCE),
        inserts={"": _SILENCE},
        updates=("UPDATE ops.alert_silences SET ends_at = now()",),
        expected={
            Role.OWNER: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            Role.API: {"operator A": "read A,B; insert A,B; update A,B", "*": "read A,B"},
            Role.INGEST: READ,
            Role.PIPELINES: {"*": "read A,B; insert A,B; update A,B; delete A,B"},
            Role.READ: READ,
            Role.BACKUP: READ,
            Role.DAGSTER: NONE,
        },
    ),
    "ops.audit": SecuredTable(
        label=f"{owner_label('wallet')} || '.' || entry_point",
        rows=for_wallets(_AUDIT.format("api")),
        inserts={f".{entry}": _AUDIT.format(entry) for entry in ("api", "cli")},
        updates=("UPDATE ops.audit SET reason = 'x'",),
        expected={
            Role.OWNER: {"*": "read A.api,B.api; insert A.cli,B.cli"},
            Role.API: {"operator A": "read A.api,B.api; insert A.api", "*": ""},
            Role.INGEST: {"*": "read A.api,B.api; insert A.cli,B.cli"},
            Role.PIPELINES: {"*": "read A.api,B.api; insert A.cli,B.cli"},
            Role.READ: NONE,
            Role.BACKUP: {"*": "read A.api,B.api"},
            Role.DAGSTER: NONE,
        },
    ),
}

# Why the other tables have no policies: reason to tables.
REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "what the chain says: public, and written by the ingest alone": (
        *("chain.deliveries", "chain.transactions", "chain.events", "chain.hints"),
        *("chain.coverage", "chain.gaps", "chain.cursors"),
        *("market.config_history", "market.markets", "market.positions", "market.trades"),
        *("market.claims", "market.chain_votes", "market.withdrawals"),
    ),
    "computed from public rows by triggers and pipelines": (
        *("market.candles", "market.market_statistics", "market.wallet_statistics"),
        *("market.pool_history", "market.wallet_hours", "market.leaderboards"),
        *("market.leaderboard_entries", "market.leaderboard_queue", "market.listings"),
        "market.market_counts",
    ),
    "counts of public ballots; rows of votes, not of wallets": (
        *("voting.tallies", "voting.counted_ballots", "voting.change_queue", "voting.scans"),
    ),
    "what the system does and how it is; no user's rows": (
        *("ops.intents", "ops.attempts", "ops.leases", "ops.differences"),
        *("ops.alerts", "ops.heartbeats", "ops.run_claims", "ops.job_runs", "ops.switches"),
        *("ops.breakers", "ops.reconciliations", "ops.repairs", "ops.backups"),
        *("ops.alert_messages", "ops.program_code", "ops.api_counts", "ops.table_sizes"),
    ),
    "public comments as they were published": ("community.ipfs_anchors",),
    "frames for clients: each API process reads all of it once, and asks of every subscription"
    " whose it is (api/realtime/access.py); of wallets it repeats what their tables show readers": (
        "ops.stream",
    ),
    "keys of services: the owner writes them, and only the API's login may read their hashes": (
        "ops.api_keys",
    ),
}
