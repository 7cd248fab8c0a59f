"""Transactions of the actions: what is in them, what they cost, what the key lets through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.keypair import Keypair

from zmart_pipelines.chain.rpc_types import Simulation
from zmart_pipelines.chain.signer import KeypairSigner, SigningRefused
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.calls import decode_instruction
from zmart_pipelines.program.ids import COMPUTE_BUDGET, DEFAULT_PROGRAM_ID, MEMO_PROGRAM
from zmart_pipelines.program.instructions import aggregate_dispute_votes
from zmart_pipelines.submissions import actions
from zmart_pipelines.submissions.signing import affordable_price, error_name
from zmart_pipelines.submissions.statuses import ACTIONS, Action

KEY = Keypair.from_seed(bytes([9] * 32))
MARKET = bytes([1] * 32)


def built(action: Action, arguments: dict[str, int]) -> Any:
    return actions.instruction(
        action, arguments, MARKET, program_id=DEFAULT_PROGRAM_ID, authority=KEY.pubkey()
    )


@pytest.mark.parametrize(
    ("action", "arguments", "data"),
    [
        ("aggregate_proposal_votes", {"likes": 7, "dislikes": 3}, (7, 3)),
        ("approve_proposal", {"likes": 7, "dislikes": 3}, ()),
        ("finalize_market", {}, (None, None)),
        ("finalize_market", {"agree": 6, "disagree": 4}, (6, 4)),
    ],
)
def test_instructions(action: Action, arguments: dict[str, int], data: tuple[Any, ...]) -> None:
    call = decode_instruction(bytes(built(action, arguments).data))
    assert call.name == action
    assert tuple(getattr(call, name) for name in call.__struct_fields__) == data


def test_aggregate_dispute_votes_is_not_an_action() -> None:
    assert "aggregate_dispute_votes" not in ACTIONS
    instruction = aggregate_dispute_votes(
        DEFAULT_PROGRAM_ID,
        backend_authority=KEY.pubkey(),
        market=market_address(DEFAULT_PROGRAM_ID, MARKET)[0],
        agrees=1,
        disagrees=0,
    )
    signer = KeypairSigner(KEY, DEFAULT_PROGRAM_ID)
    with pytest.raises(SigningRefused):
        build_transaction(KEY.pubkey(), [instruction], Hash.default(), [signer])


def test_budget_and_memo_pass_the_key() -> None:
    body = [actions.memo("Qm" + "x" * 44), built("finalize_market", {})]
    full = actions.with_budget(body, units=30_000, unit_price=1_000)
    programs = [instruction.program_id for instruction in full]
    assert programs == [COMPUTE_BUDGET, COMPUTE_BUDGET, MEMO_PROGRAM, DEFAULT_PROGRAM_ID]
    signer = KeypairSigner(KEY, DEFAULT_PROGRAM_ID)
    assert build_transaction(KEY.pubkey(), full, Hash.default(), [signer])


@pytest.mark.parametrize(
    ("used", "limit"), [(0, 20_000), (17_391, 20_000), (17_392, 20_001), (100_000, 115_000)]
)
def test_compute_limit(used: int, limit: int) -> None:
    assert actions.compute_limit(used) == limit


@pytest.mark.parametrize(
    ("recent", "price"),
    [
        ([], 1_000),
        ([0] * 150, 1_000),
        ([0, 0, 0, 9_000], 1_000),
        ([0, 9_000, 9_000, 9_000], 9_000),
        ([5_000, 1, 2, 3, 4], 1_000),
        ([4_000, 8_000, 2_000, 6_000], 6_000),
        ([3_000], 3_000),
        ([10**9] * 4, 50_000),
    ],
)
def test_price_is_the_75th_percentile_within_limits(recent: list[int], price: int) -> None:
    assert actions.unit_price(recent, cap=50_000) == price


@given(st.integers(20_000, 1_400_000), st.integers(5_000, 10_000_000))
def test_transaction_fee_stays_within_the_limit(units: int, most: int) -> None:
    price = affordable_price(units, most)
    assert actions.fee(units, price) <= most < actions.fee(units, price + 1)
    assert actions.unit_price([10**12], price) == price


def test_fee_rounds_up() -> None:
    assert actions.fee(20_000, 1_000) == 5_020
    assert actions.fee(1, 1) == 5_001


@pytest.mark.parametrize(
    ("error", "logs", "name"),
    [
        (None, [], None),
        (
            {"InstructionError": [2, {"Custom": 6028}]},
            ["Program log: AnchorError thrown in lib.rs:9. Error Code: Unauthorized. Error N"],
            "Unauthorized",
        ),
        ({"InstructionError": [2, {"Custom": 6027}]}, [], "DisputePeriodNotEnded"),
        ("AccountNotFound", [], "AccountNotFound"),
    ],
)
def test_errors_go_by_name(error: Any, logs: list[str], name: str | None) -> None:
    assert error_name(Simulation(error, logs, None, 1)) == name
