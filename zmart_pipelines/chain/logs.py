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

from binascii import a2b_base64
from collections.abc import Sequence

import msgspec

_DATA = "Program data: "
_OUTSIDE: tuple[str, str | None] = ("", None)


class LogWalk(msgspec.Struct, frozen=True):
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


def walk(logs: Sequence[str], program_id: str) -> LogWalk:
    """Walk the log and collect what the program with this base58 address wrote.

    Works for failed transactions as well, whose payloads have no effect on chain: the
    caller knows the transaction's error.
    """
    ours = f"Program {program_id}"
    payloads: list[tuple[int, bytes]] = []
    faults: list[str] = []
    truncated = False
    # For each frame its line's head and the line it must end with; the bottom is no frame.
    frame, end = _OUTSIDE
    stack = [_OUTSIDE]
    # How many payloads lie in outermost frames that ended as they should.
    settled = 0
    for index, line in enumerate(logs):
        # The letter behind ``Program ``: l for ``log: ``, which no address holds; d for
        # ``data: ``, or an address.
        mark = line[8:9]
        if mark == "l":
            continue
        if line == end:
            stack.pop()
            frame, end = stack[-1]
            if not frame:
                settled = len(payloads)
            continue
        if mark == "d" and line.startswith(_DATA):
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
            elif not frame:
                faults.append(f"line {index}: payload outside any program")
                break
            continue
        if line[-1:] == "]":
            head, keyword, depth = line.partition(" invoke [")
            if keyword and head.startswith("Program ") and head.count(" ") == 1:
                if depth != f"{len(stack)}]":
                    faults.append(f"line {index}: enters [{depth} from depth {len(stack) - 1}")
                    break
                frame, end = head, head + " success"
                stack.append((frame, end))
                continue
        if line == "Log truncated":
            truncated = True
            break
        if not line.startswith("Program "):
            continue
        program, _, rest = line[8:].partition(" ")
        if rest == "success" or rest.startswith("failed: "):
            if f"Program {program}" != frame:
                faults.append(f"line {index}: leaves {program} inside {frame or 'no program'}")
                break
            stack.pop()
            frame, end = stack[-1]
            if not frame:
                settled = len(payloads)
    else:
        if not frame:
            return LogWalk(payloads, False, faults)
        faults.append(f"the log ends inside {frame}")
    return LogWalk(payloads if truncated else payloads[:settled], truncated, faults)
