"""``zmart up`` as a new user has it: the shared system, inspected while two markets live in it."""

import json

import pytest

from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import check_finished_markets, two_markets_finished

LIVES_SECONDS = 400


@pytest.fixture
def finished(running_system: RunningSystem) -> RunningSystem:
    """The shared system once its first two markets are finalized and paid out."""
    running_system.wait_for(
        lambda: two_markets_finished(running_system), LIVES_SECONDS, "two markets finished"
    )
    return running_system


def test_second_up_reports_the_running_system(running_system: RunningSystem) -> None:
    assert running_system.process is not None
    answer = running_system.run("up")
    assert answer.returncode == 3
    assert f"already running: pid {running_system.process.pid}" in answer.stderr
    assert running_system.api in answer.stderr


def test_port_in_use_is_named_with_its_remedy_and_nothing_starts(
    running_system: RunningSystem,
) -> None:
    other = RunningSystem(API_PORT=running_system.environment["API_PORT"])
    try:
        answer = other.run("up")
        assert answer.returncode == 4
        assert f"port {other.environment['API_PORT']} (for the API) is in use" in answer.stderr
        assert "choose another with API_PORT=" in answer.stderr
        assert other.processes() == []
        assert not (other.state / "logs" / "postgres.log").exists()
    finally:
        other.discard()


def test_two_markets_live_from_proposal_to_payout(finished: RunningSystem) -> None:
    check_finished_markets(finished)


def test_status_shows_processes_and_progress(finished: RunningSystem) -> None:
    assert finished.process is not None
    answer = finished.run("status", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    facts = json.loads(answer.stdout)
    assert facts["pid"] == finished.process.pid
    assert set(facts["processes"]) >= {"postgres", "redis", "localnet", "api", "daemon"}
    assert facts["database"]["markets"]["FINALIZED"] >= 2
    assert facts["database"]["ledger"]["quarantined"] == 0
    assert facts["lag_slots"] is not None
    assert "secret" not in answer.stdout.lower()
    assert "FINALIZED" in finished.run("status").stdout


def test_data_checks_pass(finished: RunningSystem) -> None:
    answer = finished.run("check", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_submitted_tallies_can_be_recounted(finished: RunningSystem) -> None:
    bundles = finished.query(
        "SELECT bundle_cid FROM voting.tallies WHERE status = 'frozen' AND bundle_cid IS NOT NULL"
    )
    assert len(bundles) >= 3, "two proposals and a dispute"
    for (cid,) in bundles:
        answer = finished.run("verify-tally", cid)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "every proof is valid" in answer.stdout
    gateway = f"{finished.api}/ipfs"
    submitted = (
        "SELECT encode(market_id, 'hex') FROM market.markets ORDER BY created_at, market_id LIMIT 2"
    )
    for (market,) in finished.query(submitted):
        answer = finished.run("verify-tally", market, "--gateway", gateway)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    assert finished.run("verify-tally", "QmNotThere").returncode == 2


def test_rebuild_of_a_correct_projection_changes_nothing(finished: RunningSystem) -> None:
    answer = finished.run("rebuild", "--json")
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report["markets"] >= 2
    assert report["changed"] == []
    assert json.loads(finished.run("redecode", "--json").stdout)["quarantined"] == 0


def test_secrets_stay_in_private_files(finished: RunningSystem) -> None:
    secrets = [path.read_text() for path in (finished.state / "secrets").iterdir()]
    assert secrets
    for log in (finished.state / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], f"a secret is in {log.name}"
    for path in [*(finished.state / "secrets").iterdir(), finished.state / "environment"]:
        assert path.stat().st_mode & 0o077 == 0


def test_state_folder_is_closed_to_others(running_system: RunningSystem) -> None:
    """Under root the server's account passes through the folder itself and owns its own part."""
    server = running_system.state / "postgres"
    found = [
        path
        for path in running_system.state.rglob("*")
        # Files of the server may disappear meanwhile; its folder is closed as a whole.
        if server not in path.parents
        and path != running_system.output
        and not path.is_symlink()
        and path.exists()
        and path.stat().st_mode & 0o077
    ]
    assert found == []
