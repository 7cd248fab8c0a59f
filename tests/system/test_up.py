"""``zmart up`` as a new user has it: one system, looked at while two markets live in it."""

import json
import signal
import time
from collections.abc import Iterator

import pytest

from tests.system.market_lives import check_finished_markets, two_markets_finished
from tests.system.running_system import RunningSystem

pytestmark = [pytest.mark.process, pytest.mark.timeout(480)]

LIVES_WITHIN = 300


@pytest.fixture(scope="module")
def system() -> Iterator[RunningSystem]:
    running = RunningSystem()
    try:
        running.start()
        yield running
    finally:
        running.discard()


def test_a_second_up_says_that_it_is_up_and_where(system: RunningSystem) -> None:
    assert system.process is not None
    answer = system.run("up")
    assert answer.returncode == 3
    assert f"already up: pid {system.process.pid}" in answer.stderr
    assert system.api in answer.stderr


def test_a_taken_port_is_named_with_its_remedy_and_nothing_starts(system: RunningSystem) -> None:
    other = RunningSystem(API_PORT=system.environment["API_PORT"])
    try:
        answer = other.run("up")
        assert answer.returncode == 4
        assert f"port {other.environment['API_PORT']} (for the API) is taken" in answer.stderr
        assert "choose another with API_PORT=" in answer.stderr
        assert other.processes() == []
        assert not (other.state / "logs" / "postgres.log").exists()
    finally:
        other.discard()


def test_two_markets_live_from_proposal_to_payout(system: RunningSystem) -> None:
    started = time.monotonic()
    system.wait_for(
        lambda: two_markets_finished(system), LIVES_WITHIN, "the markets did not finish"
    )
    assert time.monotonic() - started < LIVES_WITHIN
    check_finished_markets(system)


def test_status_shows_what_runs_and_how_far_it_is(system: RunningSystem) -> None:
    assert system.process is not None
    answer = system.run("status", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    facts = json.loads(answer.stdout)
    assert facts["pid"] == system.process.pid
    assert set(facts["processes"]) >= {"postgres", "redis", "localnet", "api", "daemon"}
    assert facts["database"]["markets"]["FINALIZED"] >= 2
    assert facts["database"]["ledger"]["quarantined"] == 0
    assert facts["lag_slots"] is not None
    assert "secret" not in answer.stdout.lower()
    text = system.run("status").stdout
    assert "FINALIZED" in text


def test_the_data_checks_hold_and_exit_green(system: RunningSystem) -> None:
    answer = system.run("check", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_anybody_can_recount_what_was_submitted(system: RunningSystem) -> None:
    bundles = system.query(
        "SELECT bundle_cid FROM voting.tallies WHERE status = 'frozen' AND bundle_cid IS NOT NULL"
    )
    assert len(bundles) >= 3, "two proposals and a dispute"
    for (cid,) in bundles:
        answer = system.run("verify-tally", cid)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "every proof holds" in answer.stdout
    gateway = f"http://127.0.0.1:{system.environment['API_PORT']}/ipfs"
    for (market,) in system.query("SELECT encode(market_id, 'hex') FROM market.markets"):
        answer = system.run("verify-tally", market, "--gateway", gateway)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    assert system.run("verify-tally", "QmNotThere").returncode == 2


def test_a_rebuild_of_a_sound_projection_changes_nothing(system: RunningSystem) -> None:
    answer = system.run("rebuild", "--json")
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report["markets"] >= 2
    assert report["changed"] == []
    assert json.loads(system.run("redecode", "--json").stdout)["quarantined"] == 0


def test_secrets_stay_in_closed_files(system: RunningSystem) -> None:
    secrets = [path.read_text() for path in (system.state / "secrets").iterdir()]
    assert secrets
    for log in (system.state / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], f"a secret is in {log.name}"
    for path in [*(system.state / "secrets").iterdir(), system.state / "environment"]:
        assert path.stat().st_mode & 0o077 == 0


def test_ctrl_c_stops_everything_and_leaves_nothing(system: RunningSystem) -> None:
    assert system.process is not None
    assert len(system.processes()) >= 8
    seconds = system.stop(signal.SIGINT)
    assert seconds < 30
    assert system.process.returncode == 0
    assert system.processes() == []
    assert list((system.state / "run").iterdir()) == []


def test_a_new_start_goes_on_where_it_was(system: RunningSystem) -> None:
    before = system.output.stat().st_size
    system.start()
    try:
        assert system.states()["FINALIZED"] >= 2
        facts = json.loads(system.run("status", "--json").stdout)
        assert facts["database"]["ledger"]["quarantined"] == 0
        said = system.output.read_bytes()[before:].decode()
        assert "market 1 " not in said, "a market that is over is not played again"
    finally:
        system.stop(signal.SIGTERM)
    assert system.processes() == []
