"""The TypeScript client's live updates while the API is killed again and again under trades."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

import pytest

from benchmarks.localnet import Traders
from clients.generation.node import NODE, install_packages
from clients.generation.typescript import PACKAGE
from tests.fixtures.running_system import PROJECT, RunningSystem
from tests.system.parts import kill

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

TRADE_PAUSE = 0.2
BLOCKHASH_TRADES = 20
BACK_SECONDS, VISIBLE_SECONDS = 120, 120
SENT = {"encoding": "base64", "preflightCommitment": "processed"}


class LiveReader:
    """A program that follows channels with the client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.connections = 0
        self.result: dict[str, list[dict[str, Any]]] = {}
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            self.connections += said.get("state") == "connected"
            self.result = said.get("received", self.result)

    def stop_at(self, heads: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
        """Return the updates by channel once it has all up to these positions."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(heads) + "\n")
        self._process.stdin.flush()
        assert self._process.wait(BACK_SECONDS) == 0
        self._reading.join(BACK_SECONDS)
        return self.result


@contextmanager
def following(
    system: RunningSystem, errors: IO[str], transport: str, *channels: str
) -> Iterator[LiveReader]:
    process = subprocess.Popen(
        [NODE, PROJECT / "tests/clients/live_reader.ts", system.api, transport, *channels],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    try:
        yield LiveReader(process)
    finally:
        process.kill()
        process.wait(60)


@contextmanager
def trading(traders: Traders) -> Iterator[list[str]]:
    """Trade while the block runs; yields the signatures."""
    stop, sent = threading.Event(), list[str]()

    def trade() -> None:
        number = 0
        while not stop.wait(TRADE_PAUSE):
            if number % BLOCKHASH_TRADES == 0:
                recent = traders.blockhash()
            # The program rejects a few whose rounding costs more than the bid.
            with suppress(RuntimeError):
                sent.append(traders.call("sendTransaction", traders.signed(number, recent), SENT))
            number += 1

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    with RunningSystem("--no-demo") as running:
        yield running


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_client_loses_and_doubles_nothing_over_kills(
    kills: int, system: RunningSystem, tmp_path_factory: pytest.TempPathFactory
) -> None:
    install_packages(PACKAGE)
    system.start()
    node = f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}"
    traders = Traders(node, system.state / "localnet")
    market = bytes(32).hex()
    state = f"/api/markets/{market}"
    system.wait_for(
        lambda: system.get(state).get("state") == "ACTIVE", VISIBLE_SECONDS, "the market active"
    )
    whole, trades = f"market:{market}", f"market:{market}:trades"
    with ExitStack() as stack:
        errors = stack.enter_context((tmp_path_factory.mktemp("live") / "errors").open("w+"))
        readers = [
            stack.enter_context(following(system, errors, transport, whole, trades))
            for transport in ("websocket", "sse")
        ]
        system.wait_for(lambda: all(one.connections for one in readers), BACK_SECONDS, "connected")
        with trading(traders) as sent:
            for _ in range(kills):
                before = [one.connections for one in readers]
                kill(system.pid("api"))
                _wait_until_connected_again(system, readers, before)
                time.sleep(1)
        system.wait_for(
            lambda: {one["tx_signature"] for one in _all_trades(system, market)} >= set(sent),
            VISIBLE_SECONDS,
            "all trades visible",
        )
        heads = {whole: _head(system, whole), trades: _head(system, whole, "trade")}
        for reader in readers:
            received = reader.stop_at(heads)
            _check_frames(system, received[whole], whole)
            _check_frames(system, received[trades], whole, "trade")
            _check_state(system, market, received[whole], received[trades])
            assert reader.connections > kills
        errors.seek(0)
        assert errors.read() == ""
    assert len(sent) > kills


def _wait_until_connected_again(
    system: RunningSystem, readers: list[LiveReader], before: list[int]
) -> None:
    def are_connected() -> bool:
        return all(one.connections > number for one, number in zip(readers, before, strict=True))

    system.wait_for(are_connected, BACK_SECONDS, "connected again")


def _where(channel: str, type_: str | None) -> str:
    return f"channel = '{channel}'" + (f" AND type = '{type_}'" if type_ else "")


def _head(system: RunningSystem, channel: str, type_: str | None = None) -> int:
    query = f"SELECT max(position) FROM ops.stream WHERE {_where(channel, type_)}"
    ((head,),) = system.query(query)
    return int(head)


def _check_frames(
    system: RunningSystem, updates: list[dict[str, Any]], channel: str, type_: str | None = None
) -> None:
    """One snapshot, then every stored frame once and in order."""
    assert [one["kind"] for one in updates] == ["snapshot"] + ["frame"] * (len(updates) - 1)
    positions = [one["seq"] for one in updates]
    stored = system.query(
        f"SELECT position FROM ops.stream WHERE {_where(channel, type_)}"
        f" AND position > {positions[0]} ORDER BY position"
    )
    assert positions[1:] == [position for (position,) in stored]


def _all_trades(system: RunningSystem, market: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = f"/api/markets/{market}/trades?limit=200"
    while path is not None:
        page = system.get(path)
        found += page["trades"]
        path = (
            f"/api/markets/{market}/trades?limit=200&cursor={page['next']}"
            if page["next"]
            else None
        )
    return found


def _check_state(
    system: RunningSystem,
    market: str,
    whole: list[dict[str, Any]],
    trades: list[dict[str, Any]],
) -> None:
    """What the frames lead to is what REST says."""
    known = {one["id"]: one for one in trades[0]["state"]["trades"]}
    for update in trades[1:]:
        known[update["data"]["id"]] = update["data"]
    stored = {one["id"]: one for one in _all_trades(system, market)}
    assert known.keys() == stored.keys()
    for name, trade in stored.items():
        same = {key: known[name][key] for key in trade.keys() - {"commitment"}}
        assert same == {key: trade[key] for key in same}
    shown = [one["data"]["market"] for one in whole[1:] if one["type"] == "market_state"][-1]
    now = system.get(f"/api/markets/{market}")
    # The chain's finality rises without a frame, as it does for trades.
    same = {key: value for key, value in shown.items() if key != "commitment"}
    assert same == {key: now[key] for key in same}
