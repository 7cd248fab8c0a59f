"""The reference program: zmart-core rebuilt in C for the local chain."""

from pathlib import Path

PROGRAM_SO: Path = Path(__file__).parent / "zmart_core.so"
"""The built program, committed; ``python -m localnet.program.build`` rebuilds it."""
