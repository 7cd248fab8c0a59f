"""A scan finds exactly the changed proposals and reads no others."""

from sqlalchemy import Engine, event, func, select, text

from tests.voting.test_tallies import configure, freeze, record, vote
from tests.voting.world import add_chain_vote, add_market, ballot, wallet
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import voting
from zmart_pipelines.voting import due_proposals, tallies
from zmart_pipelines.voting.casting import cast

SETTINGS = Settings(min_proposal_votes=3)


def scan(pipelines: Engine, settings: Settings = SETTINGS) -> tuple[list[bytes], list[bytes]]:
    """Return the passing and the frozen markets; commit the scan."""
    with pipelines.begin() as conn:
        found = due_proposals.scan_proposals(conn, settings)
    return [one.market_id for one in found.passing], [one.market_id for one in found.frozen]


def queued(pipelines: Engine) -> int:
    with pipelines.connect() as conn:
        return conn.execute(select(func.count()).select_from(voting.change_queue)).scalar_one()


def test_changes_are_dequeued_and_due_proposals_found_until_approved(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    configure(ingest, 7000)
    idle, due = add_market(ingest, 1), add_market(ingest, 2)
    vote(api, idle, range(1, 3))
    vote(api, due, range(1, 4))
    assert scan(pipelines) == ([due], [])
    assert queued(pipelines) == 1
    for _ in range(2):
        assert scan(pipelines) == ([due], [])
    vote(api, idle, range(3, 4))
    assert scan(pipelines) == ([idle, due], [])
    freeze(pipelines, due, record(9, True))
    assert scan(pipelines) == ([idle], [due])
    assert scan(pipelines) == ([idle], [due])
    for market in (idle, due):
        move(ingest, market, MarketState.APPROVED)
    assert scan(pipelines) == ([], [])
    assert queued(pipelines) == 2, "state changes stay queued for the plan's alerts"


def move(ingest: Engine, market: bytes, state: MarketState) -> None:
    with ingest.begin() as conn:
        conn.execute(
            text("UPDATE market.markets SET state = :state WHERE market_id = :id"),
            {"state": int(state), "id": market},
        )


def test_rolled_back_scan_dequeues_nothing(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    configure(ingest, 7000)
    market = add_market(ingest, 1)
    vote(api, market, range(1, 3))
    before = queued(pipelines)
    with pipelines.connect() as conn:
        due_proposals.scan_proposals(conn, SETTINGS)
    assert queued(pipelines) == before
    scan(pipelines)
    assert queued(pipelines) == 0


def test_ballots_committed_during_a_scan_are_found_by_the_next(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    configure(ingest, 7000)
    market = add_market(ingest, 1)
    vote(api, market, range(1, 3))
    scan(pipelines)
    with api.connect() as casting:
        cast(casting, ballot(market, wallet(3)), SETTINGS)
        assert scan(pipelines) == ([], [])
        casting.commit()
    assert scan(pipelines) == ([market], [])


def test_votes_on_chain_are_enqueued(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    configure(ingest, 7000)
    market = add_market(ingest, 1)
    scan(pipelines)
    for voter in range(1, 4):
        add_chain_vote(ingest, market, "proposal", wallet(voter), True)
    assert scan(pipelines) == ([market], [])
    with ingest.begin() as conn:
        conn.execute(text("UPDATE market.chain_votes SET choice = false"))
    assert scan(pipelines) == ([], [])
    with ingest.begin() as conn:
        conn.execute(text("DELETE FROM market.chain_votes"))
    assert queued(pipelines) == 1


def test_other_rules_scan_every_open_proposal(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    configure(ingest, 7000)
    market = add_market(ingest, 1)
    vote(api, market, range(1, 3))
    assert scan(pipelines) == ([], [])
    assert scan(pipelines, Settings(min_proposal_votes=2)) == ([market], [])
    assert scan(pipelines) == ([], [])
    vote(api, market, range(3, 6), choice=False)
    assert scan(pipelines) == ([], [])
    with ingest.begin() as conn:
        conn.execute(text("UPDATE market.config_history SET proposal_approval_threshold = 4000"))
    assert scan(pipelines) == ([market], [])


def test_proposal_that_is_proposed_again_is_scanned(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    """Its approval was on a fork that is gone."""
    configure(ingest, 7000)
    market = add_market(ingest, 1)
    vote(api, market, range(1, 4))
    move(ingest, market, MarketState.APPROVED)
    assert scan(pipelines) == ([], [])
    move(ingest, market, MarketState.PROPOSED)
    assert scan(pipelines) == ([market], [])


def test_reopened_vote_is_scanned(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    configure(ingest, 7000)
    market = add_market(ingest, 1)
    vote(api, market, range(1, 4))
    freeze(pipelines, market)
    assert scan(pipelines) == ([], [market])
    with pipelines.begin() as conn:
        tallies.reopen(conn, market, "proposal", 1)
    assert scan(pipelines) == ([], [])
    for voter in range(11, 14):
        with api.begin() as conn:
            cast(conn, ballot(market, wallet(voter), round_number=1), SETTINGS)
    assert scan(pipelines) == ([market], [])


def test_only_changed_votes_are_recounted(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    configure(ingest, 7000)
    markets = [add_market(ingest, number) for number in range(1, 4)]
    vote(api, markets[0], range(1, 3))
    add_chain_vote(ingest, markets[1], "proposal", wallet(1), True)
    with pipelines.begin() as conn:
        counted = {one.market_id: one.total for one in tallies.recount_changed(conn, "proposal")}
    assert counted == {markets[0]: 2, markets[1]: 1, markets[2]: 0}
    scan(pipelines)
    vote(api, markets[2], range(1, 2))
    with pipelines.begin() as conn:
        assert [one.market_id for one in tallies.recount_changed(conn, "proposal")] == [markets[2]]


def test_an_idle_market_is_not_read(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    """A scan reads only rows of changed markets."""
    configure(ingest, 7000)
    for number in range(1, 31):
        vote(api, add_market(ingest, number), range(1, 2))
    scan(pipelines)
    rows = 0

    @event.listens_for(pipelines, "after_cursor_execute")
    def count(_conn, cursor, _statement, _values, _context, _many) -> None:  # type: ignore[no-untyped-def]
        nonlocal rows
        rows += max(cursor.rowcount, 0)

    scan(pipelines)
    assert rows <= 5
