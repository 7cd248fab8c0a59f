"""Methods that read transactions and blocks."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from localnet.bank import Status
from localnet.blocks import Commitment
from localnet.history import StoredTransaction
from localnet.rpc import encoding
from localnet.rpc.encoding import TransactionEncoding, signature_text
from localnet.rpc.errors import invalid, skipped, unavailable
from localnet.rpc.params import Natural, Options, Params, signature, with_context
from localnet.rpc.registry import method
from localnet.wire_transaction import WireTransaction
from zmart_pipelines import base58

_MAX_STATUSES = 256
_MAX_SIGNATURES = 1000


class StatusOptions(msgspec.Struct, rename="camel"):
    """Options of ``getSignatureStatuses``."""

    search_transaction_history: bool = False


class SignaturesOptions(Options, rename="camel"):
    """Options of ``getSignaturesForAddress``."""

    limit: Natural = _MAX_SIGNATURES
    before: str | None = None
    until: str | None = None


class TransactionOptions(Options, rename="camel"):
    """Options of ``getTransaction``."""

    encoding: TransactionEncoding | None = None
    max_supported_transaction_version: Natural | None = None


class BlockOptions(TransactionOptions, rename="camel"):
    """Options of ``getBlock``."""

    transaction_details: Literal["full", "accounts", "signatures", "none"] | None = None
    rewards: bool | None = None


@method("getSignatureStatuses")
def get_signature_statuses(params: Params) -> Any:
    """Return the statuses of up to 256 signatures; older than 300 blocks only with history."""
    texts = params.convert(0, list[str])
    if len(texts) > _MAX_STATUSES:
        raise invalid(f"Too many inputs provided; max {_MAX_STATUSES}")
    options = params.options(1, StatusOptions)
    tip = params.tip(Options(), Commitment.PROCESSED)
    return with_context(tip, [_status(params, signature(text), options) for text in texts])


def _status(params: Params, wanted: bytes, options: StatusOptions) -> dict[str, Any] | None:
    view = params.view
    status = view.status(wanted)
    if status is None and options.search_transaction_history:
        stored = params.node.history.transaction(wanted)
        if stored is not None and stored.slot <= view.finalized.slot:
            status = Status(stored.slot, stored.error)
    if status is None:
        return None
    level = view.level(status.slot)
    return {
        "slot": status.slot,
        "confirmations": None if level is Commitment.FINALIZED else view.depth(status.slot),
        "confirmationStatus": level,
        "err": status.error,
        "status": {"Ok": None} if status.error is None else {"Err": status.error},
    }


@method("getSignaturesForAddress")
def get_signatures_for_address(params: Params) -> Any:
    """Return transactions that reference an address, newest first."""
    address = bytes(params.pubkey(0))
    options = params.options(1, SignaturesOptions)
    if not 1 <= options.limit <= _MAX_SIGNATURES:
        raise invalid(f"Invalid limit; max {_MAX_SIGNATURES}")
    rows = params.node.history.signatures_of(
        address,
        last_slot=_last_slot(params, options),
        before=None if options.before is None else signature(options.before),
        until=None if options.until is None else signature(options.until),
        limit=options.limit,
    )
    view = params.view
    return [
        {
            "signature": signature_text(row.signature),
            "slot": row.slot,
            "transactionIndex": row.position,
            "err": row.error,
            "memo": row.memo,
            "blockTime": row.unix_time,
            "confirmationStatus": view.level(row.slot),
        }
        for row in rows
    ]


@method("getTransaction")
def get_transaction(params: Params) -> Any:
    """Return a transaction of a confirmed or finalized block, or null."""
    wanted = params.signature(0)
    options = _transaction_options(params)
    last_slot = _last_slot(params, options)
    stored = params.node.history.transaction(wanted)
    if stored is None or stored.slot > last_slot:
        return None
    return {
        "slot": stored.slot,
        "transactionIndex": stored.position,
        "blockTime": stored.unix_time,
        **_shown(stored, options),
    }


def _transaction_options(params: Params) -> TransactionOptions:
    if isinstance(params.get(1), str):
        return msgspec.convert({"encoding": params.get(1)}, TransactionOptions)
    return params.options(1, TransactionOptions)


def _shown(stored: StoredTransaction, options: TransactionOptions) -> dict[str, Any]:
    tx = WireTransaction(stored.wire)
    encoding.check_version(tx.version, options.max_supported_transaction_version)
    form = options.encoding or "json"
    body: dict[str, Any] = {
        "meta": encoding.parsed_meta(stored.meta, stored.wire)
        if form == "jsonParsed"
        else msgspec.Raw(stored.meta),
        "transaction": encoding.transaction(stored.wire, form, stored.meta),
    }
    if options.max_supported_transaction_version is not None:
        body["version"] = "legacy" if tx.version is None else tx.version
    return body


@method("getBlock")
def get_block(params: Params) -> Any:
    """Return a confirmed or finalized block."""
    slot = params.natural(0)
    options = params.options(1, BlockOptions)
    history = params.node.history
    last_slot = _last_slot(params, options)
    block = history.block(slot) if slot <= last_slot else None
    if block is None:
        raise skipped(slot) if slot <= last_slot else unavailable(slot)
    body: dict[str, Any] = {
        "blockHeight": block.height,
        "blockTime": block.unix_time,
        "blockhash": base58.encode(block.blockhash),
        "parentSlot": block.parent,
        "previousBlockhash": base58.encode(block.parent_hash),
    }
    details = options.transaction_details or "full"
    stored = history.block_transactions(slot) if details != "none" else []
    if details == "full":
        body["transactions"] = [_shown(row, options) for row in stored]
    elif details == "accounts":
        body["transactions"] = [_accounts_only(row, options) for row in stored]
    elif details == "signatures":
        body["signatures"] = [signature_text(row.signature) for row in stored]
    if options.rewards is not False:
        body["rewards"] = []
    return body


def _accounts_only(stored: StoredTransaction, options: BlockOptions) -> dict[str, Any]:
    body = _shown(stored, msgspec.structs.replace(options, encoding="jsonParsed"))
    shown = body["transaction"]
    body["transaction"] = {
        "accountKeys": shown["message"]["accountKeys"],
        "signatures": shown["signatures"],
    }
    return body


def _last_slot(params: Params, options: Options) -> int:
    if options.commitment is Commitment.PROCESSED:
        raise invalid("Method does not support commitment below `confirmed`")
    return params.tip(options).slot
