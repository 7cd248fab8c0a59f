"""Scenarios of planning and submitting, on a chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from solders.keypair import Keypair

from tests.monitoring.scenarios.stage import Stage, scenario
from tests.submissions.test_drive import ready
from tests.submissions.test_planner import proposed
from tests.voting.world import wallet
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.signer import KeypairSigner
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.submissions import operator_actions, planner
from zmart_pipelines.submissions.market_reads import MarketRead, read_markets
from zmart_pipelines.submissions.signers import Signers
from zmart_pipelines.submissions.switches import set_switch


@scenario("bundle_not_pinned")
def file_in_place_of_the_folder(stage: Stage) -> Iterator[None]:
    world = stage.world
    market = proposed(world)
    world.vote(market, [True] * 10)
    place = world.settings.zmart_state / "no-folder"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")
    pins = LocalPinStore(place)
    planner.plan(world.engine, world.reader, world.settings, pins=pins)
    yield
    place.unlink()
    planner.plan(world.engine, world.reader, world.settings, pins=pins)


@scenario("planning_failed")
def votes_of_another_layout(stage: Stage) -> Iterator[None]:
    world = stage.world
    world.vote(proposed(world), [True] * 10)

    class Broken(AccountReader):
        def vote_records(self, *_: Any, **__: Any) -> Any:
            raise DecodeError("a vote record of another layout")

    reader = Broken(world.rpc, world.program)
    planner.plan(world.engine, reader, world.settings, pins=world.pins)
    yield
    world.plan()


@scenario("market_unreadable")
def account_of_another_layout(stage: Stage) -> Iterator[None]:
    market = proposed(stage.world)
    stage.world.vote(market, [True] * 10)
    real = read_markets

    def damaged(*arguments: Any) -> Any:
        return real(*arguments) | {market: MarketRead(1, None, "12 bytes short")}

    with stage.patch.context() as patch:
        patch.setattr("zmart_pipelines.submissions.planner.read_markets", damaged)
        stage.world.plan()
    yield
    stage.world.plan()


@scenario("submission")
def program_refuses_our_transaction(stage: Stage) -> Iterator[None]:
    """The market is cancelled between the plan and its transaction."""
    market = ready(stage.world)
    stage.by_admin(ix.cancel_market, market)
    stage.world.sync()
    stage.world.drive()
    yield
    with stage.engine.begin() as conn:
        for intent in operator_actions.failed_intents(conn):
            operator_actions.close(conn, intent.id, "the market was cancelled")
    stage.world.plan()


@scenario("submitter_key")
def key_is_not_the_backends(stage: Stage) -> Iterator[None]:
    ready(stage.world)
    stage.world.drive(signers=Signers(backend=KeypairSigner(Keypair(), stage.world.program)))
    yield
    stage.world.drive()


@scenario("admin_key")
def key_is_not_the_admins(stage: Stage) -> Iterator[None]:
    ready(stage.world)
    other = KeypairSigner(Keypair(), stage.world.program)
    stage.world.drive(signers=Signers(backend=stage.world.signers.backend, admin=other))
    yield
    stage.world.drive()


@scenario("resolver_key")
def key_without_funds(stage: Stage) -> Iterator[None]:
    ready(stage.world)
    poor = Keypair()
    signers = Signers(
        backend=stage.world.signers.backend,
        admin=stage.world.signers.admin,
        resolver=KeypairSigner(poor, stage.world.program, ["resolve_market"]),
    )
    stage.world.drive(signers=signers)
    yield
    stage.world.chain.airdrop(poor.pubkey())
    stage.world.chain.control.finalize()
    ready(stage.world, 2)
    stage.world.drive(signers=signers)


@scenario("submission_fees")
def fees_reach_their_cap(stage: Stage) -> Iterator[None]:
    world = stage.world
    ready(world)
    settings = world.settings
    world.settings = settings.model_copy(update={"max_fees_per_hour_lamports": 5_000})
    world.drive()
    yield
    world.settings = settings
    world.drive()


@scenario("switch", shows="wrong counts")
def operator_switches_off(stage: Stage) -> Iterator[None]:
    with stage.engine.begin() as conn:
        set_switch(conn, "finalize_market", enabled=False, reason="wrong counts")
    yield
    with stage.engine.begin() as conn:
        set_switch(conn, "finalize_market", enabled=True, reason="counts are right again")


@scenario("superseded_reading", shows="agree with another finalized reading")
def node_tells_another_log(stage: Stage) -> Iterator[None]:
    """A finalized reading has the log of another transaction; only the accounts tell."""
    import msgspec

    from assets.resources import Backend
    from tests.assets.test_reconciliation import execute
    from tests.fixtures.ledger import ingest_committed
    from zmart_pipelines.chain.transactions import from_rpc
    from zmart_pipelines.ledger.audit.repair import repair_market
    from zmart_pipelines.ledger.model.provenance import Source
    from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window

    world = stage.world
    market = stage.traded(wallet(1), wallet(2))
    world.chain.control.finalize()
    newest = world.rpc.signatures_for_address(world.program, limit=2, commitment="finalized")
    answers = [world.rpc.transaction(row.signature, "finalized") for row in newest]
    one, other = (from_rpc(answer, world.program) for answer in answers if answer is not None)
    ingest_committed(
        world.ingest,
        [msgspec.structs.replace(one, logs=other.logs)],
        source=Source.FINALIZED_WINDOW,
        commitment="finalized",
        program=world.program,
    )
    read_finalized_window(world.ingest, world.rpc, world.settings)
    repair_market(world.ingest, world.rpc, world.settings, market, "everything")
    yield
    execute("reconcile", Backend(stage.settings()))
