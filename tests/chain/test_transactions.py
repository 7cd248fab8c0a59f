"""Webhook bodies and RPC results: valid ones are decoded, all others are refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit
from solders.pubkey import Pubkey

from tests.chain.payloads import as_rpc, signature, transaction
from zmart_pipelines import base58
from zmart_pipelines.chain.transactions import (
    MAX_TRANSACTIONS,
    PayloadError,
    ProgramInstruction,
    RawTransaction,
    from_helius,
    from_rpc,
)
from zmart_pipelines.program.calls import decode_instruction
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.program.instructions import buy_shares, initiate_dispute

PROGRAM = DEFAULT_PROGRAM_ID
USER, MARKET, WALLET = (Pubkey(bytes([n]) * 32) for n in (2, 3, 4))
BUY = buy_shares(
    PROGRAM,
    user=USER,
    market=MARKET,
    protocol_fee_wallet=WALLET,
    outcome=True,
    target_cost=10**9,
)
LOGS = [f"Program {PROGRAM} invoke [1]", f"Program {PROGRAM} success"]


def element(**changes: Any) -> dict[str, Any]:
    return transaction([set_compute_unit_limit(200_000), BUY], LOGS, payer=USER, **changes)


def body(*elements: Any) -> bytes:
    return json.dumps(list(elements)).encode()


EXPECTED = RawTransaction(
    base58.encode(signature(1)),
    100,
    3,
    1762768370,
    None,
    5000,
    LOGS,
    [ProgramInstruction(1, None, [str(meta.pubkey) for meta in BUY.accounts], bytes(BUY.data))],
)


def test_a_webhook_body() -> None:
    second = element(number=2, slot=101, place=None, error={"InstructionError": [1, {"Custom": 7}]})
    first, failed = from_helius(body(element(), second), PROGRAM)
    assert first == EXPECTED
    assert decode_instruction(first.instructions[0].data).name == "buy_shares"
    assert (failed.signature, failed.slot, failed.index_in_block) == (signature(2), 101, None)
    assert failed.error == {"InstructionError": [1, {"Custom": 7}]}


def test_single_object_is_accepted() -> None:
    assert from_helius(b"\n " + json.dumps(element()).encode(), PROGRAM) == [EXPECTED]


def test_an_empty_array() -> None:
    assert from_helius(b"[]", PROGRAM) == []


def test_an_rpc_result() -> None:
    result = as_rpc(element())
    assert from_rpc(result, PROGRAM) == EXPECTED
    assert from_rpc(json.dumps(result).encode(), PROGRAM) == EXPECTED


def test_nodes_that_omit_the_index_in_the_block() -> None:
    result = as_rpc(element())
    del result["transactionIndex"]
    del result["blockTime"]
    transaction = from_rpc(result, PROGRAM)
    assert (transaction.index_in_block, transaction.block_time) == (None, None)


def test_accounts_from_lookup_tables() -> None:
    changed = element()
    message = changed["transaction"]["message"]
    keys = message["accountKeys"]
    program_place = keys.index(str(PROGRAM))
    moved = [key for key in keys if key not in (str(USER), str(PROGRAM))]
    static = [str(USER), str(PROGRAM)]
    writable, readonly = moved[:2], moved[2:]
    order = [*static, *writable, *readonly]
    message["accountKeys"] = static
    message["addressTableLookups"] = [
        {"accountKey": str(MARKET), "readonlyIndexes": [], "writableIndexes": [0, 1]}
    ]
    changed["meta"]["loadedAddresses"] = {"writable": writable, "readonly": readonly}
    for instruction in message["instructions"]:
        ours = instruction["programIdIndex"] == program_place
        instruction["accounts"] = [order.index(keys[i]) for i in instruction["accounts"]]
        instruction["programIdIndex"] = (
            1 if ours else order.index(keys[instruction["programIdIndex"]])
        )
    assert from_helius(body(changed), PROGRAM) == [EXPECTED]
    del changed["meta"]["loadedAddresses"]
    with pytest.raises(PayloadError, match=r"^\[0\]\.meta\.loadedAddresses: missing"):
        from_helius(body(changed), PROGRAM)


def test_instructions_by_cpi() -> None:
    dispute = initiate_dispute(PROGRAM, initiator=USER, market=MARKET)
    changed = element()
    keys = changed["transaction"]["message"]["accountKeys"]
    by_cpi = {
        "programIdIndex": keys.index(str(PROGRAM)),
        "accounts": [keys.index(str(USER))],
        "data": base58.encode(bytes(dispute.data)),
        "stackHeight": 2,
    }
    foreign = {**by_cpi, "programIdIndex": 0}
    changed["meta"]["innerInstructions"] = [
        {"index": 1, "instructions": [by_cpi]},
        {"index": 0, "instructions": [foreign, by_cpi]},
        {"index": 1, "instructions": [foreign, by_cpi]},
    ]
    (found,) = from_helius(body(changed), PROGRAM)
    order = [(i.index, i.inner_index) for i in found.instructions]
    assert order == [(0, 1), (1, None), (1, 0), (1, 2)]
    assert found.instructions[0].accounts == [str(USER)]
    assert decode_instruction(found.instructions[0].data).name == "initiate_dispute"


def test_only_our_program_is_kept() -> None:
    (found,) = from_helius(body(element()), Pubkey(bytes(32)))
    assert found.instructions == []


def test_nul_characters_are_replaced() -> None:
    changed = element(error={"InstructionError": [0, {"BorshIoError": "a\0b"}]})
    changed["meta"]["logMessages"] = ["Program log: a\0\0b", "Program log: literal \\u0000 text"]
    (found,) = from_helius(body(changed), PROGRAM)
    assert found.logs == ["Program log: a\ufffd\ufffdb", "Program log: literal \\u0000 text"]
    assert "\0" not in str(found.error)


def path_of(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in path.split(".")]


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The element with one field set, or removed for ``...``."""
    changed = copy.deepcopy(element())
    target: Any = changed
    *parents, last = path_of(path)
    for part in parents:
        target = target[part]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("slot", ..., "[3]: Object missing required field `slot`"),
        ("slot", "100", "[3].slot: Expected `int`, got `str`"),
        ("slot", -1, "[3].slot: Expected `int` >= 0"),
        ("slot", 2**63, "[3].slot: Expected `int` <= 9223372036854775807"),
        ("slot", 1.5, "[3].slot: Expected `int`, got `float`"),
        ("meta", None, "[3].meta: Expected `object`, got `null`"),
        ("version", 2, "[3].version: 2 cannot be decoded, the newest that can be is 1"),
        ("version", -1, "[3].version: -1 cannot be decoded"),
        ("version", "v1", "[3].version: "),
        ("meta.logMessages", [1], "[3].meta.logMessages[0]: Expected `str`, got `int`"),
        ("meta.err", ..., "[3].meta: Object missing required field `err`"),
        ("transaction.signatures", [], "[3].transaction.signatures: Expected `array` of"),
        (
            "transaction.signatures.0",
            "0OIl",
            "[3].transaction.signatures[0]: not a base58 signature",
        ),
        (
            "transaction.signatures.0",
            "11111",
            "[3].transaction.signatures[0]: not a base58 signature",
        ),
        (
            "transaction.message.accountKeys.1",
            {"pubkey": "x"},
            "[3].transaction.message.accountKeys[1]: Expected `str`, got `object`",
        ),
        (
            "transaction.message.accountKeys.1",
            "not an address",
            "[3].transaction.message.instructions[1].accounts: not a base58 address",
        ),
        (
            "transaction.message.instructions.1.data",
            "0",
            "[3].transaction.message.instructions[1].data: not base58",
        ),
        (
            "transaction.message.instructions.1.data",
            "1" * 6000,
            "[3].transaction.message.instructions[1].data: base58 of 6000 characters",
        ),
        (
            "transaction.message.instructions.1.accounts",
            [200],
            "[3].transaction.message.instructions[1].accounts: an index is beyond the",
        ),
        (
            "transaction.message.instructions.1.accounts",
            [-1],
            "[3].transaction.message.instructions[1].accounts[0]: Expected `int` >= 0",
        ),
        (
            "meta.innerInstructions",
            [{"index": 9, "instructions": []}],
            "[3].meta.innerInstructions[0].index: no such instruction",
        ),
        ("blockTime", 10**30, "[3].blockTime: "),
    ],
)
def test_invalid_field_is_named(path: str, value: Any, message: str) -> None:
    wrong = body(element(), element(), element(), with_value(path, value), element())
    with pytest.raises(PayloadError) as error:
        from_helius(wrong, PROGRAM)
    assert str(error.value).startswith(message)
    with pytest.raises(PayloadError) as error:
        from_rpc(with_value(path, value), PROGRAM)
    alone = message.removeprefix("[3]").removeprefix(".")
    assert str(error.value).startswith(f"body{alone}" if alone.startswith(":") else alone)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (b"", "body: "),
        (b"null", "body: Expected `array`"),
        (b"7", "body: Expected `array`"),
        (b"[{]", "body: "),
        (b"[null]", "[0]: Expected `object`, got `null`"),
        (b'[{"accountData": [], "type": "SWAP"}]', "[0]: Object missing required field"),
        (b'["' + b"\xff" * 10 + b'"]', "[0]: "),
        (b"[" * 100_000, "[0]: Expected `object`, got `array`"),
        (b'[{"meta":{"err":' + b"[" * 100_000, "body: nested too deeply"),
        (b'[{"unknown":' + b"[" * 100_000, "body: "),
    ],
)
def test_invalid_bodies_are_refused(wrong: bytes, message: str) -> None:
    with pytest.raises(PayloadError) as error:
        from_helius(wrong, PROGRAM)
    assert str(error.value).startswith(message)


def test_too_many_transactions() -> None:
    one = json.dumps(element()).encode()
    with pytest.raises(
        PayloadError, match=f"body: Expected `array` of length <= {MAX_TRANSACTIONS}"
    ):
        from_helius(b"[" + (one + b",") * MAX_TRANSACTIONS + one + b"]", PROGRAM)


SAMPLE = body(element(), element(number=2))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(PayloadError):
        from_rpc(data, PROGRAM)
    if data.strip() != b"[]":
        with pytest.raises(PayloadError):
            from_helius(data, PROGRAM)


@given(st.data())
def test_damaged_bodies(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SAMPLE)))
    end = data.draw(st.integers(start, min(len(SAMPLE), start + 40)))
    damaged = SAMPLE[:start] + data.draw(st.binary(max_size=8)) + SAMPLE[end:]
    try:
        found = from_helius(damaged, PROGRAM)
    except PayloadError:
        return
    assert all(len(transaction.signature) == 64 for transaction in found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PATHS = [
    "slot", "blockTime", "indexWithinBlock", "meta", "meta.err", "meta.fee", "meta.logMessages",
    "meta.innerInstructions", "meta.loadedAddresses", "transaction", "transaction.signatures",
    "transaction.signatures.0", "transaction.message", "transaction.message.accountKeys",
    "transaction.message.accountKeys.0", "transaction.message.instructions",
    "transaction.message.instructions.1", "transaction.message.instructions.1.data",
    "transaction.message.instructions.1.accounts",
    "transaction.message.instructions.1.programIdIndex",
    "transaction.message.addressTableLookups",
]  # fmt: skip


@given(st.sampled_from(PATHS), json_values)
def test_any_value_in_any_field(path: str, value: Any) -> None:
    try:
        from_helius(body(with_value(path, value)), PROGRAM)
    except PayloadError as error:
        assert str(error).startswith(("[0]", "body"))  # noqa: PT017


@given(st.binary(max_size=700))
def test_base58_round_trip(data: bytes) -> None:
    assert base58.decode(base58.encode(data)) == data


@given(st.binary(min_size=32, max_size=32))
def test_base58_agrees_with_solders(data: bytes) -> None:
    assert base58.encode(data) == str(Pubkey(data))
    assert base58.decode(str(Pubkey(data))) == data


@pytest.mark.parametrize("text", ["0", "O1", "1I", "l", "é", "11 1", "ab!c"])
def test_base58_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not base58"):
        base58.decode(text)
