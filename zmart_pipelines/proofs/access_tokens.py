"""Access tokens: JWTs (RFC 9068) signed with Ed25519 that prove a session for a few minutes.

The signing key is 32 random bytes. Its ``kid`` is the thumbprint of its public key (RFC 7638), so
that a token names its key and keys can be replaced while older tokens live.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from solders.pubkey import Pubkey

ALGORITHM: Final = "EdDSA"
TYPE: Final = "at+jwt"
AUDIENCE: Final = "zmart-api"
# Longer ones are refused before anything is computed.
MAX_TOKEN: Final = 2048
# How far the clocks of two servers of ours may be apart.
_LEEWAY: Final = timedelta(seconds=5)
_REQUIRED: Final = ("iss", "aud", "sub", "sid", "jti", "csrf", "iat", "exp")
_HEADER: Final = frozenset({"alg", "typ", "kid"})


class TokenRejected(ValueError):
    """The token proves nothing: the message says why."""


class TokenExpired(TokenRejected):
    """The token was valid; it has expired."""


class AccessClaims(msgspec.Struct, frozen=True):
    """What a token says.

    Attributes:
        wallet: Who signed in, 32 bytes.
        session: Of which the token is.
        csrf: What a request with the token in a cookie repeats in a header.
        expires: When the token ends, in seconds since 1970.
    """

    wallet: bytes
    session: UUID
    csrf: str
    expires: int


class SigningKey:
    """A key that signs tokens and verifies them."""

    def __init__(self, seed: bytes) -> None:
        """Take the private key's 32 bytes.

        Raises:
            ValueError: They are not 32.
        """
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: Ed25519PublicKey = self.private.public_key()
        self._seed = seed
        x = _base64url(self.public.public_bytes_raw())
        # The members of the thumbprint have this order and no spaces.
        canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
        self.kid = _base64url(hashlib.sha256(canonical.encode()).digest())
        self.jwk: Mapping[str, str] = {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": x,
            "kid": self.kid,
            "alg": ALGORITHM,
            "use": "sig",
        }

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read a key of 43 URL-safe characters.

        Raises:
            ValueError: It is not of this form.
        """
        try:
            seed = base64.b64decode(text + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("must be 32 bytes in 43 characters of URL-safe base64") from error
        if len(seed) != 32:
            raise ValueError("must be 32 bytes in 43 characters of URL-safe base64")
        return cls(seed)

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes for another purpose, from which the key cannot be found."""
        return hashlib.blake2b(purpose.encode(), key=self._seed, digest_size=32).digest()


class AccessTokens:
    """Issues the tokens of one service with the first of its keys, and verifies by all."""

    def __init__(self, keys: Sequence[SigningKey], *, issuer: str, lifetime: timedelta) -> None:
        self.keys = tuple(keys)
        self.lifetime = lifetime
        self._issuer = issuer
        self._public = {key.kid: key.public for key in keys}

    def issue(
        self, *, wallet: bytes, session: UUID, csrf: str, token_id: str, now: datetime
    ) -> str:
        """Return a token of the session; ``token_id`` is its ``jti``."""
        key = self.keys[0]
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(Pubkey(wallet)),
            "sid": str(session),
            "jti": token_id,
            "csrf": csrf,
            "iat": now,
            "exp": now + self.lifetime,
        }
        headers = {"typ": TYPE, "kid": key.kid}
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str) -> AccessClaims:
        """Return what a valid token says, by this machine's clock.

        Keys are chosen by ``kid`` among ours; a key that the token itself brings or points to
        makes it invalid.

        Raises:
            TokenExpired: It was valid before.
            TokenRejected: It is not one of ours, or was changed.
        """
        key = self._key_of(token)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": list(_REQUIRED), "strict_aud": True},
            )
            return _read(claims)
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the access token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise TokenRejected("the access token is not valid") from None

    def _key_of(self, token: str) -> Ed25519PublicKey:
        if len(token) > MAX_TOKEN:
            raise TokenRejected("the access token is too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise TokenRejected("the access token is no JWT") from None
        if set(header) != _HEADER or (header["alg"], header["typ"]) != (ALGORITHM, TYPE):
            raise TokenRejected("the access token is not of the kind that this service issues")
        key = self._public.get(header["kid"])
        if key is None:
            raise TokenRejected("the access token is signed with a key that is not in use")
        return key


def _read(claims: Mapping[str, Any]) -> AccessClaims:
    """Return the claims in their types; raise ValueError where one has another."""
    if not isinstance(claims["csrf"], str):
        raise ValueError("csrf")
    return AccessClaims(
        wallet=bytes(Pubkey.from_string(claims["sub"])),
        session=UUID(claims["sid"]),
        csrf=claims["csrf"],
        expires=int(claims["exp"]),
    )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
