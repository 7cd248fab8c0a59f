"""The keys of access tokens that the state folder keeps, and how the current one is replaced."""

from __future__ import annotations

import secrets

from zmart_pipelines.runtime.state_folder import StateFolder, write_private

_CURRENT, _PREVIOUS = "auth-signing-key", "auth-signing-key-previous"
_KEY_BYTES = 32


def signing_keys(state: StateFolder) -> dict[str, str]:
    """Return the keys by the names of their settings; the current one is made at first use."""
    keys = {"auth_signing_key": state.secret(_CURRENT)}
    if state.has_secret(_PREVIOUS):
        keys["auth_signing_key_previous"] = state.secret(_PREVIOUS)
    return keys


def rotate_signing_key(state: StateFolder) -> None:
    """Make a new key and keep the current one as the previous one.

    Tokens of a key before that are not accepted any more; they have long expired unless the key
    is replaced twice within minutes.
    """
    # The previous key first, so that an interruption loses nothing.
    write_private(state.secrets / _PREVIOUS, state.secret(_CURRENT))
    write_private(state.secrets / _CURRENT, secrets.token_urlsafe(_KEY_BYTES))
