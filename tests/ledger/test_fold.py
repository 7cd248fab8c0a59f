"""The fold reproduces the program's accounts, in any order of arrival."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address, history, identity
from tests.program.strategies import events as any_event
from zmart_pipelines.ledger.model import account_comparison, config_timeline, fold
from zmart_pipelines.ledger.model.config_timeline import Configuration, Place, Timeline
from zmart_pipelines.ledger.model.decode import decode
from zmart_pipelines.ledger.model.projection import PlacedEvent, Projection, state_hash
from zmart_pipelines.program import events as ev
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lmsr import PRECISION, Fees, Pool, sell

USER = bytes([7]) * 32


def placed_events(chain: Recorder) -> tuple[dict[bytes, list[PlacedEvent]], Timeline]:
    """All events of a history by market id, and its configuration."""
    ids = {bytes(address(one)): one for one in chain.market_ids}
    of_market: dict[bytes, list[PlacedEvent]] = {one: [] for one in chain.market_ids}
    of_all: list[tuple[Place, ev.Event]] = []
    for transaction in chain.transactions:
        reading = decode(transaction, PROGRAM)
        assert reading.gap is None
        for event in reading.events:
            assert event.event is not None
            place = Place(
                reading.slot, reading.index_in_block or 0, reading.signature, event.log_index
            )
            of_all.append((place, event.event))
            if event.market is not None:
                of_market[ids[event.market]].append(
                    PlacedEvent(place, event.event, event.market, event.instruction)
                )
    return of_market, Timeline(config_timeline.fold(of_all))


def differences(
    chain: Recorder, market_id: bytes, projection: Projection
) -> list[account_comparison.FieldDifference]:
    found = account_comparison.compare_market(market_id, projection.market, chain.market(market_id))
    held = chain.positions(market_id)
    for user in held.keys() | projection.positions.keys():
        found += account_comparison.compare_position(
            market_id,
            user,
            projection.positions.get(user),
            held.get(user),
            bytes(address(market_id)),
        )
    return found


@pytest.mark.parametrize("seed", range(12))
def test_random_histories_fold_to_program_accounts(seed: int) -> None:
    chain = history(seed, 300)
    of_market, configuration = placed_events(chain)
    assert set(of_market) == set(chain.markets())
    for market_id, events in of_market.items():
        projection = fold.fold(events, configuration)
        assert differences(chain, market_id, projection) == []
        assert projection.faults == []


def test_histories_contain_every_event_and_state() -> None:
    seen: set[str] = set()
    states: set[MarketState] = set()
    for seed in range(12):
        chain = history(seed, 300)
        states |= {account.state for account in chain.markets().values()}
        for transaction in chain.transactions:
            seen |= {
                ev.event_name(one.event)
                for one in decode(transaction, PROGRAM).events
                if one.event is not None
            }
    # Sales are refused by the program as it is; pauses are not part of these histories.
    assert {one.__name__ for one in ev.EVENT_TYPES} - seen == {
        "SharesSold",
        "ProtocolPauseStatusChanged",
    }
    assert states >= set(MarketState) - {MarketState.DISPUTED}


@settings(max_examples=60)
@given(seed=st.integers(0, 40), shuffle=st.randoms(use_true_random=False))
def test_fold_is_independent_of_arrival_order(seed: int, shuffle: random.Random) -> None:
    chain = history(seed, 80)
    of_market, configuration = placed_events(chain)
    for events in of_market.values():
        expected = state_hash(fold.fold(events, configuration))
        shuffled = list(events)
        shuffle.shuffle(shuffled)
        assert state_hash(fold.fold(shuffled, configuration)) == expected


@settings(max_examples=30)
@given(seed=st.integers(0, 40), cut=st.floats(0, 1))
def test_folding_forward_equals_refolding(seed: int, cut: float) -> None:
    chain = history(seed, 80)
    of_market, configuration = placed_events(chain)
    for events in of_market.values():
        at = int(len(events) * cut)
        projection = fold.fold(events[:at], configuration)
        for event in events[at:]:
            fold.apply(projection, event, configuration)
        assert state_hash(projection) == state_hash(fold.fold(events, configuration))


_extreme = st.sampled_from([0, 1, 10**9, 2**53, 2**63 - 1, 2**63, 2**64 - 1])
_extreme_time = st.sampled_from([0, -1, 2**63 - 1, -(2**63)])
_hostile = st.builds(
    ev.SharesBought,
    market_id=st.just(identity(1)),
    user=st.just(USER),
    outcome=st.booleans(),
    shares=_extreme,
    cost=_extreme,
    new_price_yes=_extreme,
    timestamp=_extreme_time,
) | st.builds(
    ev.SharesSold,
    market_id=st.just(identity(1)),
    user=st.just(USER),
    outcome=st.booleans(),
    shares=_extreme,
    proceeds=_extreme,
    new_price_yes=_extreme,
    timestamp=_extreme_time,
)


@given(st.lists(any_event | _hostile | _hostile, max_size=12))
def test_fold_never_raises_on_any_events(found: list[ev.Event]) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    events = placed_events(chain)[0][market_id]
    last = events[-1].place
    reported = [
        PlacedEvent(Place(last.slot + 1 + number, 0, last.signature, 0), event, events[0].address)
        for number, event in enumerate(found)
    ]
    projection = fold.fold([*events, *reported], Timeline())
    assert projection.market is not None
    for name, value in msgspec.structs.asdict(projection.market).items():
        if isinstance(value, int):
            assert -(2**63) <= value < 2**64, name
    assert projection.market.price_yes <= PRECISION


def opened(liquidity: int = SOL // 10) -> tuple[Recorder, bytes]:
    chain = Recorder()
    market_id = chain.create(1, liquidity=liquidity)
    chain.open(market_id)
    return chain, market_id


def test_market_is_none_before_its_creation() -> None:
    chain, market_id = opened()
    chain.buy(market_id, chain.users[1])
    of_market, configuration = placed_events(chain)
    without = [one for one in of_market[market_id] if not isinstance(one.event, ev.MarketCreated)]
    assert fold.fold(without, configuration) == Projection()


def test_sale_reduces_pool_by_what_the_market_maker_pays() -> None:
    # The deployed program refuses sales, so this is against the market maker's own numbers.
    chain, market_id = opened(liquidity=10 * SOL)
    chain.buy(market_id, chain.users[1])
    of_market, configuration = placed_events(chain)
    before = fold.fold(of_market[market_id], configuration)
    assert before.market is not None
    market = before.market
    shares = before.positions[bytes(chain.users[1])].shares_yes
    pool = Pool(market.b_parameter, market.shares_yes, market.shares_no)
    sale = sell(pool, True, shares, 0, Fees(300, 200, 500))
    event = ev.SharesSold(
        market_id, bytes(chain.users[1]), True, shares, sale.net, 500_000_000, chain.now
    )
    place = Place(chain.slot + 1, 0, bytes(64), 0)
    after = fold.fold(
        [*of_market[market_id], PlacedEvent(place, event, bytes(address(market_id)))],
        configuration,
    )
    assert after.market is not None
    assert after.faults == []
    assert after.market.total_volume == market.total_volume + sale.gross
    assert after.market.current_liquidity == market.current_liquidity - sale.net - sale.protocol_fee
    assert (
        after.market.accumulated_resolver_fees
        == market.accumulated_resolver_fees + sale.resolver_fee
    )
    assert after.market.accumulated_lp_fees == market.accumulated_lp_fees + sale.lp_fee
    position = after.positions[bytes(chain.users[1])]
    assert (position.shares_yes, position.trades_count) == (0, 2)
    assert position.total_invested == before.positions[position.user].total_invested
    assert [row.trade_type for row in after.trades] == ["buy", "sell"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_aggregated_disputes_end_like_in_the_program(succeeds: bool) -> None:
    chain, market_id = opened()
    market = address(market_id)
    chain.advance()
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=chain.users[2],
            market=market,
            outcome=True,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    chain.advance()
    chain.send(ix.initiate_dispute(PROGRAM, initiator=chain.users[3], market=market))
    chain.advance()
    chain.send(
        ix.aggregate_dispute_votes(
            PROGRAM,
            backend_authority=chain.backend,
            market=market,
            agrees=9 if succeeds else 1,
            disagrees=1 if succeeds else 9,
        )
    )
    of_market, configuration = placed_events(chain)
    projection = fold.fold(of_market[market_id], configuration)
    assert differences(chain, market_id, projection) == []
    row = projection.market
    assert row is not None
    if succeeds:
        assert (row.state, row.final_outcome, row.resolved_at) == (MarketState.RESOLVING, None, 0)
    else:
        assert (row.state, row.finalized_at) == (MarketState.FINALIZED, 0)
        assert row.resolved_at > 0
    assert row.was_disputed
    assert row.proposed_outcome is True


def test_trade_uses_the_fees_in_force_at_its_place() -> None:
    chain, market_id = opened()
    chain.buy(market_id, chain.users[1])
    chain.advance()
    chain.configure((100, 50, 150))
    chain.buy(market_id, chain.users[2])  # in the same slot, after the change
    chain.advance()
    chain.buy(market_id, chain.users[3])
    of_market, configuration = placed_events(chain)
    assert differences(chain, market_id, fold.fold(of_market[market_id], configuration)) == []
    # With the history lost, the program's defaults are taken and the trades that contradict
    # them are named in gaps; pool and holdings stay right.
    guess = fold.fold(of_market[market_id], Timeline())
    assert {one.field for one in differences(chain, market_id, guess)} <= {
        "current_liquidity",
        "accumulated_resolver_fees",
        "accumulated_lp_fees",
    }


def test_configuration_is_folded_from_its_events() -> None:
    def at(slot: int) -> Place:
        return Place(slot, 0, bytes(64), 0)

    changes = config_timeline.fold(
        [
            (at(3), ev.ProtocolPauseStatusChanged(True, USER, 30)),
            (at(1), ev.GlobalConfigInitialized(USER, USER, 300, 10)),
            (at(2), ev.ConfigUpdated(1, 2, 3, 4, 5, None, None, 20)),
            (at(4), ev.ConfigUpdated(1, 2, 3, 4, 5, 6, 7, 40)),
        ]
    )
    assert [one.configuration for one in changes] == [
        Configuration(),
        Configuration(1, 2, 3, 4, 5, 86_400, 259_200, False),
        Configuration(1, 2, 3, 4, 5, 86_400, 259_200, True),
        Configuration(1, 2, 3, 4, 5, 6, 7, True),
    ]
    history_ = Timeline(changes)
    assert history_.at(at(0)) == Configuration()
    assert history_.at(at(2)).protocol_fee_bps == 1
    assert not history_.at(at(2)).is_paused
    assert history_.at(at(9)).dispute_period == 7


def test_example_of_the_program_is_reproduced_to_the_lamport() -> None:
    # b = 100 SOL, liquidity 0.1 SOL, YES for 1 SOL then NO for 0.5 SOL: a run on devnet.
    chain, market_id = opened()
    chain.buy(market_id, chain.users[1], True, SOL)
    chain.advance()
    chain.buy(market_id, chain.users[2], False, SOL // 2)
    of_market, configuration = placed_events(chain)
    row = fold.fold(of_market[market_id], configuration).market
    assert row is not None
    assert row.current_liquidity == 195_446_344
    assert row.accumulated_resolver_fees == 27_270_384
    assert row.price_yes == 502_298_338
    assert row.market_id == identity(1)
