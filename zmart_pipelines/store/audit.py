"""The audit log: who did what as an operator, through which entry point, and why.

A row is written in the transaction of the act, so that neither exists without the other. The table
is append-only. The API's login writes and reads it only in a transaction that acts for an operator
(:func:`zmart_pipelines.store.engine.act_as_operator`).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import Connection, insert

from zmart_pipelines import base58
from zmart_pipelines.store.tables.audit import audit

# Characters of a reason.
MAX_REASON: Final = 500

EntryPoint: TypeAlias = Literal["api", "cli", "dagster"]


class WalletActor(msgspec.Struct, frozen=True):
    """An operator who signed in with this wallet (32 bytes)."""

    wallet: bytes


class ServiceActor(msgspec.Struct, frozen=True):
    """A service with a key; ``key_id`` is None for the key of the settings."""

    service: str
    key_id: int | None


class OsActor(msgspec.Struct, frozen=True):
    """Who ran a command, by the name of the operating system's account."""

    os_user: str


class DagsterActor(msgspec.Struct, frozen=True):
    """Who launched a run, as far as Dagster knows it."""

    dagster_user: str


Actor: TypeAlias = WalletActor | ServiceActor | OsActor | DagsterActor


def required_reason(text: str) -> str:
    """Return the reason of an act that must have one, without blanks around it.

    Raises:
        ValueError: It is blank or longer than ``MAX_REASON`` characters.
    """
    reason = text.strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise ValueError(f"reason: must have 1 to {MAX_REASON} characters")
    return reason


class Operator(msgspec.Struct, frozen=True):
    """Who acts, and through what.

    Attributes:
        actor: Who acts.
        entry_point: Through what.
        details: Facts that each row of this operator has, such as the run.
    """

    actor: Actor
    entry_point: EntryPoint
    details: Mapping[str, Any] = {}

    def record(
        self,
        conn: Connection,
        action: str,
        subject: str | None = None,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an act of this operator; see :func:`record`."""
        facts = {**self.details, **(details or {})}
        record(conn, self.actor, self.entry_point, action, subject, reason, facts)


def os_actor() -> OsActor:
    """Return the account that this process runs as; the environment has no say in it."""
    try:
        return OsActor(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        return OsActor(f"uid {os.getuid()}")


def actor_name(actor: Actor) -> str:
    """Return who acts as people know them: a wallet in base58, or a name with its kind."""
    match actor:
        case WalletActor(wallet):
            return base58.encode(wallet)
        case ServiceActor(service):
            return f"service {service}"
        case OsActor(os_user):
            return f"user {os_user}"
        case DagsterActor(dagster_user):
            return f"Dagster user {dagster_user}"


def record(
    conn: Connection,
    actor: Actor,
    entry_point: EntryPoint,
    action: str,
    subject: str | None = None,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record an operator's act in the transaction that carries it out.

    Args:
        conn: The transaction, committed by the caller.
        actor: Who acts.
        entry_point: Through what.
        action: What is done: small letters and underscores, such as ``switch``.
        subject: What it is done to: a market's id in hex, a name, a row's number.
        reason: Why, in the operator's words.
        details: Further facts as JSON; never a secret.
    """
    conn.execute(
        insert(audit).values(
            entry_point=entry_point,
            action=action,
            subject=subject,
            reason=reason.strip(),
            details=dict(details or {}),
            **msgspec.structs.asdict(actor),
        )
    )
