"""The monitor's rules: which alerts the facts call for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.queries.monitor import MonitorFacts

# The topics that the monitor alone raises and clears.
TOPICS: Final = (
    "stuck_market",
    "stuck_markets",
    "early_withdrawal",
    "config_changed",
    "fee_burn",
    "database_connections",
    "disk_space",
    "clock_skew",
    "stuck_run",
)


class MachineFacts(msgspec.Struct, frozen=True):
    """What is measured outside the database.

    Attributes:
        disk_used_percent: Of the disk with the state folder, 0 to 100.
        clock_offset: This machine's clock minus the database's, in seconds.
        stuck_runs: Job and id of Dagster runs that have not ended for too long.
    """

    disk_used_percent: float
    clock_offset: float
    stuck_runs: tuple[tuple[str, str], ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """An alert that is to be open."""

    key: AlertKey
    severity: Severity
    message: str


def stuck_limits(settings: Settings) -> dict[MarketState, int]:
    """Return the seconds after which a market counts as stuck, by state.

    Proposals have a review of their own (``proposal_review``) after a day.
    """
    return {
        MarketState.APPROVED: settings.stuck_approved_seconds,
        MarketState.ACTIVE: settings.stuck_active_seconds,
        MarketState.RESOLVING: settings.stuck_resolving_seconds,
        MarketState.DISPUTED: settings.stuck_disputed_seconds,
    }


def findings(facts: MonitorFacts, machine: MachineFacts, settings: Settings) -> list[Finding]:
    """Return the alerts that the facts call for; the others of ``TOPICS`` are to be closed."""
    return [
        *_markets(facts, settings),
        *_program(facts, settings),
        *_spending(facts, settings),
        *_resources(facts, machine, settings),
        *_runs(machine),
    ]


def _markets(facts: MonitorFacts, settings: Settings) -> Iterator[Finding]:
    total = 0
    now = facts.now.timestamp()
    for state, number, since, ids in facts.stuck:
        total += number
        name = MarketState(state).name
        days = max(0, int(now - since)) // 86_400
        yield Finding(
            AlertKey("stuck_market", subject=name),
            CAUSES["stuck_market"].severity,
            f"{number} in state {name} for too long, the oldest for {days} days: {', '.join(ids)}",
        )
    severity = _severity("stuck_markets", total, settings.stuck_markets)
    if severity is not None:
        yield Finding(AlertKey("stuck_markets"), severity, f"{total} markets are stuck")
    for market in facts.withdrawn:
        yield Finding(
            AlertKey("early_withdrawal", bytes.fromhex(market)),
            CAUSES["early_withdrawal"].severity,
            f"the liquidity of market {market} was withdrawn before all winners had claimed",
        )


def _program(facts: MonitorFacts, settings: Settings) -> Iterator[Finding]:
    changed = facts.config_changed_at
    if changed is None:
        return
    age = facts.now.timestamp() - changed
    if age < settings.config_alert_seconds:
        yield Finding(
            AlertKey("config_changed"),
            CAUSES["config_changed"].severity,
            f"the program's configuration was changed at chain second {changed}",
        )


def _spending(facts: MonitorFacts, settings: Settings) -> Iterator[Finding]:
    for period, spent, limits in (
        ("hour", facts.fees_hour, settings.fee_burn_hour_lamports),
        ("day", facts.fees_day, settings.fee_burn_day_lamports),
    ):
        severity = _severity("fee_burn", spent, limits)
        if severity is not None:
            yield Finding(
                AlertKey("fee_burn", subject=period),
                severity,
                f"our transactions cost up to {spent} lamports in the last {period}",
            )


def _resources(facts: MonitorFacts, machine: MachineFacts, settings: Settings) -> Iterator[Finding]:
    taken = 100 * facts.connections // max(1, facts.max_connections)
    severity = _severity("database_connections", taken, settings.database_connections_percent)
    if severity is not None:
        shown = f"{facts.connections} of {facts.max_connections}"
        message = f"{shown} connections of Postgres are taken"
        yield Finding(AlertKey("database_connections"), severity, message)
    severity = _severity("disk_space", machine.disk_used_percent, settings.disk_used_percent)
    if severity is not None:
        message = f"the disk of the state folder is {machine.disk_used_percent:.1f} % full"
        yield Finding(AlertKey("disk_space"), severity, message)
    if abs(machine.clock_offset) >= settings.clock_skew_seconds:
        yield Finding(
            AlertKey("clock_skew"),
            CAUSES["clock_skew"].severity,
            f"this machine's clock is {machine.clock_offset:+.1f} s off the database's",
        )


def _runs(machine: MachineFacts) -> Iterator[Finding]:
    oldest: dict[str, str] = {}
    for job, run_id in machine.stuck_runs:
        oldest.setdefault(job, run_id)
    for job, run_id in oldest.items():
        yield Finding(
            AlertKey("stuck_run", subject=job),
            CAUSES["stuck_run"].severity,
            f"run {run_id} of {job} has not ended",
        )


def _severity(topic: str, value: float, threshold: Threshold) -> Severity | None:
    """Return the severity of a value: none below the first threshold."""
    cause = CAUSES[topic]
    if value >= threshold.down:
        return cause.severe or cause.severity
    return cause.severity if value >= threshold.degraded else None
