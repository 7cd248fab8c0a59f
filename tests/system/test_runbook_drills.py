"""Drills of the runbooks on one running system.

Each causes a fault, waits for its alert, runs the commands of the page as they stand there, and
ends with the page's own exit command. Only what the page names in capitals, and the port of the
API, is filled in. Time that only passes (an hour without restarts) is taken off the rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from solders.keypair import Keypair
from websockets.sync.client import connect

from demo.api import ApiClient, ApiRefused
from demo.chain import Chain
from demo.environment import Environment
from demo.questions import TOPICS
from demo.script import Vote
from tests.docs import runbook_pages
from tests.fixtures.alert_receivers import Slack
from tests.fixtures.processes import process_name
from tests.fixtures.running_system import RunningSystem
from tests.ipfs.gateway_server import running_gateway
from tests.system.broken_folders import file_in_its_place
from tests.system.runbook_drills import (
    ALERT_SECONDS,
    OVER_SECONDS,
    Drills,
    empty,
    fund,
    send_signed,
)
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.store.engine import Role

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FILE = b"never pinned here"
FILE_PATH = f"/api/discussions/ipfs/{cid_v0(FILE)}"
# Bytes from which on the pin store counts as too full; the demo pins far less.
PINNED_BYTES = 50_000_000
SOCKETS = 6


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drills]:
    """One system for all drills, with low thresholds, the demo and a receiver of alerts."""
    slack = Slack()
    backups = tmp_path_factory.mktemp("backups")
    with running_gateway() as gateway:
        system = RunningSystem(
            # No drill waits for the pause after a message about the drill before it.
            ALERT_GROUP_SECONDS="1",
            ALERT_INTERVAL_SECONDS="1",
            ALERT_WEBHOOK_URL=slack.address.get_secret_value(),
            BACKUP_TARGET=backups.as_uri(),
            CONFIG_ALERT_SECONDS="60",
            DAEMON_SILENCE_SECONDS="60",
            DISK_USED_PERCENT=f"{disk_limit()}/100",
            HEALTH_CONFIRMED_LAG_SECONDS="40/600",
            IPFS_GATEWAYS=gateway.url,
            IPFS_GATEWAY_EJECTION_SECONDS="1",
            MONITOR_SILENCE_SECONDS="100",
            PIN_STORAGE_BYTES=f"{PINNED_BYTES}/{10 * PINNED_BYTES}",
            RATE_LIMIT_SEARCH="5",
            REFUSED_REQUESTS_PER_HOUR="10",
            RESTARTS_PER_HOUR="1",
            SOCKET_DROP_CLIENTS=str(SOCKETS - 1),
            WATCHDOG_DATABASE_SECONDS="5",
        )
        try:
            system.start()
            yield Drills(system, slack, gateway, backups)
        finally:
            system.discard()
            slack.close()


def disk_limit() -> int:
    """The first whole percent well above what the disk of the state folders has in use."""
    return int(used_percent() + 0.6) + 1


def used_percent() -> float:
    disk = shutil.disk_usage("/tmp")
    return 100 * disk.used / (disk.used + disk.free)


def get(drills: Drills, path: str) -> int:
    """The status of an answer of the API."""
    return httpx.get(f"{drills.system.api}{path}", timeout=60, trust_env=False).status_code


def test_switch(drills: Drills) -> None:
    """Another switch stays off: the page switches on what its cause was, not everything."""
    for action in ("finalize_market", "activate_market"):
        done = drills.run(f'zmart switch {action} off --reason "a drill of {action}"')
        assert done.returncode == 0, done.stderr
    over = "zmart switch activate_market on"
    with contextlib.ExitStack() as after:
        after.callback(drills.run, over)
        drills.follow(
            "switch",
            shows="a drill of finalize_market",
            values={"ACTION": "finalize_market"},
            mend=lambda: drills.run(over),
        )
    states = drills.run("zmart switch").stdout
    assert "off" not in states.split(), states


def test_run(drills: Drills) -> None:
    """A job fails; what was in its way is removed, and it is launched again."""
    folder = drills.backups
    with file_in_its_place(folder):
        assert drills.await_run("back_up") == "FAILURE"
        drills.await_alert("run")
    drills.follow("run", shows="back_up", mend=lambda: drills.await_run("back_up"))
    assert any(folder.iterdir())


def test_database_connections(drills: Drills) -> None:
    """Connections that nothing uses are held by one role, until they are closed."""
    login = drills.system.login(Role.READ)
    held: list[psycopg.Connection[Any]] = []

    def close() -> None:
        while held:
            held.pop().close()

    try:
        (limit,) = drills.system.query("SELECT current_setting('max_connections')::int")[0]
        (taken,) = drills.system.query("SELECT count(*) FROM pg_stat_activity")[0]
        while taken + len(held) < limit * 0.75:
            held.append(psycopg.connect(login))
        drills.follow(
            "database_connections",
            shows="zmart_read",
            mend=close,
        )
    finally:
        close()


def test_alert_delivery(drills: Drills) -> None:
    """The receiver answers 500 while an alert is to be sent, then accepts it."""
    drills.slack.status = 500
    folder = drills.backups
    try:
        with file_in_its_place(folder):
            assert drills.await_run("back_up") == "FAILURE"
        drills.follow(
            "alert_delivery",
            shows="500",
            mend=lambda: setattr(drills.slack, "status", 200),
        )
    finally:
        drills.slack.status = 200
        drills.await_run("back_up")


def test_bundle_not_pinned(drills: Drills) -> None:
    """The folder of the pins is gone when the demo's next tally is to be pinned."""
    page = runbook_pages.parts(runbook_pages.pages()["bundle_not_pinned"].read_text())
    (over,) = runbook_pages.commands(page["It is over when"])
    # Before that the demo's drafts are pinned: without the folder no market would be proposed.
    drills.system.wait_for(
        lambda: drills.system.states().get("PROPOSED", 0) > 0, 400, "proposing a market"
    )
    with file_in_its_place(drills.system.state / "ipfs"):
        drills.await_exit(over, 1, ALERT_SECONDS, "the alert bundle_not_pinned")
        queries = runbook_pages.commands(page["First query"])
        shown = "".join(drills.run(command).stdout for command in queries)
        assert "proposal" in shown, shown
    for command in runbook_pages.commands(page["Safe action"]):
        assert drills.run(command).returncode == 0, command
    drills.await_exit(over, 0, OVER_SECONDS, "the end of bundle_not_pinned")


def test_daemon_silent(drills: Drills) -> None:
    """The daemon hangs; it is ended by its process id, and the supervisor starts it again."""
    pid = drills.system.pid("daemon")
    psutil.Process(pid).suspend()
    drills.follow("daemon_silent", shows=str(pid), values={"PID": str(pid)})
    assert drills.system.pid("daemon") != pid


def test_monitor_silent(drills: Drills) -> None:
    """Its sensor is off, until it is switched on in Dagster."""
    drills.turn_sensor("monitor_sensor", on=False)
    try:
        drills.follow(
            "monitor_silent",
            shows="monitor",
            mend=lambda: drills.turn_sensor("monitor_sensor", on=True),
        )
    finally:
        drills.turn_sensor("monitor_sensor", on=True)


def test_database_unreachable(drills: Drills) -> None:
    """Postgres hangs: the watchdog sends a message by itself, and one when it answers again."""
    postgres = [one for one in drills.system.processes() if process_name(one) == "postgres"]
    for process in postgres:
        process.send_signal(signal.SIGSTOP)

    def resume() -> None:
        for process in postgres:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    def texts() -> str:
        return "\n".join(drills.slack.texts)

    try:
        drills.system.wait_for(
            lambda: "Postgres does not answer" in texts(), ALERT_SECONDS, "reporting Postgres"
        )
        page = runbook_pages.parts(runbook_pages.pages()["database_unreachable"].read_text())
        (over,) = runbook_pages.commands(page["It is over when"])
        assert drills.run(over).returncode != 0
        shown = [drills.run(one).stdout for one in runbook_pages.commands(page["First query"])]
        assert "fail" in shown[0], shown
    finally:
        resume()
    for command in runbook_pages.commands(page["Safe action"]):
        assert drills.run(command).returncode in (0, 1)
    drills.await_exit(over, 0, OVER_SECONDS, "answer of Postgres")
    drills.system.wait_for(
        lambda: "Postgres answers again" in texts(), OVER_SECONDS, "reporting the end"
    )


def test_config_changed(drills: Drills) -> None:
    """The admin changes the configuration; the alert closes by itself after its time."""
    prepared = drills.run("zmart admin prepare update-config --dispute-period 172801")
    assert prepared.returncode == 0, prepared.stderr
    send_signed(drills.system, prepared.stdout.split()[-1])
    drills.follow("config_changed", shows="172801")


def test_check(drills: Drills) -> None:
    """A row of the projection is damaged, and folded again from the ledger."""
    # One at which nothing happens any more: an event would write the row again.
    system = drills.system
    system.wait_for(lambda: "FINALIZED" in system.states(), 240, "a finalized market")
    (market,) = system.query(
        "SELECT market_id FROM market.markets ORDER BY state DESC, updated_at LIMIT 1"
    )[0]
    with psycopg.connect(drills.system.login(Role.INGEST)) as conn:
        conn.execute(
            "UPDATE market.markets SET proposal_likes = proposal_likes + 7 WHERE market_id = %s",
            (market,),
        )
    drills.await_run("reconcile")
    drills.follow(
        "check",
        shows=market.hex(),
        values={"MARKET": market.hex()},
        ends=lambda: drills.await_run("reconcile"),
    )


def test_ipfs_gateway(drills: Drills) -> None:
    """A gateway sends other bytes than those of the CID, then the right ones."""
    gateway = drills.gateway
    gateway.files[cid_v0(FILE)] = FILE
    gateway.mode = "wrong"
    assert get(drills, FILE_PATH) == 503

    def answer_rightly() -> None:
        gateway.mode = "file"
        time.sleep(1.5)  # it is left out for a second
        # It is the right file, and none of a market.
        assert get(drills, FILE_PATH) == 404

    try:
        drills.follow("ipfs_gateway", shows=gateway.host, mend=answer_rightly)
    finally:
        gateway.mode = "file"


def test_api_errors(drills: Drills) -> None:
    """The only gateway answers with 500; five minutes later its errors no longer count."""
    drills.gateway.mode = "error"
    try:
        # The demo and these drills make a few hundred good requests in five minutes.
        assert {get(drills, FILE_PATH) for _ in range(150)} == {503}
        drills.follow(
            "api_errors",
            shows="were answered 5xx",
            mend=lambda: setattr(drills.gateway, "mode", "file"),
            ends=lambda: drills.pass_time("ops.api_counts", "minute", 360),
        )
    finally:
        drills.gateway.mode = "file"


def test_rate_limit_violations(drills: Drills) -> None:
    """A client goes on searching although it is refused, then stops."""
    statuses = [get(drills, "/api/markets?q=bitcoin") for _ in range(20)]
    assert statuses.count(429) >= 10
    drills.follow(
        "rate_limit_violations",
        shows="rate limits refused",
        ends=lambda: drills.pass_time("ops.api_counts", "minute", 3_660),
    )


def test_socket_drops(drills: Drills) -> None:
    """Clients that were connected for minutes are lost at once."""
    with contextlib.ExitStack() as sockets:
        for _ in range(SOCKETS):
            port = drills.system.environment["WS_PORT"]
            sockets.enter_context(connect(f"ws://127.0.0.1:{port}/"))
        drills.system.wait_for(
            lambda: (
                drills.system.query(
                    "SELECT coalesce(max(clients), 0) FROM ops.api_counts"
                    " WHERE minute > now() - interval '1 minute'"
                )[0][0]
                >= SOCKETS
            ),
            60,
            "counting the clients",
        )
    drills.pass_time("ops.api_counts", "minute", 240)
    drills.follow(
        "socket_drops",
        shows="clients of the live updates are left",
        ends=lambda: drills.pass_time("ops.api_counts", "minute", 600),
    )


def test_failed_uploads(drills: Drills) -> None:
    """The folder of the pins is gone while users submit questions."""
    with wallets(drills.system) as (people, _):
        people.prepare()
        with file_in_its_place(drills.system.state / "ipfs"):
            for _ in range(3):
                with pytest.raises(ApiRefused, match="503"):
                    people.propose("0", TOPICS[0])
            drills.await_alert("failed_uploads")
    drills.follow(
        "failed_uploads",
        shows="files of users",
        ends=lambda: drills.pass_time("ops.api_counts", "minute", 960),
    )


def test_pin_storage(drills: Drills) -> None:
    """A large file among the pins, until it is removed."""
    place = drills.system.state / "ipfs" / "large"
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.write_bytes(bytes(PINNED_BYTES + 1))
    try:
        drills.forget_measurement()
        drills.follow(
            "pin_storage", shows='"bytes": 5', mend=place.unlink, ends=drills.forget_measurement
        )
    finally:
        place.unlink(missing_ok=True)


def test_disk_space(drills: Drills) -> None:
    """A file takes what is missing to the threshold, until it is removed."""
    filler = drills.system.state / "filler"
    disk = shutil.disk_usage(drills.system.state)
    wanted = (disk.used + disk.free) * (disk_limit() + 0.3 - used_percent()) / 100
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(wanted))
    try:
        drills.follow("disk_space", shows="% full", mend=filler.unlink)
    finally:
        filler.unlink(missing_ok=True)


def test_restarts(drills: Drills) -> None:
    """A process is killed again and again; an hour later that is past."""
    for _ in range(2):
        pid = drills.system.pid("exporter")
        psutil.Process(pid).kill()
        drills.system.wait_for(
            partial(has_another_pid, drills.system, "exporter", pid), 60, "restarting the exporter"
        )

    def pass_an_hour() -> None:
        record = StateFolder(drills.system.state).restarts
        lines = [json.loads(line) for line in record.read_text().splitlines()]
        older = [one | {"at": one["at"] - 3_601} for one in lines]
        record.write_text("".join(f"{json.dumps(one)}\n" for one in older))

    drills.follow(
        "restarts",
        shows="exporter was restarted 2 times in an hour; it ended last by SIGKILL",
        values={"NAME": "exporter"},
        ends=pass_an_hour,
    )


def has_another_pid(system: RunningSystem, name: str, before: int) -> bool:
    """Whether a process runs again, after the one with this pid."""
    try:
        return system.pid(name) != before
    except FileNotFoundError:
        return False


def test_health(drills: Drills) -> None:
    """The sensor that reads the chain is off, until it is switched on in Dagster."""
    drills.turn_sensor("confirmed_poll_sensor", on=False)
    try:
        drills.follow(
            "health",
            # Seconds or slots, whichever alert is first.
            shows="confirmed_lag_",
            mend=lambda: drills.turn_sensor("confirmed_poll_sensor", on=True),
        )
    finally:
        drills.turn_sensor("confirmed_poll_sensor", on=True)


def test_keys_without_funds(drills: Drills) -> None:
    """The keys that sign have nothing to pay fees with, until they are funded.

    The local chain's admin also resolves, so that one transfer ends two alerts.
    """
    system = drills.system
    for role in ("backend", "admin"):
        empty(system, role)
    try:
        drills.await_submissions()
        drills.follow(
            "submitter_key",
            shows="has only",
            mend=lambda: fund(system, "backend"),
            ends=drills.await_submissions,
        )
        drills.follow(
            "resolver_key",
            shows="has only",
            ends=lambda: drills.follow(
                "admin_key",
                shows="has only",
                mend=lambda: fund(system, "admin"),
                ends=drills.await_submissions,
            ),
        )
    finally:
        for role in ("backend", "admin"):
            fund(system, role)


def test_submission(drills: Drills) -> None:
    """A market is cancelled while its approval waits: it is superseded, and closed by hand."""
    system = drills.system
    off = 'zmart switch approve_proposal off --reason "a drill"'
    on = "zmart switch approve_proposal on"
    waiting = (
        "SELECT encode(market_id, 'hex') FROM ops.intents"
        " WHERE action = 'approve_proposal' AND status = 'planned'"
    )
    counted = "SELECT encode(market_id, 'hex') FROM market.markets WHERE proposal_likes > 0"
    assert drills.run(off).returncode == 0
    try:
        market = propose_and_vote(system)
        system.wait_for(
            lambda: (market,) in system.query(waiting), ALERT_SECONDS, "planning the approval"
        )
        system.wait_for(
            lambda: (market,) in system.query(counted), ALERT_SECONDS, "counting the votes"
        )
        prepared = drills.run(f"zmart admin prepare cancel {market}")
        assert prepared.returncode == 0, prepared.stderr
        signature = send_signed(system, prepared.stdout.split()[-1])
    finally:
        assert drills.run(on).returncode == 0
    drills.await_alert("submission")
    intent = drills.subject("submission")
    drills.follow(
        "submission",
        shows=market,
        values={"ID": intent, "SIGNATURE": signature},
        # As the page says of what was superseded.
        ends=lambda: drills.run(f'zmart submissions close {intent} --reason "no longer needed"'),
    )


@contextlib.contextmanager
def wallets(system: RunningSystem) -> Iterator[tuple[Environment, dict[str, Keypair]]]:
    """Wallets of people who use the API and the chain."""
    keys = {str(number): Keypair() for number in range(11)}
    url = f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}"
    api = ApiClient(system.api, DEFAULT_PROGRAM_ID, "localnet")
    with RpcClient(url, 30.0) as rpc:
        yield Environment(api, Chain(rpc, url, DEFAULT_PROGRAM_ID), keys), keys


def propose_and_vote(system: RunningSystem) -> str:
    """A proposal with votes enough; its id in hex."""
    with wallets(system) as (people, keys):
        people.prepare()
        market, _ = people.propose("0", TOPICS[0])
        system.wait_for(lambda: people.state(market) is not None, 60, "showing the proposal")
        for name in keys:
            people.perform(Vote(name, choice=True, on_chain=False), market)
    return market.hex()


def test_breaker(drills: Drills) -> None:
    """The node hangs until its breaker has been open for five minutes, then answers."""
    node = psutil.Process(drills.system.pid("localnet"))
    node.suspend()
    opened = "SELECT name FROM ops.breakers WHERE opened_at IS NOT NULL AND name LIKE 'rpc:%'"
    try:
        drills.system.wait_for(
            lambda: bool(drills.system.query(opened)), ALERT_SECONDS, "opening the breaker"
        )
        ((name,),) = drills.system.query(opened)
        drills.pass_time("ops.breakers", "opened_at", 301)
        drills.follow("breaker", shows=name, values={"NAME": name}, mend=node.resume)
    finally:
        node.resume()
