"""The command line: ready line, exit codes, ports, locks, key files."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from tests.fixtures.localnet import Localnet, StartLocalnet
from tests.localnet.wallets import SOL

pytestmark = pytest.mark.process


def start(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "localnet", *flags], capture_output=True, text=True, timeout=90
    )


def test_help_explains_every_flag() -> None:
    done = start("--help")
    assert done.returncode == 0
    for flag in ("--port", "--state", "--seed", "--manual-clock", "--no-webhook", "--program"):
        assert flag in done.stdout


def test_port_in_use_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = start("--port", str(port), "--state", str(tmp_path / "state"))
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "state").exists()


def test_state_folder_is_used_by_one_chain_at_a_time(localnet: Localnet) -> None:
    done = start("--port", "0", "--state", str(localnet.state))
    assert done.returncode == 2
    assert "used by another local chain" in done.stderr


def test_file_that_is_not_a_program_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.so"
    wrong.write_bytes(b"not an ELF")
    done = start("--port", "0", "--state", str(tmp_path / "state"), "--program", str(wrong))
    assert done.returncode == 2
    assert "wrong.so: not an SBF program" in done.stderr


def test_key_files_are_private_and_standard(localnet: Localnet) -> None:
    folder = localnet.state / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    for role in ("admin", "backend", "fee", "faucet"):
        file = folder / f"{role}.json"
        assert file.stat().st_mode & 0o777 == 0o600
        numbers = json.loads(file.read_text())
        assert len(numbers) == 64
        assert Keypair.from_bytes(bytes(numbers)) == localnet.keys[role]
        lamports = localnet.result("getBalance", str(localnet.keys[role].pubkey()))["value"]
        assert lamports >= SOL - 100_000


def test_sigterm_and_sigint_stop_cleanly_with_clients_connected(
    start_localnet: StartLocalnet,
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        chain = start_localnet()
        with httpx.Client() as client, socket.create_connection(("127.0.0.1", chain.port + 1)):
            client.get(f"{chain.rpc_url}/health")
            chain.process.send_signal(number)
            assert chain.process.wait(60) == 0
        assert chain.log() == ""


def test_chain_stopped_by_a_signal_keeps_its_open_slot(localnet: Localnet) -> None:
    wallet = Keypair().pubkey()
    localnet.result("requestAirdrop", str(wallet), SOL)
    localnet.restart()
    assert localnet.result("getBalance", str(wallet), {"commitment": "processed"})["value"] == SOL


def test_automatic_clock_follows_the_machine(ticking_localnet: Localnet) -> None:
    asked, first, _ = clock(ticking_localnet)
    assert 0 <= asked - first["unix_time"] <= 60
    second = first
    while second["slot"] < first["slot"] + 2 or second["unix_time"] == first["unix_time"]:
        time.sleep(0.1)
        _, second, answered = clock(ticking_localnet)
    passed = answered - asked
    assert second["slot"] - first["slot"] <= passed * 10 + 1
    assert second["unix_time"] - first["unix_time"] <= passed + 1
    ticking_localnet.control.advance(seconds=1000)
    ticking_localnet.restart(kill=True)
    _, after, answered = clock(ticking_localnet)
    assert after["slot"] > second["slot"]
    assert 999 <= after["unix_time"] - second["unix_time"] <= 1001 + answered - asked


def clock(chain: Localnet) -> tuple[float, Any, float]:
    """Return the processed slot and time of the chain, and the times before and after asking."""
    before = time.time()
    status = chain.control.status()["processed"]
    return before, status, time.time()
