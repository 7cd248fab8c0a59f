"""Webhook bodies of transactions that the reference model executes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from solders.signature import Signature

from zmart_pipelines import base58
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID


def raw(one: RawTransaction) -> dict[str, Any]:
    """The transaction as one element of a raw Helius body."""
    program = str(DEFAULT_PROGRAM_ID)
    keys: list[str] = []

    def index(key: str) -> int:
        if key not in keys:
            keys.append(key)
        return keys.index(key)

    instructions = [
        {
            "programIdIndex": index(program),
            "accounts": [index(account) for account in item.accounts],
            "data": base58.encode(item.data),
        }
        for item in one.instructions
    ]
    return {
        "blockTime": one.block_time,
        "indexWithinBlock": one.index_in_block,
        "slot": one.slot,
        "version": "legacy",
        "meta": {
            "err": one.error,
            "fee": one.fee,
            "innerInstructions": [],
            "loadedAddresses": {"readonly": [], "writable": []},
            "logMessages": one.logs,
        },
        "transaction": {
            "signatures": [str(Signature(one.signature))],
            "message": {"accountKeys": keys, "instructions": instructions},
        },
    }


def enhanced(*signatures: bytes, slot: int = 5) -> bytes:
    """A body as Helius' enhanced webhook sends it, shortened."""
    return json.dumps(
        [
            {
                "accountData": [],
                "description": "",
                "events": {},
                "fee": 5000,
                "feePayer": "11111111111111111111111111111111",
                "instructions": [{"accounts": [], "data": "3Bxs", "programId": "1" * 32}],
                "signature": str(Signature(one)),
                "slot": slot,
                "source": "UNKNOWN",
                "timestamp": 1_700_000_000,
                "transactionError": None,
                "type": "UNKNOWN",
            }
            for one in signatures
        ]
    ).encode()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _places(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            found += _places(item, (*path, number))
    return found


_WRONG: list[Any] = [
    None,
    -1,
    2**64,
    10**400,
    1.5,
    "",
    "x" * 100,
    "\u0000",
    [],
    {},
    True,
    [[]],
    {"a": {"b": 1}},
]


def mutated(body: list[dict[str, Any]], dice: random.Random) -> bytes:
    """The body with one fault: in a value, a field, or the bytes."""
    text = json.dumps(body).encode()
    kind = dice.randrange(4)
    if kind == 0:
        return text[: dice.randrange(len(text))]
    if kind == 1:
        place = dice.randrange(len(text))
        return text[:place] + bytes([dice.randrange(256)]) + text[place + 1 :]
    broken = copy.deepcopy(body)
    path = dice.choice(_places(broken))
    holder: Any = broken
    for part in path[:-1]:
        holder = holder[part]
    if kind == 2:
        del holder[path[-1]]
    else:
        holder[path[-1]] = dice.choice(_WRONG)
    return json.dumps(broken).encode()
