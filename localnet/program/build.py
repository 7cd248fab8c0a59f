"""Build of the reference program: ``python -m localnet.program.build``.

The same sources give the same bytes on every machine: the compiler is pinned, sources are named
by their path in the project, and the result depends on nothing else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localnet.program import PROGRAM_SO
from localnet.program.linker import link
from localnet.program.object_file import ObjectFile

ROOT = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent / "src"

COMPILER = (sys.executable, "-m", "ziglang", "cc")
FLAGS = (
    "-target",
    "bpfel-freestanding-none",
    "-mcpu=v2+allows_misaligned_mem_access",
    "-std=c23",
    "-O2",
    "-mllvm",
    "-bpf-stack-size=4096",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-stack-protector",
    "-Wall",
    "-Wextra",
    "-Werror",
)


class CompileError(Exception):
    """The compiler rejected a source; the text is the compiler's."""


def program_sources() -> list[Path]:
    """Return the program's C files in link order."""
    return sorted(SOURCES.glob("*.c"))


def compile_source(source: Path, folder: Path, defines: Sequence[str] = ()) -> ObjectFile:
    """Compile one C file; ``folder`` receives the object and the compiler's cache."""
    target = folder / f"{source.stem}.o"
    name = source.relative_to(ROOT) if source.is_relative_to(ROOT) else source
    command = [*COMPILER, *FLAGS, "-I", str(SOURCES.relative_to(ROOT))]
    command += [f"-D{define}" for define in defines]
    command += ["-c", str(name), "-o", str(target)]
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(folder), "ZIG_LOCAL_CACHE_DIR": str(folder)}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **cache}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CompileError(done.stderr.strip())
    return ObjectFile.parse(str(name), target.read_bytes())


def build(sources: Sequence[Path] | None = None, *, sell_works: bool = False) -> bytes:
    """Compile and link the program and return its bytes.

    With ``sell_works`` sell_shares pays out, as was intended; the deployed program refuses
    every sale.

    Raises:
        CompileError: the compiler rejected a source.
        LinkError: the objects cannot be linked.
    """
    defines = ["SELL_WORKS"] if sell_works else []
    with tempfile.TemporaryDirectory() as folder:
        return link(
            [
                compile_source(source, Path(folder), defines)
                for source in sources or program_sources()
            ]
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m localnet.program.build",
        description="Compile the reference program. Needs the dependency group 'program'.",
        epilog="example: python -m localnet.program.build --sell-works --out sell.so",
    )
    parser.add_argument("--sell-works", action="store_true", help="let sell_shares pay out")
    parser.add_argument("--out", type=Path, default=PROGRAM_SO, help="where to write the program")
    arguments = parser.parse_args()
    program = build(sell_works=arguments.sell_works)
    arguments.out.write_bytes(program)
    sys.stdout.write(f"{arguments.out}: {len(program)} bytes\n")


if __name__ == "__main__":
    main()
