"""``python -m localnet.puppet``: compile and link the puppet; needs the group 'program'."""

from __future__ import annotations

import sys
from pathlib import Path

from localnet.program.build import SOURCES, build
from localnet.puppet import PUPPET_SO


def compile_puppet() -> bytes:
    """The program's bytes, the same on every machine."""
    return build([SOURCES / "input.c", Path(__file__).with_name("puppet.c")])


if __name__ == "__main__":
    sys.stdout.write(f"{PUPPET_SO}: {PUPPET_SO.write_bytes(compile_puppet())} bytes\n")
