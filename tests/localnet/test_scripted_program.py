"""Third-party programs around ours: look-alike events, nesting, spam, failures."""

from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair

from localnet.scripted_program import (
    SCRIPTED_PROGRAM_ID,
    SCRIPTED_PROGRAM_SO,
    Script,
    fail,
    log_data,
    log_text,
)
from localnet.scripted_program.__main__ import compile_scripted_program
from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import SOL, blockhash, funded, send, signed
from zmart_pipelines.chain.program_logs import parse_logs
from zmart_pipelines.program import instructions
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.events import MarketCreated, decode_event


def create(chain: Localnet, wallet: Keypair, number: int = 1) -> Instruction:
    return instructions.create_market(
        chain.program,
        creator=wallet.pubkey(),
        market_id=bytes([number] * 32),
        b_parameter=100 * SOL,
        initial_liquidity=SOL,
        question_hash=b"Q" * 46,
    )


def run(chain: Localnet, wallet: Keypair, *acts: Instruction) -> dict[str, Any]:
    """Land a transaction, whatever comes of it, and return its meta."""
    limit = set_compute_unit_limit(1_400_000)
    tx = signed([limit, *acts], wallet, blockhash(chain))
    assert "result" in send(chain, tx, skipPreflight=True)
    chain.control.advance()
    options = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    shown = chain.result("getTransaction", str(tx.signatures[0]), options)
    meta: dict[str, Any] = shown["meta"]
    return meta


def payloads(chain: Localnet, meta: dict[str, Any]) -> list[bytes]:
    found = parse_logs(meta["logMessages"], str(chain.program))
    assert found.faults == []
    return [payload for _, payload in found.payloads]


@pytest.mark.process
def test_committed_program_equals_its_build() -> None:
    assert SCRIPTED_PROGRAM_SO.read_bytes() == compile_scripted_program()


def test_look_alike_event_is_in_the_scripted_programs_frame(localnet: Localnet) -> None:
    wallet = funded(localnet)
    real = payloads(localnet, run(localnet, wallet, create(localnet, wallet)))
    assert len(real) == 1
    spoken = f"Program {localnet.program} invoke [1]"
    fake = Script().add(log_text(spoken), log_data(real[0])).instruction()
    meta = run(localnet, wallet, fake)
    assert meta["err"] is None
    assert f"Program {SCRIPTED_PROGRAM_ID} invoke [1]" in meta["logMessages"]
    assert f"Program log: {spoken}" in meta["logMessages"]
    assert any(line.startswith("Program data: ") for line in meta["logMessages"])
    assert payloads(localnet, meta) == []


def test_nested_call_of_the_program_works_and_is_logged(localnet: Localnet) -> None:
    wallet = funded(localnet)
    nested = Script().add(log_text("before")).call(create(localnet, wallet)).add(log_text("after"))
    meta = run(localnet, wallet, nested.instruction(), create(localnet, wallet, 2))
    assert meta["err"] is None
    assert f"Program {localnet.program} invoke [2]" in meta["logMessages"]
    group = meta["innerInstructions"][0]
    assert group["index"] == 1
    assert [inner["stackHeight"] for inner in group["instructions"]][:2] == [2, 3]
    events = [decode_event(payload) for payload in payloads(localnet, meta)]
    assert [type(event) for event in events] == [MarketCreated, MarketCreated]
    market, _ = market_address(localnet.program, bytes([1] * 32))
    found = localnet.result("getAccountInfo", str(market), {"encoding": "base64"} | CONFIRMED)
    assert found["value"]["owner"] == str(localnet.program)


def test_failed_transaction_keeps_its_events_and_undoes_all(localnet: Localnet) -> None:
    wallet = funded(localnet)
    meta = run(localnet, wallet, create(localnet, wallet), Script().add(fail(77)).instruction())
    assert meta["err"] == {"InstructionError": [2, {"Custom": 77}]}
    assert len(payloads(localnet, meta)) == 1
    market, _ = market_address(localnet.program, bytes([1] * 32))
    found = localnet.result("getAccountInfo", str(market), {"encoding": "base64"} | CONFIRMED)
    assert found["value"] is None


def test_logs_are_truncated_at_10000_bytes(localnet: Localnet) -> None:
    wallet = funded(localnet)
    spam = Script().add(log_text("x" * 100, times=120)).instruction()
    meta = run(localnet, wallet, spam, create(localnet, wallet))
    assert meta["err"] is None
    assert meta["logMessages"].count("Log truncated") == 1
    assert sum(map(len, meta["logMessages"])) <= 10_000 + len("Log truncated")
    assert parse_logs(meta["logMessages"], str(localnet.program)).truncated
    market, _ = market_address(localnet.program, bytes([1] * 32))
    found = localnet.result("getAccountInfo", str(market), {"encoding": "base64"} | CONFIRMED)
    assert found["value"] is not None


CONFIRMED = {"commitment": "confirmed"}
