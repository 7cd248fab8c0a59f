"""The bodies of requests that prepare an act: the wallet, the market, and the act's arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, cast

import msgspec

from api.database import Database
from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError, invalid
from api.markets.lookup import require_market_id
from api.requests import identifiers
from api.requests.bodies import Key
from api.requests.validation import FieldRules, require_field_rules
from zmart_pipelines.wallet_transactions.act import Act

_NEW_ID: Final = re.compile(r"[0-9a-fA-F]{64}")


class ActBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The wallet that will sign. It proves nothing here: nothing is stored or disclosed."""

    FIELD_RULES: ClassVar[FieldRules] = {"wallet": identifiers.wallet}

    wallet: Key

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)

    @property
    def signer(self) -> bytes:
        """The wallet's 32 bytes."""
        return identifiers.wallet(self.wallet)


class MarketActBody(ActBody, kw_only=True):
    """The wallet, and the market by id or address."""

    FIELD_RULES: ClassVar[FieldRules] = {
        **ActBody.FIELD_RULES,
        "market_id": identifiers.market_key,
    }

    market_id: Key


def _new_market_id(text: str) -> bytes:
    """Return the id of a market that is not on chain yet; its address is not enough."""
    if not _NEW_ID.fullmatch(text):
        raise invalid("market_id", "must be the id of a draft (64 hex digits)")
    return bytes.fromhex(text)


def body_of(act: type[Act]) -> type[ActBody]:
    """Return the type of the body with this act's arguments."""
    base = ActBody if act.SUBJECT == "protocol" else MarketActBody
    members = msgspec.structs.fields(act)
    rules: dict[str, Any] = {**base.FIELD_RULES}
    if act.SUBJECT == "new market":
        rules["market_id"] = _new_market_id
    for member in members:
        if member.name.startswith("ipfs_"):
            rules[member.name] = lambda text, name=member.name: identifiers.cid(text, name)
    made = msgspec.defstruct(
        f"Prepare{act.__name__}",
        [
            (member.name, member.type)
            if member.required
            else (member.name, member.type, member.default)
            for member in members
        ],
        bases=(base,),
        namespace={"FIELD_RULES": rules, "__doc__": act.__doc__},
        module=__name__,
        kw_only=True,
    )
    return cast(type[ActBody], made)


def require_booleans(sent: Mapping[str, Any], act: type[Act]) -> None:
    """Raise ApiError 400 where a choice was not sent as true or false.

    Litestar takes 0 and 1 for them, and a wrong side must not be bought by a wrong type.
    """
    wrong = [
        FieldError(member.name, "Expected `bool`")
        for member in msgspec.structs.fields(act)
        if member.type is bool and not isinstance(sent.get(member.name), bool)
    ]
    if wrong:
        text = "; ".join(f"{error.field}: {error.message}" for error in wrong)
        raise ApiError(400, text, *wrong, code=ErrorCode.INVALID_FIELD)


def act_in(body: ActBody, act: type[Act]) -> Act:
    """Return the act with the arguments of its body."""
    return act(**{name: getattr(body, name) for name in act.__struct_fields__})


async def market_of(database: Database, act: type[Act], body: ActBody) -> bytes | None:
    """Return the id of the market that the body names, if the act is about one.

    Raises:
        ApiError: 404 where the market does not exist.
    """
    if not isinstance(body, MarketActBody):
        return None
    key = identifiers.market_key(body.market_id)
    if act.SUBJECT == "new market":
        return key
    return await database.read(lambda conn: require_market_id(conn, key))
