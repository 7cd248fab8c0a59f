"""Checks of Postgres, Redis and the external services."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import redis
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from zmart_pipelines.chain.helius_webhooks import HeliusClient, HeliusError
from zmart_pipelines.runtime.doctor.findings import Finding, fail, ok, warn
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, MissingLogin, login_engine, login_url
from zmart_pipelines.store.logins import login_problem
from zmart_pipelines.store.migrate import UnknownRevision, has_current_schema, reject_unknown
from zmart_pipelines.tracing import parse_headers

_PINATA_TEST = "/data/testAuthentication"
TIMEOUT = 10.0
START = "zmart up starts it"


def not_running(subject: str) -> Finding:
    """Return the finding for an embedded part of a system that is not up."""
    return warn(subject, "embedded, not running", START)


def check_postgres(settings: Settings) -> Iterator[Finding]:
    """Check the owner's login, the schema of the database, and the logins of the roles."""
    pool = login_engine(settings.database_url.get_secret_value())
    try:
        with pool.connect() as conn:
            version = conn.execute(text("SHOW server_version")).scalar_one()
            yield ok("Postgres", f"version {version} accepts the login")
            schema = _check_schema(conn)
            yield schema
    except OperationalError as error:
        reason = " ".join(str(error.orig or error).split())
        yield fail("Postgres", reason, "start the server, or correct DATABASE_URL")
    except ValueError as error:
        yield fail("Postgres", str(error), "correct DATABASE_URL")
    else:
        if schema.status == "ok":
            yield from check_logins(settings)
    finally:
        pool.dispose()


def _check_schema(conn: Connection) -> Finding:
    try:
        reject_unknown(conn)
    except UnknownRevision as error:
        return fail("schema", str(error), "zmart reset, or another DATABASE_URL")
    if has_current_schema(conn):
        return ok("schema", "current")
    return fail("schema", "the database does not have the current migrations", "zmart migrate")


def check_logins(settings: Settings) -> Iterator[Finding]:
    """Check that every role can log in, and as no other role."""
    for role in LOGINS:
        subject, name = f"login of {role.value}", role.setting.upper()
        try:
            problem = login_problem(role, login_url(role, settings))
        except (MissingLogin, ValueError) as error:
            yield fail(subject, str(error), f"zmart migrate, or set {name}")
            continue
        if problem is None:
            yield ok(subject, "accepted, with the rights of this role alone")
        else:
            yield fail(subject, problem, f"zmart migrate, or correct {name}")


def check_redis(settings: Settings) -> Finding:
    """Check that Redis answers a PING with the password of the settings."""
    try:
        client = redis.Redis.from_url(
            settings.redis_url.get_secret_value(), socket_timeout=5, socket_connect_timeout=5
        )
    except ValueError:
        return fail("Redis", "REDIS_URL is not a Redis URL", "correct REDIS_URL")
    try:
        client.ping()
    except redis.RedisError as error:
        return fail("Redis", str(error), "start the server, or correct REDIS_URL")
    finally:
        client.close()
    return ok("Redis", "answers PING")


def check_helius(settings: Settings) -> Finding:
    """Check that the Helius API accepts the key; ``ok`` where none is set."""
    if settings.helius_api_key is None:
        return ok("Helius", "not configured (HELIUS_API_KEY)")
    try:
        with HeliusClient(settings.helius_api_url, settings.helius_api_key) as helius:
            count = len(helius.webhooks())
    except HeliusError as error:
        return fail("Helius", str(error), "correct HELIUS_API_KEY or HELIUS_API_URL")
    return ok("Helius", f"accepts the key; {count} webhooks in the account")


def check_pinata(settings: Settings) -> Finding:
    """Check that Pinata accepts the token; ``ok`` where none is set."""
    token = settings.pinata_jwt
    if token is None:
        return ok("Pinata", "not configured (PINATA_JWT): files are pinned in the local store")
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
    try:
        url = settings.pinata_api_url.rstrip("/") + _PINATA_TEST
        status = httpx.get(url, headers=headers, timeout=TIMEOUT).status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        remedy = "check the network and PINATA_API_URL"
        return fail("Pinata", f"cannot be reached: {type(error).__name__}", remedy)
    if status == httpx.codes.OK:
        return ok("Pinata", "accepts the token")
    return fail("Pinata", f"answers HTTP {status}", "correct PINATA_JWT")


def check_traces(settings: Settings) -> Finding:
    """Check that the collector of traces takes a request; ``ok`` where none is set."""
    if settings.otlp_endpoint is None:
        return ok("traces", "not configured (OTLP_ENDPOINT)")
    given = settings.otlp_headers
    headers = {} if given is None else parse_headers(given.get_secret_value())
    # An empty message in Protobuf: no spans.
    headers["content-type"] = "application/x-protobuf"
    try:
        answer = httpx.post(settings.otlp_endpoint, content=b"", headers=headers, timeout=TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        remedy = "check the network and OTLP_ENDPOINT; spans are lost meanwhile"
        return warn("traces", f"the collector cannot be reached: {type(error).__name__}", remedy)
    if answer.is_success:
        return ok("traces", "the collector accepts spans")
    remedy = "correct OTLP_ENDPOINT, with its path, or OTLP_HEADERS"
    return warn("traces", f"the collector answers HTTP {answer.status_code}", remedy)
