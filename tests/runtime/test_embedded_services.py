"""The embedded servers, as started by the fixtures."""

from pathlib import Path

import psycopg
import pytest
import redis

from zmart_pipelines.runtime.embedded_services import Embedded
from zmart_pipelines.runtime.postgres import PostgresServer
from zmart_pipelines.runtime.redis import RedisServer
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.settings import Settings


def test_postgres_is_18_and_its_role_is_not_a_superuser(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        version, superuser = connection.execute(
            "SELECT current_setting('server_version_num')::int, rolsuper "
            "FROM pg_roles WHERE rolname = current_user"
        ).fetchone() or (0, True)
    assert version // 10000 == 18
    assert superuser is False


def test_postgres_refuses_a_wrong_password(postgres_server: PostgresServer) -> None:
    url = f"postgresql://zmart:wrong@127.0.0.1:{postgres_server.port}/zmart"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_redis_answers_and_has_no_administrative_commands(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url())
    assert client.ping()
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client.config_set("dir", "/")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=redis_server.port).ping()
    client.close()


@pytest.mark.parametrize(
    ("given", "is_local"),
    [
        ({}, True),
        ({"solana_rpc_url": "https://a.example"}, False),
        ({"solana_rpc_urls": "https://a.example,https://b.example"}, False),
        ({"solana_rpc_urls": " , "}, True),
    ],
)
def test_configured_cluster_replaces_the_local_chain(
    tmp_path: Path, given: dict[str, str], is_local: bool
) -> None:
    servers = {
        "database_url": "postgresql://a/b",
        "redis_url": "redis://a",
        "zmart_state": tmp_path,
    }
    settings = Settings.model_validate(servers | given)
    state = StateFolder.of(settings)
    state.prepare()
    chosen = Embedded.choose(settings, state)
    assert (chosen.localnet is not None) == is_local
    if is_local:
        assert chosen.settings.rpc_urls == ("http://127.0.0.1:8899",)
    else:
        assert chosen.settings.rpc_urls[0] == "https://a.example"
