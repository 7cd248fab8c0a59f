"""``zmart keys``: the keys with which services call the API."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NoReturn

import click
import msgspec
from sqlalchemy import Connection

from zmart_pipelines.commands.operator import command_line, reason_option, record_act
from zmart_pipelines.operations.operator_acts import ActRefused, create_key, revoke_key
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.runtime.signing_keys import rotate_signing_key
from zmart_pipelines.runtime.state_folder import StateFolder, with_running_system
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries import api_keys

EXIT_REFUSED = 1

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def keys() -> None:
    """Create, list and revoke the keys with which services call the API.

    A service sends its key as "Authorization: Bearer zmart_..." or as "X-Api-Key". Requests with
    a key of the scope "unlimited" are not limited.

    \b
    Example:
      zmart keys create indexer
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=(service_keys.UNLIMITED,),
    show_default=True,
    help="What the key permits; may be given several times.",
)
@reason_option
@as_json
def create(name: str, scopes: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Create a key for the service NAME and print it: it is shown this once.

    \b
    Exit codes: 0 created, 1 refused, 2 Postgres does not answer.

    \b
    Example:
      zmart keys create indexer
      zmart keys create reports --scope read
    """
    if not name.strip() or len(name) > 100 or not name.isprintable():
        _refuse("the name must have 1 to 100 printable characters")
    wrong = [scope for scope in scopes if not service_keys.is_scope(scope)]
    if wrong:
        _refuse(f"{wrong[0]!r} is no scope: small letters, digits, ':' and '-', at most 32")
    try:
        with _owner() as conn:
            key = create_key(conn, command_line(), name, scopes, reason)
    except ActRefused as error:
        _refuse(str(error))
    if as_json:
        click.echo(msgspec.json.encode({"name": name, "key": key, "scopes": scopes}).decode())
    else:
        click.echo(key)


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List the keys: their names, first characters, scopes, and the last day of use.

    \b
    Example:
      zmart keys list
    """
    with _owner() as conn:
        found = api_keys.stored_keys(conn)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "accepted"
        used = f"used {key.last_used_on}" if key.last_used_on else "never used"
        click.echo(f"{key.name:24}{key.prefix}…  {','.join(key.scopes):20}{state:20}{used}")


@keys.command()
@click.argument("name")
@reason_option
def revoke(name: str, reason: str) -> None:
    """Revoke the key of the service NAME; the API refuses it within three seconds.

    \b
    Exit codes: 0 revoked, 1 there is no such key, 2 Postgres does not answer.

    \b
    Example:
      zmart keys revoke indexer
    """
    try:
        with _owner() as conn:
            revoke_key(conn, command_line(), name, reason)
    except ActRefused as error:
        _refuse(str(error))
    click.echo(f"the key of {name} is revoked")


@keys.command("rotate-signing-key")
def rotate_signing() -> None:
    """Replace the key that signs access tokens, in the state folder.

    The API uses it after a restart. It goes on accepting tokens of the previous key, so that
    no session ends; sessions and refresh tokens do not depend on it.

    \b
    Exit codes: 0 replaced, 1 the settings name a key, which has to be replaced there.

    \b
    Example:
      zmart keys rotate-signing-key
    """
    settings = Settings()
    if settings.auth_signing_key is not None:
        _refuse(
            "AUTH_SIGNING_KEY is set: move its value to AUTH_SIGNING_KEY_PREVIOUS, set a new one"
            " and restart the API"
        )
    state = StateFolder.of(settings)
    state.prepare()
    rotate_signing_key(state)
    record_act("rotate_signing_key")
    click.echo("a new key was generated; restart the API, which accepts both")


@contextlib.contextmanager
def _owner() -> Iterator[Connection]:
    """Run one transaction as the owner of the tables, who alone may write keys."""
    pool = engine(Role.OWNER, with_running_system(Settings()))
    try:
        with pool.begin() as conn:
            yield conn
    finally:
        pool.dispose()


def _refuse(text: str) -> NoReturn:
    click.echo(text, err=True)
    raise SystemExit(EXIT_REFUSED)
