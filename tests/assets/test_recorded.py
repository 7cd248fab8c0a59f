"""The data checks on a recorded chain: no node, no daemon, and in the end no network."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, func, select

from assets.recorded_chain import NotEmpty, fill, recorded
from assets.run_checks import evaluate, exit_code
from tests.assets.life import run
from tests.assets.recorded.make import FILE
from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.chain.recorded_node import RecordedNode, serve
from zmart_pipelines.chain.recording import Account, Recording, RecordingError, read, record
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.audit import reconcile
from zmart_pipelines.program.accounts import (
    MarketAccount,
    UserPosition,
    decode_account,
    encode_account,
)
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import market

Damage = Callable[[Recording], Recording]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return read(FILE)


def verdicts(settings: Settings, recording: Recording) -> tuple[int, dict[str, str]]:
    """The exit code, and the checks that do not hold."""
    with recorded(settings, recording) as backend:
        rows = evaluate(backend)
    return exit_code(rows), {
        f"{row.asset}:{row.check}": row.verdict for row in rows if row.verdict != "holds"
    }


def test_all_checks_hold_on_the_recorded_chain(
    database: str, owner: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "CHUNK_SIZE", 3)  # more than one, and the last not full
    settings = Settings(**login_settings(database))
    with recorded(settings, recording) as backend:
        rows = evaluate(backend)
        assert {row.verdict for row in rows} == {"holds"}, rows
        assert exit_code(rows) == 0
        with backend.engine(Role.READ).connect() as conn:
            (covered,) = health.coverage(conn)
            counts = {one.name: one.events for one in health.event_counts(conn)}
        with pytest.raises(NotEmpty, match="empty one"):
            fill(backend)
    assert (covered.first_slot, covered.last_slot) == (0, recording.slot)
    assert counts["SharesBought"] == 80
    assert {"WinningsClaimed", "LiquidityWithdrawn", "MarketCancelled", "DisputeInitiated"} <= set(
        counts
    )
    with owner.connect() as conn:
        (failed,) = conn.exec_driver_sql(
            "SELECT count(*) FROM chain.transactions WHERE failed"
        ).one()
        candles = conn.exec_driver_sql("SELECT sum(trades) FROM market.candles").scalar_one()
        grouped = select(market.markets.c.state, func.count()).group_by("state")
        states = {row[0]: row[1] for row in conn.execute(grouped)}
    assert failed == 1
    assert candles == 80 * 4
    assert states == {2: 1, 5: 2, 6: 1}


def _account(kind: type[MarketAccount | UserPosition]) -> Damage:
    """One more of something in the first such account."""

    def damage(recording: Recording) -> Recording:
        accounts = list(recording.accounts)
        for number, one in enumerate(accounts):
            found = decode_account(one.data)
            if isinstance(found, kind):
                more = msgspec.structs.replace(found, shares_yes=found.shares_yes + 1)
                accounts[number] = Account(one.address, encode_account(more))
                return msgspec.structs.replace(recording, accounts=accounts)
        raise AssertionError(f"no {kind.__name__} is recorded")

    return damage


def _unlisted(recording: Recording) -> Recording:
    """The newest trade is not listed."""
    wanted = next(
        row
        for row in recording.listed
        if b"Instruction: BuyShares" in bytes(recording.transactions[row.signature])
    )
    listed = [row for row in recording.listed if row is not wanted]
    return msgspec.structs.replace(recording, listed=listed)


def _unreadable(recording: Recording) -> Recording:
    """The newest trade's event has a byte too few."""
    for row in recording.listed:
        reported = msgspec.json.decode(recording.transactions[row.signature])
        logs = reported["meta"]["logMessages"]
        if any("Instruction: BuyShares" in line for line in logs):
            reported["meta"]["logMessages"] = [
                line[:-8] if line.startswith("Program data: ") else line for line in logs
            ]
            changed = {row.signature: msgspec.Raw(msgspec.json.encode(reported))}
            return msgspec.structs.replace(recording, transactions=recording.transactions | changed)
    raise AssertionError("no trade is recorded")


@pytest.mark.parametrize(
    ("damage", "fails"),
    [
        (_account(MarketAccount), {"market/state:matches_onchain_accounts"}),
        (_account(UserPosition), {"market/positions:matches_onchain_accounts"}),
        (
            _unlisted,
            {"market/state:matches_onchain_accounts", "market/positions:matches_onchain_accounts"},
        ),
        (
            _unreadable,
            {"market/state:matches_onchain_accounts", "market/positions:matches_onchain_accounts"},
        ),
    ],
    ids=["a market", "a position", "not listed", "not readable"],
)
def test_damaged_recording_fails_the_checks(
    database: str, recording: Recording, damage: Damage, fails: set[str]
) -> None:
    code, found = verdicts(Settings(**login_settings(database)), damage(recording))
    assert (code, set(found)) == (1, fails)


def test_undecodable_event_stays_in_quarantine(database: str, recording: Recording) -> None:
    with recorded(Settings(**login_settings(database)), _unreadable(recording)) as backend:
        assert run("redecode_quarantined", backend) == {}
        seen = run("redecode_quarantined", backend, observed=True)["chain/quarantine"]
    assert (seen["Quarantined before"].value, seen["Decoded events"].value) == (1, 0)
    assert seen["dagster/row_count"].value == 1
    assert "quarantine_reason" in str(seen["Quarantined events"].value)


def test_fixed_decoder_decodes_quarantined_events(
    database: str, owner: Engine, recording: Recording
) -> None:
    """As left by a decoder that did not know a trade."""
    with recorded(Settings(**login_settings(database)), recording) as backend:
        with owner.begin() as conn:
            conn.exec_driver_sql("ALTER TABLE chain.events DISABLE TRIGGER USER")
            conn.exec_driver_sql(
                "UPDATE chain.events SET name = NULL, data = NULL, quarantine_reason = 'unknown'"
                " WHERE (signature, log_index) IN"
                " (SELECT signature, log_index FROM market.trades ORDER BY slot DESC LIMIT 1)"
            )
        run("rebuild_projection", backend)
        verdicts_then = {row.verdict for row in evaluate(backend, ["market/state"])}
        assert verdicts_then == {"holds", "fails"}
        with backend.engine(Role.READ).connect() as conn:
            assert {one.class_ for one in health.differences(conn)} == {"decode_error"}
        made = run("redecode_quarantined", backend)["chain/quarantine"]
        assert (made["Decoded events"].value, made["dagster/row_count"].value) == (1, 0)
        assert made["Markets changed"].value == 1
        assert {row.verdict for row in evaluate(backend, ["market/state"])} == {"holds"}


@pytest.mark.process
def test_command_needs_no_running_service(tmp_path: Path) -> None:
    """``zmart check --recorded`` with an address without a server."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "zmart_pipelines.cli"),
            *("check", "--json", "--recorded", str(FILE)),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"ZMART_STATE": str(tmp_path), "SOLANA_RPC_URL": "http://127.0.0.1:9"},
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) > 8
    assert {row["verdict"] for row in rows} == {"holds"}


def test_a_recording_of_a_recorded_chain_is_the_same(recording: Recording, tmp_path: Path) -> None:
    settings = Settings()
    with serve(recording) as url, RpcClient(url, 10.0, calls_per_second=10_000.0) as rpc:
        again = record(rpc, settings.program)
        assert again == recording
        assert rpc.chain_clock("finalized").slot == recording.slot
        with pytest.raises(RpcError) as refused:
            rpc.signatures_for_address(settings.program, min_context_slot=recording.slot + 1)
        assert refused.value.code == -32016
    again.write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == FILE.read_bytes()


def test_file_that_is_not_a_recording_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(b"{}")
    with pytest.raises(RecordingError, match="is not a recorded chain"):
        read(file)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"method": "sendTransaction", "params": []}, -32601),
        ({"method": "getTransaction", "params": []}, -32602),
        ({"method": "getProgramAccounts", "params": [1, {"filters": [{}]}]}, None),
        ({"method": "getAccountInfo", "params": [{}]}, -32602),
    ],
)
def test_unsupported_request_is_an_error(
    recording: Recording, request_: dict[str, object], code: int | None
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 3, **request_}).encode()
    answer = json.loads(RecordedNode(recording).respond(body))
    assert answer["id"] == 3
    assert answer.get("error", {}).get("code") == code
