"""The keys that sign submissions."""

from __future__ import annotations

from pathlib import Path

import msgspec
from pydantic import SecretStr
from solders.pubkey import Pubkey

from zmart_pipelines.chain.signer import KeypairSigner, Signer
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions.statuses import Action


class Signers(msgspec.Struct, frozen=True):
    """The configured keys.

    Attributes:
        backend: The backend authority's.
        admin: The admin's, if approvals are sent by the backend.
        resolver: The resolver's, if operators resolve markets with it.
    """

    backend: Signer
    admin: Signer | None = None
    resolver: Signer | None = None

    def of(self, action: Action) -> Signer | None:
        """Return the key that signs this action, None where it is not configured."""
        match action:
            case "approve_proposal" | "activate_market":
                return self.admin
            case "resolve_market":
                return self.resolver
            case "aggregate_proposal_votes" | "finalize_market":
                return self.backend


def load_signers(settings: Settings) -> Signers:
    """Load the keys of the settings. Each key can sign only the actions of its role.

    Raises:
        ValueError: It names the missing setting.
        KeyFileError: A key is unusable.
    """
    backend = _load(
        settings.backend_authority_keypair,
        settings.backend_authority_private_key,
        settings.program,
        ("aggregate_proposal_votes", "finalize_market"),
    )
    if backend is None:
        raise ValueError(
            "no backend key is configured: set BACKEND_AUTHORITY_KEYPAIR or"
            " BACKEND_AUTHORITY_PRIVATE_KEY"
        )
    admin = _load(
        settings.admin_keypair,
        settings.admin_private_key,
        settings.program,
        ("approve_proposal", *(("activate_market",) if settings.auto_activate else ())),
    )
    return Signers(backend=backend, admin=admin, resolver=load_resolver(settings))


def load_resolver(settings: Settings) -> Signer | None:
    """Load the key that resolves markets, None where the settings have none."""
    return _load(
        settings.resolver_keypair,
        settings.resolver_private_key,
        settings.program,
        ("resolve_market",),
    )


def _load(
    path: Path | None, secret: SecretStr | None, program: Pubkey, actions: tuple[Action, ...]
) -> Signer | None:
    if path is not None:
        return KeypairSigner.from_file(path, program, actions)
    if secret is not None:
        return KeypairSigner.from_base58(secret.get_secret_value(), program, actions)
    return None
