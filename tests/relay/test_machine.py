"""The machine of relayed transactions, rule by rule."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.relay import machine
from zmart_pipelines.relay.machine import (
    HeightSeen,
    Landed,
    NodeAnswer,
    Phase,
    RelayState,
    Settle,
    Unknown,
    observation,
    step,
)

SENDING = RelayState(last_valid=100, endpoints=2, send_at=5.0)
CONFIRMED = RelayState(last_valid=100, endpoints=2, phase=Phase.CONFIRMED, landed_slot=40)
ERROR = {"InstructionError": [0, {"Custom": 6000}]}


def run(state: RelayState, *events: machine.Event) -> tuple[RelayState, list[machine.Effect]]:
    effects: list[machine.Effect] = []
    for event in events:
        state, wanted = step(state, event)
        effects += wanted
    return state, effects


def test_transaction_comes_to_finality() -> None:
    state, effects = run(
        RelayState(last_valid=100, endpoints=1),
        machine.Tick(0.0),
        machine.Sent(1),
        machine.Tick(0.5),
        Unknown((18,), history=False),
        Landed(19, finalized=False),
        Landed(19, finalized=False),
        machine.Tick(1.0),
        Landed(19, finalized=True),
    )
    assert state.phase is Phase.ENDED
    assert effects == [
        machine.Send(),
        machine.MarkSent(),
        machine.ReadStatus(history=False),
        machine.ReadHeight(),
        machine.MarkConfirmed(19),
        machine.ReadStatus(history=True),
        Settle("finalized", 19),
    ]


def test_the_same_bytes_are_sent_again_every_two_seconds() -> None:
    reads = [machine.ReadStatus(history=False), machine.ReadHeight()]
    assert run(SENDING, machine.Tick(4.9))[1] == reads
    state, effects = run(SENDING, machine.Tick(5.0))
    assert effects == [machine.Send(), *reads]
    assert run(state, machine.Tick(6.9))[1] == reads
    assert run(state, machine.Tick(7.0))[1] == [machine.Send(), *reads]


def test_no_node_is_asked_about_what_it_has_just_received() -> None:
    state, effects = run(RelayState(last_valid=100, endpoints=2), machine.Tick(5.0))
    assert effects == [machine.Send()]
    assert run(state, machine.Tick(5.5))[1] == [
        machine.ReadStatus(history=False),
        machine.ReadHeight(),
    ]


def test_confirmed_one_is_asked_about_every_two_seconds() -> None:
    state, effects = run(CONFIRMED, machine.Tick(5.0))
    assert effects == [machine.ReadStatus(history=True)]
    assert run(state, machine.Tick(6.9))[1] == [machine.ReadHeight()]
    assert run(state, machine.Tick(7.0))[1] == [machine.ReadStatus(history=True)]


def test_confirmed_one_is_asked_about_once_its_slot_is_finalized() -> None:
    assert run(CONFIRMED, HeightSeen(39, 30)) == (CONFIRMED, [])
    assert run(CONFIRMED, HeightSeen(40, 31)) == (CONFIRMED, [machine.ReadStatus(history=True)])


def test_refusal_is_recorded_once_until_a_node_accepts() -> None:
    refused = machine.Sent(0, "MarketPaused")
    state, effects = run(SENDING, refused, refused)
    assert effects == [machine.MarkRefused("MarketPaused")]
    assert run(state, machine.Sent(1), refused)[1] == [machine.MarkSent(), effects[0]]


def test_error_counts_at_finalized_only() -> None:
    state, effects = run(SENDING, Landed(40, finalized=False, error=ERROR))
    assert (state, effects) == (SENDING, [])
    for before in (SENDING, CONFIRMED):
        state, effects = run(before, Landed(41, finalized=True, error=ERROR))
        assert (state.phase, effects) == (Phase.ENDED, [Settle("failed", 41, ERROR)])


def test_dropped_transaction_is_sent_again_at_once() -> None:
    assert run(CONFIRMED, Unknown((39, 38), history=True)) == (CONFIRMED, [])
    state, effects = run(CONFIRMED, Unknown((40,), history=True), machine.Tick(0.0))
    assert effects[:2] == [machine.MarkDropped(), machine.Send()]
    assert run(state, Landed(44, finalized=False))[1] == [machine.MarkConfirmed(44)]


def test_another_slot_after_a_fork_is_recorded() -> None:
    assert run(CONFIRMED, Landed(42, finalized=False))[1] == [machine.MarkConfirmed(42)]


@pytest.mark.parametrize(
    ("slots", "history", "ended"),
    [
        ((60, 60), True, True),
        ((60, 59), True, False),
        ((90,), True, False),
        ((90, 90), False, False),
    ],
)
def test_two_nodes_beyond_the_expiry_must_not_know_it(
    slots: tuple[int, ...], history: bool, ended: bool
) -> None:
    state, effects = run(SENDING, HeightSeen(60, 101), Unknown(slots, history))
    assert effects == ([Settle("expired")] if ended else [])
    assert (state.phase is Phase.ENDED) is ended


def test_nothing_expires_at_the_last_valid_height() -> None:
    absent = Unknown((90, 90), history=True)
    assert run(SENDING, HeightSeen(60, 100), absent) == (SENDING, [])


def test_expiry_is_counted_from_the_first_height_beyond() -> None:
    state, _ = run(SENDING, HeightSeen(60, 101), HeightSeen(70, 110))
    assert (state.expired_at, state.height) == (60, 110)
    assert run(state, Unknown((60, 61), history=True))[1] == [Settle("expired")]


def test_one_node_is_enough_where_there_is_one_or_the_height_is_far_beyond() -> None:
    alone = msgspec.structs.replace(SENDING, endpoints=1)
    absent = Unknown((60,), history=True)
    assert run(alone, HeightSeen(60, 101), absent)[1] == [Settle("expired")]
    near = HeightSeen(60, 100 + machine.SINGLE_WITNESS_BLOCKS)
    assert run(SENDING, near, absent)[1] == []
    far = HeightSeen(60, 101 + machine.SINGLE_WITNESS_BLOCKS)
    assert run(SENDING, far, absent)[1] == [Settle("expired")]


def test_expired_bytes_are_not_sent_and_the_history_is_asked() -> None:
    state, _ = run(SENDING, HeightSeen(60, 101))
    assert run(state, machine.Tick(1e9))[1] == [
        machine.ReadHeight(),
        machine.ReadStatus(history=True),
    ]
    assert run(state, Landed(50, finalized=True))[1] == [Settle("finalized", 50)]


def test_finalized_counts_whoever_says_it() -> None:
    final = Landed(40, finalized=True)
    answers = [NodeAnswer(99, None), NodeAnswer(50, Landed(41, False)), NodeAnswer(45, final)]
    assert observation(answers, history=False) == final


def test_the_node_that_has_come_furthest_is_believed() -> None:
    landed = Landed(40, finalized=False)
    assert observation([NodeAnswer(50, landed), NodeAnswer(60, None)], history=True) == Unknown(
        (60,), history=True
    )
    assert observation([NodeAnswer(60, landed), NodeAnswer(50, None)], history=True) == landed
    assert observation([NodeAnswer(60, None), NodeAnswer(60, landed)], history=True) == landed


_slots = st.integers(0, 200)
_events = st.one_of(
    st.builds(machine.Tick, st.floats(0, 1000)),
    st.builds(machine.Sent, st.integers(0, 2), st.none() | st.just("refused")),
    st.builds(HeightSeen, _slots, st.integers(0, 600)),
    st.builds(Landed, _slots, st.booleans(), st.none() | st.just(ERROR)),
    st.builds(Unknown, st.lists(_slots, min_size=1, max_size=2).map(tuple), st.booleans()),
)


@given(st.sampled_from([SENDING, CONFIRMED]), st.lists(_events, max_size=30))
def test_an_end_has_its_evidence_and_is_the_last_effect(
    state: RelayState, events: list[machine.Event]
) -> None:
    for number, event in enumerate(events):
        before = state
        state, effects = step(state, event)
        ends = [effect for effect in effects if isinstance(effect, Settle)]
        if not ends:
            assert (state.phase is Phase.ENDED) == (before.phase is Phase.ENDED)
            continue
        assert effects == tuple(ends)
        assert state.phase is Phase.ENDED
        if ends[0].outcome == "expired":
            seen = [one for one in events[:number] if isinstance(one, HeightSeen)]
            assert any(one.height > before.last_valid for one in seen)
            assert isinstance(event, Unknown)
        else:
            assert isinstance(event, Landed)
            assert event.finalized
            assert (ends[0].outcome == "failed") == (event.error is not None)
