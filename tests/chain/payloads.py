"""Builders of transactions as Helius and RPC write them."""

from __future__ import annotations

from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines import base58


def signature(number: int) -> bytes:
    """A signature that differs by number."""
    return number.to_bytes(8, "big") * 8


def compiled(message: MessageV0) -> list[dict[str, Any]]:
    return [
        {
            "programIdIndex": instruction.program_id_index,
            "accounts": list(instruction.accounts),
            "data": base58.encode(bytes(instruction.data)),
            "stackHeight": None,
        }
        for instruction in message.instructions
    ]


def transaction(
    instructions: list[Instruction],
    logs: list[str],
    *,
    payer: Pubkey,
    number: int = 1,
    slot: int = 100,
    place: int | None = 3,
    error: Any = None,
    inner: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """One element of a raw webhook body."""
    message = MessageV0.try_compile(payer, instructions, [], Hash.default())
    return {
        "blockTime": 1762768370,
        "indexWithinBlock": place,
        "meta": {
            "err": error,
            "fee": 5000,
            "innerInstructions": inner or [],
            "loadedAddresses": {"readonly": [], "writable": []},
            "logMessages": logs,
            "postBalances": [1, 2],
            "postTokenBalances": [],
            "preBalances": [1, 2],
            "preTokenBalances": [],
            "rewards": [],
        },
        "slot": slot,
        "transaction": {
            "message": {
                "accountKeys": [str(key) for key in message.account_keys],
                "addressTableLookups": None,
                "header": {
                    "numReadonlySignedAccounts": 0,
                    "numReadonlyUnsignedAccounts": 1,
                    "numRequiredSignatures": 1,
                },
                "instructions": compiled(message),
                "recentBlockhash": str(message.recent_blockhash),
            },
            "signatures": [str(Signature(signature(number)))],
        },
        "version": 0,
    }


def as_rpc(element: dict[str, Any]) -> dict[str, Any]:
    """The same transaction as the result of getTransaction."""
    result = dict(element)
    result["transactionIndex"] = result.pop("indexWithinBlock")
    result["meta"] = {**result["meta"], "status": {"Ok": None}, "computeUnitsConsumed": 1}
    return result
