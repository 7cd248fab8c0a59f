"""``zmart keys``: the keys with which services call the API."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

import click
import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from zmart_pipelines.client_schemas.formats import base58_key_or_none
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

    A service sends its key as "Authorization: Bearer zmart_..." or as "X-Api-Key". The scopes:
    "unlimited" (requests are not limited), "operator" (what only operators may do), "read" (the
    private rows of the key's wallet), "trade" (preparing and relaying transactions).

    \b
    Example:
      zmart keys create indexer
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(service_keys.SCOPES),
    multiple=True,
    default=(service_keys.UNLIMITED,),
    show_default=True,
    help="What the key permits; may be given several times.",
)
@click.option("--wallet", help="Address of the wallet that the key belongs to, if it acts for one.")
@reason_option
@as_json
def create(
    name: str, scopes: tuple[str, ...], wallet: str | None, reason: str, as_json: bool
) -> None:
    """Create a key for the service NAME and print it: it is shown this once.

    A key of a wallet is good for no other one: with the scope "read" it reads the wallet's private
    rows, with "trade" its transactions are prepared and relayed. It signs nothing.

    \b
    Exit codes: 0 created, 1 refused, 2 Postgres does not answer.

    \b
    Example:
      zmart keys create indexer
      zmart keys create bot --scope read --scope trade --wallet 6s8bbbCS7oNY...
    """
    if not name.strip() or len(name) > 100 or not name.isprintable():
        _refuse("the name must have 1 to 100 printable characters")
    owned_by = None if wallet is None else _address(wallet)
    try:
        with _owner() as conn:
            key = create_key(conn, command_line(), name, scopes, reason, wallet=owned_by)
    except ActRefused as error:
        _refuse(str(error))
    if as_json:
        click.echo(msgspec.json.encode({"name": name, "key": key, "scopes": scopes}).decode())
    else:
        click.echo(key)


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List the keys: names, first characters, scopes, the last day of use, and wallets.

    \b
    Example:
      zmart keys list
    """
    with _owner() as conn:
        found = api_keys.stored_keys(conn)
    if as_json:
        click.echo(msgspec.json.encode([_shown(key) for key in found]).decode())
        return
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "accepted"
        used = f"used {key.last_used_on}" if key.last_used_on else "never used"
        line = f"{key.name:24}{key.prefix}…  {','.join(key.scopes):20}{state:20}{used:20}"
        click.echo((line + (base58_key_or_none(key.wallet) or "")).rstrip())


def _shown(key: api_keys.StoredKey) -> dict[str, Any]:
    """Return what JSON says of a key."""
    return msgspec.structs.asdict(key) | {"wallet": base58_key_or_none(key.wallet)}


def _address(text: str) -> bytes:
    try:
        return bytes(Pubkey.from_string(text))
    except ValueError:
        _refuse(f"--wallet: {text!r} is no base58 wallet address (32 bytes)")


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
