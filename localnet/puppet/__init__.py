"""A program that does what it is told: it stands for other people's programs in tests.

It is on every local chain, at ``PUPPET``. An instruction to it is a list of acts, done in
order: lines of text, `Program data:` lines (look-alike events), calls of other programs
(ours, nested), and failures. The format is that of ``puppet.c``; ``python -m
localnet.puppet`` builds it anew.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

PUPPET: Final = Pubkey.from_string("Puppet1111111111111111111111111111111111111")
PUPPET_SO: Final = Path(__file__).with_name("puppet.so")


def say(text: str, times: int = 1) -> bytes:
    """Log a line so many times; enough of it and the log is truncated."""
    raw = text.encode()
    return struct.pack("<BHH", 1, times, len(raw)) + raw


def data(payload: bytes) -> bytes:
    """Log bytes as an event is logged."""
    return struct.pack("<BH", 2, len(payload)) + payload


def fail(code: int) -> bytes:
    """End with a custom error; the logs before it stay."""
    return struct.pack("<BI", 4, code)


class Puppet:
    """Collects acts and the accounts they need into one instruction."""

    def __init__(self) -> None:
        self._acts: list[bytes] = []
        self._accounts: list[AccountMeta] = []

    def act(self, *acts: bytes) -> Puppet:
        """Add acts made by ``say``, ``data`` and ``fail``."""
        self._acts += acts
        return self

    def call(self, instruction: Instruction) -> Puppet:
        """Add a call of another program; one call is possible in an instruction."""
        if self._accounts:
            raise ValueError("one instruction to the puppet makes at most one call")
        metas: Sequence[AccountMeta] = instruction.accounts
        self._accounts = [*metas, AccountMeta(instruction.program_id, False, False)]
        size = len(instruction.data)
        self._acts.append(struct.pack("<BBBH", 3, len(metas), len(metas), size) + instruction.data)
        return self

    def instruction(self) -> Instruction:
        """The instruction that makes the puppet do all of it."""
        return Instruction(PUPPET, b"".join(self._acts), self._accounts)
