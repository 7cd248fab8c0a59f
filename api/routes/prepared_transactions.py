"""Unsigned transactions of every act, one route each, with what they do.

Nothing is stored and nothing is disclosed that is not public, and a transaction is worth nothing
without the wallet's signature; therefore the wallet is named and proves nothing here.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from solders.pubkey import Pubkey

from api.dependencies import CallerDep, ChainDep, DatabaseDep, error_responses
from api.identity.key_scopes import require_trading
from api.wallet_transactions.answers import PreparedTransaction, prepared_transaction
from api.wallet_transactions.bodies import (
    act_in,
    body_of,
    market_of,
    require_booleans,
)
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.acts import ACTS

PATH = "/api/transactions/prepare"


def _handler(act: type[Act]) -> HTTPRouteHandler:
    """Return the route that prepares this act."""

    async def prepare(
        request: Request[Any, Any, Any], database: Any, chain: Any, caller: Any, data: Any
    ) -> PreparedTransaction:
        require_trading(caller, data.signer, "wallet")
        require_booleans(await request.json(), act)
        market_id = await market_of(database, act, data)
        wanted, wallet = act_in(data, act), Pubkey.from_bytes(data.signer)
        prepared = await chain.run(lambda: chain.prepare(wanted, wallet, market_id))
        return prepared_transaction(wanted, prepared)

    prepare.__name__ = f"prepare_{act.NAME.replace('-', '_')}_transaction"
    prepare.__doc__ = f"Prepare a transaction: {act.__doc__}"
    prepare.__annotations__ |= {
        "database": DatabaseDep,
        "chain": ChainDep,
        "caller": CallerDep,
        "data": JSONBody[body_of(act)],  # type: ignore[misc]  # a type that is made at run time
    }
    decorate = post(
        f"{PATH}/{act.NAME}",
        status_code=200,
        tags=["transactions"],
        responses=error_responses(403, 404, 409, 413, 415, 429),
        opt={"bucket": "write"},
    )
    return decorate(prepare)


HANDLERS = [_handler(act) for act in ACTS.values()]
