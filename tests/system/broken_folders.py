"""Folders that cannot be written, for the time of a block."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_in_its_place(folder: Path) -> Iterator[None]:
    """A file where the folder is expected."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A file system without a free byte, mounted over the folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], check=True)
    try:
        with contextlib.suppress(OSError), (folder / "filler").open("wb", 0) as filler:
            while True:
                filler.write(bytes(1024))
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
