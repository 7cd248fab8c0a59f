"""Signed transactions that the API accepts in a second: simulated on the chain and stored."""

from __future__ import annotations

import json
import os
import time
from typing import Final

from solders.hash import Hash
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from benchmarks.ballots import CONNECTIONS, fresh_api, load, processor_seconds, require_all
from benchmarks.localnet import SOL, Chain, running_chain
from benchmarks.rows import Row
from tests.relay.signed_transactions import create_market, signed
from tests.relay.signed_transactions import text as encoded
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role

GOAL: Final = 100.0
PAYERS: Final = 20
_WARM_UP: Final = 50
_END_SECONDS: Final = 180
_STATES: Final = text("SELECT state, count(*) FROM ops.relayed_transactions GROUP BY state")


def relay(quick: bool) -> Row:
    """Measure transactions per second, accepted over open connections; all must be finalized."""
    total = 500 if quick else 3_000
    everything = total + _WARM_UP
    with (
        running_chain() as chain,
        fresh_api(solana_rpc_url=chain.url, relay_open_per_wallet=everything) as (
            api,
            writer,
            postgres,
        ),
    ):
        requests = _requests(chain, everything)
        require_all(load(api, requests[:_WARM_UP]), 201)
        before, node = processor_seconds(api, postgres), chain.cpu_seconds()
        started = time.perf_counter()
        answers = load(api, requests[_WARM_UP:])
        seconds = time.perf_counter() - started
        served, stored, _ = (
            after - at for after, at in zip(processor_seconds(api, postgres), before, strict=True)
        )
        node = chain.cpu_seconds() - node
        require_all(answers, 201)
        _await_finality(writer, everything)
        finality = time.perf_counter() - started
    rate = total / seconds
    return Row(
        "relay",
        round(rate, 1),
        "transactions/s accepted and stored",
        GOAL,
        f"{total} in {seconds:.1f} s over {CONNECTIONS} connections, all finalized after"
        f" {finality:.0f} s; processor time of one, beside sending and following the others: API"
        f" {served / total * 1e6:.0f} µs, Postgres {stored / total * 1e6:.0f} µs, local chain"
        f" {node / total * 1e6:.0f} µs; load {os.getloadavg()[0]:.1f}",
        rate >= GOAL,
    )


def _requests(chain: Chain, count: int) -> list[bytes]:
    """Return complete HTTP requests, each with the creation of another market."""
    payers = [Keypair() for _ in range(PAYERS)]
    for payer in payers:
        chain.call("requestAirdrop", str(payer.pubkey()), 1_000 * SOL)
    last, confirmed = str(payers[-1].pubkey()), {"commitment": "confirmed"}
    while chain.call("getBalance", last, confirmed)["value"] == 0:
        time.sleep(0.1)
    latest = chain.call("getLatestBlockhash", confirmed)
    recent = Hash.from_string(latest["value"]["blockhash"])
    return [_request(payers[number % PAYERS], number, recent) for number in range(1, count + 1)]


def _request(payer: Keypair, number: int, recent: Hash) -> bytes:
    transaction = signed(payer, [create_market(payer, number.to_bytes(32, "big"))], recent)
    body = json.dumps({"transaction": encoded(transaction)}).encode()
    head = (
        "POST /api/transactions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _await_finality(writer: Engine, count: int) -> None:
    """Wait until all are finalized; raise AssertionError where they are not."""
    owner = role_engine(Role.OWNER, writer.url.render_as_string(hide_password=False))
    deadline = time.monotonic() + _END_SECONDS
    try:
        while True:
            with owner.connect() as conn:
                states = {row[0]: row[1] for row in conn.execute(_STATES)}
            if states == {"finalized": count}:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"of {count} transactions not all were finalized: {states}")
            time.sleep(0.5)
    finally:
        owner.dispose()
