"""The objects of the Solana Actions specification that we answer with, and the one that we read."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from api.requests import identifiers
from api.requests.bodies import Key
from api.requests.validation import FieldRules, require_field_rules

# Of the specification, without the patch: clients compare it with the newest that they know.
VERSION: Final = "2.4"


class ActionRule(msgspec.Struct, frozen=True, rename="camel"):
    """Pages of a website, and the Action that each of them stands for."""

    path_pattern: str
    api_path: str


class ActionRules(msgspec.Struct, frozen=True):
    """What wallets read at `/actions.json`."""

    rules: tuple[ActionRule, ...]


class ActionError(msgspec.Struct, frozen=True):
    """Why there is nothing to do, for people."""

    message: str


class NumberParameter(msgspec.Struct, frozen=True, rename="camel"):
    """A number that the user types; it replaces `{name}` in the `href`."""

    type: Literal["number"]
    name: str
    label: str
    required: bool
    min: float
    pattern_description: str


class LinkedAction(msgspec.Struct, frozen=True, kw_only=True):
    """A button. A POST of the account to `href` returns the transaction."""

    type: Literal["transaction"]
    href: str
    label: str
    parameters: tuple[NumberParameter, ...] | UnsetType = UNSET


class ActionLinks(msgspec.Struct, frozen=True):
    """The buttons."""

    actions: tuple[LinkedAction, ...]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A picture and texts; `label` stands on the button where there are no others."""

    icon: str
    title: str
    description: str
    label: str


class MarketAction(Card, frozen=True, kw_only=True):
    """A market as a card with buttons; where it is `disabled`, `error` says why there are none."""

    type: Literal["action"]
    disabled: bool | UnsetType = UNSET
    links: ActionLinks | UnsetType = UNSET
    error: ActionError | UnsetType = UNSET


class FollowingAction(Card, frozen=True, kw_only=True):
    """The card after a transaction: `completed`, or an `action` with buttons."""

    type: Literal["action", "completed"]
    links: ActionLinks | UnsetType = UNSET


class NextAction(msgspec.Struct, frozen=True):
    """What wallets show once the transaction is confirmed."""

    type: Literal["inline"]
    action: FollowingAction


class NextLinks(msgspec.Struct, frozen=True):
    """What follows the transaction."""

    next: NextAction


class ActionTransaction(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction (base64) for the account to sign and send.

    `message` says what it does; all of it was simulated.
    """

    type: Literal["transaction"]
    transaction: str
    message: str
    links: NextLinks


class ActionRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The wallet that will sign. It proves nothing: nothing is stored or disclosed.

    Parameters are in the query of the `href`; what stands in `data` is not read.
    """

    FIELD_RULES: ClassVar[FieldRules] = {
        "account": lambda text: identifiers.wallet(text, "account"),
    }

    account: Key
    type: Literal["transaction"] = "transaction"
    data: dict[str, str | list[str]] = {}

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)

    @property
    def signer(self) -> bytes:
        """The wallet's 32 bytes."""
        return identifiers.wallet(self.account, "account")
