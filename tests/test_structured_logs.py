"""Every process logs in one form, with the ids of its work and without secrets."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from solders.keypair import Keypair

from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import MASK, Masking, bound, configure_logs

SECRET = "planted-" + "s" * 20
KEY = str(Keypair.from_seed(bytes(range(32))))
SETTINGS: dict[str, Any] = {
    "pinata_jwt": SECRET,
    "backend_authority_private_key": KEY,
    "database_url": "postgresql://zmart:planted-password@127.0.0.1:5544/zmart",
    "solana_rpc_url": "https://rpc.example/v2/planted-rpc-key?api-key=planted-api-key",
    "alert_webhook_url": "https://hooks.example/services/T0000/planted-webhook",
}


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Leave the set-up of logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_has_part_time_level_and_bound_ids(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json"), part="api-2")
    log = logging.getLogger("api.somewhere")
    with bound(request_id="r1"), bound(intent_id=7, signature="sig"):
        log.warning("%d of %s", 3, "these")
    log.info("afterwards")
    first, second = logged(capsys)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "level": "warning",
        "part": "api-2",
        "event": "3 of these",
        "logger": "api.somewhere",
        "request_id": "r1",
        "intent_id": 7,
        "signature": "sig",
    }
    assert "request_id" not in second


def test_structlog_s_own_loggers_take_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json"), part="api")
    structlog.get_logger("own").warning("moved", lamports=3, key=SecretStr(SECRET))
    (line,) = logged(capsys)
    assert (line["event"], line["lamports"], line["key"]) == ("moved", 3, MASK)
    assert (line["level"], line["logger"]) == ("warning", "own")


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"token {SECRET} was refused", "token "),
        (f"key {KEY}", "key "),
        ("postgresql://zmart:planted-password@127.0.0.1/zmart", "127.0.0.1"),
        ("password authentication failed: planted-password", "authentication failed"),
        ("redis://:planted-other@cache.example/0", "cache.example"),
        ("https://rpc.example/v2/planted-rpc-key timed out", "timed out"),
        ("GET https://other.example/?api-key=planted-elsewhere&x=1", "x=1"),
        ("POST https://hooks.example/services/T0000/planted-webhook 500", "500"),
        ("Authorization: Bearer planted-0123456789", "Authorization"),
        ("eyJhbGciOiJIUzI1.planted.c2lnbmF0dXJl expired", "expired"),
        ("host=db password=planted-dsn user=zmart", "user=zmart"),
    ],
)
def test_secrets_are_masked_in_messages_and_tracebacks(
    capsys: pytest.CaptureFixture[str], log_format: str, text: str, kept: str
) -> None:
    configure_logs(Settings(log_format=log_format, **SETTINGS), part="api")
    log = logging.getLogger("api")
    log.warning("says: %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    found = capsys.readouterr().err
    assert found.count(kept) >= 2
    assert MASK in found
    for secret in ("planted", KEY):
        # The line of the source shows the variable, not its value.
        assert secret not in found, found


def test_secrets_are_masked_by_type_at_any_depth() -> None:
    masking = Masking(Settings())
    pair = Keypair()
    event = {"a": {"b": [SecretStr(SECRET), pair, 1]}, "c": SecretStr(SECRET), "d": "plain"}
    masked = masking.by_type(None, "info", event)
    assert masked == {"a": {"b": [MASK, MASK, 1]}, "c": MASK, "d": "plain"}


def test_key_file_is_masked_and_a_signature_is_not() -> None:
    masking = Masking(Settings())
    pair = Keypair()
    assert masking.text(f"read {json.dumps(list(bytes(pair)))}") == f"read {MASK}"
    signature = str(pair.sign_message(b""))
    assert masking.text(f"sent {signature}") == f"sent {signature}"


def test_level_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json", log_level="error"), part="api")
    logging.getLogger("api").warning("no")
    logging.getLogger("api").error("yes")
    assert [line["event"] for line in logged(capsys)] == ["yes"]


def run_with_json_logs(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own; it must succeed."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LOG_FORMAT": "json", "ZMART_ENV_FILE": ""},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.process
def test_dagster_s_and_uvicorn_s_own_lines_are_json() -> None:
    code = (
        "import logging, logging.config, uvicorn.config\n"
        "from assets.process_logs import configure_dagster_logs\n"
        "configure_dagster_logs('daemon')\n"
        "import sys\n"
        "from assets.dagster_internals import SETTING_UP_LOGS\n"
        "for name in SETTING_UP_LOGS:\n"
        "    sys.modules[name].configure_loggers(formatter='colored', log_level='WARNING')\n"
        "uvicorn.Config(app=None)\n"
        "for name in ('dagster.daemon', 'dagster-webserver', 'uvicorn.error'):\n"
        "    logging.getLogger(name).warning('from %s', name)\n"
        "logging.getLogger('dagster.daemon').info('not shown')\n"
        "from assets.dagster_internals import TICK_LOGS\n"
        "log_of = sys.modules[TICK_LOGS].InstigationLogger\n"
        "tick = log_of(repository_name='all', instigator_name='sensor')\n"
        "tick.info('found %d', 3)\n"
    )
    done = run_with_json_logs(code)
    found = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    tick = "all - sensor - found 3"
    assert found == ["from dagster.daemon", "from dagster-webserver", "from uvicorn.error", tick]
    assert done.stdout == ""


@pytest.mark.process
def test_what_runs_log_is_json() -> None:
    code = (
        "import dagster as dg\n"
        "import assets.run_worker_preload\n"
        "from zmart_pipelines.settings import Settings\n"
        "from zmart_pipelines.structured_logs import configure_logs\n"
        "configure_logs(Settings(), part='code-server')\n"
        "@dg.op\n"
        "def count(context): context.log.info('counted %d', 3)\n"
        "@dg.job\n"
        "def counting(): count()\n"
        "counting.execute_in_process(instance=dg.DagsterInstance.ephemeral())\n"
    )
    done = run_with_json_logs(code)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"].endswith(" - count - counted 3")
