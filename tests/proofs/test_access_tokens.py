"""Access tokens: what is not exactly ours, signed by our key, proves nothing."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.proofs.access_tokens import (
    AUDIENCE,
    AccessTokens,
    SigningKey,
    TokenExpired,
    TokenRejected,
)

ISSUER = "https://api.example.com"
LIFETIME = timedelta(minutes=10)
KEY, PREVIOUS, FOREIGN = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
TOKENS = AccessTokens([KEY], issuer=ISSUER, lifetime=LIFETIME)
WALLET, SESSION = bytes(range(32)), UUID(int=7)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def issue(tokens: AccessTokens = TOKENS, age: timedelta = timedelta()) -> str:
    return tokens.issue(wallet=WALLET, session=SESSION, csrf="c", token_id="t", now=now() - age)


def claims(**changes: Any) -> dict[str, Any]:
    good = jwt.decode(issue(), options={"verify_signature": False})
    return {name: value for name, value in (good | changes).items() if value is not None}


def forged(
    payload: dict[str, Any] | None = None,
    *,
    key: SigningKey = KEY,
    algorithm: str = "EdDSA",
    **headers: Any,
) -> str:
    merged = {"kid": KEY.kid, "typ": "at+jwt"} | headers
    return jwt.encode(payload or claims(), key.private, algorithm=algorithm, headers=merged)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assembled(header: dict[str, Any], secret: bytes | None) -> str:
    """A token put together by hand, with an HMAC or without a signature."""
    parts = [base64url(json.dumps(part).encode()) for part in (header, claims())]
    signed = ".".join(parts)
    mac = b"" if secret is None else hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64url(mac)}"


def test_token_says_whose_session_it_is() -> None:
    found = TOKENS.verify(issue())
    assert (found.wallet, found.session, found.csrf) == (WALLET, SESSION, "c")
    assert TOKENS.verify(forged()) == found
    assert jwt.get_unverified_header(issue()) == {
        "alg": "EdDSA",
        "typ": "at+jwt",
        "kid": KEY.kid,
    }


def test_token_expires() -> None:
    TOKENS.verify(issue(age=LIFETIME))  # within the leeway of clocks
    with pytest.raises(TokenExpired):
        TOKENS.verify(issue(age=LIFETIME + timedelta(seconds=6)))
    with pytest.raises(TokenRejected):
        TOKENS.verify(issue(age=-timedelta(seconds=30)))


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "zmart-web"},
        {"aud": [AUDIENCE, "other"]},
        {"aud": None},
        {"iss": "https://api.example.org"},
        {"iss": None},
        {"sub": None},
        {"sub": "short"},
        {"sub": 7},
        {"sid": None},
        {"sid": "not-a-uuid"},
        {"jti": None},
        {"csrf": None},
        {"csrf": 7},
        {"exp": None},
        {"iat": None},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
def test_claims_must_be_ours(change: dict[str, Any]) -> None:
    with pytest.raises(TokenRejected):
        TOKENS.verify(forged(claims(**change)))


PUBLIC_FORMS = [
    KEY.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    KEY.public.public_bytes_raw(),
    KEY.jwk["x"].encode(),
]


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_unsigned_token_is_rejected(algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "at+jwt", "kid": KEY.kid}
    for token in (assembled(header, None), issue().rpartition(".")[0] + "."):
        with pytest.raises(TokenRejected):
            TOKENS.verify(token)


@pytest.mark.parametrize("secret", PUBLIC_FORMS, ids=["PEM", "raw", "jwk"])
def test_public_key_is_no_hmac_secret(secret: bytes) -> None:
    for algorithm in ("HS256", "EdDSA"):
        header = {"alg": algorithm, "typ": "at+jwt", "kid": KEY.kid}
        with pytest.raises(TokenRejected):
            TOKENS.verify(assembled(header, secret))


@pytest.mark.parametrize(
    "headers",
    [
        {"jwk": dict(FOREIGN.jwk)},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"crit": ["exp"]},
        {"typ": "JWT"},
        {"typ": "rt+jwt"},
        {"kid": FOREIGN.kid},
        {"kid": "../../dev/null"},
    ],
    ids=lambda headers: next(iter(headers.values())).__class__.__name__ + next(iter(headers)),
)
def test_token_brings_no_key_of_its_own(headers: dict[str, Any]) -> None:
    for key in (FOREIGN, KEY):
        with pytest.raises(TokenRejected):
            TOKENS.verify(forged(key=key, **headers))


def test_foreign_signature_is_rejected() -> None:
    with pytest.raises(TokenRejected):
        TOKENS.verify(forged(key=FOREIGN))
    other = AccessTokens([FOREIGN], issuer=ISSUER, lifetime=LIFETIME)
    with pytest.raises(TokenRejected):
        TOKENS.verify(issue(other))


@given(st.integers(0, 10_000), st.characters(min_codepoint=33, max_codepoint=126))
def test_changed_token_is_rejected(place: int, letter: str) -> None:
    token = issue()
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed == token or _decodes_alike(changed, token):
        return
    with pytest.raises(TokenRejected):
        TOKENS.verify(changed)


def _decodes_alike(changed: str, token: str) -> bool:
    """Whether only bits differ that base64 does not use."""
    try:
        return [base64.urlsafe_b64decode(part + "==") for part in changed.split(".")] == [
            base64.urlsafe_b64decode(part + "==") for part in token.split(".")
        ]
    except ValueError:
        return False


@given(st.text(max_size=3000))
def test_any_text_is_rejected(text: str) -> None:
    with pytest.raises(TokenRejected):
        TOKENS.verify(text)


def test_previous_key_verifies_and_does_not_sign() -> None:
    rotated = AccessTokens([KEY, PREVIOUS], issuer=ISSUER, lifetime=LIFETIME)
    before = AccessTokens([PREVIOUS], issuer=ISSUER, lifetime=LIFETIME)
    assert rotated.verify(issue(before)).wallet == WALLET
    assert jwt.get_unverified_header(issue(rotated))["kid"] == KEY.kid
    with pytest.raises(TokenRejected):
        TOKENS.verify(issue(before))


def test_key_is_named_by_its_thumbprint() -> None:
    """The example of RFC 8037, appendix A.3."""
    seed = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = SigningKey(seed)
    assert key.jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert base64url(seed) not in json.dumps(dict(key.jwk))
    assert key.derive("a") != key.derive("b")


@pytest.mark.parametrize("text", ["", "k" * 42, "k" * 44, "!" * 43, "k" * 42 + "="])
def test_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="43 characters"):
        SigningKey.parse(text)


def test_keys_verify_elsewhere() -> None:
    """Another service verifies by the published key alone."""
    published = jwt.PyJWK({**KEY.jwk})
    found = jwt.decode(issue(), published, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER)
    assert found["sid"] == str(SESSION)
