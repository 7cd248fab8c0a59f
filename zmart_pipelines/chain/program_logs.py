"""Which event payloads our program wrote, read from the structure of a transaction's log.

The runtime writes a line where a program is entered (``Program <id> invoke [<depth>]``)
and left (``Program <id> success`` or ``Program <id> failed: …``), and one for each payload
(``Program data: <base64>``). A payload belongs to the program on top of that stack. Text a
program prints always stands behind ``Program log: ``, so it can imitate none of these
lines. Formats: agave, ``program-runtime/src/stable_log.rs``.

The runtime keeps 10,000 bytes of log. It writes ``Log truncated`` once where a line did
not fit but still keeps later, shorter lines, so nothing behind the mark can be attributed.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec


class LogWalk(msgspec.Struct, frozen=True, gc=False):
    """The payloads of one transaction's log.

    ``payloads`` are (index of the log line, decoded bytes), in order. ``truncated``: the
    runtime cut the log, later payloads are unknown. ``faults``: lines that contradict the
    structure; a broken frame voids the outermost frame it lies in and all that follows.
    With either, read the accounts.
    """

    payloads: list[tuple[int, bytes]]
    truncated: bool
    faults: list[str]

    @property
    def complete(self) -> bool:
        """Whether these are certainly all payloads of the program."""
        return not self.truncated and not self.faults


class _Frame(NamedTuple):
    """A program on the stack: its depth, the head of its lines, the line of its success."""

    depth: int
    head: str
    end: str | None


# The bottom of the stack is no frame, and no line ends it.
_OUTSIDE: Final = _Frame(0, "", None)
_FROM_THE_TOP: Final = (0, (_OUTSIDE,))
# Why a walk stopped before the last line.
_TRUNCATED: Final = "truncated"
_BROKEN: Final = "broken"
# A remembered opening has at most this many characters.
_LONGEST_OPENING: Final = 2000
_INVOKE: Final = re.compile(r"(Program [^ ]+) invoke \[([0-9]{1,3})\]")


@lru_cache(maxsize=4096)
def _entered(line: str) -> _Frame | None:
    """The frame that a line enters, if any. The same few lines come in most transactions."""
    match = _INVOKE.fullmatch(line)
    if match is None:
        return None
    return _Frame(int(match[2]), match[1], f"{match[1]} success")


def walk(logs: Sequence[str], program_id: str) -> LogWalk:
    """Walk the log and collect what the program with this base58 address wrote.

    Works for failed transactions as well, whose payloads have no effect on chain: the
    caller knows the transaction's error. ``logs`` hold no NUL character: those who read
    transactions replace it.
    """
    # Up to the first payload nearly every log is one of a few, so these walks are remembered.
    text = "\0".join(logs)
    length = text.find("\0Program data: ")
    if 0 < length <= _LONGEST_OPENING:
        start, frames = _opened(text[:length])
    else:
        start, frames = _FROM_THE_TOP
    stack = [*frames]
    payloads: list[tuple[int, bytes]] = []
    faults: list[str] = []
    settled, stop = _follow(logs, start, stack, "Program " + program_id, payloads, faults)
    if stop is None:
        if len(stack) == 1:
            return LogWalk(payloads, False, faults)
        faults.append(f"the log ends inside {stack[-1].head}")
    elif stop is _TRUNCATED:
        return LogWalk(payloads, True, faults)
    return LogWalk(payloads[:settled], False, faults)


@lru_cache(maxsize=1024)
def _opened(text: str) -> tuple[int, tuple[_Frame, ...]]:
    """Where to begin behind these lines: their number, and the frames they leave open.

    They hold no payload of a program. Where they are not well-formed, at the top.
    """
    lines, stack, faults = text.split("\0"), [_OUTSIDE], list[str]()
    _, stop = _follow(lines, 0, stack, "", [], faults)
    return (len(lines), tuple(stack)) if stop is None and not faults else _FROM_THE_TOP


def _follow(
    logs: Sequence[str],
    start: int,
    stack: list[_Frame],
    ours: str,
    payloads: list[tuple[int, bytes]],
    faults: list[str],
) -> tuple[int, str | None]:
    """Walk from line ``start``, adding to ``stack``, ``payloads`` and ``faults``.

    Returns how many payloads lie in outermost frames that ended as they should, and why
    the walk stopped, None at the end. ``ours`` is the head of our program's lines.
    """
    depth, frame, end = stack[-1]
    settled = 0
    for index, line in enumerate(logs[start:] if start else logs, start):
        if line == end:
            stack.pop()
            depth, frame, end = stack[-1]
            if not depth:
                settled = len(payloads)
            continue
        # The letter behind ``Program ``: l for ``log: ``, which no address holds; d for
        # ``data: ``, or an address.
        mark = line[8:9]
        if mark == "l":
            continue
        if mark == "d" and line[:14] == "Program data: ":
            if frame == ours:
                try:
                    payload = a2b_base64(line[14:], strict_mode=True)
                except ValueError:
                    faults.append(f"line {index}: payload is not one base64 token")
                    continue
                if payload:
                    payloads.append((index, payload))
                else:
                    faults.append(f"line {index}: payload is empty")
            elif not depth:
                faults.append(f"line {index}: payload outside any program")
                return settled, _BROKEN
            continue
        if line[-1:] == "]":
            entered = _entered(line)
            if entered is not None:
                if entered[0] != depth + 1:
                    faults.append(f"line {index}: enters depth {entered[0]} from {depth}")
                    return settled, _BROKEN
                stack.append(entered)
                depth, frame, end = entered
                continue
        if line[-14:] == " compute units" and " failed: " not in line:
            continue
        if line == "Log truncated":
            return settled, _TRUNCATED
        head, _, rest = line.partition(" ")
        if head != "Program":
            continue
        program, _, rest = rest.partition(" ")
        if rest == "success" or rest.startswith("failed: "):
            if f"Program {program}" != frame:
                faults.append(f"line {index}: leaves {program} inside {frame or 'no program'}")
                return settled, _BROKEN
            stack.pop()
            depth, frame, end = stack[-1]
            if not depth:
                settled = len(payloads)
    return settled, None
