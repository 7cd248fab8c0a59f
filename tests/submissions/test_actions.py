"""Transactions of the actions: what is in them, what the key lets through."""

from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair

from zmart_pipelines.chain.compute_budget import with_budget
from zmart_pipelines.chain.rpc_types import Simulation
from zmart_pipelines.chain.signer import KeypairSigner, SigningRefused
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.calls import decode_instruction
from zmart_pipelines.program.ids import COMPUTE_BUDGET, DEFAULT_PROGRAM_ID, MEMO_PROGRAM
from zmart_pipelines.program.instructions import aggregate_dispute_votes
from zmart_pipelines.submissions import actions
from zmart_pipelines.submissions.signing import error_name
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
    full = with_budget(body, units=30_000, unit_price=1_000)
    programs = [instruction.program_id for instruction in full]
    assert programs == [COMPUTE_BUDGET, COMPUTE_BUDGET, MEMO_PROGRAM, DEFAULT_PROGRAM_ID]
    signer = KeypairSigner(KEY, DEFAULT_PROGRAM_ID)
    assert build_transaction(KEY.pubkey(), full, Hash.default(), [signer])


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
