"""Solana Actions: a market as a link that wallets show as a card with buttons.

The buttons' transactions are those of ``prepared_transactions``, refused for the same reasons.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final, Literal, TypeAlias

from litestar import Response, get, post
from litestar.params import JSONBody, QueryParameter
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from api import caching
from api.chain import Chain
from api.database import Database
from api.dependencies import (
    NAMED_READ_ERRORS,
    READ_ERRORS,
    CallerDep,
    ChainDep,
    DatabaseDep,
    MarketPath,
    SettingsDep,
    error_responses,
)
from api.identity.caller import Caller
from api.identity.key_scopes import require_trading
from api.markets.lookup import require_market
from api.middleware.action_headers import RULES_PATH
from api.requests import identifiers, query_rules
from api.solana_actions import sol_amounts
from api.solana_actions.cards import (
    ICON,
    PATH,
    MarketCard,
    completed_action,
    disputed_action,
    market_action,
)
from api.solana_actions.icons import market_icon
from api.solana_actions.specified import (
    ActionRequest,
    ActionRule,
    ActionRules,
    ActionTransaction,
    FollowingAction,
    MarketAction,
    NextAction,
    NextLinks,
)
from zmart_pipelines.ledger.model import config_timeline
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.configuration import acting_configuration
from zmart_pipelines.store.queries.markets import chain_now
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.acts.buy import Buy
from zmart_pipelines.wallet_transactions.acts.claim import Claim
from zmart_pipelines.wallet_transactions.acts.dispute import Dispute
from zmart_pipelines.wallet_transactions.acts.vote_dispute import VoteDispute
from zmart_pipelines.wallet_transactions.acts.vote_proposal import VoteProposal

_MARKET: Final = f"{PATH}/{{market:str}}"
_PREPARING: Final[dict[str, Any]] = {
    "status_code": 200,
    "tags": ["actions"],
    "responses": error_responses(403, 404, 409, 413, 415, 429),
}
_BUCKET: Final = {"bucket": "write"}
_VOTED: Final = ("Voted", "The vote is on chain, and final.")

Side: TypeAlias = Annotated[
    Literal["yes", "no"], QueryParameter(description="Of the shares to buy.")
]
Amount: TypeAlias = Annotated[
    str,
    QueryParameter(description="SOL to spend, fees included: digits, with at most 9 decimals."),
]
ProposalChoice: TypeAlias = Annotated[
    Literal["like", "dislike"], QueryParameter(description="Whether the market shall open.")
]
DisputeChoice: TypeAlias = Annotated[
    Literal["agree", "disagree"],
    QueryParameter(description="Whether the proposed outcome is wrong."),
]


def _card(conn: Connection, key: bytes, origin: str) -> MarketCard:
    row = require_market(conn, key)
    configuration = acting_configuration(conn) or config_timeline.DEFAULT
    return MarketCard(
        origin=origin,
        market_id=row.market_id.hex(),
        question=row.question,
        state=MarketState(row.state),
        price_yes=row.price_yes,
        proposed_outcome=row.proposed_outcome,
        final_outcome=row.final_outcome,
        resolution_proposed_at=row.resolution_proposed_at,
        dispute_period=configuration.dispute_period,
        is_paused=configuration.is_paused,
        now=chain_now(conn),
    )


async def _read_card(database: Database, settings: Settings, market: str) -> MarketCard:
    """Return the card of the market that a path names; raise ApiError 404 without one."""
    key = identifiers.market_key(market, "market")
    return await database.read(lambda conn: _card(conn, key, settings.public_origin))


async def _transaction(
    chain: Chain,
    caller: Caller,
    card: MarketCard,
    act: Act,
    account: bytes,
    follows: FollowingAction,
) -> ActionTransaction:
    """Return the transaction of an act.

    Raises:
        ApiError: 409 with the reason of a refusal, 403 where the caller's key does not permit it,
            503 without an answer of the chain.
    """
    require_trading(caller, account, "account")
    wallet, market_id = Pubkey.from_bytes(account), bytes.fromhex(card.market_id)
    prepared = await chain.run(lambda: chain.prepare(act, wallet, market_id))
    return ActionTransaction(
        type="transaction",
        transaction=base64.b64encode(prepared.transaction).decode(),
        message=" ".join(prepared.effects.sentences),
        links=NextLinks(NextAction("inline", follows)),
    )


@get(
    RULES_PATH,
    cache_control=caching.A_SECOND,
    tags=["actions"],
    responses=READ_ERRORS,
    sync_to_thread=False,
)
def list_action_rules(settings: SettingsDep) -> ActionRules:
    """List which pages stand for which Solana Actions; a website may serve it unchanged."""
    actions = f"{settings.public_origin}{PATH}"
    return ActionRules(
        (ActionRule("/markets/*", f"{actions}/*"), ActionRule(f"{PATH}/**", f"{actions}/**"))
    )


@get(_MARKET, cache_control=caching.A_SECOND, tags=["actions"], responses=NAMED_READ_ERRORS)
async def get_market_action(
    database: DatabaseDep, settings: SettingsDep, market: MarketPath
) -> MarketAction:
    """Get a market as a Solana Action: a card with the buttons of what its state permits."""
    return market_action(await _read_card(database, settings, market))


@get(
    f"{_MARKET}/{ICON}",
    cache_control=caching.A_SECOND,
    tags=["actions"],
    responses=NAMED_READ_ERRORS,
    media_type="image/svg+xml",
)
async def get_market_icon(
    database: DatabaseDep, settings: SettingsDep, market: MarketPath
) -> Response[str]:
    """Get the picture of a market's card: its price, or its state."""
    card = await _read_card(database, settings, market)
    return Response(market_icon(card), media_type="image/svg+xml")


@post(
    f"{_MARKET}/buy",
    opt=_BUCKET | query_rules.stated(query_rules.parsed(sol_amounts.lamports, "amount")),
    **_PREPARING,
)
async def prepare_buy_action_transaction(
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    market: MarketPath,
    side: Side,
    amount: Amount,
    data: JSONBody[ActionRequest],
) -> ActionTransaction:
    """Prepare the transaction of a Solana Action that buys shares of one side for SOL."""
    card = await _read_card(database, settings, market)
    act = Buy(outcome=side == "yes", max_cost=sol_amounts.lamports(amount))
    text = "The shares are in the wallet's position. If their side wins, claim them here."
    follows = completed_action(card, "Bought", text)
    return await _transaction(chain, caller, card, act, data.signer, follows)


@post(f"{_MARKET}/vote-proposal", opt=_BUCKET, **_PREPARING)
async def prepare_proposal_vote_action_transaction(
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    market: MarketPath,
    vote: ProposalChoice,
    data: JSONBody[ActionRequest],
) -> ActionTransaction:
    """Prepare the transaction of a Solana Action that votes on a proposed market."""
    card = await _read_card(database, settings, market)
    act = VoteProposal(vote=vote == "like")
    return await _transaction(
        chain, caller, card, act, data.signer, completed_action(card, *_VOTED)
    )


@post(f"{_MARKET}/dispute", opt=_BUCKET, **_PREPARING)
async def prepare_dispute_action_transaction(
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    market: MarketPath,
    data: JSONBody[ActionRequest],
) -> ActionTransaction:
    """Prepare the transaction of a Solana Action that disputes the proposed outcome."""
    card = await _read_card(database, settings, market)
    return await _transaction(chain, caller, card, Dispute(), data.signer, disputed_action(card))


@post(f"{_MARKET}/vote-dispute", opt=_BUCKET, **_PREPARING)
async def prepare_dispute_vote_action_transaction(
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    market: MarketPath,
    vote: DisputeChoice,
    data: JSONBody[ActionRequest],
) -> ActionTransaction:
    """Prepare the transaction of a Solana Action that votes on a dispute."""
    card = await _read_card(database, settings, market)
    act = VoteDispute(vote=vote == "agree")
    return await _transaction(
        chain, caller, card, act, data.signer, completed_action(card, *_VOTED)
    )


@post(f"{_MARKET}/claim", opt=_BUCKET, **_PREPARING)
async def prepare_claim_action_transaction(
    database: DatabaseDep,
    settings: SettingsDep,
    chain: ChainDep,
    caller: CallerDep,
    market: MarketPath,
    data: JSONBody[ActionRequest],
) -> ActionTransaction:
    """Prepare the transaction of a Solana Action that claims what a position has won."""
    card = await _read_card(database, settings, market)
    follows = completed_action(card, "Claimed", "The payout is in the wallet.")
    return await _transaction(chain, caller, card, Claim(), data.signer, follows)


HANDLERS = [
    list_action_rules,
    get_market_action,
    get_market_icon,
    prepare_buy_action_transaction,
    prepare_proposal_vote_action_transaction,
    prepare_dispute_action_transaction,
    prepare_dispute_vote_action_transaction,
    prepare_claim_action_transaction,
]
