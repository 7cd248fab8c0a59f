"""The scripted program: executes the operations listed in its instruction data.

It stands for third-party programs in tests and is on every local chain, at
``SCRIPTED_PROGRAM_ID``. An instruction lists operations, executed in order: text log lines,
`Program data:` lines (look-alike events), a cross-program invocation (of our program, nested),
and failures. ``scripted_program.c`` defines the format; ``python -m localnet.scripted_program``
rebuilds it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

SCRIPTED_PROGRAM_ID: Final = Pubkey.from_string("ScriptedProgram1111111111111111111111111111")
SCRIPTED_PROGRAM_SO: Final = Path(__file__).with_name("scripted_program.so")


def log_text(text: str, times: int = 1) -> bytes:
    """Return the operation that logs a line ``times`` times; enough lines truncate the log."""
    raw = text.encode()
    return struct.pack("<BHH", 1, times, len(raw)) + raw


def log_data(payload: bytes) -> bytes:
    """Return the operation that logs bytes in a `Program data:` line, as events are."""
    return struct.pack("<BH", 2, len(payload)) + payload


def fail(code: int) -> bytes:
    """Return the operation that fails with a custom error; earlier logs remain."""
    return struct.pack("<BI", 4, code)


class Script:
    """Collects operations and the accounts they need into one instruction."""

    def __init__(self) -> None:
        self._operations: list[bytes] = []
        self._accounts: list[AccountMeta] = []

    def add(self, *operations: bytes) -> Script:
        """Add operations made by ``log_text``, ``log_data`` and ``fail``."""
        self._operations += operations
        return self

    def call(self, instruction: Instruction) -> Script:
        """Add a cross-program invocation; an instruction can hold one.

        Raises:
            ValueError: the script already holds one.
        """
        if self._accounts:
            raise ValueError("a script makes at most one cross-program invocation")
        metas: Sequence[AccountMeta] = instruction.accounts
        self._accounts = [*metas, AccountMeta(instruction.program_id, False, False)]
        size = len(instruction.data)
        self._operations.append(
            struct.pack("<BBBH", 3, len(metas), len(metas), size) + instruction.data
        )
        return self

    def instruction(self) -> Instruction:
        """Return the instruction that executes the script."""
        return Instruction(SCRIPTED_PROGRAM_ID, b"".join(self._operations), self._accounts)
