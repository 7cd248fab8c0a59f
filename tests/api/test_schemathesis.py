"""Generated requests against every described operation, judged by all checks of Schemathesis.

Valid requests must be accepted, invalid ones rejected, and every answer must be as the OpenAPI
document says, to callers without identity and to a wallet that signed in. The short run repeats
the same requests; the long one (``-m slow``) is divided into shards, each of which draws a seed
that its report prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, insert

from tests.api import seed
from tests.api.conftest import SIGNING_KEY
from tests.api.known_markets import KNOWN_MARKETS
from tests.api.running_api import running
from zmart_pipelines.proofs.access_tokens import AccessTokens, SigningKey
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.accounts import sessions

FOLDER = Path(__file__).parent
COMMAND = Path(sys.executable).parent / "schemathesis"
# A shard of the long run has three operations and takes a minute.
ANONYMOUS_SHARDS: Final = 45
SIGNED_IN_SHARDS: Final = 15

Document: TypeAlias = dict[str, Any]
Requester: TypeAlias = Callable[..., None]
_callers = pytest.mark.parametrize("is_signed_in", [False, True], ids=["anonymous", "signed in"])


def operations(document: Document) -> dict[str, Document]:
    """Return the operations of an OpenAPI document by their ids."""
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }


def shard_of(names: Iterable[str], shard: int, shards: int) -> list[str]:
    """Return every ``shards``-th name, from number ``shard`` on."""
    return sorted(names)[shard::shards]


def secured(document: Document) -> list[str]:
    """Return the operations that name what identifies their callers."""
    return [name for name, operation in operations(document).items() if operation["security"]]


@pytest.fixture
def require_no_fault(
    api_settings: Settings, ledger: Engine, database: str, tmp_path: Path
) -> Iterator[Requester]:
    """Send generated requests to a running API, and fail with what Schemathesis finds."""
    _fill(ledger, database)
    identity = f"--header=Authorization: Bearer {_token(database, api_settings)}"
    report = tmp_path / "report.json"

    def send(chosen: Callable[[Document], list[str]], *options: str, is_signed_in: bool) -> None:
        url = f"{api.url}/docs/openapi.json"
        names = chosen(httpx.get(url, timeout=60).json())
        done = subprocess.run(
            [
                COMMAND,
                "--config-file",
                FOLDER / "schemathesis.toml",
                "run",
                url,
                "--phases=examples,coverage,fuzzing",
                # Two threads that parse Python at once fail in CPython 3.11 ("AST constructor
                # recursion depth mismatch"): Hypothesis does.
                "--workers=1",
                "--continue-on-failure",
                "--no-color",
                f"--report-json-path={report}",
                *(f"--include-operation-id={name}" for name in names),
                *options,
                *([identity] if is_signed_in else []),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                # Loaded there only: they choose a profile of Hypothesis for their process.
                "PYTHONPATH": str(FOLDER.parents[1]),
                "SCHEMATHESIS_HOOKS": str(FOLDER / "schemathesis_hooks.py"),
                # Hypothesis keeps its tables of Unicode here, which take seconds to compute.
                "HYPOTHESIS_STORAGE_DIRECTORY": str(FOLDER.parents[1] / ".hypothesis"),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
        assert "Traceback" not in api.log.read_text()
        counted = json.loads(report.read_text())["operations"]
        assert counted["tested"] == counted["selected"] == len(names) > 0

    with running(api_settings, tmp_path) as api:
        yield send


@_callers
@pytest.mark.timeout(1500)
def test_generated_requests_find_no_fault(require_no_fault: Requester, is_signed_in: bool) -> None:
    """Signed in, those operations whose answers may depend on it."""
    require_no_fault(
        secured if is_signed_in else operations,
        "--max-examples=50",
        "--seed=1",
        is_signed_in=is_signed_in,
    )


@pytest.mark.parametrize(
    ("shard", "is_signed_in"),
    [
        *(pytest.param(n, False, id=f"{n}-anonymous") for n in range(ANONYMOUS_SHARDS)),
        *(pytest.param(n, True, id=f"{n}-signed in") for n in range(SIGNED_IN_SHARDS)),
    ],
)
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thousand_examples_find_no_fault(
    require_no_fault: Requester, shard: int, is_signed_in: bool
) -> None:
    """Signed in, those operations whose answers may depend on it."""
    chosen, shards = (secured, SIGNED_IN_SHARDS) if is_signed_in else (operations, ANONYMOUS_SHARDS)
    require_no_fault(
        lambda document: shard_of(chosen(document), shard, shards),
        "--max-examples=1000",
        is_signed_in=is_signed_in,
    )


@pytest.mark.parametrize("shards", [1, SIGNED_IN_SHARDS, ANONYMOUS_SHARDS, 1_000])
def test_each_operation_is_in_one_shard(client: TestClient[Litestar], shards: int) -> None:
    document = client.get("/docs/openapi.json").json()
    names = operations(document)
    every = [name for shard in range(shards) for name in shard_of(names, shard, shards)]
    assert sorted(every) == sorted(
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    )


def test_operations_of_wallets_are_requested_signed_in(client: TestClient[Litestar]) -> None:
    document = client.get("/docs/openapi.json").json()
    names = set(secured(document))
    assert {"create_discussion", "get_own_account", "list_orders", "prepare_buy"} <= names
    assert names < set(operations(document))


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
