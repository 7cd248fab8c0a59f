"""Who may subscribe to which channel: the one check of all transports."""

from __future__ import annotations

from api.errors import ApiError
from api.identity.caller import Caller
from api.realtime.channels import Channel


def may_subscribe(caller: Caller, channel: Channel) -> Channel:
    """Return the channel that ``caller`` receives for the one asked for.

    Raises:
        ApiError: 403 where the channel belongs to a wallet.
    """
    del caller
    if channel.wallet is not None:
        raise ApiError(403, "channel: the channels of wallets are not offered")
    return channel
