"""A webhook that Helius switched off is an alert after the next checks."""

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine, select

from assets.definitions import build_defs
from assets.defs.deliveries import webhook_is_active
from assets.defs.sensors.run_alerts import run_success_sensor
from assets.resources import Backend
from tests.chain.helius_api import KEY, HeliusApi
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import ops

SECRET = "the-secret-of-the-webhook"


@pytest.fixture
def api() -> Iterator[HeliusApi]:
    made = HeliusApi()
    yield made
    made.close()


@pytest.fixture
def settings(api: HeliusApi, database: str) -> Settings:
    return Settings(
        **login_settings(database),
        helius_api_key=KEY,
        helius_api_url=api.url,
        helius_webhook_secret=SECRET,
        solana_cluster="devnet",
    )


def hook(api: HeliusApi, settings: Settings, **values: object) -> str:
    return api.add(
        **{
            "webhookURL": "https://api.example.com/api/webhooks/helius",
            "accountAddresses": [settings.program_id],
            "webhookType": "rawDevnet",
            "authHeader": SECRET,
        }
        | values
    )


def check(settings: Settings) -> dg.AssetCheckResult:
    result = webhook_is_active(backend=Backend(settings))
    assert isinstance(result, dg.AssetCheckResult)
    assert KEY not in (result.description or "")
    assert SECRET not in (result.description or "")
    return result


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"active": False}, "inactive"),
        ({"webhookType": "enhancedDevnet"}, "not rawDevnet"),
        ({"authHeader": "another-secret"}, "another secret"),
        ({"accountAddresses": ["11111111111111111111111111111111"]}, "no webhook watches"),
    ],
)
def test_every_webhook_problem_is_found(
    api: HeliusApi, settings: Settings, values: dict[str, object], words: str
) -> None:
    broken = hook(api, settings, **values)
    result = check(settings)
    assert not result.passed
    assert words in (result.description or "")
    # One that is of use is enough.
    hook(api, settings)
    assert check(settings).passed
    assert broken in api.hooks


def test_missing_webhook_and_unreachable_helius_fail(api: HeliusApi, settings: Settings) -> None:
    assert "no webhook watches" in (check(settings).description or "")
    hook(api, settings)
    assert check(settings).passed
    api.fail = 500
    result = check(settings)
    assert not result.passed
    assert "HTTP 500" in (result.description or "")


def test_check_passes_without_a_key(api: HeliusApi, settings: Settings) -> None:
    api.fail = 500
    without = settings.model_copy(update={"helius_api_key": None})
    assert check(without).passed
    assert check(settings.model_copy(update={"solana_cluster": "localnet"})).passed


def test_inactive_webhook_raises_an_alert_and_clears_it(
    api: HeliusApi, settings: Settings, owner: Engine
) -> None:
    identity = hook(api, settings, active=False)
    backend = Backend(settings)
    job = dg.define_asset_job("reconcile", selection=dg.AssetSelection.checks(webhook_is_active))
    key = "check:chain/deliveries:webhook_is_active"

    def evaluate(instance: dg.DagsterInstance) -> dict[str, bool]:
        defs = dg.Definitions.merge(
            dg.Definitions(asset_checks=[webhook_is_active], jobs=[job]),
            dg.Definitions(resources={"backend": backend}),
        )
        run = defs.resolve_job_def("reconcile").execute_in_process(instance=instance)
        context = dg.build_run_status_sensor_context(
            sensor_name="run_success_sensor",
            dagster_instance=instance,
            dagster_run=run.dagster_run,
            dagster_event=run.get_run_success_event(),
        )
        run_success_sensor(context, backend=backend)
        with owner.connect() as conn:
            rows = conn.execute(select(ops.alerts))
            return {f"{row.topic}:{row.subject}": row.cleared_at is None for row in rows}

    with dg.DagsterInstance.ephemeral() as instance:
        assert evaluate(instance) == {key: True}
        api.hooks[identity]["active"] = True
        assert evaluate(instance) == {key: False}


def test_webhook_check_is_registered() -> None:
    names = {key.name for key in build_defs().resolve_asset_graph().asset_check_keys}
    assert "webhook_is_active" in names
