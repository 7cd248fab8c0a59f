"""Runs that do not go as planned: leases, switches, keys, rejections, unreachable nodes."""

import json
import threading
import typing
from typing import Any

import pytest
from pydantic import SecretStr
from solders.keypair import Keypair
from sqlalchemy import insert, select, text

from tests.chain.endpoint import Endpoint, Reply, forward
from tests.submissions.world import World
from tests.voting.world import ballot, wallet
from zmart_pipelines.chain.faults import TRANSACTION_ERRORS
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import PrioritizationFee
from zmart_pipelines.chain.signer import KeyFileError, KeypairSigner
from zmart_pipelines.monitoring import alerts
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.breakers import breaker_statuses
from zmart_pipelines.store.tables import ops
from zmart_pipelines.store.tables.ops import attempts, intents, switches
from zmart_pipelines.submissions import attempts as attempt_rows
from zmart_pipelines.submissions import driver
from zmart_pipelines.submissions import intents as intent_rows
from zmart_pipelines.submissions import lease as leases
from zmart_pipelines.submissions.due_markets import scan_due_markets
from zmart_pipelines.submissions.lease import LeaseLost
from zmart_pipelines.submissions.signers import Signers, load_signers
from zmart_pipelines.submissions.signing import SignedTransaction
from zmart_pipelines.submissions.statuses import PROPOSAL_ACTIONS, Action
from zmart_pipelines.voting.cast_results import VotingClosed
from zmart_pipelines.voting.casting import cast

FINALIZE: frozenset[Action] = frozenset({"finalize_market"})


def ready(world: World, number: int = 1) -> bytes:
    """A proposal with its intents planned."""
    creator = wallet(1)
    if number == 1:
        world.fund(creator)
    market = world.propose(number, creator)
    world.sync()
    world.vote(market, [True] * 10)
    assert len(world.plan()) == 2
    return market


def open_alerts(world: World) -> set[str]:
    with world.engine.connect() as conn:
        return {str(key) for key in alerts.open_alerts(conn)}


def expire_lease(world: World) -> None:
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE ops.leases SET expires_at = clock_timestamp()"))


def test_lease_and_its_fence(world: World) -> None:
    with world.engine.begin() as conn:
        first = leases.acquire(conn, "a", 30)
        assert first is not None
        assert leases.acquire(conn, "b", 30) is None
        leases.renew(conn, first, 30)
        leases.fence(conn, first)
    expire_lease(world)
    with world.engine.begin() as conn:
        with pytest.raises(LeaseLost):
            leases.renew(conn, first, 30)
        with pytest.raises(LeaseLost):
            leases.fence(conn, first)
        second = leases.acquire(conn, "b", 30)
        assert second is not None
        assert second.epoch == first.epoch + 1
        with pytest.raises(LeaseLost):
            leases.fence(conn, first)
        leases.release(conn, first)
        assert leases.acquire(conn, "c", 30) is None, "the old holder released nothing"


def test_rows_are_their_epochs(world: World) -> None:
    """Each update names its epoch as well: a row of a later holder is not touched."""
    market = ready(world)
    with world.engine.begin() as conn:
        old = leases.acquire(conn, "a", 30)
        assert old is not None
        intent_rows.claim_for_epoch(conn, old)
        intent = intent_rows.open_intents(conn)[0]
        signed = SignedTransaction(bytes([1] * 64), b"", "", 9, 5000)
        attempt = attempt_rows.create(conn, old, intent, signed, run_id=None)
        assert attempt is not None
        assert attempt.market_id == market
    expire_lease(world)
    with world.engine.begin() as conn:
        new = leases.acquire(conn, "b", 30)
        assert new is not None
        intent_rows.claim_for_epoch(conn, new)
        attempt_rows.claim_for_epoch(conn, new)
        with pytest.raises(LeaseLost, match="no longer belongs to epoch"):
            intent_rows.update_open(conn, old, intent, "final")
        with pytest.raises(LeaseLost, match="no longer belongs to epoch"):
            attempt_rows.mark_sent(conn, old, attempt)
        attempt_rows.mark_sent(conn, new, attempt)
        intent_rows.update_open(conn, new, intent, "live")


def test_a_takeover_waits_for_a_fenced_transaction(world: World) -> None:
    with world.engine.begin() as conn:
        first = leases.acquire(conn, "a", 0.2)
    assert first is not None
    acquired = threading.Event()

    def acquire_lease() -> None:
        while True:
            with world.engine.begin() as conn:
                if leases.acquire(conn, "b", 30) is not None:
                    acquired.set()
                    return

    with world.engine.begin() as conn:
        leases.fence(conn, first)
        thread = threading.Thread(target=acquire_lease)
        thread.start()
        assert not acquired.wait(0.6), "the lease ran out, but its last transaction still holds it"
    assert acquired.wait(60)
    thread.join()


def test_planning_twice_at_once_plans_once(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.sync()
    world.vote(market, [True] * 10)
    created: list[int] = []
    threads = [threading.Thread(target=lambda: created.append(len(world.plan()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [0, 0, 0, 2]
    with pytest.raises(VotingClosed), world.api.begin() as conn:
        cast(conn, ballot(market, wallet(99)), world.settings)


def test_due_markets_are_found_in_the_tables(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.sync()
    clock = world.rpc.chain_clock("finalized").unix_timestamp
    expected = {"expected_resolvers": str(creator.pubkey())}
    world.settings = world.settings.model_copy(update=expected)

    def due(later: int = 0) -> tuple[set[bytes], set[bytes], int]:
        with world.engine.connect() as conn:
            votes, windows = (
                scan_due_markets(
                    conn,
                    world.settings,
                    actions=actions,
                    chain_time=clock + later,
                    scanner="sensor",
                )
                for actions in (PROPOSAL_ACTIONS, FINALIZE)
            )
        return set(votes.to_run), set(windows.to_run), votes.open_intents + windows.open_intents

    assert due() == (set(), set(), 0)
    world.vote(market, [True] * 10)
    assert due() == ({market}, set(), 0)
    world.plan()
    assert due() == ({market}, set(), 2)
    world.drive()
    world.sync()
    assert due() == (set(), set(), 0)
    world.trade(market, creator, creator)
    world.resolve(market, creator)
    world.sync()
    assert due() == (set(), set(), 0)
    assert due(3600) == (set(), {market}, 0)


def test_switches_stop_signing(world: World) -> None:
    ready(world)
    with world.engine.begin() as conn:
        conn.execute(insert(switches).values(action="aggregate_proposal_votes", enabled=False))
    report = world.drive()
    assert [(one.status, one.reason) for one in report.outcomes] == [
        ("planned", "submissions are switched off; simulated only")
    ]
    with world.engine.begin() as conn:
        assert conn.execute(select(attempts.c.id)).all() == []
        conn.execute(text("UPDATE ops.switches SET action = 'all'"))
    world.drive()
    world.settings = world.settings.model_copy(update={"submissions_enabled": False})
    with world.engine.begin() as conn:
        conn.execute(text("DELETE FROM ops.switches"))
    world.drive()
    with world.engine.begin() as conn:
        assert conn.execute(select(attempts.c.id)).all() == []
    world.settings = world.settings.model_copy(update={"submissions_enabled": True})
    assert {one.status for one in world.drive().outcomes} == {"final"}


def test_a_wrong_key_signs_nothing(world: World) -> None:
    ready(world)
    other_key = KeypairSigner(Keypair(), world.program)
    report = world.drive(signers=Signers(backend=other_key))
    assert report.refused is not None
    assert "is not the backend authority" in report.refused
    assert "submitter_key" in open_alerts(world)
    # With the right backend key and a wrong admin, the approval alone waits.
    report = world.drive(signers=Signers(backend=world.signers.backend, admin=other_key))
    assert [(one.action, one.status) for one in report.outcomes] == [
        ("aggregate_proposal_votes", "final")
    ]
    assert open_alerts(world) == {"admin_key"}
    assert {one.action for one in world.drive().outcomes} == {"approve_proposal"}
    assert open_alerts(world) == set()


def test_fees_and_balances_have_limits(world: World) -> None:
    ready(world)
    tight = {"max_fees_per_hour_lamports": 5_000}
    settings, world.settings = world.settings, world.settings.model_copy(update=tight)
    report = world.drive()
    assert [one.status for one in report.outcomes] == ["planned"]
    assert report.outcomes[0].reason == "the fees of the last hour are 0 of at most 5000 lamports"
    assert open_alerts(world) == {"submission_fees"}
    world.settings = settings.model_copy(update={"min_balance_lamports": 10**15})
    refused = world.drive().refused
    assert refused is not None
    assert "lamports for fees" in refused
    assert {"submitter_key", "admin_key"} <= open_alerts(world)
    # One of the two intents fits under the limit, the second does not.
    world.settings = settings.model_copy(update={"max_fees_per_hour_lamports": 8_000})
    report = world.drive()
    assert [one.status for one in report.outcomes] == ["final", "planned"]
    with world.engine.connect() as conn:
        assert 5_000 < attempt_rows.fees_since(conn, 3600) < 8_000
    world.settings = settings
    assert {one.status for one in world.drive().outcomes} == {"final"}
    assert open_alerts(world) == set()


class Greedy:
    """A node that reports very high recent fees."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def prioritization_fees(self, _: object) -> list[PrioritizationFee]:
        return [PrioritizationFee(slot=1, fee=10**12)] * 4


def test_fee_limit_per_transaction(world: World) -> None:
    ready(world)
    cap = {"max_fee_per_transaction_lamports": 6_000}
    world.settings = world.settings.model_copy(update=cap)
    world.rpc = typing.cast(RpcClient, Greedy(world.rpc))
    report = world.drive()
    assert [one.status for one in report.outcomes] == ["final", "final"]
    assert all(5_900 < (one.fee or 0) <= 6_000 for one in report.outcomes), "what it cost in fact"


def test_missing_admin_key_raises_an_alert(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.sync()
    world.settings = world.settings.model_copy(update={"admin_keypair": None})
    world.vote(market, [True] * 10)
    assert [one.action for one in world.plan()] == ["aggregate_proposal_votes"]
    world.drive()
    assert world.market(market).state == MarketState.PROPOSED
    assert world.plan() == []
    with world.engine.connect() as conn:
        alert = conn.execute(select(ops.alerts)).one()
    assert (alert.topic, alert.market_id) == ("approval_needs_admin", market)
    assert alert.detail["transaction"]
    # Once the key is there, the approval is planned and the alert is over.
    world.settings = Settings(
        **world.settings.model_dump(exclude={"admin_keypair"}),
        admin_keypair=world.chain.state / "keys" / "admin.json",
    )
    assert [one.action for one in world.plan()] == ["approve_proposal"]
    assert open_alerts(world) == set()
    assert {one.status for one in world.drive().outcomes} == {"final"}


@pytest.mark.parametrize("world", [("--dispute-period", "3600")], indirect=True)
def test_one_poisoned_market_does_not_hold_up_the_others(world: World) -> None:
    """A finalization whose window is still open fails in simulation; the rest goes on."""
    creator = wallet(1)
    world.fund(creator)
    poisoned = world.approve(1, creator)
    world.trade(poisoned, creator, creator)
    world.resolve(poisoned, creator)
    with world.engine.begin() as conn:
        planted = intent_rows.create(
            conn, market_id=poisoned, action="finalize_market", round_number=0, arguments={}
        )
    assert planted is not None
    good = ready(world, 2)
    report = world.drive(seconds=6)
    by_market = {(one.market_id, one.action): one for one in report.outcomes}
    assert by_market[good, "approve_proposal"].status == "final"
    waiting = by_market[poisoned, "finalize_market"]
    assert waiting.status == "planned"
    assert waiting.reason == "simulation: DisputePeriodNotEnded"
    world.chain.control.advance(slots=3, seconds=3600)
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE ops.intents SET retry_at = now()"))
    assert [one.status for one in world.drive().outcomes] == ["final"]


def test_intent_that_cannot_be_judged_does_not_hold_up_the_others(world: World) -> None:
    """Its stored arguments are not those of its action."""
    creator = wallet(1)
    world.fund(creator)
    broken = world.propose(1, creator)
    with world.engine.begin() as conn:
        planted = intent_rows.create(
            conn, market_id=broken, action="aggregate_proposal_votes", round_number=0, arguments={}
        )
    assert planted is not None
    good = ready(world, 2)
    for _ in range(2):
        by_market = {(one.market_id, one.action): one for one in world.drive().outcomes}
        assert by_market[broken, "aggregate_proposal_votes"].status == "planned"
        assert open_alerts(world) == {str(intent_rows.alert_key(planted))}
    assert world.effects(good, "ProposalAggregated") == 1
    assert world.effects(good, "ProposalApproved") == 1


def test_simulation_that_reached_no_program_is_repeated_and_never_counted(world: World) -> None:
    market = ready(world)
    node, failing = forward(world.chain.rpc_url), sorted(TRANSACTION_ERRORS)
    failing.remove("InstructionError")
    standin = Endpoint()

    def script(request: dict[str, Any]) -> Reply:
        answer = node(request)
        if request["method"] != "simulateTransaction" or not failing:
            return answer
        body = json.loads(answer.body)
        body["result"]["value"] |= {"err": failing.pop(), "logs": []}
        return Reply(json.dumps(body).encode())

    standin.answer(script)
    direct, world.rpc = world.rpc, RpcClient(standin.url, 10)
    try:
        while failing:
            left = len(failing)
            outcomes = world.drive().outcomes
            assert {one.status for one in outcomes} == {"planned"}
            assert len(failing) == left - 1
            with world.engine.begin() as conn:
                rows = conn.execute(select(intents.c.failures)).scalars().all()
                assert set(rows) == {0}
                conn.execute(text("UPDATE ops.intents SET retry_at = now()"))
        with world.engine.connect() as conn:
            assert {row.state for row in breaker_statuses(conn)} <= {"closed"}
        assert {one.status for one in world.drive().outcomes} == {"final"}
        assert open_alerts(world) == set()
    finally:
        world.rpc.close()
        world.rpc = direct
        standin.close()
    assert world.effects(market, "ProposalAggregated") == 1


def test_an_intent_that_cannot_come_true_is_superseded(world: World) -> None:
    """The market is disputed while a finalization without counts is planned."""
    creator = wallet(1)
    world.fund(creator)
    market = world.approve(1, creator)
    world.trade(market, creator, creator)
    world.resolve(market, creator)
    with world.engine.begin() as conn:
        planted = intent_rows.create(
            conn, market_id=market, action="finalize_market", round_number=0, arguments={}
        )
    assert planted is not None
    world.dispute(market, creator)
    world.sync()
    report = world.drive()
    assert [(one.status, one.reason) for one in report.outcomes] == [
        ("superseded", "the market is DISPUTED")
    ]
    assert open_alerts(world) == {f"submission:{planted.market_id.hex()}:{planted.id}"}
    # A dispute without a ballot needs an operator.
    world.pass_time(60)
    assert world.plan() == []
    assert f"dispute_without_ballots:{market.hex()}" in open_alerts(world)
    # One ballot, and it is ours to end; the alert is over.
    world.vote(market, [True], kind="dispute")
    assert [one.round for one in world.plan()] == [1]
    assert f"dispute_without_ballots:{market.hex()}" not in open_alerts(world)
    assert [one.status for one in world.drive().outcomes] == ["final"]
    assert world.market(market).final_outcome is False


def test_a_dead_node_ends_a_run_without_harm(world: World) -> None:
    ready(world)
    with RpcClient("http://127.0.0.1:9", 0.2, attempts=1) as nowhere:
        reader = type(world.reader)(nowhere, world.program)
        report = driver.drive(world.engine, nowhere, reader, world.signers, world.settings)
    assert report.refused is not None
    assert "cannot be read" in report.refused
    assert {one.status for one in world.drive().outcomes} == {"final"}


def test_keys_come_from_the_settings(world: World) -> None:
    signers = load_signers(world.settings)
    assert signers.backend.pubkey() == world.signers.backend.pubkey()
    assert signers.of("approve_proposal") is signers.admin
    with pytest.raises(ValueError, match="BACKEND_AUTHORITY_KEYPAIR"):
        load_signers(Settings())
    secret = str(world.chain.keys["backend"])
    alone = load_signers(Settings(backend_authority_private_key=SecretStr(secret)))
    assert alone.admin is None
    assert secret not in repr(alone)
    with pytest.raises(KeyFileError) as caught:
        load_signers(Settings(backend_authority_private_key=SecretStr(secret[:-1])))
    assert secret[:20] not in str(caught.value)


def test_the_database_allows_one_live_attempt_per_market(world: World) -> None:
    market = ready(world)
    values = {
        "market_id": market,
        "transaction": b"",
        "blockhash": "",
        "last_valid_block_height": 1,
        "epoch": 1,
    }
    with world.engine.connect() as conn:
        ids = conn.execute(select(intents.c.id).order_by(intents.c.id)).scalars().all()
    with world.engine.begin() as conn:
        conn.execute(insert(attempts).values(intent_id=ids[0], signature=bytes([1] * 64), **values))
    with pytest.raises(Exception, match="uq_attempts_live"), world.engine.begin() as conn:
        conn.execute(insert(attempts).values(intent_id=ids[1], signature=bytes([2] * 64), **values))
