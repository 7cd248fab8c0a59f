"""Early withdrawals from markets with an outcome: how their alert ends."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.monitoring.scenarios.stage import Stage
from tests.voting.world import wallet
from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.operations.operator_acts import ActRefused, acknowledge_alert
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.store.audit import Operator, os_actor
from zmart_pipelines.store.tables.ops import alerts

CREATOR, WINNER = wallet(1), wallet(2)
OPERATOR = Operator(os_actor(), "cli")


@pytest.fixture
def market(stage: Stage) -> bytes:
    """A market that ended with the outcome YES, from which its creator has withdrawn."""
    market = stage.traded(WINNER)
    stage.world.resolve(market, CREATOR, outcome=True)
    stage.world.pass_time(3_660)
    stage.world.plan()
    assert {one.status for one in stage.world.drive().outcomes} == {"final"}
    stage.world.send(
        CREATOR,
        ix.withdraw_liquidity(
            stage.world.program, creator=CREATOR.pubkey(), market=stage.world.address(market)
        ),
    )
    stage.world.sync()
    return market


def is_open(stage: Stage, market: bytes) -> bool:
    stage.monitor()
    return AlertKey("early_withdrawal", market) in stage.open()


def test_alert_stays_because_the_winner_can_claim_nothing_any_more(
    stage: Stage, market: bytes
) -> None:
    assert is_open(stage, market)
    address = stage.world.address(market)
    stage.world.chain.airdrop(address, 2_000_000_000)
    with pytest.raises(RpcError, match="0x1787"):  # NoWinnings
        stage.world.send(
            WINNER,
            ix.claim_winnings(
                stage.world.program,
                user=WINNER.pubkey(),
                market=address,
                resolver=CREATOR.pubkey(),
            ),
        )
    stage.world.sync()
    assert is_open(stage, market)


def test_alert_closes_once_it_is_acknowledged_with_a_reason(stage: Stage, market: bytes) -> None:
    assert is_open(stage, market)
    with stage.engine.connect() as conn:
        row = select(alerts.c.id).where(alerts.c.topic == "early_withdrawal")
        number = conn.execute(row).scalar_one()
    with pytest.raises(ActRefused, match="reason"), stage.engine.begin() as conn:
        acknowledge_alert(conn, OPERATOR, number, " ")
    assert is_open(stage, market)
    with stage.engine.begin() as conn:
        acknowledge_alert(conn, OPERATOR, number, "the winner was informed and does not answer")
    assert not is_open(stage, market)
    stage.pass_time(86_400)
    with stage.owner.begin() as conn:
        conn.execute(alerts.delete())  # as the retention does
    assert not is_open(stage, market), "it is accepted for good"
