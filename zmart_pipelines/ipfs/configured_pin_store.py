"""Choice of the pin store: Pinata when a token is set, else the local folder."""

from __future__ import annotations

from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinStore
from zmart_pipelines.settings import Settings


def configured_pin_store(settings: Settings, *, timeout: float = 20.0) -> PinStore:
    """Return the pin store that the settings select.

    Args:
        settings: Name folder and account.
        timeout: Seconds for connecting, and for each pause within a response.
    """
    local = LocalPinStore(settings.zmart_state / "ipfs")
    if settings.pinata_jwt is None:
        return local
    # Imported when used: importing requests would slow down the start of every process.
    from zmart_pipelines.ipfs.pinata import PinataPinStore

    return PinataPinStore(
        settings.pinata_jwt,
        local,
        api_url=settings.pinata_api_url,
        gateway_url=settings.pinata_gateway_url,
        timeout=timeout,
    )
