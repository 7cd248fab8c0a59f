"""Market drafts, and the transaction that creates the market on chain."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from api import drafts
from api.chain import Chain
from api.created import locate
from api.dependencies import (
    CallerDep,
    ChainDep,
    DatabaseDep,
    PinAllowanceDep,
    PinsDep,
    SettingsDep,
    error_responses,
)
from api.identity import auth, idempotency, text_to_sign
from api.identity.idempotency import IdempotencyKey
from api.identity.text_to_sign import TextToSign
from api.openapi.security import PERMITTED
from api.requests.bodies import NewMarket
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
from zmart_pipelines.program.lmsr import b_for_loss
from zmart_pipelines.wallet_transactions.acts.create import Create
from zmart_pipelines.wallet_transactions.refusals import Refusal


class Draft(msgspec.Struct, frozen=True):
    """A market that is not on chain yet. `end_date` is an older name of `ends_at`."""

    id: str
    on_chain_address: str
    question: str
    description: str
    category: str
    tags: list[str]
    creator_wallet: str
    state: str
    ipfs_question_hash: str
    b_parameter: int
    initial_liquidity: int
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
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    pins: PinsDep,
    pin_allowance: PinAllowanceDep,
    caller: CallerDep,
    data: JSONBody[NewMarket],
    idempotency_key: IdempotencyKey = None,
) -> CreatedDraft:
    """Store and pin a question, and return the transaction that creates its market.

    The draft expires after `DRAFT_TTL_HOURS` unless its market appears on chain; drafts are
    not listed. The same signed request, or the same Idempotency-Key with the same question,
    returns the same market with a new transaction.
    """
    now = datetime.now(UTC)
    ttl = timedelta(hours=settings.draft_ttl_hours)
    b_parameter = data.b_parameter or b_for_loss(data.liquidity)
    drafts.compose_draft(data, bytes(32), now, ttl, b"")  # validated before the signature
    permit = await auth.authorize(request, data, settings, caller, "draft", _SUBJECT)
    creator = permit.wallet
    request_key = idempotency_key.encode() if idempotency_key else permit.signature
    draft = drafts.compose_draft(data, creator, now, ttl, request_key or secrets.token_bytes(16))
    creation = Create(
        liquidity=data.liquidity,
        b_parameter=b_parameter,
        ipfs_question_hash=draft.question_hash,
    )
    shown = Draft(
        id=draft.market_id.hex(),
        on_chain_address=str(market_address(chain.program, draft.market_id)[0]),
        question=draft.question,
        description=draft.description,
        category=draft.category,
        tags=list(draft.tags),
        creator_wallet=formats.base58_key(creator),
        state="DRAFT",
        ipfs_question_hash=draft.question_hash,
        b_parameter=b_parameter,
        initial_liquidity=data.liquidity,
        end_date=formats.iso8601(draft.ends_at),
        ends_at=formats.iso8601(draft.ends_at),
        created_at=formats.iso8601(draft.created_at),
        expires_at=formats.iso8601(draft.expires_at),
    )

    def store(conn: Connection) -> Draft:
        drafts.store_draft(conn, draft)
        return shown

    # The chain is asked only for a request that may be served, and only stored drafts are pinned:
    # a request that fails in between is completed by repeating it.
    is_repeated = await database.write(
        creator, idempotency.require_admissible(permit, idempotency_key, settings)
    )
    if not is_repeated:
        await pin_allowance.require(request.scope, creator)
    prepared = await chain.run(lambda: _prepare(chain, creation, creator, draft.market_id))
    stored = await database.write(
        creator, idempotency.once(store, Draft, permit, idempotency_key, settings)
    )
    await pins.pin(draft.document)
    locate(request, f"/api/markets/{shown.id}")
    return CreatedDraft(
        message="Draft stored; sign and send the transaction to create the market",
        market=stored.answer,
        draft=stored.answer,
        market_id=shown.id,
        address=shown.on_chain_address,
        **prepared,
        repeated=stored.is_repeated,
    )


HANDLERS = [get_draft_text, create_market_draft]
