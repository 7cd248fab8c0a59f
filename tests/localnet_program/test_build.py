"""The committed program is what the sources give, wherever they lie."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localnet.program import PROGRAM_SO
from localnet.program.build import ROOT, CompileError, build, program_sources

pytestmark = pytest.mark.process


def test_rebuilding_gives_the_committed_bytes() -> None:
    assert build() == PROGRAM_SO.read_bytes()


def test_location_of_the_sources_does_not_matter(tmp_path: Path) -> None:
    copy = tmp_path / "somewhere else" / "localnet" / "program"
    shutil.copytree(PROGRAM_SO.parent, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (copy.parent / "__init__.py").write_text("")
    out = tmp_path / "out.so"
    command = [sys.executable, "-m", "localnet.program.build", "--out", str(out)]
    subprocess.run(
        command,
        cwd=copy.parents[1],
        env={**os.environ, "PYTHONPATH": str(copy.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
    )
    assert out.read_bytes() == PROGRAM_SO.read_bytes()


def test_no_path_of_a_machine_is_in_the_program() -> None:
    program = PROGRAM_SO.read_bytes()
    for place in {str(ROOT), str(Path.home()), sys.prefix}:
        assert place == "/" or place.encode() not in program
    assert b"localnet/program/src/trading.c:" in program


def test_the_selling_variant_is_another_program() -> None:
    assert build(sell_works=True) != PROGRAM_SO.read_bytes()


def test_source_that_does_not_compile_is_reported(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int entrypoint(void) { return unknown; }\n")
    with pytest.raises(CompileError, match=r"broken\.c:1:"):
        build([source])


def test_files_are_short() -> None:
    for source in [*program_sources(), *PROGRAM_SO.parent.glob("src/*.h")]:
        assert len(source.read_text().splitlines()) <= 400
