"""Extraction of a program's event payloads from the structure of a transaction's log.

The runtime writes a line when a program is entered (``Program <id> invoke [<depth>]``) and
left (``Program <id> success`` or ``Program <id> failed: …``), and one for each payload
(``Program data: <base64>``). A payload belongs to the program on top of that stack. Text that
a program prints always follows ``Program log: ``, so it cannot imitate any of these lines.
Formats: agave, ``program-runtime/src/stable_log.rs``.

The runtime keeps 10,000 bytes of log. It writes ``Log truncated`` once where a line did not
fit but still keeps later, shorter lines, so nothing after the mark can be attributed.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec


class ParsedLogs(msgspec.Struct, frozen=True, gc=False):
    """The payloads of one transaction's log. When it is not complete, read the accounts.

    Attributes:
        payloads: (index of the log line, decoded bytes) pairs, in order.
        truncated: the runtime cut the log; later payloads are unknown.
        faults: lines that contradict the structure. A broken frame voids its outermost frame
            and everything after that.
        failures: lines on which a program fails, which fails the whole transaction.
    """

    payloads: list[tuple[int, bytes]]
    truncated: bool
    faults: list[str]
    failures: list[str] = []

    @property
    def complete(self) -> bool:
        """Whether these are all payloads of the program."""
        return not self.truncated and not self.faults


class _Frame(NamedTuple):
    """A program on the stack: its depth, the prefix of its lines, the line of its success."""

    depth: int
    prefix: str
    end: str | None


# The bottom of the stack is not a program; no line ends it.
_OUTSIDE: Final = _Frame(0, "", None)
_START: Final[tuple[int, tuple[_Frame, ...], tuple[str, ...]]] = (0, (_OUTSIDE,), ())
# Why parsing stopped before the last line.
_TRUNCATED: Final = "truncated"
_BROKEN: Final = "broken"
# A cached opening has at most this many characters.
_LONGEST_OPENING: Final = 2000
_INVOKE: Final = re.compile(r"(Program [^ ]+) invoke \[([0-9]{1,3})\]")
_DATA: Final = "Program data: "


@lru_cache(maxsize=4096)
def _entered(line: str) -> _Frame | None:
    """Return the frame that a line enters, if any. Most transactions share a few such lines."""
    match = _INVOKE.fullmatch(line)
    if match is None:
        return None
    return _Frame(int(match[2]), match[1], f"{match[1]} success")


def parse_logs(logs: Sequence[str], program_id: str) -> ParsedLogs:
    """Parse a log and collect the payloads of the program with this base58 address.

    This works for failed transactions as well, whose payloads have no effect on chain: the
    caller knows the transaction's error. ``logs`` hold no NUL character; the readers of
    transactions replace it.
    """
    # Nearly every log has one of a few openings before its first payload, so they are cached.
    text = "\0".join(logs)
    length = text.find("\0" + _DATA)
    if 0 < length <= _LONGEST_OPENING:
        start, frames, failed = _parsed_opening(text[:length])
    else:
        start, frames, failed = _START
    stack = [*frames]
    payloads: list[tuple[int, bytes]] = []
    faults: list[str] = []
    failures = [*failed]
    settled, stop = _parse(logs, start, stack, "Program " + program_id, payloads, faults, failures)
    if stop is None:
        if len(stack) == 1:
            return ParsedLogs(payloads, False, faults, failures)
        faults.append(f"the log ends inside {stack[-1].prefix}")
    elif stop is _TRUNCATED:
        return ParsedLogs(payloads, True, faults, failures)
    return ParsedLogs(payloads[:settled], False, faults, failures)


def successful_frames(logs: Sequence[str], program_id: str) -> int:
    """Return how often the program ran to its end, by the log of a successful transaction."""
    return logs.count(f"Program {program_id} success")


@lru_cache(maxsize=1024)
def _parsed_opening(text: str) -> tuple[int, tuple[_Frame, ...], tuple[str, ...]]:
    """Return where to continue after these lines: their number, the open frames, the failures.

    The lines hold no payload of a program. Where they are malformed, parsing starts at the
    first line.
    """
    lines, stack, faults, failures = text.split("\0"), [_OUTSIDE], list[str](), list[str]()
    _, stop = _parse(lines, 0, stack, "", [], faults, failures)
    if stop is not None or faults:
        return _START
    return len(lines), tuple(stack), tuple(failures)


def _parse(
    logs: Sequence[str],
    start: int,
    stack: list[_Frame],
    our_prefix: str,
    payloads: list[tuple[int, bytes]],
    faults: list[str],
    failures: list[str],
) -> tuple[int, str | None]:
    """Parse from line ``start``, updating the stack and the lists.

    Return how many payloads lie in outermost frames that ended properly, and why parsing
    stopped, None at the end. ``our_prefix`` is the prefix of our program's lines.
    """
    depth, prefix, end = stack[-1]
    settled = 0
    for index, line in enumerate(logs[start:] if start else logs, start):
        if line == end:
            stack.pop()
        elif line[8:9] == "l":
            # ``Program log: ``; no address holds an l.
            continue
        elif line[:14] == _DATA:
            if prefix == our_prefix:
                _add_payload(index, line, payloads, faults)
            elif not depth:
                faults.append(f"line {index}: payload outside any program")
                return settled, _BROKEN
            continue
        elif line[-14:] == " compute units" and " failed: " not in line:
            continue
        else:
            stop = _parse_frame_line(index, line, stack, faults, failures)
            if stop is not None:
                return settled, stop
        depth, prefix, end = stack[-1]
        if not depth:
            settled = len(payloads)
    return settled, None


def _add_payload(
    index: int, line: str, payloads: list[tuple[int, bytes]], faults: list[str]
) -> None:
    """Add the payload of a ``Program data:`` line, or the fault in it."""
    try:
        payload = a2b_base64(line[14:], strict_mode=True)
    except ValueError:
        faults.append(f"line {index}: payload is not one base64 token")
        return
    if payload:
        payloads.append((index, payload))
    else:
        faults.append(f"line {index}: payload is empty")


def _parse_frame_line(
    index: int, line: str, stack: list[_Frame], faults: list[str], failures: list[str]
) -> str | None:
    """Update ``stack`` by a line that may enter or leave a program.

    Return why parsing stops at this line, or None.
    """
    depth, prefix, _ = stack[-1]
    if line[-1:] == "]" and (entered := _entered(line)) is not None:
        if entered.depth != depth + 1:
            faults.append(f"line {index}: enters depth {entered.depth} from {depth}")
            return _BROKEN
        stack.append(entered)
        return None
    if line == "Log truncated":
        return _TRUNCATED
    head, _, rest = line.partition(" ")
    program, _, rest = rest.partition(" ")
    if head == "Program" and (rest == "success" or rest.startswith("failed: ")):
        if f"Program {program}" != prefix:
            faults.append(f"line {index}: leaves {program} inside {prefix or 'no program'}")
            return _BROKEN
        stack.pop()
        if rest != "success":
            failures.append(f"line {index}: {program} fails")
    return None
