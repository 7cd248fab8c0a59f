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


class LogWalk(msgspec.Struct, frozen=True):
    """The payloads of one transaction's log.

    ``payloads`` are (index of the log line, decoded bytes), in order. ``truncated``: the
    runtime cut the log, later payloads are unknown. ``faults``: lines that contradict the
    structure; after a broken frame nothing more is read. With either, read the accounts.
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
    payloads: list[tuple[int, bytes]] = []
    faults: list[str] = []
    truncated = False
    stack: list[str] = []
    current: str | None = None
    for index, line in enumerate(logs):
        if line.startswith("Program log: "):
            continue
        if line.startswith(_DATA):
            if current == program_id:
                try:
                    payload = a2b_base64(line[14:], strict_mode=True)
                except ValueError:
                    faults.append(f"line {index}: payload is not one base64 token")
                    continue
                if payload:
                    payloads.append((index, payload))
                else:
                    faults.append(f"line {index}: payload is empty")
            elif current is None:
                faults.append(f"line {index}: payload outside any program")
                break
            continue
        if not line.startswith("Program "):
            if line == "Log truncated":
                truncated = True
                break
            continue
        program, _, rest = line[8:].partition(" ")
        if rest == "success" or rest.startswith("failed: "):
            if program != current:
                faults.append(f"line {index}: leaves {program} inside {current or 'no program'}")
                break
            stack.pop()
            current = stack[-1] if stack else None
        elif rest.startswith("invoke ["):
            stack.append(program)
            if rest != f"invoke [{len(stack)}]":
                faults.append(f"line {index}: {rest} at depth {len(stack)}")
                break
            current = program
    else:
        if stack:
            faults.append(f"the log ends inside {current}")
    return LogWalk(payloads, truncated, faults)
