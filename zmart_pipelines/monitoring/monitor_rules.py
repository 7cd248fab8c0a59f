"""The monitor's rules: which alerts the facts call for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.monitoring.chain_facts import ChainFacts
from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.queries.api_counts import ApiFigures
from zmart_pipelines.store.queries.discussion_snapshots import FailedPins
from zmart_pipelines.store.queries.monitor import EARLY_WITHDRAWAL, MonitorFacts

# The topics that the monitor alone raises and clears.
TOPICS: Final = (
    "stuck_market",
    "stuck_markets",
    EARLY_WITHDRAWAL,
    "claims_not_payable",
    "config_changed",
    "program_upgraded",
    "fee_burn",
    "api_errors",
    "socket_drops",
    "rate_limit_violations",
    "database_connections",
    "disk_space",
    "clock_skew",
    "stuck_run",
    "pin_storage",
    "failed_uploads",
)

# Requests of five minutes below which their errors say little: one in ten seconds.
_FEWEST_REQUESTS: Final = 30


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


class PinFacts(msgspec.Struct, frozen=True):
    """What is pinned, and what cannot be.

    Attributes:
        used_bytes: Size of all pinned files; None: it was not measured.
        failed: Files of snapshots that wait because they could not be pinned repeatedly.
    """

    used_bytes: int | None = None
    failed: FailedPins = FailedPins()


class Facts(msgspec.Struct, frozen=True):
    """Everything that the rules judge."""

    tables: MonitorFacts
    machine: MachineFacts
    chain: ChainFacts = ChainFacts()
    api: ApiFigures = ApiFigures()
    pins: PinFacts = PinFacts()


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


def findings(facts: Facts, settings: Settings) -> list[Finding]:
    """Return the alerts that the facts call for; the others of ``TOPICS`` are to be closed."""
    return [
        *_markets(facts.tables, settings),
        *_claims(facts.chain),
        *_program(facts.tables, settings),
        *_code(facts.chain),
        *_spending(facts.tables, settings),
        *_api(facts.api, settings),
        *_resources(facts.tables, facts.machine, settings),
        *_runs(facts.machine),
        *_pins(facts.pins, facts.api, settings),
    ]


def unjudged(facts: Facts) -> frozenset[str]:
    """Return the topics of which nothing is known, whose alerts stay as they are."""
    topics = {
        "claims_not_payable": facts.chain.shortfalls is None,
        "program_upgraded": facts.chain.unaccepted is None,
        "pin_storage": facts.pins.used_bytes is None,
    }
    return frozenset(topic for topic, is_unknown in topics.items() if is_unknown)


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
            AlertKey(EARLY_WITHDRAWAL, bytes.fromhex(market)),
            CAUSES[EARLY_WITHDRAWAL].severity,
            f"the liquidity of market {market} was withdrawn before all winners had claimed",
        )


def _claims(chain: ChainFacts) -> Iterator[Finding]:
    for one in chain.shortfalls or ():
        market = one.market_id.hex()
        yield Finding(
            AlertKey("claims_not_payable", one.market_id),
            CAUSES["claims_not_payable"].severity,
            f"the account of market {market} can pay {one.payable} lamports, and its claims are"
            f" owed {one.owed}",
        )


def _code(chain: ChainFacts) -> Iterator[Finding]:
    for one in chain.unaccepted or ():
        yield Finding(
            AlertKey("program_upgraded", subject=one.subject),
            CAUSES["program_upgraded"].severity,
            one.message,
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


def _api(api: ApiFigures, settings: Settings) -> Iterator[Finding]:
    percent = 100 * api.errors / max(1, api.requests)
    severity = _severity("api_errors", percent, settings.api_error_percent)
    if severity is not None and api.requests >= _FEWEST_REQUESTS:
        yield Finding(
            AlertKey("api_errors"),
            severity,
            f"{api.errors} of {api.requests} requests of the last five minutes were answered 5xx",
        )
    before = api.clients_before
    is_large = before >= settings.socket_drop_clients
    if is_large and 100 * (before - api.clients) > settings.socket_drop_percent * before:
        yield Finding(
            AlertKey("socket_drops"),
            CAUSES["socket_drops"].severity,
            f"{api.clients} of {before} clients of the live updates are left within five minutes",
        )
    if api.rate_limit_refusals >= settings.refused_requests_per_hour:
        yield Finding(
            AlertKey("rate_limit_violations"),
            CAUSES["rate_limit_violations"].severity,
            f"rate limits refused {api.rate_limit_refusals} requests in the last hour",
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


def _pins(pins: PinFacts, api: ApiFigures, settings: Settings) -> Iterator[Finding]:
    used = pins.used_bytes or 0
    severity = _severity("pin_storage", used, settings.pin_storage_bytes)
    if severity is not None:
        yield Finding(AlertKey("pin_storage"), severity, f"{used} bytes are pinned")
    cause = CAUSES["failed_uploads"]
    if pins.failed.files:
        yield Finding(
            AlertKey(cause.topic, subject="snapshots"),
            cause.severity,
            f"{pins.failed.files} files of snapshots could not be pinned"
            f" {settings.failed_upload_attempts} times or more: {pins.failed.error}",
        )
    if api.failed_pins >= settings.failed_upload_attempts:
        yield Finding(
            AlertKey(cause.topic, subject="users"),
            cause.severity,
            f"the pin store refused {api.failed_pins} files of users in fifteen minutes",
        )


def _severity(topic: str, value: float, threshold: Threshold) -> Severity | None:
    """Return the severity of a value: none below the first threshold."""
    cause = CAUSES[topic]
    if value >= threshold.down:
        return cause.severe or cause.severity
    return cause.severity if value >= threshold.degraded else None
