"""Market drafts, and the transaction that creates the market on chain."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import JSONBody, PathParameter
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from api import caching, drafts
from api.chain import Chain
from api.created import locate
from api.dependencies import (
    CallerDep,
    ChainDep,
    DatabaseDep,
    Limit,
    Offset,
    PinAllowanceDep,
    PinsDep,
    SettingsDep,
    WritesDep,
    error_responses,
)
from api.identity import auth, text_to_sign
from api.identity.auth import AuthorizedWrite
from api.identity.key_scopes import reading_wallet
from api.identity.text_to_sign import TextToSign
from api.identity.writes import Writes
from api.openapi.security import PERMITTED, SESSION_OR_KEY
from api.pin_allowance import PinAllowance
from api.pins import Pins
from api.requests import identifiers, pages
from api.requests.bodies import NewMarket, ProofOnly
from api.wallet_transactions.answers import (
    TransactionEffects,
    TransactionFee,
    transaction_effects,
    transaction_fee,
    unsigned_act,
)
from api.wallet_transactions.refused import RefusedTransaction, refused_transaction
from zmart_pipelines.chain.rpc_types import Commitment
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.store.queries import drafts as draft_rows
from zmart_pipelines.store.queries.drafts import StoredDraft
from zmart_pipelines.wallet_transactions.acts.create import Create
from zmart_pipelines.wallet_transactions.refusals import Refusal


class Draft(msgspec.Struct, frozen=True):
    """A market that is not on chain yet, as its creator sees it.

    `draft_id` stays the same when the draft is replaced; `id`, the market's, does not. `state` is
    `DRAFT`, or `CREATED` once the market is on chain. `b_parameter` and `initial_liquidity` are
    null for drafts of earlier versions. `end_date` is an older name of `ends_at`.
    """

    id: str
    draft_id: str
    on_chain_address: str
    question: str
    description: str
    category: str
    tags: list[str]
    evidence: list[str]
    creator_wallet: str
    state: Literal["DRAFT", "CREATED"]
    ipfs_question_hash: str
    b_parameter: int | None
    initial_liquidity: int | None
    end_date: str
    ends_at: str
    created_at: str
    expires_at: str


class CreatedDraft(msgspec.Struct, frozen=True):
    """The draft, and the unsigned transaction that its creator signs and sends.

    `market` is an older name of `draft`. `repeated` is true where the same draft was already
    stored. Where the chain would refuse the transaction now, `refused` says why and `effects` and
    `network_fee` are null: the draft is stored, and `POST /api/transactions/prepare/create`
    prepares the transaction again.
    """

    message: str
    market: Draft
    draft: Draft
    market_id: str
    address: str
    transaction: str
    blockhash: str
    blockhash_commitment: Commitment
    last_valid_block_height: int
    fee_payer: str
    effects: TransactionEffects | None
    network_fee: TransactionFee | None
    refused: RefusedTransaction | None
    repeated: bool


def _prepare(chain: Chain, creation: Create, creator: bytes, market_id: bytes) -> dict[str, Any]:
    """Return the members of the answer that concern the transaction."""
    wallet = Pubkey.from_bytes(creator)
    prepared = chain.prepare_or_refuse(creation, wallet, market_id)
    if isinstance(prepared, Refusal):
        unsigned = chain.unchecked(creation, wallet, market_id)
        return {
            **msgspec.structs.asdict(unsigned),
            "effects": None,
            "network_fee": None,
            "refused": refused_transaction(prepared),
        }
    return {
        **msgspec.structs.asdict(unsigned_act(prepared)),
        "effects": transaction_effects(prepared),
        "network_fee": transaction_fee(prepared.fee),
        "refused": None,
    }


class DraftList(msgspec.Struct, frozen=True):
    """A page of one's own drafts."""

    drafts: list[Draft]
    count: int
    offset: int
    limit: int
    next: str | None


class DeletedDraft(msgspec.Struct, frozen=True):
    """The confirmation that the draft was deleted."""

    message: str
    draft_id: str


DraftPath: TypeAlias = Annotated[str, PathParameter(description="The draft's `draft_id` (UUID).")]
# A draft acts on a market that has no id before its request is signed.
_SUBJECT = "new market"


@post(
    "/api/markets/message",
    opt={"bucket": "general"},
    status_code=200,
    tags=["drafts"],
    responses=error_responses(400, 413, 415),
)
async def get_draft_text(
    request: Request[Any, Any, Any], settings: SettingsDep, data: JSONBody[NewMarket]
) -> TextToSign:
    """Get the exact text to sign for a market draft: send the body that will be posted."""
    drafts.compose_draft(data, bytes(32), datetime.now(UTC), timedelta(hours=1), b"")
    auth.require_well_formed(data)
    return text_to_sign.compose(await auth.operation_of(request, "draft", _SUBJECT), settings)


@post(
    "/api/markets",
    opt={"bucket": "pin"},
    tags=["drafts"],
    responses=error_responses(400, 401, 409, 413, 415, 429),
    security=PERMITTED,
)
async def create_market_draft(
    request: Request[Any, Any, Any],
    writes: WritesDep,
    chain: ChainDep,
    pins: PinsDep,
    pin_allowance: PinAllowanceDep,
    data: JSONBody[NewMarket],
) -> CreatedDraft:
    """Store and pin a question, and return the transaction that creates its market.

    The draft expires after `DRAFT_TTL_HOURS` unless its market appears on chain; its creator alone
    sees it until then. The same signed request, or the same Idempotency-Key with the same question,
    returns the same market with a new transaction.
    """
    _require_valid(data)
    permit = await writes.authorize(data, "draft", _SUBJECT)
    created = await _store_and_prepare(
        writes, chain, pins, pin_allowance, data, permit, replaced=None
    )
    locate(request, f"/api/markets/{created.market_id}")
    return created


@put(
    "/api/drafts/{draft:str}",
    opt={"bucket": "pin"},
    tags=["drafts"],
    responses=error_responses(400, 401, 404, 409, 413, 415, 429),
    security=PERMITTED,
)
async def replace_draft(
    writes: WritesDep,
    chain: ChainDep,
    pins: PinsDep,
    pin_allowance: PinAllowanceDep,
    draft: DraftPath,
    data: JSONBody[NewMarket],
) -> CreatedDraft:
    """Replace one's own draft, and return the transaction that creates its market.

    The question is part of the market's id, so that this is another market. A transaction for the
    earlier one that was signed before stays valid until it expires.
    """
    draft_id = identifiers.comment_id(draft, "draft")
    _require_valid(data)
    permit = await writes.authorize(data, "replace-draft", str(draft_id))
    return await _store_and_prepare(
        writes, chain, pins, pin_allowance, data, permit, replaced=draft_id
    )


def _require_valid(body: NewMarket) -> None:
    """Raise ApiError 400 for an invalid question, before the permission is asked for."""
    drafts.compose_draft(body, bytes(32), datetime.now(UTC), timedelta(hours=1), b"")


async def _store_and_prepare(
    writes: Writes,
    chain: Chain,
    pins: Pins,
    pin_allowance: PinAllowance,
    body: NewMarket,
    permit: AuthorizedWrite,
    *,
    replaced: UUID | None,
) -> CreatedDraft:
    ttl = timedelta(hours=writes.settings.draft_ttl_hours)
    creator = permit.wallet
    request_key = writes.key.encode() if writes.key else permit.signature
    draft = drafts.compose_draft(
        body, creator, datetime.now(UTC), ttl, request_key or secrets.token_bytes(16)
    )
    creation = Create(
        liquidity=draft.initial_liquidity,
        b_parameter=draft.b_parameter,
        ipfs_question_hash=draft.question_hash,
    )

    def store(conn: Connection) -> Draft:
        return _shown(drafts.store_draft(conn, draft, replaced), chain.program)

    # The chain is asked only for a request that may be served, and only stored drafts are pinned:
    # a request that fails in between is completed by repeating it.
    if not await writes.check(permit):
        await pin_allowance.require(writes.request.scope, creator)
    prepared = await chain.run(lambda: _prepare(chain, creation, creator, draft.market_id))
    stored = await writes.once(permit, Draft, store)
    await pins.pin(draft.document)
    return CreatedDraft(
        message="Draft stored; sign and send the transaction to create the market",
        market=stored.answer,
        draft=stored.answer,
        market_id=draft.market_id.hex(),
        address=str(market_address(chain.program, draft.market_id)[0]),
        **prepared,
        repeated=stored.is_repeated,
    )


def _shown(row: StoredDraft, program: Pubkey) -> Draft:
    return Draft(
        id=row.market_id.hex(),
        draft_id=str(row.draft_id),
        on_chain_address=str(market_address(program, row.market_id)[0]),
        question=row.question,
        description=row.description,
        category=row.category,
        tags=row.tags,
        evidence=row.evidence,
        creator_wallet=formats.base58_key(row.creator),
        state="DRAFT" if row.matched_at is None else "CREATED",
        ipfs_question_hash=row.question_hash,
        b_parameter=row.b_parameter,
        initial_liquidity=row.initial_liquidity,
        end_date=formats.iso8601(row.ends_at),
        ends_at=formats.iso8601(row.ends_at),
        created_at=formats.iso8601(row.created_at),
        expires_at=formats.iso8601(row.expires_at),
    )


@get(
    "/api/drafts",
    cache_control=caching.NO_STORE,
    tags=["drafts"],
    responses=error_responses(400, 401, 403),
    response_headers=[pages.LINK],
    security=SESSION_OR_KEY,
)
async def list_drafts(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    caller: CallerDep,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[DraftList]:
    """List one's own drafts, newest first."""
    wallet = reading_wallet(caller)
    page = pages.requested(draft_rows.ORDER, limit, offset, cursor)
    rows = await database.write(
        wallet,
        lambda conn: draft_rows.drafts_of(
            conn, wallet, limit=page.fetch, offset=page.offset, after=page.after
        ),
    )
    shown, next_ = page.cut(rows)
    items = [_shown(row, settings.program) for row in shown]
    return pages.response(request, DraftList(items, len(items), offset, limit, next_), next_)


@get(
    "/api/drafts/{draft:str}",
    cache_control=caching.NO_STORE,
    tags=["drafts"],
    responses=error_responses(400, 401, 403, 404),
    security=SESSION_OR_KEY,
)
async def get_draft(
    database: DatabaseDep, settings: SettingsDep, caller: CallerDep, draft: DraftPath
) -> Draft:
    """Get one's own draft; others' do not exist."""
    wallet = reading_wallet(caller)
    draft_id = identifiers.comment_id(draft, "draft")
    row = await database.write(wallet, lambda conn: drafts.require_draft(conn, wallet, draft_id))
    return _shown(row, settings.program)


@delete(
    "/api/drafts/{draft:str}",
    status_code=200,
    tags=["drafts"],
    responses=error_responses(400, 401, 404, 409, 413, 415, 429),
    security=PERMITTED,
)
async def delete_draft(
    writes: WritesDep, draft: DraftPath, data: JSONBody[ProofOnly | None] = None
) -> DeletedDraft:
    """Delete one's own draft. Its file is unpinned once it has expired, unless another needs it."""
    draft_id = identifiers.comment_id(draft, "draft")

    def withdraw(conn: Connection, permit: AuthorizedWrite) -> DeletedDraft:
        drafts.withdraw_draft(conn, permit.wallet, draft_id)
        return DeletedDraft("Draft deleted", str(draft_id))

    return await writes.perform(data, "delete-draft", str(draft_id), DeletedDraft, withdraw)


HANDLERS = [
    get_draft_text,
    create_market_draft,
    list_drafts,
    get_draft,
    replace_draft,
    delete_draft,
]
