"""The machine, rule by rule."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.chain.faults import TRANSACTION_ERRORS, Fault
from zmart_pipelines.submissions import machine, messages
from zmart_pipelines.submissions.machine import MachineState, Phase, resume, step
from zmart_pipelines.submissions.messages import Verdict

SENDING = MachineState(phase=Phase.SENDING, last_valid=100, send_at=5.0)
EXPIRED = msgspec.structs.replace(SENDING, expired_at=50)
LANDED = MachineState(phase=Phase.LANDED, last_valid=100, landed_slot=40)


def account(slot: int, verdict: Verdict) -> messages.AccountSeen:
    return messages.AccountSeen(slot=slot, verdict=verdict, reason="because")


def run(state: MachineState, *events: messages.Event) -> tuple[MachineState, list[messages.Effect]]:
    effects: list[messages.Effect] = []
    for event in events:
        state, wanted = step(state, event)
        effects += wanted
    return state, effects


def test_intent_becomes_final() -> None:
    state, effects = run(
        resume(failures=0),
        messages.Tick(0.0),
        account(1, Verdict.READY),
        messages.Simulated(units=9000),
        messages.Persisted(last_valid=100, now=1.0),
        messages.Sent(),
        messages.Tick(1.4),
        messages.StatusSeen(slot=20, landed_slot=19),
        account(18, Verdict.READY),
        messages.StatusSeen(slot=30, landed_slot=19, finalized=True),
        account(19, Verdict.DONE),
    )
    assert state.phase is Phase.ENDED
    assert effects == [
        messages.ReadAccount(),
        messages.Simulate(),
        messages.Sign(units=9000),
        messages.Send(),
        messages.MarkSent(),
        messages.ReadStatus(history=False),
        messages.ReadHeight(),
        messages.MarkLanded(slot=19),
        messages.Settle("final", "landed", "final"),
    ]


@pytest.mark.parametrize(
    ("verdict", "effect"),
    [
        (Verdict.DONE, messages.Settle("final", "already true on chain")),
        (Verdict.LOST, messages.Settle("superseded", "because")),
        (Verdict.EARLY, messages.Postpone("because", 2.0, 0)),
    ],
)
def test_nothing_is_signed_when_the_account_is_decisive(
    verdict: Verdict, effect: messages.Effect
) -> None:
    assert run(MachineState(), account(1, verdict)) == (MachineState(phase=Phase.ENDED), [effect])


def test_the_same_bytes_are_sent_again_every_two_seconds() -> None:
    reads = [messages.ReadStatus(history=False), messages.ReadHeight()]
    assert run(SENDING, messages.Tick(4.9))[1] == reads
    state, effects = run(SENDING, messages.Tick(5.0))
    assert effects == [messages.Send(), *reads]
    assert run(state, messages.Tick(6.9))[1] == reads
    assert run(state, messages.Tick(7.0))[1] == [messages.Send(), *reads]


def test_answer_to_a_send_is_not_a_verdict() -> None:
    for error in (None, "AlreadyProcessed", "InvalidStateForVoting", "BlockhashNotFound"):
        state, effects = run(SENDING, messages.Sent(error))
        assert state.phase is Phase.SENDING
        assert effects == [messages.MarkSent()]


def test_an_error_counts_when_it_is_final() -> None:
    seen = messages.StatusSeen(slot=20, landed_slot=19, error="InvalidStateForVoting")
    assert run(SENDING, seen) == (SENDING, [])
    state, effects = run(SENDING, msgspec.structs.replace(seen, finalized=True))
    assert state.phase is Phase.ENDED
    reason = "landed and failed: InvalidStateForVoting"
    assert effects == [messages.MarkDead(reason, 2.0, 1, "InvalidStateForVoting")]


@pytest.mark.parametrize(
    "events",
    [
        # Height not past: nothing expires, whatever else is seen.
        [messages.HeightSeen(50, 100), messages.StatusSeen(slot=60), account(60, Verdict.READY)],
        # The node that does not know is older than the expiry.
        [messages.HeightSeen(50, 101), messages.StatusSeen(slot=49), account(60, Verdict.READY)],
        # The account is older than the expiry.
        [messages.HeightSeen(50, 101), messages.StatusSeen(slot=50), account(49, Verdict.READY)],
        # No node was asked for the signature.
        [messages.HeightSeen(50, 101), account(60, Verdict.READY)],
        [messages.HeightSeen(50, 101), messages.Unreachable("?"), account(60, Verdict.READY)],
    ],
)
def test_not_dead_yet(events: list[messages.Event]) -> None:
    state, effects = run(SENDING, *events)
    assert state.phase is Phase.SENDING
    assert not any(isinstance(effect, messages.MarkDead | messages.Settle) for effect in effects)


@pytest.mark.parametrize(
    ("verdict", "effect"),
    [
        (Verdict.READY, messages.MarkDead("expired without landing", 0.0, 0)),
        (Verdict.DONE, messages.Settle("final", "became true by another transaction", "dead")),
        (Verdict.LOST, messages.Settle("superseded", "because", "dead")),
    ],
)
def test_dead_by_proof(verdict: Verdict, effect: messages.Effect) -> None:
    state, effects = run(
        SENDING, messages.HeightSeen(50, 101), messages.StatusSeen(slot=50), account(50, verdict)
    )
    assert state.phase is Phase.ENDED
    assert effects[-1] == effect


def test_expired_bytes_are_sent_no_more() -> None:
    assert run(EXPIRED, messages.Tick(99.0))[1] == [
        messages.ReadStatus(history=True),
        messages.ReadAccount(),
    ]


def test_found_after_all() -> None:
    state, effects = run(EXPIRED, messages.StatusSeen(slot=60, landed_slot=44))
    assert effects == [messages.MarkLanded(44)]
    assert state.phase is Phase.LANDED


def test_landing_that_is_no_longer_recent_is_found_in_the_history() -> None:
    """As after an outage: the attempt landed, and nodes know its signature by a search alone."""
    state, effects = run(resume(failures=0, last_valid=100, landed_slot=40), messages.Tick(0.0))
    assert effects == [messages.ReadStatus(history=True), messages.ReadAccount()]
    state, _ = run(state, messages.StatusSeen(slot=900, landed_slot=40, finalized=True))
    # What a node that lags says afterwards does not take it back.
    state, effects = run(state, messages.Tick(0.4), messages.StatusSeen(slot=39))
    assert effects == [messages.ReadAccount()]
    _, effects = run(state, account(900, Verdict.DONE))
    assert effects == [messages.Settle("final", "landed", "final")]


def test_forked_away_means_sending_again() -> None:
    state, effects = run(LANDED, messages.StatusSeen(slot=41))
    assert effects == [messages.MarkLost()]
    assert state.phase is Phase.SENDING
    assert state.last_valid == 100
    assert messages.Send() in run(state, messages.Tick(0.0))[1]


def test_landed_elsewhere() -> None:
    state, effects = run(LANDED, messages.StatusSeen(slot=60, landed_slot=43))
    assert effects == [messages.MarkLanded(43)]
    assert run(state, account(42, Verdict.DONE)) == (state, [])


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.LOST, "superseded"), (Verdict.READY, "quarantined")]
)
def test_landed_without_its_effect(verdict: Verdict, status: str) -> None:
    assert run(LANDED, account(40, verdict)) == (LANDED, [])
    certain = messages.StatusSeen(slot=60, landed_slot=40, finalized=True)
    assert run(LANDED, certain, account(39, verdict))[1] == []
    effect = run(LANDED, certain, account(40, verdict))[1][-1]
    assert isinstance(effect, messages.Settle)
    assert (effect.status, effect.attempt) == (status, "final")


def test_failures_back_off_and_end_in_quarantine() -> None:
    delays = []
    for failures in range(machine.MAX_FAILURES - 1):
        state = MachineState(phase=Phase.SIMULATING, failures=failures)
        effect = run(state, messages.Simulated(0, "DisputePeriodNotEnded"))[1][0]
        assert isinstance(effect, messages.Postpone)
        assert effect.failures == failures + 1
        delays.append(effect.delay)
    assert delays == [2, 4, 8, 16, 32, 64, 128]
    last = MachineState(phase=Phase.SIMULATING, failures=machine.MAX_FAILURES - 1)
    effect = run(last, messages.Simulated(0, "DisputePeriodNotEnded"))[1][0]
    assert isinstance(effect, messages.Settle)
    assert effect.status == "quarantined"


@pytest.mark.parametrize("name", sorted(TRANSACTION_ERRORS.keys() - {"InstructionError"}))
def test_simulation_that_reached_no_program_is_not_counted(name: str) -> None:
    fault = TRANSACTION_ERRORS[name]
    for failures in (0, machine.MAX_FAILURES - 1):
        state = MachineState(phase=Phase.SIMULATING, failures=failures)
        effect = run(state, messages.Simulated(0, name, fault))[1][0]
        assert isinstance(effect, messages.Postpone)
        assert (effect.failures, effect.error) == (failures, None)
        assert name in effect.reason
        assert effect.needs_operator == (fault is Fault.REQUEST)


def test_missing_key_is_not_counted() -> None:
    state = MachineState(phase=Phase.SIMULATING, failures=3)
    effect = run(state, messages.Withheld("the key is missing"))[1][0]
    assert effect == messages.Postpone("the key is missing", 2.0, 3)


def test_wrong_keys_are_not_retried() -> None:
    for event, phase in (
        (messages.Simulated(0, "Unauthorized"), Phase.SIMULATING),
        (messages.Unsigned("refused"), Phase.SIGNING),
    ):
        effect = run(MachineState(phase=phase), event)[1][0]
        assert isinstance(effect, messages.Settle)
        assert effect.status == "failed"


def test_unreachable_node_does_not_count_as_failure() -> None:
    for phase in (Phase.SIMULATING, Phase.SIGNING):
        effect = run(MachineState(phase=phase, failures=3), messages.Unreachable("down"))[1][0]
        assert effect == messages.Postpone("down", 2.0, 3)
    for state in (MachineState(), SENDING, EXPIRED, LANDED):
        assert run(state, messages.Unreachable("down")) == (state, [])


def test_resumed_states() -> None:
    assert resume(failures=2) == MachineState(failures=2)
    sending = resume(failures=0, last_valid=9, sends=3)
    assert (sending.phase, sending.last_valid, sending.sends) == (Phase.SENDING, 9, 3)
    assert resume(failures=0, last_valid=9, landed_slot=4).phase is Phase.LANDED


events = st.one_of(
    st.builds(messages.Tick, st.floats(0, 100)),
    st.builds(messages.AccountSeen, st.integers(0, 99), st.sampled_from(Verdict)),
    st.builds(messages.Simulated, st.just(1), st.none() | st.sampled_from(["Unauthorized", "x"])),
    st.builds(messages.Persisted, st.integers(0, 99), st.just(0.0)),
    st.builds(messages.Withheld, st.just("")),
    st.builds(messages.Unsigned, st.just("")),
    st.builds(messages.Sent, st.none() | st.just("e")),
    st.builds(
        messages.StatusSeen,
        st.integers(0, 99),
        st.none() | st.integers(0, 99),
        st.booleans(),
        st.none() | st.just("e"),
    ),
    st.builds(messages.HeightSeen, st.integers(0, 99), st.integers(0, 199)),
    st.builds(messages.Unreachable, st.just("")),
)


@given(st.lists(events, max_size=40))
def test_at_most_one_attempt_is_live_for_any_events(seen: list[messages.Event]) -> None:
    """Any order of events: nothing is signed while an attempt lives, and an end is an end."""
    state, live = MachineState(), False
    for event in seen:
        before = state
        state, effects = step(state, event)
        if isinstance(event, messages.Persisted) and before.phase is Phase.SIGNING:
            live = True
        for effect in effects:
            if isinstance(effect, messages.Sign | messages.Simulate | messages.Postpone):
                assert not live
            if isinstance(
                effect,
                messages.Send
                | messages.MarkSent
                | messages.MarkLanded
                | messages.MarkLost
                | messages.MarkDead,
            ):
                assert live
            if isinstance(effect, messages.MarkDead):
                live = False
            if isinstance(effect, messages.Settle):
                assert (effect.attempt is not None) == live
                live = False
        if before.phase is Phase.ENDED:
            assert (state, effects) == (before, ())
        assert live == (state.phase in (Phase.SENDING, Phase.LANDED))
