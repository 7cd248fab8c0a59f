"""``python -m localnet.scripted_program``: build the scripted program (needs group `program`)."""

from __future__ import annotations

import sys
from pathlib import Path

from localnet.program.build import SOURCES, build
from localnet.scripted_program import SCRIPTED_PROGRAM_SO


def compile_scripted_program() -> bytes:
    """Return the program's bytes, which are the same on every machine."""
    return build([SOURCES / "input.c", Path(__file__).with_name("scripted_program.c")])


if __name__ == "__main__":
    size = SCRIPTED_PROGRAM_SO.write_bytes(compile_scripted_program())
    sys.stdout.write(f"{SCRIPTED_PROGRAM_SO}: {size} bytes\n")
