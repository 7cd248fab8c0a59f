"""How routes say, in the OpenAPI document, what identifies their callers."""

from __future__ import annotations

from typing import Final

from litestar.openapi.spec import SecurityRequirement, SecurityScheme

from api.identity import cookies

# A session, by token or cookie.
SIGNED_IN: Final[list[SecurityRequirement]] = [{"bearer": []}, {"cookie": []}]
# A session, or a text that the wallet signed.
PERMITTED: Final[list[SecurityRequirement]] = [*SIGNED_IN, {"wallet": []}]
# A session, or a key of the wallet with the scope ``read``.
SESSION_OR_KEY: Final[list[SecurityRequirement]] = [*SIGNED_IN, {"key": []}]
# A session, a text that the wallet signed, or a key of the wallet with the scope ``trade``.
TRADING: Final[list[SecurityRequirement]] = [*PERMITTED, {"key": []}]
# An operator: a session of one, or a key with the scope.
OPERATOR: Final[list[SecurityRequirement]] = [*SIGNED_IN, {"key": []}]

SCHEMES: Final[dict[str, SecurityScheme]] = {
    "bearer": SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description="An access token of `POST /api/auth/verify`.",
    ),
    "cookie": SecurityScheme(
        type="apiKey",
        name=cookies.ACCESS,
        security_scheme_in="cookie",
        description="The access token as a cookie; what changes something also needs"
        f" `{cookies.CSRF_HEADER}` and an `Origin` that may call the API.",
    ),
    "refresh": SecurityScheme(
        type="apiKey",
        name=cookies.REFRESH,
        security_scheme_in="cookie",
        description="The refresh token as a cookie; the body may carry it instead.",
    ),
    "key": SecurityScheme(
        type="apiKey",
        name="X-Api-Key",
        security_scheme_in="header",
        description="The key of a service, made by `zmart keys`; its scopes say what it permits.",
    ),
    "wallet": SecurityScheme(
        type="apiKey",
        name="Authorization",
        security_scheme_in="header",
        description="`Signature message=<urlencoded>&signature=<base58>"
        "&wallet=<base58>`; the body may carry the same three fields instead.",
    ),
    "helius": SecurityScheme(
        type="apiKey",
        name="Authorization",
        security_scheme_in="header",
        description="The secret that the webhook was registered with.",
    ),
    "signed": SecurityScheme(
        type="apiKey",
        name="x-helius-signature",
        security_scheme_in="header",
        description="Hex HMAC-SHA256 of the body; accepted if a key is configured.",
    ),
}
