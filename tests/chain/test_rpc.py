"""Requests and responses of each RPC method, as in https://solana.com/docs/rpc/http."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.chain.endpoint import Endpoint, fault, result
from tests.chain.payloads import as_rpc, signature, transaction
from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import (
    AccountData,
    AtSlot,
    Blockhash,
    Clock,
    PrioritizationFee,
    SignatureInfo,
    Simulation,
    Status,
)
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.program.accounts import VoteKind, VoteRecord, encode_account
from zmart_pipelines.program.addresses import config_address, market_address
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.ids import CLOCK_SYSVAR, DEFAULT_PROGRAM_ID, SYSTEM_PROGRAM

PROGRAM = DEFAULT_PROGRAM_ID
A, B = Pubkey(b"\x02" * 32), Pubkey(b"\x03" * 32)
TEXT = str(Signature(signature(1)))


@pytest.fixture
def rpc(endpoint: Endpoint) -> Iterator[RpcClient]:
    with RpcClient(endpoint.url, 1, attempts=1) as client:
        yield client


def at(value: Any, slot: int = 9) -> dict[str, Any]:
    return {"context": {"slot": slot, "apiVersion": "2.3.0"}, "value": value}


def account(data: bytes, owner: Pubkey = PROGRAM, lamports: int = 5) -> dict[str, Any]:
    return {
        "data": [b64encode(data).decode(), "base64"],
        "executable": False,
        "lamports": lamports,
        "owner": str(owner),
        "rentEpoch": 2**64 - 1,
        "space": len(data),
    }


Call = Callable[[RpcClient], Any]
CASES: list[tuple[Call, str, list[Any], Any, Any]] = [
    (lambda r: r.slot("finalized"), "getSlot", [{"commitment": "finalized"}], 7, 7),
    (
        lambda r: r.block_height("confirmed"),
        "getBlockHeight",
        [{"commitment": "confirmed"}],
        6,
        6,
    ),
    (
        lambda r: r.latest_blockhash("confirmed"),
        "getLatestBlockhash",
        [{"commitment": "confirmed"}],
        at({"blockhash": str(Hash(b"\x05" * 32)), "lastValidBlockHeight": 155}),
        Blockhash(Hash(b"\x05" * 32), 155, 9),
    ),
    (
        lambda r: r.account(A, "finalized", 8),
        "getAccountInfo",
        [str(A), {"encoding": "base64", "commitment": "finalized", "minContextSlot": 8}],
        at(account(b"abc")),
        AtSlot(9, AccountData(PROGRAM, 5, b"abc")),
    ),
    (
        lambda r: r.account(A, "finalized"),
        "getAccountInfo",
        [str(A), {"encoding": "base64", "commitment": "finalized"}],
        at(None),
        AtSlot(9, None),
    ),
    (
        lambda r: r.accounts([A, B], "confirmed"),
        "getMultipleAccounts",
        [[str(A), str(B)], {"encoding": "base64", "commitment": "confirmed"}],
        at([None, account(b"", SYSTEM_PROGRAM)]),
        AtSlot(9, [None, AccountData(SYSTEM_PROGRAM, 5, b"")]),
    ),
    (
        lambda r: r.program_accounts(
            PROGRAM,
            b"\x2a\x2b\x2c",
            [(72, b"\x02")],
            "finalized",
            data_size=488,
            min_context_slot=3,
        ),
        "getProgramAccounts",
        [
            str(PROGRAM),
            {
                "encoding": "base64",
                "commitment": "finalized",
                "filters": [
                    {"memcmp": {"offset": 0, "bytes": "FAWf"}},
                    {"memcmp": {"offset": 72, "bytes": "3"}},
                    {"dataSize": 488},
                ],
                "withContext": True,
                "minContextSlot": 3,
            },
        ],
        at([{"pubkey": str(A), "account": account(b"xyz")}]),
        AtSlot(9, [(A, b"xyz")]),
    ),
    (
        lambda r: r.signatures_for_address(A, before=signature(2), limit=10, min_context_slot=4),
        "getSignaturesForAddress",
        [
            str(A),
            {
                "limit": 10,
                "commitment": "finalized",
                "before": str(Signature(signature(2))),
                "minContextSlot": 4,
            },
        ],
        [
            {
                "signature": TEXT,
                "slot": 5,
                "err": None,
                "memo": None,
                "blockTime": 17,
                "confirmationStatus": "finalized",
                "transactionIndex": 2,
            },
            {"signature": TEXT, "slot": 4, "err": {"InstructionError": [0, {"Custom": 1}]}},
        ],
        [
            SignatureInfo(signature(1), 5, 2, None, 17, "finalized"),
            SignatureInfo(
                signature(1), 4, None, {"InstructionError": [0, {"Custom": 1}]}, None, None
            ),
        ],
    ),
    (
        lambda r: r.signature_statuses([signature(1), signature(2)], True),
        "getSignatureStatuses",
        [[TEXT, str(Signature(signature(2)))], {"searchTransactionHistory": True}],
        at(
            [
                None,
                {
                    "slot": 4,
                    "confirmations": None,
                    "err": None,
                    "status": {"Ok": None},
                    "confirmationStatus": "finalized",
                },
            ]
        ),
        AtSlot(9, [None, Status(4, None, None, "finalized")]),
    ),
    (
        lambda r: r.simulate(b"tx", replace_blockhash=True),
        "simulateTransaction",
        [
            "dHg=",
            {
                "encoding": "base64",
                "commitment": "confirmed",
                "sigVerify": False,
                "replaceRecentBlockhash": True,
            },
        ],
        at({"err": {"x": 1}, "logs": ["a"], "accounts": None, "unitsConsumed": 12}),
        Simulation({"x": 1}, ["a"], 12, 9),
    ),
    (
        lambda r: r.simulate(b"tx"),
        "simulateTransaction",
        [
            "dHg=",
            {
                "encoding": "base64",
                "commitment": "confirmed",
                "sigVerify": False,
                "replaceRecentBlockhash": False,
            },
        ],
        at({"err": "BlockhashNotFound", "logs": None}),
        Simulation("BlockhashNotFound", [], None, 9),
    ),
    (
        lambda r: r.send(b"tx", 12),
        "sendTransaction",
        [
            "dHg=",
            {
                "encoding": "base64",
                "skipPreflight": False,
                "preflightCommitment": "confirmed",
                "maxRetries": 0,
                "minContextSlot": 12,
            },
        ],
        TEXT,
        signature(1),
    ),
    (
        lambda r: r.balance(A, "confirmed"),
        "getBalance",
        [str(A), {"commitment": "confirmed"}],
        at(77),
        AtSlot(9, 77),
    ),
    (lambda r: r.airdrop(A, 5), "requestAirdrop", [str(A), 5], TEXT, signature(1)),
    (
        lambda r: r.prioritization_fees([A]),
        "getRecentPrioritizationFees",
        [[str(A)]],
        [{"slot": 3, "prioritizationFee": 100}],
        [PrioritizationFee(3, 100)],
    ),
    (lambda r: r.health(), "getHealth", [], "ok", True),
    (
        lambda r: r.chain_clock("confirmed"),
        "getAccountInfo",
        [str(CLOCK_SYSVAR), {"encoding": "base64", "commitment": "confirmed"}],
        at(account(struct.pack("<QqQQq", 11, 1, 2, 3, 1762768370))),
        Clock(11, 1762768370),
    ),
]


@pytest.mark.parametrize(("call", "method", "params", "answer", "expected"), CASES)
def test_methods(
    endpoint: Endpoint,
    rpc: RpcClient,
    call: Call,
    method: str,
    params: list[Any],
    answer: Any,
    expected: Any,
) -> None:
    endpoint.answer(result(answer))
    assert call(rpc) == expected
    (request,) = endpoint.requests
    assert (request["method"], request["params"]) == (method, params)


def test_a_transaction_is_raw_json(endpoint: Endpoint, rpc: RpcClient) -> None:
    body = as_rpc(transaction([], [], payer=A))
    endpoint.answer(result(body), result(None))
    found = rpc.transaction(signature(1), "finalized")
    assert found is not None
    assert from_rpc(found, PROGRAM) == from_rpc(body, PROGRAM)
    assert rpc.transaction(signature(1), "finalized") is None
    assert endpoint.requests[0]["params"] == [
        TEXT,
        {"encoding": "json", "commitment": "finalized", "maxSupportedTransactionVersion": 1},
    ]


def test_an_unhealthy_node(endpoint: Endpoint, rpc: RpcClient) -> None:
    endpoint.answer(fault(-32005, "Node is unhealthy", {"numSlotsBehind": None}))
    assert rpc.health() is False


def test_too_many_items_for_one_call(rpc: RpcClient) -> None:
    with pytest.raises(ValueError, match="101 accounts, at most 100"):
        rpc.accounts([A] * 101, "finalized")
    with pytest.raises(ValueError, match="257 signatures, at most 256"):
        rpc.signature_statuses([signature(1)] * 257, False)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda r: r.account(A, "finalized"), at({**account(b""), "owner": "invalid"})),
        (lambda r: r.account(A, "finalized"), at({**account(b""), "data": ["%%", "base64"]})),
        (lambda r: r.send(b"x"), "no signature"),
        (lambda r: r.latest_blockhash("finalized"), at({"blockhash": "0"})),
        (
            lambda r: r.latest_blockhash("finalized"),
            at({"blockhash": "0", "lastValidBlockHeight": 1}),
        ),
        (
            lambda r: r.program_accounts(PROGRAM, b""),
            at([{"pubkey": "0", "account": account(b"")}]),
        ),
        (lambda r: r.chain_clock("finalized"), at(None)),
        (lambda r: r.chain_clock("finalized"), at(account(b"short"))),
    ],
)
def test_unusable_responses(endpoint: Endpoint, rpc: RpcClient, call: Call, answer: Any) -> None:
    endpoint.answer(result(answer))
    with pytest.raises(RpcUnavailable, match="unexpected"):
        call(rpc)


VOTE = VoteRecord(bytes(A), bytes(B), VoteKind.DISPUTE, True, 17, 255)


def test_the_reader_filters_votes(endpoint: Endpoint, rpc: RpcClient) -> None:
    endpoint.answer(result(at([{"pubkey": str(A), "account": account(encode_account(VOTE))}])))
    reader = AccountReader(rpc, PROGRAM)
    market = market_address(PROGRAM, b"\x01" * 32)[0]
    assert reader.vote_records(b"\x01" * 32, VoteKind.DISPUTE) == AtSlot(9, [VOTE])
    (request,) = endpoint.requests
    assert request["params"][1]["filters"][1:] == [
        {"memcmp": {"offset": 8, "bytes": str(market)}},
        {"memcmp": {"offset": 72, "bytes": "2"}},
    ]


def test_the_reader_knows_what_is_missing_or_foreign(endpoint: Endpoint, rpc: RpcClient) -> None:
    reader = AccountReader(rpc, PROGRAM)
    endpoint.answer(result(at(None)))
    assert reader.market(bytes(32)) == AtSlot(9, None)
    with pytest.raises(AccountMissing, match=str(config_address(PROGRAM)[0])):
        reader.config()
    endpoint.answer(result(at(account(b"", SYSTEM_PROGRAM))))
    assert reader.market(bytes(32)) == AtSlot(9, None)
    endpoint.answer(result(at(account(encode_account(VOTE)))))
    with pytest.raises(DecodeError, match="is a VoteRecord, not a MarketAccount"):
        reader.market(bytes(32))


def test_results_are_values() -> None:
    assert msgspec.structs.asdict(AtSlot(1, 2)) == {"slot": 1, "value": 2}
