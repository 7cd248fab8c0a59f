"""What the monitor reads from the chain: the program's code, and what markets can pay."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Engine

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.program_code import ProgramCode, read_program_code
from zmart_pipelines.chain.rpc import MAX_ACCOUNTS, RpcClient
from zmart_pipelines.program.accounts import MarketAccount, decode_as
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.payout import MARKET_RENT, claim_amount
from zmart_pipelines.store.queries import program_code
from zmart_pipelines.store.queries.alerts import acknowledged_subjects
from zmart_pipelines.store.queries.claims_owed import OwedClaims, owed_claims

log = logging.getLogger(__name__)

# Markets whose claims are read from the chain in one round, because the tables say that they
# cannot be paid and no alert says so yet.
MOST_READ: Final = 20
CODE_TOPIC: Final = "program_upgraded"
_FAULTS: Final = (RpcUnavailable, RpcError)


class Shortfall(msgspec.Struct, frozen=True):
    """A market whose account holds less than its claims are owed, both in lamports."""

    market_id: bytes
    payable: int
    owed: int


class UnacceptedCode(msgspec.Struct, frozen=True):
    """The program's current code, which no operator has accepted.

    Attributes:
        subject: Of the alert: the code's SHA-256, or ``missing``.
    """

    subject: str
    message: str


class ChainFacts(msgspec.Struct, frozen=True):
    """What the chain says; None where it could not be read.

    Attributes:
        shortfalls: Markets that cannot pay.
        unaccepted: The program's code, if it is another one than was accepted.
    """

    shortfalls: tuple[Shortfall, ...] | None = ()
    unaccepted: tuple[UnacceptedCode, ...] | None = ()


UNKNOWN: Final = ChainFacts(None, None)


class ChainMonitor:
    """Reads the chain for the monitor, in transactions of its own that are short."""

    def __init__(self, engine: Engine, rpc: RpcClient, program: Pubkey) -> None:
        """Take connections of a role that writes ``ops.program_code``, and the node."""
        self._engine = engine
        self._rpc = rpc
        self._program = program
        self._reader = AccountReader(rpc, program)

    def read(self, reader: str, part: int, short_markets: Collection[bytes]) -> ChainFacts:
        """Return what the chain says; what cannot be read is unknown, and logged.

        Args:
            reader: The service whose last success says which markets have been seen.
            part: Which part of all markets to look at beside those that changed.
            short_markets: Markets that could not pay in the last round.
        """
        try:
            unaccepted = tuple(self._code())
            shortfalls = tuple(self._shortfalls(reader, part, frozenset(short_markets)))
        except _FAULTS as error:
            log.warning("the monitor cannot read the chain: %s", error)
            return UNKNOWN
        return ChainFacts(shortfalls, unaccepted)

    def _code(self) -> Iterator[UnacceptedCode]:
        key = bytes(self._program)
        with self._engine.begin() as conn:
            acknowledged = acknowledged_subjects(conn, CODE_TOPIC)
            for one in program_code.seen_code(conn, key):
                if one.accepted_at is None and one.code_hash.hex() in acknowledged:
                    program_code.accept_code(conn, key, one.code_hash)
            seen = program_code.seen_code(conn, key)
        # Slot 0 stands for a loader that records none, so the code is read each time.
        known = {one.deployed_slot: one.code_hash for one in seen if one.deployed_slot}
        found = read_program_code(self._rpc, self._program, known)
        if found is None:
            if seen:
                yield UnacceptedCode("missing", f"there is no program {self._program} on chain")
            return
        with self._engine.begin() as conn:
            row = program_code.record_code(
                conn, key, found.code_hash, found.deployed_slot, is_accepted=not seen
            )
        if row.accepted_at is None:
            yield UnacceptedCode(found.code_hash.hex(), _message(found))

    def _shortfalls(self, reader: str, part: int, before: frozenset[bytes]) -> Iterator[Shortfall]:
        with self._engine.connect() as conn:
            owing = owed_claims(conn, reader, part, before)
        suspects = [one for one in self._with_balances(owing) if one.owed > one.payable]
        unread = MOST_READ
        for one in suspects:
            if one.market_id in before:
                yield one
            elif unread:
                unread -= 1
                yield from self._confirmed(one.market_id)

    def _with_balances(self, owing: Sequence[OwedClaims]) -> Iterator[Shortfall]:
        for start in range(0, len(owing), MAX_ACCOUNTS):
            some = owing[start : start + MAX_ACCOUNTS]
            found = self._rpc.accounts([Pubkey(one.address) for one in some], "finalized").value
            for one, account in zip(some, found, strict=True):
                # An account that is missing is not finalized yet; a later round reads it.
                if account is not None and account.owner == self._program:
                    yield Shortfall(one.market_id, account.lamports - MARKET_RENT, one.owed)

    def _confirmed(self, market_id: bytes) -> Iterator[Shortfall]:
        """Yield the shortfall if the accounts say the same as the tables, which may be behind.

        The balance is read first: a claim that is paid in between lowers only what is owed.
        """
        address = self._reader.address(market_id)
        found = self._rpc.account(address, "finalized")
        if found.value is None:
            return
        positions = self._reader.positions(market_id, min_context_slot=found.slot).value
        try:
            market = decode_as(MarketAccount, found.value.data)
        except DecodeError:
            return  # planning and reconciliation raise their own alerts of it
        owed = sum(
            claim_amount(
                market.final_outcome,
                shares_yes=one.shares_yes,
                shares_no=one.shares_no,
                total_invested=one.total_invested,
                market_shares_yes=market.shares_yes,
                market_shares_no=market.shares_no,
                current_liquidity=market.current_liquidity,
            )
            for one in positions
            if not one.has_claimed
        )
        if market.final_outcome is not None:
            owed += market.accumulated_resolver_fees
        payable = found.value.lamports - MARKET_RENT
        if owed > payable:
            yield Shortfall(market_id, payable, owed)


def _message(code: ProgramCode) -> str:
    when = f" at slot {code.deployed_slot}" if code.deployed_slot else ""
    return (
        f"the program's code was replaced{when}: its SHA-256 is {code.code_hash.hex()};"
        " acknowledge this alert once the code is reviewed"
    )
