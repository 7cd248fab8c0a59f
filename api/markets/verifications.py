"""The chain's account beside what the ledger says it holds (``?verify=true``).

Every reading of an account costs a call of a node that is paid for. Requests for one account share
a reading for some seconds, an address and all clients together have a budget of readings, and the
calls have threads of their own, so that they cannot delay the transactions that users prepare.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import msgspec
from litestar.params import QueryParameter
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from api.bulkhead import Bulkhead
from api.chain import Chain
from api.connections.client_address import address_key
from api.errors import invalid, limit_exceeded, unavailable
from api.markets.past_states import PastStates
from api.rate_limit.limiter import Charge, Limiter
from api.rate_limit.token_bucket import Quota
from api.requests import query_rules
from zmart_pipelines.chain.rpc_types import AtSlot
from zmart_pipelines.client_schemas.formats import base58_key, iso8601
from zmart_pipelines.ledger.model.account_comparison import (
    ComparedField,
    compared_market,
    compared_position,
)
from zmart_pipelines.ledger.model.projection import Projection
from zmart_pipelines.program.accounts import MarketAccount, UserPosition
from zmart_pipelines.program.addresses import market_address, position_address
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health

A = TypeVar("A", MarketAccount, UserPosition)
Key: TypeAlias = tuple[bytes, bytes | None]

Verify: TypeAlias = Annotated[
    bool,
    QueryParameter(
        description="Read the account from the chain and compare it, field by field. 503 where no"
        " node answers, 429 where too many accounts were read."
    ),
]

# Readings that are kept for the requests that follow.
_KEPT: Final = 256
_EVERYONE: Final = "everyone"


class VerifiedField(msgspec.Struct, frozen=True):
    """A field of the account by the program's name, as text: folded from events, and on chain."""

    field: str
    ledger: str | None
    chain: str | None
    agrees: bool


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The chain's account beside the ledger's fold as of the account's slot.

    `status` is `agrees` if all fields are equal; `behind` if some differ and the ledger has not
    read up to the account's slot yet; `differs` if it has. `account_exists` is false where the
    chain has no such account. `ledger_slot` is the last slot that the confirmed poll has read.
    `differing` names the fields that are not equal; keys are base58, times Unix seconds.
    """

    status: Literal["agrees", "behind", "differs"]
    address: str
    account_exists: bool
    account_slot: int
    commitment: Literal["confirmed"]
    ledger_slot: int | None
    read_at: str
    differing: list[str]
    fields: list[VerifiedField]


class _Reading(msgspec.Struct):
    """A verification that runs or is done, and when it began."""

    task: asyncio.Task[Verification]
    began: float


def verification_rule(given: query_rules.Given) -> None:
    """Raise ApiError 400 where a state of the past is to be verified; the chain has no past."""
    if "at" in given.names and given.query.get("verify"):
        raise invalid("verify", "must not be given together with at")


class Verifications:
    """Verifies accounts for the requests of one process; release it with ``close``."""

    def __init__(
        self, chain: Chain, past_states: PastStates, limiter: Limiter, settings: Settings
    ) -> None:
        self._chain = chain
        self._past_states = past_states
        self._limiter = limiter
        self._fresh = settings.api_verify_seconds
        self._per_address = Quota(
            "verifications_per_address_minute", settings.verifications_per_address_minute
        )
        self._together = Quota("verifications_per_minute", settings.verifications_per_minute)
        self._readings: OrderedDict[Key, _Reading] = OrderedDict()
        self._bulkhead = Bulkhead(
            "verify",
            threads=settings.api_verify_threads,
            queue=settings.api_verify_threads,
            seconds=settings.api_chain_seconds,
            refusal=lambda: unavailable("The chain"),
        )

    async def market(self, market_id: bytes, client: str) -> Verification:
        """Verify a market's account.

        Args:
            market_id: The market's id.
            client: The client's address, whose budget it costs.

        Raises:
            ApiError: 429, or 503 where the chain does not answer in time.
        """

        async def read() -> Verification:
            account = await self._bulkhead.run(lambda: self._chain.market_account(market_id))

            def compare(folded: Projection) -> list[ComparedField]:
                return compared_market(folded.market, account.value)

            address, _ = market_address(self._chain.program, market_id)
            return await self._compared(market_id, address, account, compare)

        return await self._shared((market_id, None), client, read)

    async def position(self, market_id: bytes, user: bytes, client: str) -> Verification:
        """Verify the account of a wallet's position in a market; as ``market``."""

        async def read() -> Verification:
            account = await self._bulkhead.run(
                lambda: self._chain.position_account(market_id, user)
            )
            market, _ = market_address(self._chain.program, market_id)

            def compare(folded: Projection) -> list[ComparedField]:
                return compared_position(folded.positions.get(user), account.value, bytes(market))

            address, _ = position_address(self._chain.program, market, Pubkey.from_bytes(user))
            return await self._compared(market_id, address, account, compare)

        return await self._shared((market_id, user), client, read)

    async def _compared(
        self,
        market_id: bytes,
        address: Pubkey,
        account: AtSlot[A | None],
        compare: Callable[[Projection], list[ComparedField]],
    ) -> Verification:
        read_at = iso8601(datetime.now(UTC))

        def read(conn: Connection) -> tuple[list[ComparedField], int | None]:
            folded = self._past_states.fold(conn, [market_id], account.slot)[market_id]
            return compare(folded), health.confirmed_slot(conn)

        fields, ledger_slot = await self._past_states.read_now(read)
        differing = [field.field for field in fields if not field.agrees]
        behind = ledger_slot is None or ledger_slot < account.slot
        return Verification(
            status="agrees" if not differing else "behind" if behind else "differs",
            address=base58_key(bytes(address)),
            account_exists=account.value is not None,
            account_slot=account.slot,
            commitment="confirmed",
            ledger_slot=ledger_slot,
            read_at=read_at,
            differing=differing,
            fields=[
                VerifiedField(field.field, field.folded, field.chain, field.agrees)
                for field in fields
            ],
        )

    async def _shared(
        self, key: Key, client: str, read: Callable[[], Awaitable[Verification]]
    ) -> Verification:
        """Return the account's current verification, or begin one at the client's expense."""
        now = asyncio.get_running_loop().time()
        known = self._readings.get(key)
        if known is None or (known.task.done() and now - known.began >= self._fresh):
            await self._pay(client)
            known = self._begin(key, read)
        # A request that is given up does not end the reading of the others.
        return await asyncio.shield(known.task)

    def _begin(self, key: Key, read: Callable[[], Awaitable[Verification]]) -> _Reading:
        loop = asyncio.get_running_loop()
        known = self._readings.get(key)
        if known is not None and not known.task.done():  # begun while this request paid
            return known

        async def run() -> Verification:
            return await read()

        began = _Reading(loop.create_task(run()), loop.time())
        # Retrieve an exception that no request awaits any more, which asyncio would log.
        began.task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._readings[key] = began
        self._readings.move_to_end(key)
        if len(self._readings) > _KEPT:
            self._readings.popitem(last=False)
        return began

    async def _pay(self, client: str) -> None:
        decision = await self._limiter.take(
            Charge(self._per_address, address_key(client)), Charge(self._together, _EVERYONE)
        )
        if not decision.is_allowed:
            reached = decision.decisive
            raise limit_exceeded(
                reached.quota.name, reached.quota.limit, max(1, reached.next_seconds)
            )

    def close(self) -> None:
        """Wait for running calls."""
        self._bulkhead.close()
