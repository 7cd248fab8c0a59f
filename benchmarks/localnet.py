"""The local chain under load: signed trades through JSON-RPC, and what they leave in memory.

One client sends batches of 100 ``sendTransaction`` with a preflight at processed; every trade
is a real ``buy_shares``. The figure is trades per second of the node's own processor time,
that is on one core; the client, which signs, uses the other.

Where the time goes (per trade of 25,000 compute units, measured in the process): 320 us in
LiteSVM, which interprets the program, 65 us in ed25519, 95 us in the node itself, the rest in
HTTP, JSON and the closing of slots. The first two set the limit.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from benchmarks.rows import Row
from localnet.keys import read_keys
from zmart_pipelines.program import instructions
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM

SOL: Final = 1_000_000_000
BATCH: Final = 100
USERS: Final = 20
GOAL_TRADES: Final = 2_000.0
GOAL_GROWTH: Final = 0.25
_TICKS: Final = 100
_COSTS: Final = 5_000
SENT: Final = {"encoding": "base64", "preflightCommitment": "processed"}


class Traders:
    """An active market of this id on a node, and funded wallets that buy in it."""

    def __init__(self, url: str, state: Path, market_id: bytes = bytes(32)) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=120)
        keys = read_keys(state / "keys")
        self._admin, self._fee = keys["admin"], keys["fee"].pubkey()
        self.market_id = market_id
        self.market, _ = market_address(PROGRAM, market_id)
        self._traders = [(key := Keypair(), key.pubkey()) for _ in range(USERS)]
        self._open(keys["backend"])

    @property
    def wallets(self) -> list[Keypair]:
        """The wallets that buy."""
        return [wallet for wallet, _ in self._traders]

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._http.post("/", json=body).json()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def blockhash(self) -> Hash:
        """Return the newest blockhash, which keeps a transaction valid for 150 blocks."""
        latest = self.call("getLatestBlockhash", {"commitment": "processed"})
        return Hash.from_string(latest["value"]["blockhash"])

    def _open(self, backend: Keypair) -> None:
        admin = self._admin.pubkey()
        create = instructions.create_market(
            PROGRAM,
            creator=admin,
            market_id=self.market_id,
            b_parameter=100 * SOL,
            initial_liquidity=SOL,
            question_hash=b"Q" * 46,
        )
        aggregate = instructions.aggregate_proposal_votes(
            PROGRAM, backend_authority=backend.pubkey(), market=self.market, likes=10, dislikes=0
        )
        approve = instructions.approve_proposal(PROGRAM, admin=admin, market=self.market)
        activate = instructions.activate_market(PROGRAM, authority=admin, market=self.market)
        for payer, step in (
            (self._admin, create),
            (backend, aggregate),
            (self._admin, approve),
            (self._admin, activate),
            # Off balance, where the program rejects the smallest buys.
            (self._admin, self._buy(admin, SOL)),
        ):
            self.call("sendTransaction", _encoded(step, payer, self.blockhash()), SENT)
        for _, trader in self._traders:
            self.call("requestAirdrop", str(trader), 1_000 * SOL)

    def _buy(self, trader: Any, cost: int, outcome: bool = True) -> Instruction:
        return instructions.buy_shares(
            PROGRAM,
            user=trader,
            market=self.market,
            protocol_fee_wallet=self._fee,
            outcome=outcome,
            target_cost=cost,
        )

    def signed(self, number: int, recent: Hash) -> str:
        """Return buy ``number`` in base64; each number gives a different one."""
        key, trader = self._traders[number % USERS]
        cost = 2_000_000 + number % _COSTS
        return _encoded(self._buy(trader, cost, bool(number & 1)), key, recent)


class Chain(Traders):
    """A node process under load."""

    def __init__(self, url: str, state: Path, process: subprocess.Popen[str]) -> None:
        super().__init__(url, state)
        self._process = process
        self.refused = 0

    def trade(self, first: int, count: int) -> tuple[float, str]:
        """Send trades; return the seconds waited for the answers and the last signature."""
        wall, last = 0.0, ""
        for start in range(first, first + count, BATCH):
            recent = self.blockhash()
            batch = []
            for number in range(start, start + BATCH):
                params = [self.signed(number, recent), SENT]
                batch.append(
                    {"jsonrpc": "2.0", "id": number, "method": "sendTransaction", "params": params}
                )
            body = json.dumps(batch).encode()
            begun = time.perf_counter()
            answers = self._http.post("/", content=body).json()
            wall += time.perf_counter() - begun
            failed = [answer["error"] for answer in answers if "error" in answer]
            if len(failed) > len(answers) // 10:
                raise RuntimeError(failed[0])
            # The program rejects a few whose rounding would cost more than the bid.
            self.refused += len(failed)
            last = next(answer["result"] for answer in answers if "result" in answer)
        return wall, last

    def cpu_seconds(self) -> float:
        """Return the processor time that the node has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().split()
        return (int(fields[13]) + int(fields[14])) / _TICKS

    def megabytes(self) -> float:
        """Return the resident memory of the node."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _encoded(instruction: Instruction, payer: Keypair, recent: Hash) -> str:
    message = MessageV0.try_compile(payer.pubkey(), [instruction], [], recent)
    return base64.b64encode(bytes(VersionedTransaction(message, [payer]))).decode()


@contextmanager
def running_chain() -> Iterator[Chain]:
    """Yield a temporary node with the machine's clock."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        command = [sys.executable, "-m", "localnet", "--port", "0", "--no-webhook"]
        process = subprocess.Popen(
            [*command, "--state", str(state)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield Chain(process.stdout.readline().split()[1], state, process)
        finally:
            process.terminate()
            process.wait(30)


def localnet_trades(quick: bool) -> Row:
    """Measure signed trades per second of one core."""
    count = 2_000 if quick else 20_000
    with running_chain() as chain:
        chain.trade(0, BATCH)
        before = chain.cpu_seconds()
        wall, _ = chain.trade(BATCH, count)
        # Everything that the node did counts, the closing of slots included.
        value = round(count / (chain.cpu_seconds() - before))
    rival = f"{count} trades in {wall:.1f} s of waiting for answers"
    return Row("localnet_trades", value, "trades/cpu s", GOAL_TRADES, rival, value >= GOAL_TRADES)


def localnet_memory(quick: bool) -> Row:
    """Measure the growth of memory from the first tenth of many trades to the last."""
    count = 10_000 if quick else 100_000
    with running_chain() as chain:
        _, early = chain.trade(0, count // 10)
        first = chain.megabytes()
        _, late = chain.trade(count // 10, count - count // 10)
        last = chain.megabytes()
        time.sleep(1)
        options = {"maxSupportedTransactionVersion": 0, "commitment": "confirmed"}
        if not all(chain.call("getTransaction", text, options) for text in (early, late)):
            raise AssertionError("a trade is not in the history")
        counted = chain.call("getTransactionCount", {"commitment": "processed"})
        if counted < count - chain.refused:
            raise AssertionError(f"{counted} of {count} transactions counted")
    growth = round(last / first - 1, 3)
    rival = f"{first:.0f} MB after {count // 10} trades, {last:.0f} MB after {count}"
    return Row("localnet_memory", growth, "growth", GOAL_GROWTH, rival, growth <= GOAL_GROWTH)
