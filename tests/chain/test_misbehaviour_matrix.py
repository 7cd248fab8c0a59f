"""Two endpoints, of which the preferred one misbehaves: every read is answered by the other.

The cases are the product of HTTP status, body, JSON-RPC code and method. The default run takes
every status with every body or code, each with a method of its own; the slow one all of it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import pytest

from tests.chain.endpoint import Endpoint, forward
from tests.chain.misbehaviour import OBJECTS, Misbehaviour, all_misbehaviours, remembering
from tests.fixtures.localnet import Localnet
from zmart_pipelines.breakers.endpoint_breakers import MemoryGuard
from zmart_pipelines.breakers.machine import Policy, State
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.program.accounts import DISCRIMINATOR, MarketAccount
from zmart_pipelines.program.addresses import config_address
from zmart_pipelines.program.ids import CLOCK_SYSVAR, DEFAULT_PROGRAM_ID

FAILURES: Final = 3
Read = Callable[[RpcClient], Any]


class _Epoch(msgspec.Struct, rename="camel"):
    absolute_slot: int
    block_height: int


def reads(chain: Localnet) -> dict[str, Read]:
    """One read of each method, with the same result as long as the chain stands still."""
    with RpcClient(chain.rpc_url, 10) as rpc:
        tip = rpc.slot("finalized")
        listed = rpc.signatures_for_address(DEFAULT_PROGRAM_ID)
        recent = rpc.latest_blockhash("confirmed").hash
    config = config_address(DEFAULT_PROGRAM_ID)[0]
    payer = chain.keys["faucet"].pubkey()
    known = [row.signature for row in listed[:2]]
    transaction = unsigned_transaction(payer, [], recent)
    return {
        "getSlot": lambda rpc: rpc.slot("confirmed"),
        "getBlockHeight": lambda rpc: rpc.block_height("confirmed"),
        "getBlocks": lambda rpc: rpc.blocks(1, tip),
        "getFirstAvailableBlock": lambda rpc: rpc.first_available_block(),
        "getLatestBlockhash": lambda rpc: rpc.latest_blockhash("confirmed"),
        "getAccountInfo": lambda rpc: rpc.account(config, "finalized", tip),
        "getMultipleAccounts": lambda rpc: rpc.accounts([config, CLOCK_SYSVAR], "finalized", tip),
        "getProgramAccounts": lambda rpc: rpc.program_accounts(
            DEFAULT_PROGRAM_ID, DISCRIMINATOR[MarketAccount]
        ),
        "getSignaturesForAddress": lambda rpc: rpc.signatures_for_address(DEFAULT_PROGRAM_ID),
        "getTransaction": lambda rpc: rpc.transaction(known[0], "finalized"),
        "getSignatureStatuses": lambda rpc: rpc.signature_statuses(known, search_history=True),
        "simulateTransaction": lambda rpc: rpc.simulate(transaction, replace_blockhash=True),
        "getBalance": lambda rpc: rpc.balance(payer, "confirmed"),
        "getRecentPrioritizationFees": lambda rpc: rpc.prioritization_fees([config]),
        "getGenesisHash": lambda rpc: rpc.genesis_hash(),
        "getEpochInfo": lambda rpc: rpc.read("getEpochInfo", [], _Epoch),
    }


METHODS: Final = 16
Case = tuple[Misbehaviour, str]


def sampled(methods: list[str]) -> Iterator[Case]:
    """Yield every misbehaviour with one of the methods."""
    order = random.Random(11).sample(methods, len(methods))
    yield from zip(all_misbehaviours(), itertools.cycle(order), strict=False)


def everything(methods: list[str]) -> Iterator[Case]:
    """Yield every misbehaviour with every method."""
    yield from itertools.product(all_misbehaviours(), methods)


@pytest.fixture
def standing(localnet: Localnet) -> Localnet:
    localnet.control.advance(40)
    return localnet


@pytest.mark.parametrize("cases", [sampled, pytest.param(everything, marks=pytest.mark.slow)])
def test_reads_are_answered_by_the_other_endpoint(
    standing: Localnet,
    endpoint: Endpoint,
    cases: Callable[[list[str]], Iterator[Case]],
) -> None:
    table = reads(standing)
    assert len(table) == METHODS
    with RpcClient(standing.rpc_url, 10) as direct:
        right = {method: read(direct) for method, read in table.items()}
    node = remembering(standing.rpc_url)
    wrong: list[str] = []
    number = 0
    for misbehaviour, method in cases(list(table)):
        number += 1
        endpoint.answer(misbehaviour.script(node))
        found = observed(endpoint.url, standing.rpc_url, table[method])
        expected = (
            [right[method]] * FAILURES
            if misbehaviour.outcome(method) == "answered"
            else [RpcError] * FAILURES,
            misbehaviour.opens_breaker(method),
        )
        if found != expected and not is_valid(misbehaviour, method, found[0], right[method]):
            wrong.append(f"{misbehaviour}, {method}: {found}")
    assert number >= 36 * 40
    assert not wrong, f"{len(wrong)} of {number}: " + "\n".join(wrong[:20])


def observed(first: str, second: str, read: Read) -> tuple[list[Any], bool]:
    """Read as often as opens a breaker; return the results and whether the first one's is open."""
    guard = MemoryGuard(Policy(failures=FAILURES))
    results: list[Any] = []
    with RpcClient([first, second], 10, guard=guard, attempts=1) as rpc:
        for _ in range(FAILURES):
            try:
                results.append(read(rpc))
            except (RpcError, RpcUnavailable) as error:
                results.append(type(error))
    state = guard.breakers()[f"rpc:{first.removeprefix('http://')}"].state
    return results, state is State.OPEN


def is_valid(misbehaviour: Misbehaviour, method: str, results: list[Any], right: Any) -> bool:
    """Return whether the misbehaviour cannot be told from the answer of a healthy node.

    An object is a result of getTransaction; one that is not the transaction passes the call on
    to the other endpoint, but does not open a breaker.
    """
    return (
        misbehaviour.status == 200
        and results == [right] * FAILURES
        and method == "getTransaction"
        and misbehaviour.body in OBJECTS
    )


def test_the_good_endpoint_alone_is_never_in_doubt(standing: Localnet, endpoint: Endpoint) -> None:
    endpoint.answer(forward(standing.rpc_url))
    for read in reads(standing).values():
        results, is_open = observed(endpoint.url, standing.rpc_url, read)
        assert not is_open
        assert RpcError not in results
        assert RpcUnavailable not in results
