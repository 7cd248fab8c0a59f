"""Who may subscribe to which channel: the one check of all transports."""

from __future__ import annotations

from api.errors import ApiError
from api.identity.caller import ANONYMOUS, Caller, unauthorized
from api.realtime.channels import ALERTS, OPERATOR_ALERTS, Channel


def may_subscribe(caller: Caller, channel: Channel) -> Channel:
    """Return the channel that ``caller`` receives for the one asked for.

    Raises:
        ApiError: 401 where the channel is private and the caller is anonymous, 403 where it is
            private to another wallet.
    """
    asked = OPERATOR_ALERTS if channel == ALERTS and caller.is_operator else channel
    if is_permitted(caller, asked):
        return asked
    if caller.wallet is None:
        raise unauthorized("channel: is private; sign in as its wallet first")
    raise ApiError(403, "channel: is private to another wallet")


def is_permitted(caller: Caller, channel: Channel) -> bool:
    """Return whether ``caller`` may receive exactly this channel."""
    if channel == OPERATOR_ALERTS:
        return caller.is_operator
    return channel.wallet is None or channel.wallet == caller.wallet


def is_private(channel: Channel) -> bool:
    """Return whether a channel is received by some callers only."""
    return not is_permitted(ANONYMOUS, channel)
