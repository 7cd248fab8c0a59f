"""Markets, wallets and ballots for the tests of voting."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from solders.keypair import Keypair
from sqlalchemy import Engine, insert

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import market as tables
from zmart_pipelines.voting.ballot import BallotText, Kind, SignedBallot

SETTINGS = Settings(solana_cluster="localnet")
_nonces = itertools.count(10_000_000)


def wallet(number: int) -> Keypair:
    """A keypair that is the same in every run."""
    return Keypair.from_seed(number.to_bytes(32))


def market_id(number: int) -> bytes:
    return number.to_bytes(32)


def add_market(engine: Engine, number: int, state: MarketState = MarketState.PROPOSED) -> bytes:
    """A projected market; everything but its state is zero."""
    identity = market_id(number)
    zeros = {
        column.name: 0
        for column in tables.markets.c
        if not column.nullable and column.default is None and column.server_default is None
    }
    row = zeros | {
        "market_id": identity,
        "address": bytes(market_address(DEFAULT_PROGRAM_ID, identity)[0]),
        "creator": bytes(wallet(1).pubkey()),
        "state": int(state),
        "was_disputed": False,
        "commitment": "finalized",
    }
    with engine.begin() as conn:
        conn.execute(insert(tables.markets).values(row))
    return identity


def add_position(engine: Engine, market: bytes, user: Keypair, shares: int = 5) -> None:
    with engine.begin() as conn:
        conn.execute(
            insert(tables.positions).values(
                market_id=market,
                user=bytes(user.pubkey()),
                shares_yes=shares,
                shares_no=0,
                total_invested=shares,
                trades_count=1,
                first_trade_at=1,
                last_trade_at=1,
                has_claimed=False,
                claimed_amount=0,
                as_of_slot=1,
            )
        )


def add_chain_vote(engine: Engine, market: bytes, kind: Kind, voter: Keypair, choice: bool) -> None:
    with engine.begin() as conn:
        conn.execute(
            insert(tables.chain_votes).values(
                market_id=market,
                kind=kind,
                wallet=bytes(voter.pubkey()),
                choice=choice,
                voted_at=1_700_000_000,
                signature=bytes(64),
                slot=1,
                commitment="confirmed",
            )
        )


def ballot(
    market: bytes,
    voter: Keypair,
    choice: bool = True,
    *,
    kind: Kind = "proposal",
    round_number: int = 0,
    key: str | None = None,
    seconds: int = 300,
) -> SignedBallot:
    """A good ballot, with a nonce of its own."""
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    message = BallotText(
        program=bytes(DEFAULT_PROGRAM_ID),
        network="localnet",
        market_id=market,
        kind=kind,
        round=round_number,
        choice=choice,
        nonce=str(next(_nonces)),
        expires=expires,
    ).compose()
    return SignedBallot(
        market_id=market,
        kind=kind,
        wallet=bytes(voter.pubkey()),
        choice=choice,
        message=message,
        signature=bytes(voter.sign_message(message.encode())),
        idempotency_key=key,
    )
