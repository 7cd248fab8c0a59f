"""The embedded servers: real ones, as the tests' own fixtures start them."""

import psycopg
import pytest
import redis

from zmart_pipelines.runtime.postgres import PostgresServer
from zmart_pipelines.runtime.redis import RedisServer


def test_postgres_is_18_and_its_role_is_no_superuser(postgres_url: str) -> None:
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
