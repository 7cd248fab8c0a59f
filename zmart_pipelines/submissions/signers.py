"""The keys that submissions are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from zmart_pipelines.chain.signer import Signer


class Signers(msgspec.Struct, frozen=True):
    """The backend authority's key, and the admin's where approvals are ours to send."""

    backend: Signer
    admin: Signer | None = None


def load_signers(settings: Settings) -> Signers:
    """The keys that the settings name. ValueError names the missing or unusable setting."""
    raise NotImplementedError
