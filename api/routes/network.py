"""The chain that this system works on, and where its parts can be seen."""

from __future__ import annotations

import msgspec
from litestar import get

from api import caching
from api.dependencies import READ_ERRORS, SettingsDep


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to read the chain by itself.

    `program` is the program's address, `network` the cluster as ballots name it. `rpc_url` is an
    RPC endpoint that browsers may read, `dagster_url` the address of the Dagster webserver; null
    where none is known.
    """

    program: str
    network: str
    rpc_url: str | None
    dagster_url: str | None


@get(
    "/api/network",
    cache_control=caching.A_SECOND,
    tags=["ledger"],
    responses=READ_ERRORS,
    sync_to_thread=False,
)
def get_network(settings: SettingsDep) -> Network:
    """Get the chain's name, the program's address and a public RPC endpoint."""
    return Network(
        program=settings.program_id,
        network=settings.solana_cluster,
        rpc_url=settings.browser_rpc_url,
        dagster_url=settings.dagster_url,
    )


HANDLERS = [get_network]
