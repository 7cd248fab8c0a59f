"""What the monitor reads of the chain: the code by any loader, and nothing that it cannot know."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from solders.pubkey import Pubkey
from sqlalchemy import text

from localnet.scripted_program import SCRIPTED_PROGRAM_SO
from tests.chain.endpoint import Endpoint, Reply
from tests.monitoring.scenarios.stage import Stage
from tests.voting.world import wallet
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.program_code import CODE_OFFSET, read_program_code
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.monitoring.alert_handling import acknowledge
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID, UPGRADEABLE_LOADER
from zmart_pipelines.store.queries.alerts import open_alerts

CODE = b"\x7fELF" + b"code" * 50
HOLDER = Pubkey(bytes([9]) * 32)


class Deployed:
    """An endpoint that has the program as the upgradeable loader lays it out."""

    def __init__(self) -> None:
        self.slot = 77
        self.code = CODE
        self.whole_reads = 0
        self.program = (2).to_bytes(4, "little") + bytes(HOLDER)
        self.holder_exists = True

    def __call__(self, request: dict[str, Any]) -> Reply:
        address, options = request["params"]
        data: bytes | None = self.program
        if address == str(HOLDER):
            data = None
            if self.holder_exists:
                head = (3).to_bytes(4, "little") + self.slot.to_bytes(8, "little")
                data = head.ljust(CODE_OFFSET, b"\1") + self.code + bytes(1_000)
            if part := options.get("dataSlice"):
                data = data and data[part["offset"] : part["offset"] + part["length"]]
            else:
                self.whole_reads += 1
        value = data and {
            "owner": str(UPGRADEABLE_LOADER),
            "lamports": 1,
            "data": [base64.b64encode(data).decode(), "base64"],
            "executable": address != str(HOLDER),
        }
        result = {"context": {"slot": 100}, "value": value}
        return Reply(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode())


@pytest.fixture
def deployed() -> Iterator[tuple[Deployed, RpcClient]]:
    chain = Deployed()
    endpoint = Endpoint()
    endpoint.answer(chain)
    with RpcClient(endpoint.url, 5) as rpc:
        yield chain, rpc
    endpoint.close()


def test_code_of_an_upgradeable_program_is_read_once_for_each_deployment(
    deployed: tuple[Deployed, RpcClient],
) -> None:
    chain, rpc = deployed
    found = read_program_code(rpc, DEFAULT_PROGRAM_ID, {})
    assert found is not None
    assert (found.deployed_slot, found.code_hash) == (77, hashlib.sha256(CODE).digest())
    again = read_program_code(rpc, DEFAULT_PROGRAM_ID, {77: found.code_hash})
    assert (again, chain.whole_reads) == (found, 1)
    chain.slot, chain.code = 90, CODE + b"!"
    upgraded = read_program_code(rpc, DEFAULT_PROGRAM_ID, {77: found.code_hash})
    assert upgraded is not None
    assert (upgraded.deployed_slot, chain.whole_reads) == (90, 2)
    assert upgraded.code_hash == hashlib.sha256(CODE + b"!").digest()


def test_closed_program_has_no_code_and_another_layout_is_a_fault(
    deployed: tuple[Deployed, RpcClient],
) -> None:
    chain, rpc = deployed
    chain.holder_exists = False
    assert read_program_code(rpc, DEFAULT_PROGRAM_ID, {}) is None
    chain.program = bytes(36)
    with pytest.raises(RpcUnavailable, match="another layout"):
        read_program_code(rpc, DEFAULT_PROGRAM_ID, {})


def test_acknowledging_the_alert_accepts_the_code(stage: Stage) -> None:
    chain = stage.world.chain
    stage.monitor()
    old = chain._flags
    chain._flags = (*old, "--program", str(SCRIPTED_PROGRAM_SO))
    chain.restart()
    for _ in range(2):
        stage.monitor()
    with stage.engine.begin() as conn:
        (alert,) = open_alerts(conn, 10)
        acknowledge(conn, alert.id, "an operator", "the new code was reviewed")
    stage.monitor()
    assert stage.open() == []
    # Code that was accepted once stays accepted.
    chain._flags = old
    chain.restart()
    stage.monitor()
    assert stage.open() == []


def test_alerts_stay_while_the_chain_cannot_be_read(stage: Stage) -> None:
    market = stage.without_outcome(wallet(2), wallet(3))
    stage.monitor()
    (held,) = stage.open()
    assert (held.topic, held.market_id) == ("claims_not_payable", market)
    chain = stage.world.chain
    chain.stop()
    stage.monitor()
    assert stage.open() == [held]
    chain._start(str(chain.port))
    stage.monitor()
    assert stage.open() == [held]


def test_tables_that_are_behind_raise_no_alert(stage: Stage) -> None:
    """The market's claims are paid on chain, and the tables do not know it yet."""
    market = stage.without_outcome(wallet(2))
    stage.world.chain.airdrop(stage.world.address(market), 2_000_000_000)
    stage.world.chain.control.finalize()
    stage.monitor()
    assert stage.open() == []
    with stage.owner.begin() as conn:
        conn.execute(
            text(
                "UPDATE market.positions SET total_invested = total_invested * 10"
                " WHERE market_id = :market"
            ),
            {"market": market},
        )
    stage.monitor()
    assert stage.open() == [], "the accounts say otherwise"
