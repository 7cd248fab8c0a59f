"""Generated requests against every described operation, judged by all checks of Schemathesis.

Valid requests must be accepted, invalid ones rejected, and every answer must be as the OpenAPI
document says, to callers without identity and to a wallet that signed in. The short run repeats the
same requests; the long one draws a seed, which the report prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from tests.api import seed
from tests.api.conftest import SIGNING_KEY
from tests.api.running_api import running
from tests.api.schemathesis_hooks import KNOWN_MARKETS
from zmart_pipelines.proofs.access_tokens import AccessTokens, SigningKey
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.accounts import sessions

FOLDER = Path(__file__).parent
COMMAND = Path(sys.executable).parent / "schemathesis"


@pytest.mark.parametrize("is_signed_in", [False, True], ids=["anonymous", "signed in"])
@pytest.mark.parametrize(
    ("examples", "seed_options"),
    [
        pytest.param(50, ["--seed=1"], marks=pytest.mark.timeout(1500)),
        pytest.param(1000, [], marks=[pytest.mark.slow, pytest.mark.timeout(10_800)]),
    ],
)
def test_generated_requests_find_no_fault(
    api_settings: Settings,
    ledger: Engine,
    database: str,
    tmp_path: Path,
    examples: int,
    seed_options: list[str],
    is_signed_in: bool,
) -> None:
    _fill(ledger, database)
    identity = [f"--header=Authorization: Bearer {_token(database, api_settings)}"]
    with running(api_settings, tmp_path) as api:
        done = subprocess.run(
            [
                COMMAND,
                "--config-file",
                FOLDER / "schemathesis.toml",
                "run",
                f"{api.url}/docs/openapi.json",
                "--phases=examples,coverage,fuzzing",
                # Two threads that parse Python at once fail in CPython 3.11 ("AST constructor
                # recursion depth mismatch"): Hypothesis does.
                "--workers=1",
                f"--max-examples={examples}",
                "--continue-on-failure",
                "--no-color",
                *seed_options,
                *(identity if is_signed_in else []),
            ],
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(FOLDER / "schemathesis_hooks.py")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
        assert "Traceback" not in api.log.read_text()


def _token(database: str, settings: Settings) -> str:
    """Return an access token that lives as long as the longest run."""
    wallet = bytes(seed.wallet(1).pubkey())
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        session = conn.execute(
            insert(sessions)
            .values(wallet=wallet, csrf="c", expires_at=datetime.now(UTC) + timedelta(days=1))
            .returning(sessions.c.id)
        ).scalar_one()
    owner.dispose()
    tokens = AccessTokens(
        [SigningKey.parse(SIGNING_KEY)], issuer=settings.public_origin, lifetime=timedelta(hours=3)
    )
    return tokens.issue(
        wallet=wallet, session=session, csrf="c", token_id="t", now=datetime.now(UTC)
    )


def _fill(ledger: Engine, database: str) -> None:
    with ledger.begin() as conn:
        for number, (market_id, state) in enumerate(
            zip(KNOWN_MARKETS, (0, 2, 4, 5), strict=True), 1
        ):
            seed.market(conn, market_id, state=state)
            seed.trade(conn, market_id, seed.wallet(number), number)
            seed.position(conn, market_id, seed.wallet(number))
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        for market_id in KNOWN_MARKETS[:2]:
            seed.question(conn, market_id, "Will it rain in Ghent tomorrow?")
    owner.dispose()
