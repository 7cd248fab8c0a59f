"""Relayed transactions as clients read them."""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec

from zmart_pipelines.client_schemas.formats import (
    base58_key,
    base58_signature,
    iso8601,
    iso8601_or_none,
)
from zmart_pipelines.program import errors as program_errors
from zmart_pipelines.store.queries import relayed_transactions

RelayState = Literal["stored", "sent", "confirmed", "finalized", "failed", "expired"]


class TransactionError(msgspec.Struct, frozen=True):
    """Why a transaction failed.

    `name` is the name of the program's or the runtime's error, `code` its number where it has one,
    `raw` the error as the chain's nodes return it.
    """

    name: str
    code: int | None
    message: str | None
    raw: Any


class RelayedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A signed transaction that was handed to the API, and how far it has come.

    `state`: `stored` is committed here; `sent` was accepted by a node; `confirmed` is in a
    confirmed block, which may still be dropped, so that it is `sent` again. `finalized`, `failed`
    (executed at finalized with an error; its fee is paid) and `expired` (it did not land and never
    can) are final. `refusal` is why no node accepted it when it was last sent: it is sent again
    until it expires. `instructions` are those of the program. It can land up to
    `last_valid_block_height`, which may be stated up to 150 blocks too high. `sends` counts how
    often a node accepted it.
    """

    signature: str
    fee_payer: str
    instructions: list[str]
    state: RelayState
    refusal: str | None
    error: TransactionError | None
    last_valid_block_height: int
    sends: int
    landed_slot: int | None
    received_at: str
    sent_at: str | None
    confirmed_at: str | None
    settled_at: str | None


def transaction_error(raw: Any) -> TransactionError:
    """Return a transaction's error as the cluster states it, with the program's words."""
    code = program_errors.custom_code(raw)
    known = {error.value for error in program_errors.ProgramError}
    return TransactionError(
        name=program_errors.describe(raw),
        code=code,
        message=program_errors.ProgramError(code).message if code in known else None,
        raw=raw,
    )


def relayed_transaction(row: relayed_transactions.RelayedTransaction) -> RelayedTransaction:
    """Return a row as clients read it."""
    return RelayedTransaction(
        signature=base58_signature(row.signature),
        fee_payer=base58_key(row.fee_payer),
        instructions=row.instructions,
        state=cast(RelayState, row.state),
        refusal=row.refusal,
        error=None if row.error is None else transaction_error(row.error),
        last_valid_block_height=row.last_valid_block_height,
        sends=row.sends,
        landed_slot=row.landed_slot,
        received_at=iso8601(row.received_at),
        sent_at=iso8601_or_none(row.sent_at),
        confirmed_at=iso8601_or_none(row.confirmed_at),
        settled_at=iso8601_or_none(row.settled_at),
    )
