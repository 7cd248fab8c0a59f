"""Toy processes for the supervisor, and a program that supervises them."""

import asyncio
import os
import sys
from pathlib import Path

from zmart_pipelines.runtime import readiness
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import Process, Supervisor

# Appends to the diary when it starts and when it is asked to stop.
TOY = """
import os, signal, sys, time
name, diary = sys.argv[1:3]
def note(what):
    with open(diary, "a") as file:
        file.write(f"{what} {name} {os.getpid()}\\n")
def stop(*_):
    note("stopped")
    raise SystemExit(0)
signal.signal(signal.SIGTERM, stop)
note("started")
while True:
    time.sleep(0.05)
"""

# A parent whose child lives in a session of its own, as Dagster's run workers do.
WITH_GRANDCHILD = (
    """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[3], "grandchild", sys.argv[2]],
                 start_new_session=True)
"""
    + TOY
)


def toy(
    name: str, diary: Path, needs: tuple[str, ...] = (), code: str = TOY, **more: object
) -> Process:
    """A toy that is ready once it wrote that it started."""

    def has_started() -> bool:
        return diary.exists() and f"started {name} " in diary.read_text()

    return Process(
        name=name,
        command=[sys.executable, "-c", code, name, str(diary), TOY],
        environment=dict(os.environ),
        folder=diary.parent,
        needs=needs,
        ready=readiness.call(has_started),
        **more,  # type: ignore[arg-type]
    )


def main() -> None:
    """Supervise a parent with a grandchild and a stubborn child, until stopped."""
    state = StateFolder(Path(sys.argv[1]))
    diary = state.root / "diary"
    processes = [
        toy("first", diary),
        toy("second", diary, needs=("first",), code=WITH_GRANDCHILD),
    ]
    supervisor = Supervisor(processes, state, addresses={"API": "http://x"}, say=_say)
    asyncio.run(supervisor.run(when_up=lambda: _say("up")))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
