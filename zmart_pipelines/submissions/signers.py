"""The keys that submissions are signed with."""

from __future__ import annotations

from pathlib import Path

import msgspec
from pydantic import SecretStr
from solders.pubkey import Pubkey

from zmart_pipelines.chain.signer import KeypairSigner, Signer
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions.states import Action


class Signers(msgspec.Struct, frozen=True):
    """The backend authority's key, and the admin's where approvals are ours to send."""

    backend: Signer
    admin: Signer | None = None

    def of(self, action: Action) -> Signer | None:
        """The key that signs this action."""
        return self.admin if action == "approve_proposal" else self.backend


def load_signers(settings: Settings) -> Signers:
    """The keys that the settings name. ValueError names the missing setting; KeyFileError an
    unusable key. Each key can sign only the actions of its role.
    """
    backend = _load(
        settings.backend_authority_keypair,
        settings.backend_authority_private_key,
        settings.program,
        ("aggregate_proposal_votes", "finalize_market"),
    )
    if backend is None:
        raise ValueError(
            "no key to submit with: set BACKEND_AUTHORITY_KEYPAIR or BACKEND_AUTHORITY_PRIVATE_KEY"
        )
    admin = _load(
        settings.admin_keypair,
        settings.admin_private_key,
        settings.program,
        ("approve_proposal",),
    )
    return Signers(backend=backend, admin=admin)


def _load(
    path: Path | None, secret: SecretStr | None, program: Pubkey, actions: tuple[Action, ...]
) -> Signer | None:
    if path is not None:
        return KeypairSigner.from_file(path, program, actions)
    if secret is not None:
        return KeypairSigner.from_base58(secret.get_secret_value(), program, actions)
    return None
