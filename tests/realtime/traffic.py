"""Trades through the local chain, and votes and comments through the API, at a steady rate."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

from solders.keypair import Keypair

from benchmarks.localnet import SENT, Traders
from benchmarks.mixed_users import Scene
from benchmarks.open_loop import Call, User
from benchmarks.wallet_calls import COMMENT, WalletCalls, service_of
from tests.fixtures.running_system import RunningSystem

PROPOSED: Final = 5
TRADED: Final = 2
_WRITES: Final = {"ballot": 3, COMMENT: 2}
_BLOCKHASH_TRADES: Final = 20
_VISIBLE_SECONDS: Final = 120


class Traffic:
    """Markets of a running system, and those who trade, vote and comment in them.

    Attributes:
        markets: Ids of all markets in hexadecimal.
        done: How many trades, ballots and comments were accepted.
    """

    def __init__(self, system: RunningSystem, seed: int) -> None:
        self._system = system
        self._dice = random.Random(f"{seed}:traffic")
        self._port = int(system.environment["API_PORT"])
        self._service = service_of(system.api)
        self._proposed = list(Scene(system, PROPOSED).markets)
        node = f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}"
        self._traders = [
            Traders(node, system.state / "localnet", self._dice.randbytes(32))
            for _ in range(TRADED)
        ]
        traded = [one.market_id.hex() for one in self._traders]
        self.markets: Sequence[str] = [*self._proposed, *traded]
        self.done: Counter[str] = Counter()

    @property
    def wallets(self) -> list[Keypair]:
        """The wallets that trade, those of each market in turn."""
        by_market = [one.wallets for one in self._traders]
        return [wallet for several in zip(*by_market, strict=True) for wallet in several]

    def wait_until_visible(self) -> None:
        """Wait until the API shows the traded markets as active."""
        self._system.wait_for(self._is_visible, _VISIBLE_SECONDS, "active")

    def _is_visible(self) -> bool:
        markets = (self._system.get(f"/api/markets/{one.market_id.hex()}") for one in self._traders)
        return all(market.get("state") == "ACTIVE" for market in markets)

    async def run(self, trades: float, writes: float) -> None:
        """Go on with so many trades and writes in a second until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trade(1 / trades))
            group.create_task(self._write(1 / writes))

    async def _trade(self, pause: float) -> None:
        number = 0
        while True:
            trader = self._dice.choice(self._traders)
            if number % _BLOCKHASH_TRADES == 0:
                recents = {one: await asyncio.to_thread(one.blockhash) for one in self._traders}
            signed = trader.signed(number, recents[trader])
            try:
                await asyncio.to_thread(trader.call, "sendTransaction", signed, SENT)
                self.done["trades"] += 1
            except RuntimeError:  # the program rejects a few whose rounding costs more than the bid
                self.done["rejected"] += 1
            number += 1
            await asyncio.sleep(pause)

    async def _write(self, pause: float) -> None:
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:
                # A wallet that writes once; its address has the limits of its own.
                wallet = WalletCalls(
                    Keypair.from_seed(self._dice.randbytes(32)),
                    self._service,
                    self._proposed,
                    self._dice.randrange(2**32) % 1000,
                    {},
                )
                (call,) = wallet.take(1, _WRITES)
                group.create_task(self._send(User(number, self._port), call))
                number += 1
                await asyncio.sleep(pause)

    async def _send(self, user: User, call: Call) -> None:
        try:
            status, _ = await user.send(call)
        except (OSError, ValueError, TimeoutError):
            status = 0  # the API was killed; whether it took effect shows in the stream
        self.done[f"{call.kind}s" if 200 <= status < 300 else f"{call.kind} {status}"] += 1
        user.close()
