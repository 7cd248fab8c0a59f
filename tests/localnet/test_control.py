"""Forks, held finality, snapshots, and who may command."""

import sqlite3
import time
from pathlib import Path

import httpx
import pytest
from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet, StartLocalnet
from tests.localnet.wallets import SOL, blockhash, funded, pay, send, signed, status


def balance(chain: Localnet, address: object, commitment: str = "processed") -> int:
    value: int = chain.result("getBalance", str(address), {"commitment": commitment})["value"]
    return value


def test_fork_drops_confirmed_blocks_and_keeps_only_the_chosen_transactions(
    localnet: Localnet,
) -> None:
    wallet, kept_to, lost_to = funded(localnet), Keypair().pubkey(), Keypair().pubkey()
    localnet.control.finalize()
    recent = blockhash(localnet)
    kept = send(localnet, signed([pay(wallet, kept_to, SOL)], wallet, recent))["result"]
    localnet.control.advance()
    lost = send(localnet, signed([pay(wallet, lost_to, SOL)], wallet, recent))["result"]
    localnet.control.advance()
    assert [status(localnet, s)["confirmationStatus"] for s in (kept, lost)] == ["confirmed"] * 2
    before = localnet.control.status()

    assert localnet.control.fork(2, [kept]) == [lost]

    after = localnet.control.status()
    assert after["processed"]["slot"] == before["processed"]["slot"] + 1
    assert after["processed"]["height"] == before["processed"]["height"] - 2
    assert after["finalized"] == before["finalized"]
    assert status(localnet, lost, history=True) is None
    assert status(localnet, kept)["confirmationStatus"] == "processed"
    assert status(localnet, kept)["slot"] == after["processed"]["slot"]
    assert balance(localnet, lost_to) == 0
    assert balance(localnet, kept_to) == SOL
    assert balance(localnet, kept_to, "confirmed") == 0
    localnet.control.finalize()
    assert balance(localnet, kept_to, "finalized") == SOL
    assert balance(localnet, wallet.pubkey(), "finalized") == 9 * SOL - 5_000
    assert localnet.result("getTransaction", lost, {"maxSupportedTransactionVersion": 0}) is None
    rows = localnet.result("getSignaturesForAddress", str(wallet.pubkey()))
    assert [row["signature"] for row in rows][:1] == [kept]
    # The dropped slots stay empty.
    skipped = localnet.rpc("getBlock", before["processed"]["slot"] - 1)
    assert skipped["error"]["code"] == -32007
    # A dropped transaction may be sent again while its blockhash lives.
    again = signed([pay(wallet, lost_to, SOL)], wallet, recent)
    assert send(localnet, again)["result"] == lost


def test_fork_survives_a_kill(localnet: Localnet) -> None:
    wallet, to = funded(localnet), Keypair().pubkey()
    localnet.control.finalize()
    sent = send(localnet, signed([pay(wallet, to, SOL)], wallet, blockhash(localnet)))["result"]
    localnet.control.advance()
    localnet.restart(kill=True)
    assert localnet.control.fork(1, []) == [sent]
    localnet.restart(kill=True)
    assert balance(localnet, to) == 0
    assert balance(localnet, wallet.pubkey()) == 10 * SOL
    assert status(localnet, sent, history=True) is None


def test_finalized_blocks_are_never_forked(localnet: Localnet) -> None:
    with pytest.raises(ValueError, match="finalized"):
        localnet.control.fork(9, [])


def test_finality_can_be_held(localnet: Localnet) -> None:
    finalized = localnet.control.command("hold-finality")["finalized"]
    assert localnet.control.advance(slots=40)["finalized"] == finalized
    with pytest.raises(ValueError, match="held"):
        localnet.control.finalize()
    localnet.control.command("release-finality")
    status = localnet.control.advance()
    assert status["finalized"]["slot"] == status["processed"]["slot"] - 8


def test_paused_chain_closes_no_slots(ticking_localnet: Localnet) -> None:
    stopped = ticking_localnet.control.command("pause")["processed"]
    time.sleep(0.4)
    assert ticking_localnet.control.status()["processed"] == stopped
    ticking_localnet.control.command("resume")
    deadline = time.monotonic() + 60
    while ticking_localnet.control.status()["processed"]["slot"] == stopped["slot"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_snapshot_is_a_consistent_copy(localnet: Localnet, tmp_path: Path) -> None:
    wallet = funded(localnet)
    copy = tmp_path / "copy.sqlite"
    localnet.control.command("snapshot", path=str(copy))
    assert copy.stat().st_mode & 0o777 == 0o600
    rows = sqlite3.connect(copy).execute(
        "SELECT lamports FROM accounts WHERE address = ?", (bytes(wallet.pubkey()),)
    )
    assert rows.fetchall() == [(10 * SOL,)]
    with pytest.raises(ValueError, match="exists"):
        localnet.control.command("snapshot", path=str(copy))


def test_chain_resumes_from_a_snapshot(
    start_localnet: StartLocalnet, localnet: Localnet, tmp_path: Path
) -> None:
    wallet = funded(localnet)
    sent = send(localnet, signed([pay(wallet, wallet.pubkey(), 1)], wallet, blockhash(localnet)))
    localnet.control.advance()
    before = localnet.control.status()
    copy = tmp_path / "copy.sqlite"
    localnet.control.command("snapshot", path=str(copy))
    localnet.control.advance(slots=5, seconds=60)
    localnet.airdrop(wallet.pubkey())

    other = start_localnet("--snapshot", str(copy), "--seed", "99")
    for chain in (other, localnet):
        if chain is localnet:
            chain.control.command("restore", path=str(copy))
        now = chain.control.status()
        assert now["confirmed"] == before["confirmed"]
        assert now["genesis_hash"] == before["genesis_hash"]
        assert now["keys"] == before["keys"]
        assert balance(chain, wallet.pubkey()) == 10 * SOL - 5_000
        assert status(chain, sent["result"])["confirmationStatus"] == "confirmed"
        chain.airdrop(wallet.pubkey())
        assert balance(chain, wallet.pubkey()) == 11 * SOL - 5_000
    assert other.keys == localnet.keys


def test_file_that_is_not_a_snapshot_is_refused(localnet: Localnet, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not a database")
    before = localnet.control.status()
    for path in (wrong, tmp_path / "missing"):
        with pytest.raises(ValueError, match="snapshot"):
            localnet.control.command("restore", path=str(path))
    assert localnet.control.status() == before


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("nonsense", {}, "unknown command"),
        ("advance", {"slots": -1}, "slots"),
        ("advance", {"slot": 1}, "slot"),
        ("advance", {"slots": 10**9}, "slots"),
        ("advance", {"seconds": -5}, "never goes back"),
        ("advance", {"seconds": 10**14}, "seconds: must be between 0 and"),
        ("advance", {"seconds": 10**30}, "seconds"),
        ("advance", {"slots": True}, "slots"),
        ("fork", {"depth": 10**18}, "depth"),
        ("fork", {"depth": -1}, "depth"),
        ("fault", {"kind": "rate-limit", "retry_after": 10**14}, "retry_after"),
        ("fault", {"kind": "rate-limit", "retry_after": -1}, "retry_after"),
        ("fault", {"kind": "unhealthy", "slots": 10**14}, "slots"),
        ("fault", {"kind": "slow", "seconds": 10**14}, "seconds"),
        ("fault", {"kind": "server-error", "status": 10**14}, "status"),
        ("fault", {"kind": "slow", "times": 0}, "times"),
        ("snapshot", {"path": ""}, "exists"),
        ("snapshot", {"path": "/nowhere/at/all.sqlite"}, "No such file"),
        ("snapshot", {"path": "/\0"}, "null"),
        ("restore", {"path": ""}, "snapshot"),
        ("fork", {"depth": 1, "keep": ["x"]}, "Invalid"),
    ],
)
def test_invalid_commands_are_refused_with_the_reason(
    localnet: Localnet, name: str, arguments: dict[str, object], complaint: str
) -> None:
    before = localnet.control.status()
    with pytest.raises(ValueError, match=complaint):
        localnet.control.command(name, **arguments)
    assert localnet.control.status() == before


def test_jumps_end_before_the_year_2100(localnet: Localnet) -> None:
    year = 366 * 24 * 3600
    left = 4_102_444_800 - localnet.control.status()["processed"]["unix_time"]
    for _ in range(left // year):
        localnet.control.advance(seconds=year)
    with pytest.raises(ValueError, match="2100"):
        localnet.control.advance(seconds=year)
    assert localnet.control.status()["processed"]["unix_time"] < 4_102_444_800
    localnet.control.advance(slots=1, seconds=1)


def test_get_executes_no_command(localnet: Localnet) -> None:
    assert httpx.get(f"{localnet.rpc_url}/control/advance").status_code == 405


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"host": "rebound.example:8899"}]
)
def test_web_pages_cannot_send_commands(localnet: Localnet, headers: dict[str, str]) -> None:
    for path in ("advance", "status"):
        answer = httpx.post(f"{localnet.rpc_url}/control/{path}", json={}, headers=headers)
        assert answer.status_code == 403
