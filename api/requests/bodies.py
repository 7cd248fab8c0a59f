"""The bodies that clients send. Unknown fields are rejected and named."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.errors import invalid
from api.requests import identifiers, moments, user_text
from api.requests.validation import FieldRules, require_field_rules
from zmart_pipelines.ipfs.cid import MAX_BLOCK
from zmart_pipelines.ipfs.media_types import media_type
from zmart_pipelines.program.lmsr import MIN_B
from zmart_pipelines.program.vote_choices import VOTE_CHOICES
from zmart_pipelines.proofs.request_text import Action
from zmart_pipelines.voting.ballot import Kind

# A million SOL, the largest amount that the program accepts.
MAX_LAMPORTS = 10**15
MAX_YEARS = 10
# Characters of the largest document.
MAX_BASE64 = (MAX_BLOCK + 2) // 3 * 4

# A packet of 1,232 bytes in base64.
MAX_TRANSACTION_TEXT = 1644

Category = Literal["politics", "sports", "crypto", "science", "entertainment", "other"]
Text = Annotated[str, Meta(max_length=2048)]
Key = Annotated[str, Meta(max_length=100)]
Lamports = Annotated[int, Meta(ge=1, le=MAX_LAMPORTS)]
Shares = Annotated[int, Meta(ge=1, le=2**63 - 1)]


def market_end(text: str, now: datetime) -> datetime:
    """Return a market's ``end_date`` in UTC.

    Raises:
        ApiError: 400 unless it is between ``now`` and ten years later.
    """
    moment = moments.utc_time(text, "end_date")
    if moment <= now:
        raise invalid("end_date", "must be in the future")
    if moment.year > now.year + MAX_YEARS:
        raise invalid("end_date", f"must be within {MAX_YEARS} years")
    return moment


def document_bytes(text: str) -> bytes:
    """Return the bytes of a document in base64.

    Raises:
        ApiError: 400 where it is no base64, too large, or none of the accepted kinds.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("data", "must be base64 (RFC 4648, with padding)") from error
    if not 0 < len(data) <= MAX_BLOCK:
        raise invalid("data", f"must have 1 to {MAX_BLOCK} bytes")
    if media_type(data) is None:
        raise invalid("data", "must be JSON, text, PDF, JPEG, PNG or WebP")
    return data


def vote_choice(
    value: object, field: str = "vote", kinds: Collection[Kind] = tuple(VOTE_CHOICES)
) -> bool:
    """Return a choice given as a boolean or in any of the words of these kinds of vote.

    Raises:
        ApiError: 400 naming ``field``.
    """
    if isinstance(value, bool):
        return value
    for_, against = zip(*(VOTE_CHOICES[kind] for kind in kinds), strict=True)
    word = value.lower() if isinstance(value, str) else None
    if word in ("true", "yes", *for_):
        return True
    if word in ("false", "no", *against):
        return False
    raise invalid(
        field, f"must be {' or '.join(('true', *for_))}, or {' or '.join(('false', *against))}"
    )


class SignedBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The sender's proof of its wallet; the Authorization header may carry it instead."""

    FIELD_RULES: ClassVar[FieldRules] = {
        "signature": identifiers.signature,
        "wallet": identifiers.wallet,
    }

    message: Text | None = None
    signature: Key | None = None
    wallet: Key | None = None

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


_WITH_MARKET: FieldRules = {**SignedBody.FIELD_RULES, "market_id": identifiers.market_key}


class NonceRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The wallet that is to sign in."""

    FIELD_RULES: ClassVar[FieldRules] = {"wallet": identifiers.wallet}

    wallet: Key

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


class SignInRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The text of `POST /api/auth/nonce`, and the wallet's signature of exactly that text.

    With `cookies` the tokens are set as cookies instead of being returned.
    """

    FIELD_RULES: ClassVar[FieldRules] = SignedBody.FIELD_RULES

    message: Text
    signature: Key
    wallet: Key
    cookies: bool = False

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


class RefreshRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A refresh token; a browser's cookie may carry it instead."""

    refresh_token: Key | None = None


class NewMarket(SignedBody, kw_only=True):
    """A market's question and its parameters.

    `end_date` is ISO 8601 with a time and a UTC offset. `liquidity` (lamports) and `b_parameter`
    (9 decimals) are passed to the create transaction unchanged. Without `b_parameter` it is
    computed so that the market's maximum loss is `liquidity`. `evidence` names documents that
    this wallet uploaded (CIDv0), which the question's own document then names.
    """

    FIELD_RULES: ClassVar[FieldRules] = {
        **SignedBody.FIELD_RULES,
        "question": user_text.question,
        "description": user_text.description,
        "tags": user_text.tags,
        "evidence": lambda cids: [identifiers.cid(one, "evidence") for one in cids],
        "end_date": lambda text: market_end(text, datetime.now(UTC)),
    }

    question: Annotated[str, Meta(min_length=10, max_length=200)]
    category: Category
    end_date: Annotated[str, Meta(max_length=40)]
    liquidity: Lamports
    description: Annotated[str, Meta(max_length=2000)] = ""
    tags: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(max_length=10)
    ] = []
    b_parameter: Annotated[int, Meta(ge=MIN_B, le=MAX_LAMPORTS)] | None = None
    evidence: Annotated[
        list[Annotated[str, Meta(min_length=46, max_length=46)]], Meta(max_length=10)
    ] = []


class NewDocument(SignedBody, kw_only=True):
    """A file in base64: JSON, text, PDF, JPEG, PNG or WebP of at most 262,144 bytes."""

    FIELD_RULES: ClassVar[FieldRules] = {
        **SignedBody.FIELD_RULES,
        "data": lambda text: document_bytes(text),
    }

    data: Annotated[str, Meta(min_length=4, max_length=MAX_BASE64)]


class BuyRequest(SignedBody, kw_only=True):
    """Buy shares of one side for at most `max_cost` lamports, fees included.

    The program buys for an amount, not for a number of shares: `shares` (9 decimals) is the
    minimum that the amount must buy now.
    """

    FIELD_RULES: ClassVar[FieldRules] = _WITH_MARKET

    market_id: Key
    outcome: bool
    max_cost: Lamports
    shares: Shares | None = None


class SellRequest(SignedBody, kw_only=True):
    """Sell shares (9 decimals) of one side for at least `min_proceeds` lamports."""

    FIELD_RULES: ClassVar[FieldRules] = _WITH_MARKET

    market_id: Key
    outcome: bool
    shares: Shares
    min_proceeds: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class ResolveRequest(SignedBody, kw_only=True):
    """Propose an outcome (true for YES), with the CIDv0 of the evidence."""

    FIELD_RULES: ClassVar[FieldRules] = {
        **SignedBody.FIELD_RULES,
        "ipfs_evidence_hash": lambda text: identifiers.cid(text, "ipfs_evidence_hash"),
    }

    outcome: bool
    ipfs_evidence_hash: Annotated[str, Meta(min_length=46, max_length=46)]


class MarketVote(SignedBody, kw_only=True):
    """A signed ballot in the vote of the path.

    `vote` (or `choice`) is true, `like` or `agree`; or false, `dislike` or `disagree`.
    `message` is the text that `GET /api/votes/{kind}/{market}/message` returned, `signature`
    the wallet's signature of exactly that text.
    """

    FIELD_RULES: ClassVar[FieldRules] = {
        **SignedBody.FIELD_RULES,
        "vote": vote_choice,
        "choice": lambda value: vote_choice(value, "choice"),
    }

    vote: bool | Key | None = None
    choice: bool | Key | None = None


class NewVote(MarketVote, kw_only=True):
    """A signed ballot.

    `vote` (or `choice`) is true, `like` or `agree`; or false, `dislike` or `disagree`.
    `message` is the text that `GET /api/votes/{kind}/{market}/message` returned, `signature`
    the wallet's signature of exactly that text.
    """

    FIELD_RULES: ClassVar[FieldRules] = {
        **MarketVote.FIELD_RULES,
        "market_id": identifiers.market_key,
    }

    market_id: Key


class OlderMarketVote(MarketVote, kw_only=True):
    """A signed ballot as clients of the older vote service send it.

    `publicKey` is an older name of `wallet`.
    """

    FIELD_RULES: ClassVar[FieldRules] = {
        **MarketVote.FIELD_RULES,
        "public_key": lambda text: identifiers.wallet(text, "publicKey"),
    }

    public_key: Key | None = msgspec.field(name="publicKey", default=None)


class CommentText(SignedBody, kw_only=True):
    """The text of a comment."""

    FIELD_RULES: ClassVar[FieldRules] = {
        **SignedBody.FIELD_RULES,
        "content": user_text.comment,
    }

    content: Annotated[str, Meta(min_length=1, max_length=1000)]


class NewMarketComment(CommentText, kw_only=True):
    """A comment under the market of the path.

    With `parent_id`, the id of a comment of this market, it is a reply in that comment's thread.
    """

    parent_id: UUID | None = None


class NewComment(NewMarketComment, kw_only=True):
    """A comment under a market.

    With `parent_id`, the id of a comment of this market, it is a reply in that comment's thread.
    """

    FIELD_RULES: ClassVar[FieldRules] = {**_WITH_MARKET, "content": user_text.comment}

    market_id: Key


class NewReport(SignedBody, kw_only=True):
    """Why a comment is reported to operators."""

    FIELD_RULES: ClassVar[FieldRules] = {**SignedBody.FIELD_RULES, "note": user_text.note}

    reason: Literal["spam", "scam", "abuse", "off_topic", "other"] = "other"
    note: Annotated[str, Meta(max_length=500)] = ""


class OlderVote(SignedBody, kw_only=True):
    """An up-vote as older clients send it; false or `down` takes it back."""

    vote: bool | Literal["up", "down"] = True


class OlderReport(SignedBody, kw_only=True):
    """A report as older clients send it, with the reason in words."""

    FIELD_RULES: ClassVar[FieldRules] = {**SignedBody.FIELD_RULES, "reason": user_text.note}

    reason: Annotated[str, Meta(max_length=500)] | None = None


class ProfileChange(SignedBody, kw_only=True):
    """What changes in a user's profile; null takes a member away, an absent one stays.

    `avatar_cid` is the CIDv0 of a picture, for example of a document uploaded here.
    """

    FIELD_RULES: ClassVar[FieldRules] = {
        **SignedBody.FIELD_RULES,
        "name": user_text.user_name,
        "bio": user_text.bio,
        "avatar_cid": lambda text: identifiers.cid(text, "avatar_cid"),
    }

    name: Annotated[str, Meta(min_length=1, max_length=50)] | UnsetType | None = UNSET
    bio: Annotated[str, Meta(min_length=1, max_length=500)] | UnsetType | None = UNSET
    avatar_cid: Annotated[str, Meta(min_length=46, max_length=46)] | UnsetType | None = UNSET


class TextRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The act for which a text to sign is composed.

    `subject` is what it acts on: the comment's or draft's id, `profile` or `new document`. `body`
    is the body that the act will be sent with.
    """

    action: Action
    subject: Annotated[str, Meta(pattern="^[A-Za-z0-9 -]{1,100}$")]
    body: dict[str, Any] = {}


class Moderation(msgspec.Struct, forbid_unknown_fields=True):
    """Why an operator hides a comment or shows it again."""

    FIELD_RULES: ClassVar[FieldRules] = {"reason": user_text.reason}

    reason: Annotated[str, Meta(min_length=1, max_length=500)]

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


class ProofOnly(SignedBody, kw_only=True):
    """The sender's proof of its wallet and nothing else."""


class RelayRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A signed transaction of the program: serialized, legacy or of version 0, in base64."""

    FIELD_RULES: ClassVar[FieldRules] = {"transaction": identifiers.base64_bytes}

    transaction: Annotated[str, Meta(min_length=1, max_length=MAX_TRANSACTION_TEXT)]

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)
