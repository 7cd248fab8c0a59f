"""A whole backend without Dagster and API: a real chain, a real database, real keys."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import Engine, func, select

from tests.fixtures.ledger import ingest_committed
from tests.fixtures.localnet import Localnet
from tests.voting.world import ballot, wallet
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signer import KeypairSigner
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketAccount
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.chain import events
from zmart_pipelines.submissions import driver, planner
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.reports import DriveReport
from zmart_pipelines.submissions.signers import Signers
from zmart_pipelines.submissions.statuses import ACTIONS, Action
from zmart_pipelines.voting.ballot import Kind
from zmart_pipelines.voting.cast_results import CastReceipt
from zmart_pipelines.voting.casting import cast

SOL = 1_000_000_000
QUESTION = b"QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"


class World:
    """One chain with its database. Slots pass while :meth:`ticking` is open."""

    def __init__(self, chain: Localnet, database: str, folder: Path) -> None:
        self.chain = chain
        self.program = chain.program
        self.settings = Settings(
            zmart_state=folder,
            solana_rpc_url=chain.rpc_url,
            submission_lease_seconds=30,
            admin_keypair=chain.state / "keys" / "admin.json",
            backend_authority_keypair=chain.state / "keys" / "backend.json",
        )
        self.rpc = RpcClient(chain.rpc_url, 10)
        self.reader = AccountReader(self.rpc, self.program)
        self.engine: Engine = role_engine(Role.PIPELINES, database)
        self.api: Engine = role_engine(Role.API, database)
        self.ingest: Engine = role_engine(Role.INGEST, database)
        self.pins = LocalPinStore(folder / "ipfs")
        self.signers = Signers(
            backend=KeypairSigner(chain.keys["backend"], self.program),
            admin=KeypairSigner(chain.keys["admin"], self.program),
        )

    def close(self) -> None:
        self.rpc.close()
        for one in (self.engine, self.api, self.ingest):
            one.dispose()

    @contextlib.contextmanager
    def ticking(self, pause: float = 0.03) -> Iterator[None]:
        """Lets slots pass by themselves meanwhile."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(pause):
                self.chain.control.advance()

        thread = threading.Thread(target=tick)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def send(self, payer: Keypair, *instructions: Instruction) -> bytes:
        """One user's transaction, run in the next slot, a second after the one before."""
        self.chain.control.advance(slots=3, seconds=1)
        blockhash = self.rpc.latest_blockhash("confirmed")
        data = build_transaction(payer.pubkey(), instructions, blockhash.hash, [payer])
        signature = self.rpc.send(data)
        self.chain.control.advance()
        return signature

    def sync(self, *, without: Collection[bytes] = ()) -> None:
        """Finalizes everything and ingests the program's whole history but these signatures."""
        self.chain.control.finalize()
        listed = self.rpc.signatures_for_address(self.program, commitment="finalized")
        found = [
            self.rpc.transaction(one.signature, "finalized")
            for one in listed
            if one.signature not in without
        ]
        readings = [from_rpc(raw, self.program) for raw in found if raw is not None]
        ingest_committed(
            self.ingest,
            readings,
            source=Source.FINALIZED_WINDOW,
            commitment="finalized",
            program=self.program,
        )

    def fund(self, *users: Keypair, lamports: int = 50 * SOL) -> None:
        for user in users:
            self.chain.airdrop(user.pubkey(), lamports)

    def propose(self, number: int, creator: Keypair) -> bytes:
        """A new market on chain; its id."""
        market_id = number.to_bytes(32)
        self.send(
            creator,
            ix.create_market(
                self.program,
                creator=creator.pubkey(),
                market_id=market_id,
                b_parameter=100 * SOL,
                initial_liquidity=SOL // 100,
                question_hash=QUESTION,
            ),
        )
        return market_id

    def approve(self, number: int, creator: Keypair) -> bytes:
        """A proposal voted through and approved by us; its id."""
        market_id = self.propose(number, creator)
        self.sync()
        self.vote(market_id, [True] * 10)
        self.plan()
        assert {one.status for one in self.drive().outcomes} == {"final"}
        return market_id

    def trade(self, market_id: bytes, creator: Keypair, *buyers: Keypair) -> None:
        """Activates the market; every buyer buys YES for one SOL."""
        market = self.address(market_id)
        self.send(
            creator, ix.activate_market(self.program, authority=creator.pubkey(), market=market)
        )
        for buyer in buyers:
            self.buy(market_id, buyer)

    def buy(self, market_id: bytes, buyer: Keypair) -> bytes:
        """Buys YES for one SOL; the signature."""
        config = self.reader.config().value
        return self.send(
            buyer,
            ix.buy_shares(
                self.program,
                user=buyer.pubkey(),
                market=self.address(market_id),
                protocol_fee_wallet=Pubkey(config.protocol_fee_wallet),
                outcome=True,
                target_cost=SOL,
            ),
        )

    def resolve(self, market_id: bytes, resolver: Keypair, *, outcome: bool = True) -> None:
        self.send(
            resolver,
            ix.resolve_market(
                self.program,
                resolver=resolver.pubkey(),
                market=self.address(market_id),
                outcome=outcome,
                evidence_hash=QUESTION,
            ),
        )

    def dispute(self, market_id: bytes, initiator: Keypair) -> None:
        self.send(
            initiator,
            ix.initiate_dispute(
                self.program, initiator=initiator.pubkey(), market=self.address(market_id)
            ),
        )

    def pass_time(self, seconds: int) -> None:
        """Chain time, finalized, and the tables up to date with it."""
        self.chain.control.advance(seconds=seconds)
        self.sync()

    def address(self, market_id: bytes) -> Pubkey:
        return market_address(self.program, market_id)[0]

    def market(self, market_id: bytes) -> MarketAccount:
        """The account at finalized, once all that ran is."""
        self.chain.control.finalize()
        found = self.reader.market(market_id).value
        assert found is not None
        return found

    def vote(
        self,
        market_id: bytes,
        choices: Sequence[bool],
        kind: Kind = "proposal",
        first: int = 1,
        round_number: int = 0,
    ) -> list[CastReceipt]:
        """Ballots of the wallets ``first``, ``first`` + 1, …"""
        stored = []
        for number, choice in enumerate(choices, first):
            with self.api.begin() as conn:
                signed = ballot(
                    market_id, wallet(number), choice, kind=kind, round_number=round_number
                )
                stored.append(cast(conn, signed, self.settings))
        return stored

    def plan(self, actions: Collection[Action] = ACTIONS) -> list[Intent]:
        return planner.plan(
            self.engine, self.reader, self.settings, actions=actions, pins=self.pins
        )

    def drive(
        self,
        *,
        seconds: float = 3600.0,
        signers: Signers | None = None,
    ) -> DriveReport:
        """Drive until nothing is left to do; a drive that lingers runs into the test's timeout."""
        with self.ticking():
            return driver.drive(
                self.engine,
                self.rpc,
                self.reader,
                signers or self.signers,
                self.settings,
                run_id="test",
                seconds=seconds,
            )

    def effects(self, market_id: bytes, event: str) -> int:
        """How often the program said ``event`` of this market, in finalized history."""
        self.sync()
        with self.engine.connect() as conn:
            return conn.execute(
                select(func.count()).where(
                    events.c.market_id == market_id,
                    events.c.name == event,
                    events.c.commitment == "finalized",
                )
            ).scalar_one()
