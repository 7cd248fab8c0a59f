"""The keys are nowhere but in the signers: not in logs, not in Dagster, not in the tables."""

import base64
import logging
from collections.abc import Iterator

import dagster as dg
import pytest
from pydantic import SecretStr
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from assets.definitions import build_defs
from assets.resources import Backend
from tests.assets.life import Life, slots_pass
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines import base58
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, login_engine


def forms(key: Keypair) -> Iterator[str]:
    """Return the forms in which a secret could be printed."""
    for secret in (bytes(key), key.secret()):
        yield base58.encode(secret)
        yield secret.hex()
        yield base64.b64encode(secret).decode()
        yield repr(secret)[2:-1]
        for blank in (", ", ","):
            yield blank.join(str(byte) for byte in secret)


@pytest.fixture
def owner(database: str, postgres_server: PostgresServer) -> Iterator[Engine]:
    """The superuser, who reads every table."""
    made = login_engine(postgres_server.url(database.rpartition("/")[2], SUPERUSER))
    yield made
    made.dispose()


def stored(owner: Engine) -> str:
    """Every row of every table, as text."""
    with owner.connect() as conn:
        tables = conn.execute(
            text(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        ).scalars()
        return "\n".join(
            str(row)
            for table in tables
            for row in conn.execute(text(f"SELECT t::text FROM {table} AS t")).scalars()
        )


def run(settings: Settings, job: str) -> str:
    """Everything that Dagster keeps of a run."""
    definitions = build_defs(resource_overrides={"backend": Backend(settings)})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance, raise_on_error=False
        )
        stored_run = instance.get_run_by_id(result.run_id)
        events = "\n".join(dg.serialize_value(entry) for entry in instance.all_logs(result.run_id))
    return f"{stored_run!r}\n{events}"


@pytest.mark.timeout(240)
def test_keys_are_nowhere(
    start_localnet: StartLocalnet,
    database: str,
    owner: Engine,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    life = Life.start(start_localnet("--finality-depth", "4"), database)
    backend, admin, other_key = life.chain.keys["backend"], life.chain.keys["admin"], Keypair()

    def settings(key: Keypair) -> Settings:
        # From the environment, where a secret is a string that one could print.
        return life.settings.model_copy(
            update={
                "backend_authority_keypair": None,
                "admin_keypair": None,
                "backend_authority_private_key": SecretStr(base58.encode(bytes(key))),
                "admin_private_key": SecretStr(base58.encode(bytes(admin))),
            }
        )

    market = life.propose()
    life.chain.control.finalize()
    run(life.settings, "read_finalized_window")
    life.vote(role_engine(Role.API, database), market, likes=11, dislikes=1)
    with slots_pass(life.chain):
        kept = run(settings(other_key), "aggregate_votes")
        kept += run(settings(backend), "aggregate_votes")
    captured = capfd.readouterr()
    texts = {
        "Dagster": kept,
        "the logs": caplog.text,
        "stdout": captured.out,
        "stderr": captured.err,
        "the tables": stored(owner),
        "the settings": repr(settings(backend)) + str(settings(backend).model_dump()),
    }
    # What is public of the keys is there: the places that are searched are the right ones.
    assert f"{other_key.pubkey()} is not the backend authority" in kept
    assert f"{other_key.pubkey()} is not the backend authority" in texts["the tables"]
    assert "aggregate_proposal_votes of market" in kept
    assert texts["the logs"]
    for name, key in (("backend", backend), ("admin", admin), ("other_key", other_key)):
        for form in forms(key):
            for place, written in texts.items():
                assert form not in written, f"the {name} key is in {place}"
