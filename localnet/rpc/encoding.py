"""Accounts and transactions in the encodings of the RPC."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from solders.clock import Clock
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature

from localnet.accounts import RENT_EXEMPT_EPOCH, Account, Key
from localnet.rpc.errors import INVALID_REQUEST, UNSUPPORTED_VERSION, RpcError
from localnet.wire_transaction import WireTransaction
from zmart_pipelines import base58
from zmart_pipelines.program.ids import CLOCK_SYSVAR

AccountEncoding: TypeAlias = Literal["binary", "base58", "base64", "base64+zstd", "jsonParsed"]
TransactionEncoding: TypeAlias = Literal["binary", "base58", "base64", "json", "jsonParsed"]

_BASE58_LIMIT: Final = 128
_CLOCK: Final = bytes(CLOCK_SYSVAR)
_ZSTD_BLOCK: Final = 128 * 1024


class DataSlice(msgspec.Struct):
    """The requested part of an account's data, in bytes."""

    offset: Annotated[int, msgspec.Meta(ge=0)]
    length: Annotated[int, msgspec.Meta(ge=0)]


def address(key: bytes) -> str:
    """Return an address in base58."""
    return str(Pubkey.from_bytes(key))


def signature_text(signature: bytes) -> str:
    """Return a signature in base58."""
    return str(Signature.from_bytes(signature))


def account(
    key: Key,
    value: Account | None,
    encoding: AccountEncoding | None,
    part: DataSlice | None = None,
) -> dict[str, Any] | None:
    """Return an account as ``getAccountInfo`` returns it."""
    if value is None:
        return None
    data = value.data if part is None else value.data[part.offset : part.offset + part.length]
    return {
        "data": _data(key, data, encoding),
        "executable": value.executable,
        "lamports": value.lamports,
        "owner": address(value.owner),
        "rentEpoch": RENT_EXEMPT_EPOCH,
        "space": len(value.data),
    }


def _data(key: Key, data: bytes, encoding: AccountEncoding | None) -> Any:
    if encoding == "base64":
        return [base64.b64encode(data).decode(), "base64"]
    if encoding == "jsonParsed":
        if key == _CLOCK:
            return _clock(data)
        return [base64.b64encode(data).decode(), "base64"]
    if encoding == "base64+zstd":
        return [base64.b64encode(zstd_frame(data)).decode(), "base64+zstd"]
    if len(data) > _BASE58_LIMIT:
        raise RpcError(
            INVALID_REQUEST,
            "Encoded binary (base 58) data should be less than 128 bytes, "
            "please use Base64 encoding.",
        )
    text = base58.encode(data)
    return [text, "base58"] if encoding == "base58" else text


def _clock(data: bytes) -> dict[str, Any]:
    clock = Clock.from_bytes(data)
    info = {
        "epoch": clock.epoch,
        "epochStartTimestamp": clock.epoch_start_timestamp,
        "leaderScheduleEpoch": clock.leader_schedule_epoch,
        "slot": clock.slot,
        "unixTimestamp": clock.unix_timestamp,
    }
    return {"program": "sysvar", "parsed": {"type": "clock", "info": info}, "space": len(data)}


def zstd_frame(data: bytes) -> bytes:
    """Return a valid zstd frame (RFC 8878) of uncompressed blocks."""
    head = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")
    chunks = [data[at : at + _ZSTD_BLOCK] for at in range(0, len(data), _ZSTD_BLOCK)] or [b""]
    last = len(chunks) - 1
    return head + b"".join(
        (len(chunk) << 3 | (index == last)).to_bytes(3, "little") + chunk
        for index, chunk in enumerate(chunks)
    )


def transaction(wire: bytes, encoding: TransactionEncoding, meta: bytes = b"") -> Any:
    """Return a transaction in an encoding.

    ``jsonParsed`` replaces account indexes by addresses but decodes no program's instructions;
    it needs ``meta`` for the addresses from lookup tables.
    """
    if encoding == "base64":
        return [base64.b64encode(wire).decode(), "base64"]
    if encoding in ("binary", "base58"):
        text = base58.encode(wire)
        return [text, "base58"] if encoding == "base58" else text
    tx = WireTransaction(wire)
    if encoding == "jsonParsed":
        _load(tx, meta)
        message = _parsed_message(tx)
    else:
        message = _plain_message(tx)
    return {"signatures": [str(s) for s in tx.signatures], "message": message}


class _Loaded(msgspec.Struct):
    writable: list[str]
    readonly: list[str]


class _Meta(msgspec.Struct, rename="camel"):
    loaded_addresses: _Loaded


def _load(tx: WireTransaction, meta: bytes) -> None:
    """Load the lookup-table addresses of a transaction from the history."""
    loaded = msgspec.json.decode(meta, type=_Meta).loaded_addresses
    tx.load(
        [bytes(Pubkey.from_string(text)) for text in loaded.writable],
        [bytes(Pubkey.from_string(text)) for text in loaded.readonly],
    )


def _lookups(tx: WireTransaction) -> list[dict[str, Any]] | None:
    if not isinstance(tx.message, MessageV0):
        return None
    return [
        {
            "accountKey": str(lookup.account_key),
            "writableIndexes": list(lookup.writable_indexes),
            "readonlyIndexes": list(lookup.readonly_indexes),
        }
        for lookup in tx.message.address_table_lookups
    ]


def _plain_message(tx: WireTransaction) -> dict[str, Any]:
    header = tx.message.header
    body: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in tx.pubkeys],
        "recentBlockhash": str(tx.message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": instruction.program_id_index,
                "accounts": list(instruction.accounts),
                "data": base58.encode(instruction.data),
                "stackHeight": 1,
            }
            for instruction in tx.message.instructions
        ],
    }
    lookups = _lookups(tx)
    if lookups is not None:
        body["addressTableLookups"] = lookups
    return body


def _parsed_message(tx: WireTransaction) -> dict[str, Any]:
    writable = set(tx.writable)
    static = len(tx.message.account_keys)
    names = [str(key) for key in tx.pubkeys]
    body: dict[str, Any] = {
        "accountKeys": [
            {
                "pubkey": name,
                "signer": index < len(tx.signatures),
                "writable": index in writable,
                "source": "transaction" if index < static else "lookupTable",
            }
            for index, name in enumerate(names)
        ],
        "recentBlockhash": str(tx.message.recent_blockhash),
        "instructions": [
            {
                "programId": names[instruction.program_id_index],
                "accounts": [names[index] for index in instruction.accounts],
                "data": base58.encode(instruction.data),
                "stackHeight": 1,
            }
            for instruction in tx.message.instructions
        ],
    }
    lookups = _lookups(tx)
    if lookups is not None:
        body["addressTableLookups"] = lookups
    return body


def parsed_meta(meta: bytes, wire: bytes) -> dict[str, Any]:
    """Return a stored ``meta`` with its inner instructions in the jsonParsed form."""
    body: dict[str, Any] = msgspec.json.decode(meta)
    tx = WireTransaction(wire)
    _load(tx, meta)
    names = [str(key) for key in tx.pubkeys]
    for group in body["innerInstructions"]:
        group["instructions"] = [
            {
                "programId": names[inner["programIdIndex"]],
                "accounts": [names[index] for index in inner["accounts"]],
                "data": inner["data"],
                "stackHeight": inner["stackHeight"],
            }
            for inner in group["instructions"]
        ]
    return body


def check_version(version: int | None, supported: int | None) -> None:
    """Raise RpcError for a versioned transaction that the client does not support."""
    if version is not None and (supported is None or version > supported):
        raise RpcError(
            UNSUPPORTED_VERSION,
            f"Transaction version ({version}) is not supported by the requesting client. "
            "Please try the request again with the following configuration parameter: "
            f'"maxSupportedTransactionVersion": {version}',
        )
