"""The admin's transactions, prepared by operators with a reason that is in the audit log.

The API signs nothing: the admin's wallet does, and `POST /api/transactions` relays it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from litestar import post
from litestar.params import JSONBody
from solders.pubkey import Pubkey

from api.dependencies import CallerDep, ChainDep, DatabaseDep, error_responses
from api.errors import invalid
from api.identity.operators import operator_of
from api.openapi import security
from api.requests import reasons
from api.requests.reasons import ReasonText
from api.requests.validation import FieldRules, require_field_rules
from api.wallet_transactions.answers import PreparedTransaction, prepared_transaction
from api.wallet_transactions.bodies import MarketActBody, act_in, body_of, market_of
from zmart_pipelines.store import audit
from zmart_pipelines.wallet_transactions.acts import ACTS

AdminAct = Literal["approve", "cancel", "pause", "update-config"]


class NewAdminTransaction(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One of the admin's acts and why; `arguments` is the body of `prepare/{act}`."""

    FIELD_RULES: ClassVar[FieldRules] = {"reason": reasons.reason}

    act: AdminAct
    arguments: dict[str, Any]
    reason: ReasonText

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


@post(
    "/api/admin/transactions",
    status_code=200,
    tags=["operators"],
    responses=error_responses(400, 401, 403, 404, 409, 413, 415, 429),
    security=security.OPERATOR,
    opt={"bucket": "write"},
)
async def prepare_for_admin(
    database: DatabaseDep,
    chain: ChainDep,
    caller: CallerDep,
    data: JSONBody[NewAdminTransaction],
) -> PreparedTransaction:
    """Prepare a transaction that only the admin's wallet may sign; only operators may.

    The reason is in the audit log, whether the transaction is signed or not.
    """
    operator = operator_of(caller)
    act = ACTS[data.act]
    try:
        body = msgspec.convert(data.arguments, body_of(act))
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise invalid(f"arguments{place.rstrip('`')}", reason) from error
    market_id = await market_of(database, act, body)
    wanted, wallet = act_in(body, act), Pubkey.from_bytes(body.signer)
    prepared = await chain.run(lambda: chain.prepare(wanted, wallet, market_id))
    subject = body.market_id if isinstance(body, MarketActBody) else None
    details = {"kind": data.act, "arguments": data.arguments}
    await database.write_as_operator(
        caller.wallet,
        lambda conn: audit.record(
            conn,
            operator,
            "api",
            "prepare_admin_transaction",
            subject,
            reasons.reason(data.reason),
            details,
        ),
    )
    return prepared_transaction(wanted, prepared)


HANDLERS = [prepare_for_admin]
