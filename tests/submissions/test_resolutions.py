"""Operators resolve a market once, with evidence; everything else about it is refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import pytest
from solders.keypair import Keypair
from sqlalchemy import Connection, insert, text

from tests.submissions.test_drive import open_alerts
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.chain.signer import KeypairSigner
from zmart_pipelines.ipfs.canonical_json import parse_canonical
from zmart_pipelines.ipfs.cid import MAX_BLOCK
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.audit import Operator, OsActor
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.community import market_drafts
from zmart_pipelines.submissions import due_markets, resolutions
from zmart_pipelines.submissions.reports import DriveReport
from zmart_pipelines.submissions.resolutions import (
    MAX_EVIDENCE,
    Resolution,
    ResolutionRefused,
    ResolutionRequest,
)
from zmart_pipelines.submissions.signers import Signers
from zmart_pipelines.submissions.statuses import PROPOSAL_ACTIONS, Action

FINALIZE: frozenset[Action] = frozenset({"finalize_market"})
WHY = "The index stood at 201.37 at 12:00 UTC."


def traded(world: World) -> bytes:
    """An active market; the admin's key resolves."""
    creator = wallet(1)
    world.fund(creator)
    market = world.approve(1, creator)
    world.trade(market, creator)
    world.pass_time(1)
    resolver = world.chain.state / "keys" / "admin.json"
    world.settings = world.settings.model_copy(update={"resolver_keypair": resolver})
    world.signers = Signers(
        backend=world.signers.backend,
        admin=world.signers.admin,
        resolver=KeypairSigner(world.chain.keys["admin"], world.program, ["resolve_market"]),
    )
    return market


def request(
    world: World, market: bytes, outcome: bool = True, why: str = WHY, *, before_end: bool = False
) -> ResolutionRequest:
    return resolutions.request_resolution(
        world.engine,
        world.reader,
        world.settings,
        Resolution(market, outcome, why, before_end),
        by=Operator(OsActor("root"), "cli"),
        pins=world.pins,
    )


def due(
    conn: Connection,
    settings: Settings,
    chain_time: int,
    actions: Collection[Action] = FINALIZE,
) -> tuple[bytes, ...]:
    """Return the markets that a sensor of these actions starts a run for."""
    return due_markets.scan_due_markets(
        conn, settings, actions=actions, chain_time=chain_time, scanner="sensor"
    ).to_run


def ended(report: DriveReport) -> Sequence[tuple[str, str]]:
    assert report.refused is None
    return [(one.action, one.status) for one in report.outcomes]


def draft(world: World, market: bytes, ends_at: int) -> None:
    """The market's question, decided at chain second ``ends_at``."""
    owner = role_engine(Role.OWNER, world.engine.url.render_as_string(hide_password=False))
    with owner.begin() as conn:
        conn.execute(
            insert(market_drafts).values(
                market_id=market,
                creator=bytes(wallet(1).pubkey()),
                nonce=b"1",
                question_hash="Qm",
                document=b"{}",
                question="Will it rain tomorrow?",
                category="science",
                ends_at=datetime.fromtimestamp(ends_at, UTC),
                expires_at=datetime.now(UTC),
                matched_at=datetime.now(UTC),
            )
        )
    owner.dispose()


# A window that a slow machine does not run out while it drives.
@pytest.mark.parametrize("world", [("--dispute-period", "3600")], indirect=True)
def test_a_resolution_lands_once_with_its_evidence(world: World) -> None:
    market = traded(world)
    first = request(world, market)
    again = request(world, market, why=f"  {WHY}\n")
    assert (first.repeated, again.repeated) == (False, True)
    assert again.intent.id == first.intent.id
    with pytest.raises(ResolutionRefused, match="already resolves it as YES"):
        request(world, market, outcome=False)
    with pytest.raises(ResolutionRefused, match=first.evidence_cid):
        request(world, market, why="Something else.")
    assert ended(world.drive()) == [("resolve_market", "final")]
    account = world.market(market)
    assert account.state == MarketState.RESOLVING
    assert account.proposed_outcome is True
    assert account.resolver == bytes(world.chain.keys["admin"].pubkey())
    assert account.ipfs_evidence_hash == first.evidence_cid.encode()
    document = parse_canonical(world.pins.get(first.evidence_cid))
    assert document["evidence"] == WHY
    assert (document["market"], document["outcome"]) == (market.hex(), "YES")
    assert world.effects(market, "MarketResolved") == 1
    # Asked for once more, it is what it was; nothing is sent.
    final = request(world, market)
    assert (final.repeated, final.intent.status) == (True, "final")
    assert ended(world.drive()) == []
    assert world.effects(market, "MarketResolved") == 1
    # Our resolver is expected, although no resolver is listed.
    assert world.plan() == []
    assert open_alerts(world) == set()


def test_equal_evidence_has_one_document() -> None:
    settings = Settings()
    composed, decomposed = (
        resolutions.evidence_bytes(Resolution(bytes(32), True, text), settings)
        for text in ("By \u00c5sa.", " By A\u030asa.\n")
    )
    assert composed == decomposed
    assert parse_canonical(composed)["evidence"] == "By \u00c5sa."


def test_refused_resolution_states_the_reason(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    proposal = world.propose(1, creator)
    world.sync()
    with pytest.raises(ResolutionRefused, match="set RESOLVER_KEYPAIR"):
        request(world, proposal)
    resolver = world.chain.state / "keys" / "admin.json"
    world.settings = world.settings.model_copy(update={"resolver_keypair": resolver})
    with pytest.raises(ResolutionRefused, match="PROPOSED; only an ACTIVE"):
        request(world, proposal)
    with pytest.raises(ResolutionRefused, match="does not exist on chain"):
        request(world, bytes(32))
    for why in ("", " \n", "x" * (MAX_EVIDENCE + 1), "\N{GRINNING FACE}" * (MAX_BLOCK // 4)):
        with pytest.raises(ResolutionRefused, match="evidence"):
            request(world, proposal, why=why)
    with world.engine.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM ops.intents")).scalar_one() == 0


def test_resolution_by_another_key_supersedes_ours(world: World) -> None:
    market, outsider = traded(world), wallet(2)
    world.fund(outsider)
    request(world, market)
    world.resolve(market, outsider, outcome=False)
    world.sync()
    report = world.drive()
    assert ended(report) == [("resolve_market", "superseded")]
    assert report.outcomes[0].reason is not None
    assert f"{outsider.pubkey()} resolved it as NO" in report.outcomes[0].reason
    assert report.outcomes[0].signatures == ()
    # It is flagged, once, and no more once it is final.
    key = f"unexpected_resolution:{market.hex()}"
    for _ in range(2):
        assert world.plan() == []
        assert key in open_alerts(world)
    world.pass_time(30)
    assert [one.action for one in world.plan()] == ["finalize_market"]
    assert key in open_alerts(world)
    world.drive()
    world.sync()
    world.plan()
    assert key not in open_alerts(world)


def test_a_listed_resolver_is_expected(world: World) -> None:
    market, friend = traded(world), wallet(2)
    world.fund(friend)
    world.settings = world.settings.model_copy(update={"expected_resolvers": str(friend.pubkey())})
    world.resolve(market, friend)
    world.sync()
    assert world.plan() == []
    assert open_alerts(world) == set()
    with world.engine.connect() as conn:
        now = world.rpc.chain_clock("finalized").unix_timestamp
        assert due(conn, world.settings, now) == ()
        another = world.settings.model_copy(update={"expected_resolvers": str(Keypair().pubkey())})
        assert due(conn, another, now) == (market,)


def test_end_of_a_market_raises_one_alert_and_permits_the_resolution(world: World) -> None:
    market = traded(world)
    now = world.rpc.chain_clock("finalized").unix_timestamp
    draft(world, market, now + 600)
    with pytest.raises(ResolutionRefused, match="set before_end"):
        request(world, market)
    assert world.plan() == []
    assert open_alerts(world) == set()
    world.pass_time(601)
    key = f"resolution_due:{market.hex()}"
    with world.engine.connect() as conn:
        late = world.rpc.chain_clock("finalized").unix_timestamp
        assert due(conn, world.settings, late) == (market,)
    for _ in range(2):
        assert world.plan() == []
        assert open_alerts(world) == {key}
    with world.engine.connect() as conn:
        assert due(conn, world.settings, late) == ()
    request(world, market)
    with world.engine.connect() as conn:
        assert due_markets.pending_markets(conn, "resolve_market") == (market,)
    assert ended(world.drive()) == [("resolve_market", "final")]
    world.sync()
    world.plan()
    assert open_alerts(world) == set()


def test_an_early_resolution_is_flagged_unless_it_is_ours(world: World) -> None:
    market = traded(world)
    now = world.rpc.chain_clock("finalized").unix_timestamp
    draft(world, market, now + 600)
    request(world, market, before_end=True)
    assert ended(world.drive()) == [("resolve_market", "final")]
    world.sync()
    world.plan()
    assert open_alerts(world) == set()


def test_failed_resolution_may_be_requested_again(world: World) -> None:
    market = traded(world)
    first = request(world, market)
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE ops.intents SET status = 'quarantined' WHERE action LIKE 'res%'"))
    second = request(world, market, outcome=False)
    assert (first.intent.round, second.intent.round) == (0, 1)
    assert ended(world.drive()) == [("resolve_market", "final")]
    assert world.market(market).proposed_outcome is False


def test_activation_when_it_is_switched_on(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.approve(1, creator)
    world.sync()
    assert world.plan() == []
    assert world.market(market).state == MarketState.APPROVED
    world.settings = world.settings.model_copy(update={"auto_activate": True})
    with world.engine.connect() as conn:
        assert due(conn, world.settings, 0, PROPOSAL_ACTIONS) == (market,)
    assert [one.action for one in world.plan()] == ["activate_market"]
    assert ended(world.drive()) == [("activate_market", "final")]
    world.sync()
    assert world.market(market).state == MarketState.ACTIVE
    assert world.plan() == []
    assert world.effects(market, "MarketActivated") == 1
