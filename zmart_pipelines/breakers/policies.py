"""The breakers' policies from the settings, and their names."""

from __future__ import annotations

from datetime import timedelta

from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.settings import Settings


def action_policy(settings: Settings) -> Policy:
    """For what the submitter does: so many markets in a row that failed, with none between
    that succeeded. A probe takes as long as a submission may, expiry included.
    """
    return _policy(settings, settings.breaker_action_failures, timedelta(minutes=5))


def endpoint_policy(settings: Settings) -> Policy:
    """For RPC endpoints: so many calls in a row without a usable answer."""
    probe = timedelta(seconds=2 * settings.rpc_timeout)
    return _policy(settings, settings.breaker_endpoint_failures, probe)


def action_name(action: str) -> str:
    """The breaker's name of one of the submitter's actions."""
    return f"action:{action}"


def endpoint_name(label: str) -> str:
    """The breaker's name of an RPC endpoint."""
    return f"rpc:{label}"


def _policy(settings: Settings, failures: int, probe: timedelta) -> Policy:
    first = timedelta(seconds=settings.breaker_pause_seconds)
    return Policy(failures=failures, pauses=(first, 2 * first, 4 * first), probe=probe)
