"""Schema ``accounts``: how wallets sign in, and the sessions that follow."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata


def _wallet(comment: str) -> Column[bytes]:
    return Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        nullable=False,
        comment=comment,
    )


def _database_time(name: str, comment: str) -> Column[object]:
    return Column(name, TIME, nullable=False, server_default=func.now(), comment=comment)


# Texts that were given out to be signed. A row is deleted when an attempt to sign in names it,
# whatever becomes of the attempt.
nonces = Table(
    "nonces",
    metadata,
    Column(
        "nonce",
        Text,
        CheckConstraint("nonce ~ '^[0-9a-f]{32}$'", name="nonce"),
        primary_key=True,
        comment="API: 128 random bits in hex",
    ),
    _wallet("Request: the wallet that asks; nothing proves it yet"),
    Column(
        "origin",
        Text,
        CheckConstraint("char_length(origin) <= 300", name="origin"),
        nullable=False,
        comment="API: origin of the page that the text names",
    ),
    Column("issued_at", TIME, nullable=False, comment="Clock of the API: as the text says"),
    Column("expires_at", TIME, nullable=False, comment="Clock of the API: as the text says"),
    Index(None, "expires_at"),
    schema="accounts",
)

sessions = Table(
    "sessions",
    metadata,
    Column(
        "id",
        UUID(as_uuid=True),
        primary_key=True,
        server_default=text("gen_random_uuid()"),
        comment="Database: random UUID",
    ),
    _wallet("Sign-in: wallet whose signature was verified"),
    Column(
        "csrf",
        Text,
        nullable=False,
        comment="API: random; what requests with cookies repeat in a header",
    ),
    Column(
        "user_agent",
        Text,
        CheckConstraint("char_length(user_agent) <= 200", name="user_agent"),
        comment="Request: how the client called itself at the sign-in",
    ),
    Column(
        "address",
        Text,
        comment="Connection: client's IP address (IPv6: its /64 network) at the sign-in",
    ),
    _database_time("created_at", "Database clock: the sign-in"),
    _database_time("last_used_at", "Database clock: the sign-in or the last refresh"),
    Column("expires_at", TIME, nullable=False, comment="Computed: created_at plus SESSION_DAYS"),
    Column("ended_at", TIME, comment="Database clock: when it was ended before it expired"),
    Column(
        "end_reason",
        Text,
        CheckConstraint("end_reason IN ('logout', 'ended', 'reuse')", name="end_reason"),
        comment="API: logout; ended from another session; a used refresh token was used again",
    ),
    UniqueConstraint("id", "wallet"),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended"),
    Index(None, "wallet", "created_at"),
    Index(None, "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    Index(None, "expires_at"),
    schema="accounts",
)

# One row for each refresh token that a session had; at most one of them is good for use.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column(
        "hash",
        BYTES,
        CheckConstraint("octet_length(hash) = 32", name="hash"),
        primary_key=True,
        comment="Token: its SHA-256",
    ),
    Column("session", UUID(as_uuid=True), nullable=False, comment="Session that it continues"),
    _wallet("Session: its wallet"),
    _database_time("created_at", "Database clock: when the row was inserted"),
    Column(
        "expires_at",
        TIME,
        nullable=False,
        comment="Computed: created_at plus REFRESH_TOKEN_DAYS, at most the session's expires_at",
    ),
    Column("used_at", TIME, comment="Database clock: when it was exchanged"),
    Column("successor", BYTES, comment="Token: hash of the one it was exchanged for"),
    ForeignKeyConstraint(
        ["session", "wallet"],
        ["accounts.sessions.id", "accounts.sessions.wallet"],
        ondelete="CASCADE",
    ),
    CheckConstraint("(used_at IS NULL) = (successor IS NULL)", name="used"),
    Index(
        "uq_refresh_tokens_session_unused",
        "session",
        unique=True,
        postgresql_where=text("used_at IS NULL"),
    ),
    Index(None, "session"),
    Index(None, "expires_at"),
    schema="accounts",
)

# Writes that a session permitted, for the limits by the hour; those with a signature of their own
# are in ``community.signed_requests``.
session_writes = Table(
    "session_writes",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("session", UUID(as_uuid=True), nullable=False, comment="Request: session of its token"),
    _wallet("Session: its wallet"),
    Column(
        "address",
        Text,
        nullable=False,
        comment="Connection: client's IP address (IPv6: its /64 network)",
    ),
    Column("action", Text, nullable=False, comment="API: what the request did"),
    _database_time("accepted_at", "Database clock: when the row was inserted"),
    Index(None, "wallet", "action", "accepted_at"),
    Index(None, "address", "action", "accepted_at"),
    Index(None, "accepted_at"),
    schema="accounts",
)

# Tickets by which sockets sign in. A row is deleted when its ticket is used, whatever becomes of
# the attempt.
realtime_tickets = Table(
    "realtime_tickets",
    metadata,
    Column(
        "hash",
        BYTES,
        CheckConstraint("octet_length(hash) = 32", name="hash"),
        primary_key=True,
        comment="Ticket: its SHA-256",
    ),
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        comment="Request: the wallet that signed in, or that the key belongs to",
    ),
    Column("session", UUID(as_uuid=True), comment="Request: the wallet's session"),
    Column("service", Text, comment="Request: name of the service whose key it carried"),
    Column(
        "key_id",
        BigInteger,
        comment="Request: that key; null also for the key of the settings",
    ),
    Column(
        "is_operator",
        Boolean,
        nullable=False,
        comment="API: whether operators' acts were permitted",
    ),
    Column(
        "expires_at",
        TIME,
        nullable=False,
        comment="Database clock plus the ticket's lifetime",
    ),
    CheckConstraint("session IS NULL OR wallet IS NOT NULL", name="session"),
    CheckConstraint("key_id IS NULL OR service IS NOT NULL", name="key"),
    CheckConstraint(
        "wallet IS NOT NULL AND (session IS NOT NULL OR key_id IS NOT NULL)"
        " OR wallet IS NULL AND service IS NOT NULL AND is_operator",
        name="holder",
    ),
    Index(None, "expires_at"),
    schema="accounts",
)
