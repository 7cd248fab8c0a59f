"""``zmart status``: the running processes and their progress."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from zmart_pipelines.health.measure import ServiceHealth
from zmart_pipelines.health.status import DatabaseStatus, Status, read_status
from zmart_pipelines.monitoring.work_health import QuantityHealth
from zmart_pipelines.runtime.leftover_processes import PidFile
from zmart_pipelines.runtime.state_folder import StateFolder, with_running_system
from zmart_pipelines.runtime.supervisor import lock_holder
from zmart_pipelines.settings import Settings

EXIT_UNHEALTHY = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def status(as_json: bool) -> None:
    """Show processes, ledger lag, markets by state, health, open intents and the last error.

    \b
    Exit codes: 0 database and chain answer and no service is down (it may be degraded or
    starting), 1 otherwise.

    \b
    Example:
      zmart status
      zmart status --json | jq .database.markets
    """
    settings = with_running_system(Settings())
    state = StateFolder.of(settings)
    up = lock_holder(state.lock)
    processes = {
        path.stem: process.pid
        for path in sorted(state.run.glob("*.json"))
        if (process := PidFile(path).process()) is not None
    }
    seen = read_status(settings)
    if as_json:
        facts: dict[str, Any] = {
            "up": up is not None,
            "pid": up[0] if up is not None else None,
            "addresses": up[1] if up is not None else {},
            "processes": processes,
            **msgspec.to_builtins(seen, builtin_types=(bytes,)),
        }
        click.echo(msgspec.json.format(msgspec.json.encode(_json_ready(facts)), indent=2).decode())
    else:
        _print(up, processes, seen)
    raise SystemExit(0 if _is_healthy(seen) else EXIT_UNHEALTHY)


def _json_ready(value: Any) -> Any:
    """Return the value with bytes as hex, which is how ids are written everywhere."""
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_ready(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _is_healthy(seen: Status) -> bool:
    services = seen.database.services.values() if seen.database is not None else ()
    return not seen.problems and not any(service.is_down for service in services)


def _print(up: tuple[int, dict[str, str]] | None, processes: dict[str, int], seen: Status) -> None:
    if up is None:
        click.echo("not up (zmart up starts it)")
    else:
        click.echo(f"up, supervisor pid {up[0]}")
        for name, url in up[1].items():
            click.echo(f"  {name:<9}{url}")
    if processes:
        running = ", ".join(f"{name} {pid}" for name, pid in processes.items())
        click.echo(f"running    {running}")
    for problem in seen.problems:
        click.echo(f"problem    {problem}")
    if seen.database is not None:
        _print_database(seen, seen.database)


def _by_kind(gaps: dict[str, int]) -> str:
    """Return how many gaps there are of each kind, in brackets; nothing without gaps."""
    text = ", ".join(f"{count} {kind}" for kind, count in sorted(gaps.items()))
    return f" ({text})" if text else ""


def _print_database(seen: Status, database: DatabaseStatus) -> None:
    ledger = database.ledger
    slot = "unknown" if seen.chain_slot is None else str(seen.chain_slot)
    behind = _behind(seen.lag_slots)
    finalized = _behind(seen.finalized_lag_slots)
    click.echo(f"chain      slot {slot}, ledger behind by {behind}, at finalized by {finalized}")
    click.echo(
        f"ledger     {ledger.transactions} transactions, {ledger.events} events; finalized to "
        f"slot {ledger.finalized_slot}; "
        f"{ledger.uncovered_ranges} uncovered ranges, "
        f"{ledger.gaps} gaps{_by_kind(ledger.gaps_by_kind)}, "
        f"{ledger.quarantined} quarantined, {ledger.deliveries_waiting} deliveries waiting, "
        f"{ledger.unreadable_entries} webhook entries of the last day unreadable"
    )
    counts = ", ".join(f"{count} {name}" for name, count in database.markets.items() if count)
    click.echo(f"markets    {counts or 'none'}")
    for service in database.services.values():
        _print_service(service)
    if not database.open_intents:
        click.echo("intents    none open")
    for intent in database.open_intents:
        click.echo(
            f"intent     {intent.action} of {intent.market_id.hex()[:8]}, {intent.status}"
            + (f": {intent.reason}" if intent.reason else "")
        )
    for alert in database.alerts:
        click.echo(f"alert      {alert.severity}: {alert.message}")
    error = database.last_error
    click.echo(
        f"last error {error.service} at {error.at:%Y-%m-%d %H:%M:%S}Z: {error.text}"
        if error is not None
        else "last error none"
    )


def _behind(slots: int | None) -> str:
    return "an unknown number of slots" if slots is None else f"{slots} slots"


def _print_service(service: ServiceHealth) -> None:
    silent = "never" if service.silent_seconds is None else f"{service.silent_seconds} s ago"
    click.echo(f"service    {service.service:<16}{service.state:<9}last finished work: {silent}")
    for one in service.quantities:
        click.echo(f"  {one.state:<9}{one.name:<24}{_value(one)}")


def _value(one: QuantityHealth) -> str:
    value = "unknown" if one.value is None else f"{one.value:.0f} {one.unit}"
    cause = "" if one.cause is None else f": {one.cause}"
    return f"{value} (degraded from {one.degraded}, down from {one.down}){cause}"
