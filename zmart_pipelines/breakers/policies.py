"""The policies of the breakers from the settings, and the breakers' names."""

from __future__ import annotations

from datetime import timedelta

from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.settings import Settings


def action_policy(settings: Settings) -> Policy:
    """Return the policy of the submitter's actions, which counts consecutive failed markets.

    A probe may take as long as a submission, expiry included.
    """
    return _policy(settings, settings.breaker_action_failures, timedelta(minutes=5))


def endpoint_policy(settings: Settings) -> Policy:
    """Return the policy of RPC endpoints, which counts consecutive calls without a valid answer."""
    probe = timedelta(seconds=2 * settings.rpc_timeout)
    return _policy(settings, settings.breaker_endpoint_failures, probe)


def action_name(action: str) -> str:
    """Return the name of an action's breaker."""
    return f"action:{action}"


def endpoint_name(label: str) -> str:
    """Return the name of an RPC endpoint's breaker."""
    return f"rpc:{label}"


def _policy(settings: Settings, failures: int, probe: timedelta) -> Policy:
    first = timedelta(seconds=settings.breaker_pause_seconds)
    return Policy(failures=failures, pauses=(first, 2 * first, 4 * first), probe=probe)
