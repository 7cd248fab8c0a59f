"""Parsing of program logs: everything the runtime can write, forgeries, truncation."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from tests.program import strategies
from zmart_pipelines.chain.program_logs import ParsedLogs, parse_logs
from zmart_pipelines.program.events import Event, encode_event
from zmart_pipelines.program.ids import COMPUTE_BUDGET, DEFAULT_PROGRAM_ID, SYSTEM_PROGRAM

OURS = str(DEFAULT_PROGRAM_ID)
OTHER = str(Pubkey(bytes(range(32))))
# An address that starts like the keyword of a payload line.
DATED = "dataF1doAVqwVZdnDRp4U6R3SXpVFNZ4Rk7NZmgFQB2f"
PROGRAMS = [OURS, OTHER, str(SYSTEM_PROGRAM), str(COMPUTE_BUDGET), DATED]


def data(payload: bytes) -> str:
    return "Program data: " + b64encode(payload).decode()


@dataclass
class Frame:
    """What one program did: text and payloads it wrote, programs it called, how it ended."""

    program: str
    steps: list[str | bytes | Frame] = field(default_factory=list)
    ending: str = "success"


def written(frames: list[Frame], depth: int = 1) -> list[str]:
    """The lines the runtime writes for these frames."""
    lines: list[str] = []
    for frame in frames:
        lines.append(f"Program {frame.program} invoke [{depth}]")
        for step in frame.steps:
            if isinstance(step, Frame):
                lines += written([step], depth + 1)
            elif isinstance(step, bytes):
                lines.append(data(step))
            else:
                lines.append(step)
        lines.append(f"Program {frame.program} {frame.ending}")
    return lines


def payloads(frames: list[Frame]) -> list[bytes]:
    """What our program wrote in these frames, in order."""
    found = []
    for frame in frames:
        for step in frame.steps:
            if isinstance(step, Frame):
                found += payloads([step])
            elif isinstance(step, bytes) and frame.program == OURS:
                found.append(step)
    return found


# Text that a program prints always follows ``Program log: ``.
forged = st.sampled_from(
    [
        f"Program {OURS} invoke [1]",
        f"Program {OURS} invoke [2]",
        f"Program {OURS} success",
        f"\nProgram {OURS} invoke [2]\nProgram data: AAAA",
        f"Program {OTHER} failed: x",
        "Log truncated",
        "Program data: AAAA",
        "",
    ]
)
# Readers of transactions replace NUL.
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60)
printed = st.builds("Program log: {}".format, forged | texts)
# Lines of the runtime and of native programs, which are no frames either.
noise = st.sampled_from(
    [
        f"Program {OURS} consumed 12 of 200000 compute units",
        "Program consumption: 199000 units remaining",
        f"Program return: {OURS} AQ==",
        "Program is not deployed",
        "Program account authority is immutable",
        "Transfer: insufficient lamports 1, need 2",
        "",
        "x",
    ]
)
payload = st.binary(min_size=1, max_size=120)
ending = st.sampled_from(
    ["success", "failed: custom program error: 0x1777", "failed: out of range [3]", "failed: "]
)
frame_trees = st.recursive(
    st.builds(
        Frame,
        st.sampled_from(PROGRAMS),
        st.lists(printed | noise | payload, max_size=4),
        ending,
    ),
    lambda inner: st.builds(
        Frame,
        st.sampled_from(PROGRAMS),
        st.lists(printed | noise | payload | inner, max_size=4),
        ending,
    ),
    max_leaves=6,
)
transactions = st.lists(frame_trees, max_size=4)


@given(transactions)
def test_exactly_our_payloads_in_order(frames: list[Frame]) -> None:
    lines = written(frames)
    found = parse_logs(lines, OURS)
    assert found.complete
    assert [payload for _, payload in found.payloads] == payloads(frames)
    assert all(lines[index] == data(payload) for index, payload in found.payloads)


@given(st.lists(printed | noise, max_size=30))
def test_printed_text_never_makes_a_payload(lines: list[str]) -> None:
    inside_another = written([Frame(OTHER, list(lines))])
    inside_ours = written([Frame(OURS, list(lines))])
    assert parse_logs(lines, OURS) == ParsedLogs([], False, [])
    assert parse_logs(inside_another, OURS) == ParsedLogs([], False, [])
    assert parse_logs(inside_ours, OURS) == ParsedLogs([], False, [])


@given(transactions, st.data(), st.lists(payload | printed | noise, max_size=5))
def test_payloads_after_a_truncation_are_ignored(
    frames: list[Frame], choice: st.DataObject, later: list[str | bytes]
) -> None:
    lines = written(frames)
    cut = choice.draw(st.integers(0, len(lines)))
    survivors = [data(step) if isinstance(step, bytes) else step for step in later]
    found = parse_logs([*lines[:cut], "Log truncated", *survivors, *lines[cut:]], OURS)
    assert found.truncated
    assert found.faults == []
    assert found.payloads == [p for p in parse_logs(lines, OURS).payloads if p[0] < cut]


@given(transactions, st.data())
def test_missing_frame_line_is_detected_and_adds_no_payload(
    frames: list[Frame], choice: st.DataObject
) -> None:
    assume(frames)
    lines = written(frames)
    frame_lines = [
        index
        for index, line in enumerate(lines)
        if not line.startswith(("Program log: ", "Program data: "))
        and line.startswith("Program ")
        and (" invoke [" in line or " success" in line or " failed: " in line)
    ]
    lost = choice.draw(st.sampled_from(frame_lines))
    found = parse_logs(lines[:lost] + lines[lost + 1 :], OURS)
    assert found.faults
    whole = [payload for _, payload in parse_logs(lines, OURS).payloads]
    kept = [payload for _, payload in found.payloads]
    assert kept == whole[: len(kept)]


@given(st.lists(texts | printed | noise | st.builds(data, payload), max_size=30))
def test_arbitrary_lines_never_raise(lines: list[str]) -> None:
    parse_logs(lines, OURS)


@given(strategies.events)
def test_events_by_cpi_both_ways(event: Event) -> None:
    wanted = encode_event(event)
    ours = Frame(OURS, ["Program log: Instruction: BuyShares", Frame(OTHER, [b"no"]), wanted])
    called = [Frame(OTHER, [b"no", ours, b"neither"])]
    assert [found for _, found in parse_logs(written(called), OURS).payloads] == [wanted]


def test_line_index_is_that_of_the_log() -> None:
    lines = written([Frame(str(COMPUTE_BUDGET)), Frame(OURS, ["Program log: x", b"1", b"2"])])
    assert parse_logs(lines, OURS) == ParsedLogs([(4, b"1"), (5, b"2")], False, [])


@pytest.mark.parametrize(
    ("lines", "payload_count", "fault"),
    [
        ([f"Program {OURS} invoke [2]"], 0, "line 0: enters depth 2 from 0"),
        ([f"Program {OURS} invoke [1"], 0, None),
        ([f"Program {OURS} success"], 0, "line 0: leaves .* inside no program"),
        (
            [f"Program {OURS} invoke [1]", f"Program {OTHER} success", data(b"x")],
            0,
            f"line 1: leaves {OTHER} inside Program {OURS}",
        ),
        (
            [*written([Frame(OURS, [b"1"])]), f"Program {OURS} invoke [1]", data(b"x")],
            1,
            f"the log ends inside Program {OURS}",
        ),
        ([data(b"x")], 0, "line 0: payload outside any program"),
        (
            [f"Program {OTHER} invoke [1]", f"Program {OURS} invoke [1]", data(b"x")],
            0,
            "line 1: enters depth 1 from 1",
        ),
    ],
)
def test_broken_frames(lines: list[str], payload_count: int, fault: str | None) -> None:
    found = parse_logs(lines, OURS)
    assert len(found.payloads) == payload_count
    if fault is None:
        assert found.faults == []
    else:
        with pytest.raises(AssertionError, match=fault):
            raise AssertionError(*found.faults)


@pytest.mark.parametrize(
    "token",
    [
        "AAAA AAAA",
        "AAA",
        "AAA=A",
        "AA==AA==",
        "AAAA\n",
        "A-_A",
        " AAAA",
        "ÄÄÄÄ",
        "",
        "====",
    ],
)
def test_payloads_are_one_strict_base64_token(token: str) -> None:
    lines = written([Frame(OURS, [f"Program data: {token}", b"good"])])
    found = parse_logs(lines, OURS)
    assert found.payloads == [(2, b"good")]
    assert len(found.faults) == 1
    assert found.faults[0].startswith("line 1: payload is")


def test_payloads_of_other_programs_are_ignored() -> None:
    lines = written([Frame(OTHER, ["Program data: not base64 at all", b"x"])])
    assert parse_logs(lines, OURS) == ParsedLogs([], False, [])


def test_depth_beyond_nine() -> None:
    frame = Frame(OURS, [b"deep"])
    for _ in range(11):
        frame = Frame(OTHER, [frame])
    assert [found for _, found in parse_logs(written([frame]), OURS).payloads] == [b"deep"]
