"""Killed under load, again and again, the chain loses nothing that was confirmed."""

import sqlite3
import threading
import time

import httpx
from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet
from tests.localnet.wallets import SOL, blockhash, encoded, pay, signed

CONFIRMED = {"commitment": "confirmed"}


def send_until_it_dies(chain: Localnet, wallet: Keypair, sent: list[str]) -> None:
    to = Keypair().pubkey()
    options = {"encoding": "base64", "skipPreflight": True}
    with httpx.Client(timeout=60) as client:
        try:
            recent = blockhash(chain)
            for number in range(100_000):
                tx = signed([pay(wallet, to, 1_000_000 + number)], wallet, recent)
                request = {"method": "sendTransaction", "params": [encoded(tx), options]}
                client.post(chain.rpc_url, json={"jsonrpc": "2.0", "id": 1, **request})
                sent.append(str(tx.signatures[0]))
        except httpx.TransportError:
            return


def wait_for_confirmed(chain: Localnet, sent: list[str]) -> list[str]:
    """Return those of the last signatures that are confirmed, once there are some."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        asked = sent[-200:]
        levels = chain.result("getSignatureStatuses", asked)["value"]
        confirmed = [
            text
            for text, level in zip(asked, levels, strict=True)
            if level and level["confirmationStatus"] != "processed"
        ]
        if confirmed:
            return confirmed
        time.sleep(0.1)
    raise AssertionError("none was confirmed")


def test_kill_under_load_keeps_confirmed_slots(ticking_localnet: Localnet) -> None:
    chain = ticking_localnet
    wallet = Keypair()
    chain.result("requestAirdrop", str(wallet.pubkey()), 1_000 * SOL)
    chain.control.finalize()
    total = chain.result("getSupply", {"commitment": "processed"})["value"]["total"]
    fees_before = chain.result("getTransactionCount", CONFIRMED)
    for _ in range(3):
        sent: list[str] = []
        sender = threading.Thread(target=send_until_it_dies, args=(chain, wallet, sent))
        sender.start()
        time.sleep(0.7)
        confirmed = wait_for_confirmed(chain, sent)
        slot = chain.result("getSlot", CONFIRMED)
        chain.restart(kill=True)
        sender.join(60)
        assert chain.result("getSlot", CONFIRMED) >= slot
        again = chain.result("getSignatureStatuses", confirmed)["value"]
        assert all(level and level["err"] is None for level in again)
        first = chain.result("getTransaction", confirmed[0], CONFIRMED | VERSION)
        assert first["meta"]["err"] is None
    chain.control.command("pause")
    chain.control.finalize()
    count = chain.result("getTransactionCount", CONFIRMED)
    left = chain.result("getSupply", {"commitment": "processed"})["value"]["total"]
    assert total - left == 5_000 * (count - fees_before)
    chain.stop()
    database = sqlite3.connect(chain.state / "chain.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("SELECT sum(lamports) FROM accounts").fetchone() == (left,)
    rows, mentions = (
        database.execute(f"SELECT count(DISTINCT id) FROM {table}").fetchone()
        for table in ("transactions", "mentions")
    )
    assert rows == mentions == (count,)


VERSION = {"maxSupportedTransactionVersion": 0}
