"""What the texts in requests and responses look like, for the OpenAPI document.

A member means the same wherever it appears, so its format is stated once, by its name. Requests are
validated by ``api.requests.identifiers`` and the routes, whose messages say more than a pattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from zmart_pipelines.program.accounts import MarketState

_BASE58: Final = "[1-9A-HJ-NP-Za-km-z]"


class FieldFormat(NamedTuple):
    """The format of a text.

    ``zmart-text`` is text without invisible characters (``api.requests.user_text``),
    ``zmart-market`` an id or an address, ``zmart-time`` Unix seconds or ISO 8601 with a UTC offset,
    ``future-date-time`` a time of the next ten years, ``sol-amount`` above 0 and at most a million.

    Attributes:
        example: A value that is accepted, or as it is returned.
        pattern: Regular expression of all values.
        format: Name of a format of JSON Schema, or one of ours, which generators ignore.
        choices: All values, where there are few.
    """

    example: str
    pattern: str | None = None
    format: str | None = None
    choices: tuple[str, ...] = ()


_WALLET = FieldFormat(
    "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin", f"^{_BASE58}{{32,44}}$", "solana-address"
)
_MARKET = FieldFormat(
    "0101010101010101010101010101010101010101010101010101010101010101",
    f"^([0-9a-fA-F]{{64}}|{_BASE58}{{32,44}})$",
    "zmart-market",
)
_SIGNATURE = FieldFormat(
    "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW",
    f"^{_BASE58}{{64,88}}$",
    "solana-signature",
)
_CID = FieldFormat("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG", f"^Qm{_BASE58}{{44}}$", "cid")
_TIME = FieldFormat("2026-11-20T08:00:00.000Z", format="date-time")

_TEXT = FieldFormat("Will it rain in Ghent tomorrow?", format="zmart-text")
# Lengths are of the trimmed text.
_NOT_BLANK: Final = r"\S"
_QUESTION: Final = r"^\s*\S[\s\S]{8,}\S\s*$"

_BASE64: Final = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
# An activation, signed by a wallet without funds.
_SIGNED_TRANSACTION: Final = (
    "ASPovj92tg54qzbzdQ1/xnZ6lX3BE6RneryBgh7DfME7ZU+OMvDcJacpm7HN7TLqOES9GBELdTEcowDK7haCnQmAAQAC"
    "BDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop0C045cJ85/+4Srybx0z1b11TxusGzr5wvidYPlBrHhUBgJZa"
    "foE1Hr6qkK2XAtGZfGhyFlC9GC5Wn4nG6934kPI1OnIG/xWXbTpFSmkz/QYo27fnAsUsy7RUbbs3DBgEAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAgMAAQMIChrFdHFjSFkA"
)

# Members of bodies that users write; in answers any text may stand there.
_REQUEST_MEMBERS: Final[Mapping[str, FieldFormat]] = {
    **dict.fromkeys(
        ("content", "name", "bio", "reason"), FieldFormat(_TEXT.example, _NOT_BLANK, "zmart-text")
    ),
    "account": _WALLET,
    "note": _TEXT,
    "data": FieldFormat("aGVsbG8=", format="document-base64"),
    "message": FieldFormat("ZMART request zmart-request-1\ndomain: …", format="signed-text"),
    "description": _TEXT,
    "question": FieldFormat(_TEXT.example, _QUESTION, "zmart-text"),
    "tags": FieldFormat("rain", _NOT_BLANK, "zmart-text"),
    "end_date": FieldFormat("2031-12-31T23:59:59Z", format="future-date-time"),
    "transaction": FieldFormat(_SIGNED_TRANSACTION, f"^{_BASE64}$", "signed-transaction"),
}

_STATE_NAMES: Final = "|".join((*MarketState.__members__, "[0-6]"))
# Names or numbers, in lists separated by commas.
_STATES: Final = f"^(({_STATE_NAMES})(,({_STATE_NAMES}))*)?$"

# Members that are also rows or texts elsewhere; as parameters they are these.
_PARAMETERS: Final[Mapping[str, FieldFormat]] = {
    "amount": FieldFormat("0.5", r"^[0-9]{1,7}(\.[0-9]{1,9})?$", "sol-amount"),
    **dict.fromkeys(("at", "from", "to"), FieldFormat("2026-11-20T08:00Z", format="zmart-time")),
    "market": _MARKET,
    "state": FieldFormat("ACTIVE", _STATES),
    "draft": FieldFormat("7c9e6679-7425-40de-944b-e07fc1f90ae7", format="uuid"),
    "discussion": FieldFormat("2f1b7c1e-7b0c-4f0e-9a53-0d6f9c1b2a10", format="uuid"),
}

_MEMBERS: Final[Mapping[str, FieldFormat]] = {
    "market_id": _MARKET,
    "marketId": _MARKET,
    "cid": _CID,
    "ipfs_question_hash": _CID,
    "ipfs_evidence_hash": _CID,
    "avatar_cid": _CID,
    "evidence": _CID,
    "user_avatar": _CID,
    "commitment": FieldFormat("finalized", choices=("reported", "confirmed", "finalized")),
    "vote_type": FieldFormat("proposal", choices=("proposal", "dispute")),
    "trade_type": FieldFormat("buy", choices=("buy", "sell")),
    "outcome_label": FieldFormat("YES", choices=("YES", "NO")),
    "choice": FieldFormat("like", choices=("like", "dislike", "agree", "disagree")),
    **dict.fromkeys(("tx_signature", "signature"), _SIGNATURE),
    **dict.fromkeys(
        (
            "wallet",
            "creator",
            "creator_wallet",
            "author",
            "reporter",
            "dispute_initiator",
            "fee_payer",
            "on_chain_address",
            "resolver",
            "resolver_wallet",
            "trader",
            "user_wallet",
        ),
        _WALLET,
    ),
    **dict.fromkeys(
        ("as_of", "block_time", "end_date", "silenced_until", "timestamp", "wait_until"), _TIME
    ),
}


def member_format(name: str) -> FieldFormat | None:
    """Return the format of a body's text member with this name; None where any text may stand."""
    return _MEMBERS.get(name) or (_TIME if name.endswith("_at") else None)


def request_format(name: str) -> FieldFormat | None:
    """Return the format of a text member that a user writes; None where any text may stand."""
    return _REQUEST_MEMBERS.get(name) or member_format(name)


def parameter_format(name: str) -> FieldFormat | None:
    """Return the format of a parameter with this name; None where any text may stand."""
    return _PARAMETERS.get(name) or member_format(name)
