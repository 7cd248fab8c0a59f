"""``zmart doctor``: try every connection and key that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from zmart_pipelines.runtime.embedded_services import EmbeddedParts
from zmart_pipelines.runtime.state_folder import StateFolder, with_running_system
from zmart_pipelines.runtime.supervisor import lock_holder
from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from zmart_pipelines.runtime.doctor.findings import Finding

EXIT_FAILED = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Try every connection and key that the settings name, and say what to correct.

    Checked are the state folder, the embedded programs, the ports, Postgres with its schema
    and roles, Redis, each RPC endpoint, the keys, what backups need, Helius and Pinata.
    Nothing is changed and no secret is printed.

    \b
    Exit codes: 0 nothing fails (warnings are allowed), 1 something fails.

    \b
    Example:
      zmart doctor
      zmart doctor --json | jq '.[] | select(.status != "ok")'
    """
    found: list[Finding] = []
    for finding in _examine():
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    raise SystemExit(EXIT_FAILED if any(f.status == "fail" for f in found) else 0)


def _examine() -> Iterator[Finding]:
    from zmart_pipelines.backup.doctor import check_backups
    from zmart_pipelines.runtime.doctor import chain, machine, services

    given = Settings()
    embedded = EmbeddedParts.of(given)
    settings = with_running_system(given)
    state = StateFolder.of(given)
    running = lock_holder(state.lock) is not None
    yield machine.check_state_folder(state)
    yield from machine.check_programs(settings, embedded)
    yield from machine.check_ports(settings, embedded, running=running)
    if embedded.postgres and not running:
        yield services.not_running("Postgres")
    else:
        yield from services.check_postgres(settings)
    if embedded.redis and not running:
        yield services.not_running("Redis")
    else:
        yield services.check_redis(settings)
    if embedded.localnet and not running:
        yield services.not_running("local chain")
    else:
        yield from chain.check_endpoints(settings)
        yield from chain.check_keys(settings)
    yield from check_backups(settings, running=running or not embedded.postgres)
    yield services.check_helius(settings)
    yield services.check_pinata(settings)
    yield services.check_traces(settings)


def _print(finding: Finding) -> None:
    remedy = f" — {finding.remedy}" if finding.remedy else ""
    click.echo(f"{finding.status:5}{finding.subject}: {finding.detail}{remedy}")
