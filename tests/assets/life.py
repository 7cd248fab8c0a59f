"""A market's users on the local chain: real transactions and real ballots, manual clock."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import Engine

from assets.definitions import build_defs
from assets.resources import Backend
from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program import instructions as program_instructions
from zmart_pipelines.program.accounts import MarketAccount
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.ballot import BallotText, Kind, SignedBallot
from zmart_pipelines.voting.casting import cast

Metadata = Mapping[str, dg.MetadataValue]

SOL = 1_000_000_000
HASH = b"Qm" + b"1" * 44


@dataclass
class Life:
    """``wallets`` are funded wallets; ``settings`` those of the system under test."""

    chain: Localnet
    settings: Settings
    rpc: RpcClient
    wallets: list[Keypair] = field(default_factory=list)

    @classmethod
    def start(cls, chain: Localnet, database: str, wallets: int = 12) -> "Life":
        settings = Settings(
            **login_settings(database),
            solana_rpc_url=chain.rpc_url,
            backend_authority_keypair=chain.state / "keys" / "backend.json",
            admin_keypair=chain.state / "keys" / "admin.json",
            zmart_state=chain.state.with_name("zmart"),
        )
        life = cls(chain, settings, RpcClient(chain.rpc_url, 30))
        for _ in range(wallets):
            person = Keypair()
            life.rpc.airdrop(person.pubkey(), 100 * SOL)
            life.wallets.append(person)
        if wallets > 1:  # the second is the one who resolves
            listed = {"expected_resolvers": str(life.wallets[1].pubkey())}
            life.settings = settings.model_copy(update=listed)
        chain.control.advance()
        return life

    @property
    def program(self) -> Pubkey:
        return self.settings.program

    @property
    def reader(self) -> AccountReader:
        return AccountReader(self.rpc, self.program)

    def send(self, signer: Keypair, instruction: Instruction) -> bytes:
        """One transaction, in a slot of its own."""
        blockhash = self.rpc.latest_blockhash("confirmed").hash
        signature = self.rpc.send(
            build_transaction(signer.pubkey(), [instruction], blockhash, [signer])
        )
        self.chain.control.advance()
        return signature

    def propose(self) -> bytes:
        """A new market of the first person; its id."""
        market_id = secrets.token_bytes(32)
        self.send(
            self.wallets[0],
            program_instructions.create_market(
                self.program,
                creator=self.wallets[0].pubkey(),
                market_id=market_id,
                b_parameter=100 * SOL,
                initial_liquidity=SOL // 10,
                question_hash=HASH,
            ),
        )
        return market_id

    def address(self, market_id: bytes) -> Pubkey:
        return market_address(self.program, market_id)[0]

    def vote(
        self,
        api: Engine,
        market_id: bytes,
        kind: Kind = "proposal",
        likes: int = 12,
        dislikes: int = 0,
        skip: int = 0,
    ) -> None:
        """Cast wallet ballots through the domain."""
        for number, person in enumerate(self.wallets[skip : skip + likes + dislikes]):
            text = BallotText(
                program=bytes(self.program),
                network=self.settings.solana_cluster,
                market_id=market_id,
                kind=kind,
                round=0,
                choice=number < likes,
                nonce=secrets.token_hex(8),
                expires=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5),
            ).compose()
            ballot = SignedBallot(
                market_id=market_id,
                kind=kind,
                wallet=bytes(person.pubkey()),
                choice=number < likes,
                message=text,
                signature=bytes(person.sign_message(text.encode())),
            )
            with api.begin() as conn:
                cast(conn, ballot, self.settings)

    def activate(self, market_id: bytes) -> None:
        self.send(
            self.wallets[0],
            program_instructions.activate_market(
                self.program, authority=self.wallets[0].pubkey(), market=self.address(market_id)
            ),
        )

    def buy(self, market_id: bytes, person: Keypair, outcome: bool, lamports: int = SOL) -> bytes:
        return self.send(
            person,
            program_instructions.buy_shares(
                self.program,
                user=person.pubkey(),
                market=self.address(market_id),
                protocol_fee_wallet=self.chain.keys["fee"].pubkey(),
                outcome=outcome,
                target_cost=lamports,
            ),
        )

    def resolve(self, market_id: bytes, outcome: bool) -> None:
        self.chain.control.advance(2, seconds=5)
        self.send(
            self.wallets[1],
            program_instructions.resolve_market(
                self.program,
                resolver=self.wallets[1].pubkey(),
                market=self.address(market_id),
                outcome=outcome,
                evidence_hash=HASH,
            ),
        )

    def dispute(self, market_id: bytes) -> None:
        self.chain.control.advance(2, seconds=2)
        self.send(
            self.wallets[2],
            program_instructions.initiate_dispute(
                self.program, initiator=self.wallets[2].pubkey(), market=self.address(market_id)
            ),
        )

    def account(self, market_id: bytes) -> MarketAccount:
        found = self.reader.market(market_id, "confirmed").value
        assert found is not None
        return found


@contextmanager
def slots_pass(chain: Localnet) -> Iterator[None]:
    """Advance the chain while a run waits for finality."""
    done = threading.Event()

    def advance() -> None:
        while not done.wait(0.1):
            chain.control.advance(2)

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run(job: str, backend: Backend, *, observed: bool = False) -> dict[str, Metadata]:
    """Run a job; return the metadata of its materializations (or observations), by asset."""
    definitions = build_defs(resource_overrides={"backend": backend})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(instance=instance)
    if observed:
        return {
            event.asset_key.to_user_string(): dict(
                event.asset_observation_data.asset_observation.metadata
            )
            for event in result.all_events
            if event.is_asset_observation and event.asset_key is not None
        }
    return {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    }
