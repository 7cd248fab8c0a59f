"""The protocol's parameters, which its admin can change."""

from __future__ import annotations

import msgspec
from litestar import get

from api.dependencies import DatabaseDep, error_responses
from api.errors import not_found
from zmart_pipelines.client_schemas.formats import ExactIntegers, LargeInt, chain_time
from zmart_pipelines.store.queries.configuration import protocol_configuration


class ProtocolParameters(ExactIntegers, frozen=True, kw_only=True):
    """The protocol's parameters as the ledger knows them.

    Fees and thresholds are basis points, `min_resolution_delay` and `dispute_period` seconds.
    `changed_at` and `slot` are those of the last change; `changed_at` is null where the chain
    gives no time.
    """

    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    proposal_approval_threshold: int
    dispute_success_threshold: int
    min_resolution_delay: LargeInt
    dispute_period: LargeInt
    is_paused: bool
    changed_at: str | None
    slot: int


@get(
    "/api/protocol",
    tags=["ledger"],
    responses=error_responses(404),
)
async def get_protocol(database: DatabaseDep) -> ProtocolParameters:
    """Get the protocol's fees, thresholds and times, and whether it is paused."""
    found = await database.read(protocol_configuration)
    if found is None:
        raise not_found("The protocol's configuration")
    values = msgspec.structs.asdict(found) | {"changed_at": chain_time(found.changed_at)}
    return ProtocolParameters(**values)


HANDLERS = [get_protocol]
