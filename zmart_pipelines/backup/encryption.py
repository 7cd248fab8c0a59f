"""Encryption of backups in the age format, streamed; any ``age`` program can decrypt them.

The key is an age identity (``AGE-SECRET-KEY-1…``). Whoever takes the backups verifies them, too,
and so needs it.
"""

from __future__ import annotations

import shutil
from typing import IO, Final

import pyrage
from pydantic import SecretStr
from pyrage import x25519

from zmart_pipelines.backup.errors import BackupError

_CHUNK: Final = 1024 * 1024


class Cipher:
    """Encrypts and decrypts with one key; without a key it copies."""

    def __init__(self, key: SecretStr | None) -> None:
        """Take the key.

        Raises:
            BackupError: It is not an age identity.
        """
        self._identity: x25519.Identity | None = None
        if key is None:
            return
        try:
            self._identity = x25519.Identity.from_str(key.get_secret_value())
        except pyrage.IdentityError as error:
            raise BackupError(
                "BACKUP_KEY is not an age identity (AGE-SECRET-KEY-1…); zmart backup key makes one"
            ) from error

    @property
    def encrypts(self) -> bool:
        """Whether there is a key."""
        return self._identity is not None

    def encrypt(self, source: IO[bytes], target: IO[bytes]) -> None:
        """Copy ``source`` to ``target``, encrypted if there is a key."""
        if self._identity is None:
            shutil.copyfileobj(source, target, _CHUNK)
        else:
            pyrage.encrypt_io(source, target, [self._identity.to_public()])

    def decrypt(self, source: IO[bytes], target: IO[bytes], *, encrypted: bool) -> None:
        """Copy ``source`` to ``target``, decrypted.

        Raises:
            BackupError: There is no key, it is another one, or the file was changed.
        """
        if not encrypted:
            shutil.copyfileobj(source, target, _CHUNK)
            return
        if self._identity is None:
            raise BackupError("the backup is encrypted: set BACKUP_KEY to its key")
        try:
            pyrage.decrypt_io(source, target, [self._identity])
        except BrokenPipeError:
            raise  # whoever reads ``target`` has ended
        except pyrage.DecryptError as error:
            raise BackupError(f"BACKUP_KEY does not decrypt the backup: {error}") from error
        except OSError as error:  # how age reports a chunk whose authentication fails
            raise BackupError(f"a file of the backup is damaged or cut off: {error}") from error


def new_key() -> str:
    """Return a new key."""
    return str(x25519.Identity.generate())
