"""The machine, rule by rule."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.submissions import machine as m
from zmart_pipelines.submissions.machine import Phase, Verdict, Work, resume, step

SENDING = Work(phase=Phase.SENDING, last_valid=100, send_at=5.0)
EXPIRED = msgspec.structs.replace(SENDING, expired_at=50)
LANDED = Work(phase=Phase.LANDED, last_valid=100, landed_slot=40)


def account(slot: int, verdict: Verdict) -> m.AccountSeen:
    return m.AccountSeen(slot=slot, verdict=verdict, reason="because")


def run(work: Work, *events: m.Event) -> tuple[Work, list[m.Effect]]:
    effects: list[m.Effect] = []
    for event in events:
        work, wanted = step(work, event)
        effects += wanted
    return work, effects


def test_the_good_way() -> None:
    work, effects = run(
        resume(failures=0),
        m.Tick(0.0),
        account(1, Verdict.READY),
        m.Simulated(units=9000),
        m.Persisted(last_valid=100, now=1.0),
        m.Sent(),
        m.Tick(1.4),
        m.StatusSeen(slot=20, landed_slot=19),
        account(18, Verdict.READY),
        m.StatusSeen(slot=30, landed_slot=19, finalized=True),
        account(19, Verdict.DONE),
    )
    assert work.phase is Phase.ENDED
    assert effects == [
        m.ReadAccount(),
        m.Simulate(),
        m.Sign(units=9000),
        m.Send(),
        m.MarkSent(),
        m.ReadStatus(history=False),
        m.ReadHeight(),
        m.MarkLanded(slot=19),
        m.Settle("final", "landed", "final"),
    ]


@pytest.mark.parametrize(
    ("verdict", "effect"),
    [
        (Verdict.DONE, m.Settle("final", "already so on chain")),
        (Verdict.LOST, m.Settle("superseded", "because")),
        (Verdict.EARLY, m.Postpone("because", 2.0, 0)),
    ],
)
def test_nothing_is_signed_for_what_is_decided(verdict: Verdict, effect: m.Effect) -> None:
    assert run(Work(), account(1, verdict)) == (Work(phase=Phase.ENDED), [effect])


def test_the_same_bytes_are_sent_again_every_two_seconds() -> None:
    reads = [m.ReadStatus(history=False), m.ReadHeight()]
    assert run(SENDING, m.Tick(4.9))[1] == reads
    work, effects = run(SENDING, m.Tick(5.0))
    assert effects == [m.Send(), *reads]
    assert run(work, m.Tick(6.9))[1] == reads
    assert run(work, m.Tick(7.0))[1] == [m.Send(), *reads]


def test_an_answer_to_a_send_is_no_verdict() -> None:
    for error in (None, "AlreadyProcessed", "InvalidStateForVoting", "BlockhashNotFound"):
        work, effects = run(SENDING, m.Sent(error))
        assert work.phase is Phase.SENDING
        assert effects == [m.MarkSent()]


def test_an_error_counts_when_it_is_final() -> None:
    seen = m.StatusSeen(slot=20, landed_slot=19, error="InvalidStateForVoting")
    assert run(SENDING, seen) == (SENDING, [])
    work, effects = run(SENDING, msgspec.structs.replace(seen, finalized=True))
    assert work.phase is Phase.ENDED
    reason = "landed and failed: InvalidStateForVoting"
    assert effects == [m.Bury(reason, 2.0, 1, "InvalidStateForVoting")]


@pytest.mark.parametrize(
    "events",
    [
        # Height not past: nothing expires, whatever else is seen.
        [m.HeightSeen(50, 100), m.StatusSeen(slot=60), account(60, Verdict.READY)],
        # The node that does not know is older than the expiry.
        [m.HeightSeen(50, 101), m.StatusSeen(slot=49), account(60, Verdict.READY)],
        # The account is older than the expiry.
        [m.HeightSeen(50, 101), m.StatusSeen(slot=50), account(49, Verdict.READY)],
        # Nobody was asked about the signature.
        [m.HeightSeen(50, 101), account(60, Verdict.READY)],
        [m.HeightSeen(50, 101), m.Unreachable("?"), account(60, Verdict.READY)],
    ],
)
def test_not_dead_yet(events: list[m.Event]) -> None:
    work, effects = run(SENDING, *events)
    assert work.phase is Phase.SENDING
    assert not any(isinstance(effect, m.Bury | m.Settle) for effect in effects)


@pytest.mark.parametrize(
    ("verdict", "effect"),
    [
        (Verdict.READY, m.Bury("expired without landing", 0.0, 0)),
        (Verdict.DONE, m.Settle("final", "made so by another transaction", "dead")),
        (Verdict.LOST, m.Settle("superseded", "because", "dead")),
    ],
)
def test_dead_by_proof(verdict: Verdict, effect: m.Effect) -> None:
    work, effects = run(SENDING, m.HeightSeen(50, 101), m.StatusSeen(slot=50), account(50, verdict))
    assert work.phase is Phase.ENDED
    assert effects[-1] == effect


def test_expired_bytes_are_sent_no_more() -> None:
    assert run(EXPIRED, m.Tick(99.0))[1] == [m.ReadStatus(history=True), m.ReadAccount()]


def test_found_after_all() -> None:
    work, effects = run(EXPIRED, m.StatusSeen(slot=60, landed_slot=44))
    assert effects == [m.MarkLanded(44)]
    assert work.phase is Phase.LANDED


def test_forked_away_means_sending_again() -> None:
    work, effects = run(LANDED, m.StatusSeen(slot=41))
    assert effects == [m.MarkLost()]
    assert work.phase is Phase.SENDING
    assert work.last_valid == 100
    assert m.Send() in run(work, m.Tick(0.0))[1]


def test_landed_elsewhere() -> None:
    work, effects = run(LANDED, m.StatusSeen(slot=60, landed_slot=43))
    assert effects == [m.MarkLanded(43)]
    assert run(work, account(42, Verdict.DONE)) == (work, [])


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.LOST, "superseded"), (Verdict.READY, "quarantined")]
)
def test_landed_without_its_effect(verdict: Verdict, status: str) -> None:
    assert run(LANDED, account(40, verdict)) == (LANDED, [])
    certain = m.StatusSeen(slot=60, landed_slot=40, finalized=True)
    assert run(LANDED, certain, account(39, verdict))[1] == []
    effect = run(LANDED, certain, account(40, verdict))[1][-1]
    assert isinstance(effect, m.Settle)
    assert (effect.status, effect.attempt) == (status, "final")


def test_failures_back_off_and_end_in_quarantine() -> None:
    delays = []
    for failures in range(m.MAX_FAILURES - 1):
        work = Work(phase=Phase.SIMULATING, failures=failures)
        effect = run(work, m.Simulated(0, "DisputePeriodNotEnded"))[1][0]
        assert isinstance(effect, m.Postpone)
        assert effect.failures == failures + 1
        delays.append(effect.delay)
    assert delays == [2, 4, 8, 16, 32, 64, 128]
    last = Work(phase=Phase.SIMULATING, failures=m.MAX_FAILURES - 1)
    effect = run(last, m.Simulated(0, "DisputePeriodNotEnded"))[1][0]
    assert isinstance(effect, m.Settle)
    assert effect.status == "quarantined"


def test_wrong_keys_are_not_tried_again() -> None:
    for event, phase in (
        (m.Simulated(0, "Unauthorized"), Phase.SIMULATING),
        (m.Unsigned("refused"), Phase.SIGNING),
    ):
        effect = run(Work(phase=phase), event)[1][0]
        assert isinstance(effect, m.Settle)
        assert effect.status == "failed"


def test_an_unreachable_node_is_no_failure() -> None:
    for phase in (Phase.SIMULATING, Phase.SIGNING):
        effect = run(Work(phase=phase, failures=3), m.Unreachable("down"))[1][0]
        assert effect == m.Postpone("down", 2.0, 3)
    for work in (Work(), SENDING, EXPIRED, LANDED):
        assert run(work, m.Unreachable("down")) == (work, [])


def test_resumed_states() -> None:
    assert resume(failures=2) == Work(failures=2)
    sending = resume(failures=0, last_valid=9, sends=3)
    assert (sending.phase, sending.last_valid, sending.sends) == (Phase.SENDING, 9, 3)
    assert resume(failures=0, last_valid=9, landed_slot=4).phase is Phase.LANDED


events = st.one_of(
    st.builds(m.Tick, st.floats(0, 100)),
    st.builds(m.AccountSeen, st.integers(0, 99), st.sampled_from(Verdict)),
    st.builds(m.Simulated, st.just(1), st.none() | st.sampled_from(["Unauthorized", "x"])),
    st.builds(m.Persisted, st.integers(0, 99), st.just(0.0)),
    st.builds(m.Withheld, st.just("")),
    st.builds(m.Unsigned, st.just("")),
    st.builds(m.Sent, st.none() | st.just("e")),
    st.builds(
        m.StatusSeen,
        st.integers(0, 99),
        st.none() | st.integers(0, 99),
        st.booleans(),
        st.none() | st.just("e"),
    ),
    st.builds(m.HeightSeen, st.integers(0, 99), st.integers(0, 199)),
    st.builds(m.Unreachable, st.just("")),
)


@given(st.lists(events, max_size=40))
def test_whatever_is_seen_one_attempt_is_live_at_a_time(seen: list[m.Event]) -> None:
    """Any order of events: nothing is signed while an attempt lives, and an end is an end."""
    work, live = Work(), False
    for event in seen:
        before = work
        work, effects = step(work, event)
        if isinstance(event, m.Persisted) and before.phase is Phase.SIGNING:
            live = True
        for effect in effects:
            if isinstance(effect, m.Sign | m.Simulate | m.Postpone):
                assert not live
            if isinstance(effect, m.Send | m.MarkSent | m.MarkLanded | m.MarkLost | m.Bury):
                assert live
            if isinstance(effect, m.Bury):
                live = False
            if isinstance(effect, m.Settle):
                assert (effect.attempt is not None) == live
                live = False
        if before.phase is Phase.ENDED:
            assert (work, effects) == (before, ())
        assert live == (work.phase in (Phase.SENDING, Phase.LANDED))
