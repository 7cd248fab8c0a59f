"""Checks of this machine: the state folder, the programs of the embedded parts, the ports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from zmart_pipelines.runtime.doctor.findings import Finding, fail, ok
from zmart_pipelines.runtime.embedded_services import EmbeddedParts
from zmart_pipelines.runtime.ports import is_free, port_holder
from zmart_pipelines.runtime.postgres import PostgresError, find_binaries
from zmart_pipelines.runtime.processes import process_ports
from zmart_pipelines.runtime.redis import RedisNotFound, find_server
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.settings import Settings


def check_state_folder(state: StateFolder) -> Finding:
    """Check that the state folder, or the folder that it will be created in, is writable."""
    folder = state.root
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return fail("state folder", f"{folder} is not a folder", "set ZMART_STATE to a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail(
            "state folder",
            f"{folder} is not writable for this user",
            "set ZMART_STATE to a writable folder, or change the owner of this one",
        )
    return ok("state folder", f"{state.root} is writable")


def check_programs(settings: Settings, embedded: EmbeddedParts) -> Iterator[Finding]:
    """Check that there is a program for each embedded part."""
    if embedded.postgres:
        try:
            yield ok("Postgres program", str(find_binaries(settings.postgres_bin)))
        except PostgresError as error:
            yield fail("Postgres program", str(error), "set POSTGRES_BIN or DATABASE_URL")
    if embedded.redis:
        try:
            yield ok("Redis program", str(find_server(settings.redis_server)))
        except RedisNotFound as error:
            yield fail("Redis program", str(error), "set REDIS_SERVER or REDIS_URL")
    if embedded.localnet and settings.localnet_program is not None:
        yield _check_program_file(settings.localnet_program)


def _check_program_file(path: Path) -> Finding:
    if path.is_file():
        return ok("local chain's program", str(path))
    return fail(
        "local chain's program",
        f"LOCALNET_PROGRAM names {path}, which is not a file",
        "correct LOCALNET_PROGRAM, or unset it for the reference program",
    )


def check_ports(settings: Settings, embedded: EmbeddedParts, *, running: bool) -> Iterator[Finding]:
    """Check that each port is free, or that the running system listens on it."""
    skipped = {name for name, used in embedded.by_process().items() if not used}
    for name, ports in process_ports(settings).items():
        if name in skipped:
            continue
        for port in ports:
            subject = f"port {port.number}"
            free = is_free(port)
            if free and running:
                yield fail(
                    subject,
                    f"nothing listens for {port.purpose}, although the system runs",
                    f"see the log of {name} in the state folder",
                )
            elif free or running:
                yield ok(subject, f"{'free' if free else 'in use by the system'}, {port.purpose}")
            else:
                yield fail(
                    subject,
                    f"needed for {port.purpose}, in use{port_holder(port)}",
                    f"stop that process, or choose another port with {port.setting}=…",
                )
