"""A running system whose chain endpoints and pin service can be made to misbehave.

Chain, endpoints and pin service belong to the test; the system reaches them as it would reach a
real cluster and a real service. Both endpoints stand in front of the same chain: the preferred
one on its path ``/``, to which faults of the chain can be limited, the other one on ``/lag/0``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from solders.keypair import Keypair
from solders.signature import Signature

from tests.api.wallets import proof
from tests.chain.endpoint import Endpoint, Reply, Script, forward
from tests.fixtures.localnet import Localnet
from tests.fixtures.running_system import RunningSystem
from tests.ipfs.pinata_server import Pinata, running_pinata
from tests.ledger.onchain import Stage, listed
from tests.ledger.recorded_rpc import PROGRAM, SOL, address
from tests.system.launchpad import launch, run_status
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.program.accounts import MarketState

PATIENCE: Final = 240.0
PINATA_TOKEN: Final = "pinata-token-that-stays-secret"
WEBHOOK_SECRET: Final = "webhook-secret-of-the-hostile-chain"
RPC_SECONDS: Final = 5
COMMENTS_PER_WALLET, COMMENTS_PER_ADDRESS, DRAFTS_PER_ADDRESS = 3, 10, 20
SOCKETS: Final = 60

_SETTINGS: Final = {
    "SOLANA_CLUSTER": "localnet",
    "RPC_TIMEOUT": str(RPC_SECONDS),
    "BREAKER_PAUSE_SECONDS": "5",
    # So that every window has several pages.
    "POLL_PAGE_SIZE": "2",
    "MIN_PROPOSAL_VOTES": "1",
    "AUTO_ACTIVATE": "true",
    "COMMENTS_PER_WALLET_HOUR": str(COMMENTS_PER_WALLET),
    "COMMENTS_PER_ADDRESS_HOUR": str(COMMENTS_PER_ADDRESS),
    "DRAFTS_PER_ADDRESS_HOUR": str(DRAFTS_PER_ADDRESS),
    "WS_CONNECTIONS_PER_IP": str(SOCKETS),
    "WS_REPLAY_BYTES_PER_MINUTE": str(4 << 20),
    "API_STALLED_SECONDS": "3",
    "HELIUS_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "PINATA_JWT": PINATA_TOKEN,
}

# Returns the script of an endpoint that misbehaves, for that of the node behind it.
Change = Callable[[Script], Script]
# Returns the bytes that a wallet signs for a text.
Envelope = Callable[[bytes], bytes]


def proxy(url: str) -> Script:
    """Return a script that forwards to a node, and closes the connection where that is frozen."""
    ask = forward(url)

    def script(request: dict[str, Any]) -> Reply:
        try:
            return ask(request)
        except httpx.HTTPError:
            return Reply(drop=True)

    return script


def hanging(_: Script) -> Script:
    """Return a script that never answers in time."""
    return lambda _: Reply(delay=RPC_SECONDS + 3, drop=True)


def draft_of(question: str) -> dict[str, Any]:
    """Return the body of a draft."""
    end = datetime.now(UTC) + timedelta(days=30)
    return {
        "question": question,
        "category": "other",
        "end_date": end.isoformat(timespec="seconds"),
        "liquidity": 10**8,
    }


class HostileSystem:
    """The system, and what it depends on.

    Attributes:
        system: Up, without the demo.
        chain: Its slots close by themselves, and faster on request.
        first: The preferred endpoint.
        second: The other one.
        stage: Wallets that act on the chain.
        pinata: Where files are pinned.
        market: An active market.
    """

    def __init__(
        self, system: RunningSystem, chain: Localnet, endpoints: list[Endpoint], pinata: Pinata
    ) -> None:
        self.system = system
        self.chain = chain
        self.first, self.second = endpoints
        self.pinata = pinata
        self._nodes = [proxy(f"{chain.rpc_url}/"), proxy(f"{chain.rpc_url}/lag/0")]
        for endpoint, node in zip(endpoints, self._nodes, strict=True):
            endpoint.answer(node)
        self._numbers, self._amounts = itertools.count(1), itertools.count()
        self.http = httpx.Client(base_url=system.api, timeout=120, trust_env=False)

    def prepare(self) -> None:
        """Fund wallets and open a market, once the system is up."""
        self.stage = Stage(self.chain)
        self.reader = AccountReader(RpcClient(f"{self.chain.rpc_url}/lag/0", 30), PROGRAM)
        self.market = self.propose()
        self.vote(self.market, Keypair())
        self.await_state(self.market, MarketState.ACTIVE)

    def close(self) -> None:
        self.http.close()

    # Misbehaving

    @contextmanager
    def first_answers(self, change: Change) -> Iterator[None]:
        """Let the preferred endpoint misbehave during the block."""
        self.first.answer(change(self._nodes[0]))
        try:
            yield
        finally:
            self.first.answer(self._nodes[0])

    @contextmanager
    def both_answer(self, change: Change) -> Iterator[None]:
        """Let both endpoints misbehave during the block."""
        self.second.answer(change(self._nodes[1]))
        try:
            with self.first_answers(change):
                yield
        finally:
            self.second.answer(self._nodes[1])

    @contextmanager
    def faults(self, *faults: dict[str, Any]) -> Iterator[None]:
        """Let the chain have faults during the block."""
        for fault in faults:
            self.chain.control.command("fault", **{"times": None} | fault)
        try:
            yield
        finally:
            self.chain.control.command("clear-faults")

    # Acting

    def propose(self) -> bytes:
        """Create a market on the chain; return its id once the API knows it."""
        market_id = self.stage.create(next(self._numbers))
        self.system.wait_for(
            lambda: self.http.get(f"/api/markets/{market_id.hex()}").status_code == 200,
            PATIENCE,
            "the market known",
        )
        return market_id

    def vote(self, market_id: bytes, voter: Keypair, envelope: Envelope = bytes) -> httpx.Response:
        """Like a proposal with a ballot that the wallet signs in an envelope."""
        path = f"/api/votes/proposal/{market_id.hex()}/message?vote=like"
        message = self.http.get(path).raise_for_status().json()["message"]
        signature = voter.sign_message(envelope(message.encode()))
        body = proof(voter, message) | {"signature": str(signature)}
        ballot = {"market_id": market_id.hex(), "vote": "like"}
        return self.http.post("/api/votes/proposal", json=body | ballot)

    def write(
        self, wallet: Keypair, path: str, body: dict[str, Any], envelope: Envelope = bytes
    ) -> httpx.Response:
        """Send a body with the wallet's signature in an envelope."""
        text = self.http.post(f"{path}/message", json=body).raise_for_status().json()["message"]
        signature = str(wallet.sign_message(envelope(text.encode())))
        return self.http.post(path, json=body | proof(wallet, text) | {"signature": signature})

    def trade(self) -> bytes:
        """Buy shares, never twice for the same amount; return the transaction's signature."""
        return self.stage.buy(self.market, cost=SOL // 10 + next(self._amounts))

    # Observing

    def await_state(self, market_id: bytes, state: MarketState) -> None:
        """Wait until the market's account has a state."""

        def reached() -> bool:
            found = self.reader.market(market_id, "confirmed").value
            return found is not None and found.state == state

        self.system.wait_for(reached, PATIENCE, f"{address(market_id)} {state.name}")

    def commitments(self, signature: bytes) -> list[str]:
        """Return the commitments of the readings of a trade's event."""
        found = self.system.query(
            "SELECT commitment FROM chain.events WHERE name = 'SharesBought'"
            f" AND signature = '\\x{signature.hex()}'"
        )
        return [str(row[0]) for row in found]

    def await_read(self, signature: bytes) -> None:
        """Wait until a trade has been read by RPC, whatever webhooks said of it."""
        self.system.wait_for(
            lambda: bool({"confirmed", "finalized"} & set(self.commitments(signature))),
            PATIENCE,
            f"{Signature(signature)} read",
        )

    def gaps(self) -> dict[bytes, tuple[str, str]]:
        """Return kind and reason of the open gaps by signature."""
        found = self.system.query(
            "SELECT signature, kind, reason FROM chain.gaps WHERE closed_at IS NULL"
        )
        return {bytes(row[0]): (str(row[1]), str(row[2])) for row in found}

    def covered(self) -> list[tuple[int, int]]:
        """Return the ranges of slots that are proved complete."""
        return [
            (int(first), int(last))
            for first, last in self.system.query(
                "SELECT lower(slots), upper(slots) - 1 FROM chain.coverage ORDER BY 1"
            )
        ]

    def read_window(self) -> str:
        """Finalize what has happened and read the window up to there; return the run's status."""
        self.chain.control.finalize()
        run = launch(self.system, "read_finalized_window")
        ended = ("SUCCESS", "FAILURE", "CANCELED")
        self.system.wait_for(
            lambda: run_status(self.system, run) in ended, PATIENCE, "the window read"
        )
        return run_status(self.system, run)

    def quantity(self, service: str, name: str) -> dict[str, Any]:
        """Return a quantity of health; empty while health cannot be measured."""
        for row in self.system.get("/health/services").get("services", []):
            if row["service"] == service:
                return next(dict(one) for one in row["quantities"] if one["name"] == name)
        return {}

    def alerts(self, topic: str) -> dict[bytes, str]:
        """Return the messages of the open alerts of a topic by market."""
        found = self.system.query(
            "SELECT market_id, message FROM ops.alerts"
            f" WHERE topic = '{topic}' AND cleared_at IS NULL"
        )
        return {bytes(row[0]): str(row[1]) for row in found}

    def intent(self, market_id: bytes, action: str) -> tuple[str, int, str]:
        """Return status, counted failures and reason of an intent; empty texts without one."""
        found = self.system.query(
            "SELECT status, failures, coalesce(reason, '') FROM ops.intents"
            f" WHERE market_id = '\\x{market_id.hex()}' AND action = '{action}'"
        )
        return (found[0][0], found[0][1], found[0][2]) if found else ("", 0, "")

    def times_on_chain(self, market_id: bytes, event: str) -> int:
        """Return how often an event of a market is in the ledger."""
        ((number,),) = self.system.query(
            "SELECT count(*) FROM chain.events WHERE commitment <> 'orphaned'"
            f" AND name = '{event}' AND market_id = '\\x{market_id.hex()}'"
        )
        return int(number)

    def failed_checks(self) -> dict[str, str]:
        """Run ``zmart check``; return what fails, with its text."""
        answer = self.system.run("check", "--json")
        rows = json.loads(answer.stdout)
        failed = {
            row["check"]: row["text"] for row in rows if row["verdict"] in ("fails", "not run")
        }
        assert (answer.returncode == 0) == (not failed), answer.stdout + answer.stderr
        return failed

    def assert_ledger_is_the_chain(self) -> None:
        """Assert that the ledger holds at finalized what the chain lists, and that checks hold."""
        self.chain.control.finalize()
        wanted = listed(self.chain)

        def stored() -> set[str]:
            rows = self.system.query(
                "SELECT signature FROM chain.transactions WHERE commitment = 'finalized'"
            )
            return {str(Signature(bytes(row[0]))) for row in rows}

        self.system.wait_for(lambda: wanted <= stored(), PATIENCE, "everything finalized read")
        self.system.wait_for(lambda: not self.gaps(), PATIENCE, "every gap closed")
        assert self.failed_checks() == {}
        assert stored() <= listed(self.chain)


@contextmanager
def hostile_system(folder: Path) -> Iterator[HostileSystem]:
    """A system that is up with an active market, and ended with all that it depends on."""
    with ExitStack() as opened:
        pinata = opened.enter_context(running_pinata())
        system = RunningSystem("--no-demo")
        opened.callback(system.discard)
        chain = Localnet(
            folder / "chain",
            *("--webhook-url", f"{system.api}/api/webhooks/helius"),
            environment={"HELIUS_WEBHOOK_SECRET": WEBHOOK_SECRET},
        )
        opened.callback(chain.close)
        endpoints = [Endpoint(), Endpoint()]
        for endpoint in endpoints:
            opened.callback(endpoint.close)
        made = HostileSystem(system, chain, endpoints, pinata)
        opened.callback(made.close)
        keys = chain.state / "keys"
        system.environment |= _SETTINGS | {
            "SOLANA_RPC_URLS": ",".join(endpoint.url for endpoint in endpoints),
            "BACKEND_AUTHORITY_KEYPAIR": str(keys / "backend.json"),
            "ADMIN_KEYPAIR": str(keys / "admin.json"),
            "RESOLVER_KEYPAIR": str(keys / "admin.json"),
            "PINATA_API_URL": pinata.url,
            "PINATA_GATEWAY_URL": f"{pinata.url}ipfs",
        }
        system.start()
        made.prepare()
        yield made
