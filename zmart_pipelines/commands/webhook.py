"""``zmart webhook``: the Helius webhook that delivers new transactions to the API."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import click
import msgspec

from zmart_pipelines.commands.operator import record_act
from zmart_pipelines.runtime.state_folder import StateFolder, with_running_system, write_private
from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from zmart_pipelines.chain.helius_webhooks import HeliusClient, Webhook

EXIT_INACTIVE, EXIT_REFUSED = 1, 2

# Files under ZMART_STATE/secrets, named as the settings that they are for.
CURRENT, PREVIOUS = "helius_webhook_secret", "helius_webhook_secret_previous"


@click.group()
def webhook() -> None:
    """Create, inspect and rotate the secret of the Helius webhook (needs HELIUS_API_KEY).

    \b
    Example:
      zmart webhook register --url https://api.example.com/api/webhooks/helius
    """


@webhook.command()
@click.option("--url", required=True, help="Public URL of the API's webhook route (https).")
@click.option("--json", "as_json", is_flag=True, help="Print the webhook as JSON.")
def register(url: str, as_json: bool) -> None:
    """Create the webhook for the program, or update the one with this URL.

    Its secret is HELIUS_WEBHOOK_SECRET; an inactive webhook is activated. Nothing is sent if
    nothing differs.

    \b
    Example:
      zmart webhook register --url https://api.example.com/api/webhooks/helius
    """
    from zmart_pipelines.chain.helius_webhooks import DesiredWebhook

    settings = with_running_system(Settings())
    if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        _refuse("--url must be https:// and name a host; the secret is sent to it")
    desired = DesiredWebhook(
        url=url,
        account_addresses=[settings.program_id],
        webhook_type=_type(settings),
        auth_header=_secret(settings),
    )
    with _helius(settings) as helius:
        here = [one for one in helius.webhooks() if one.url == url]
        if len(here) > 1:
            ids = ", ".join(one.id for one in here)
            _refuse(f"{len(here)} webhooks post to {url} ({ids}); delete all but one of them")
        changed: list[str] = []
        if not here:
            done, verb = helius.create(desired), "created"
        else:
            done, verb = here[0], "unchanged"
            changed = done.differences(desired)
            if changed:
                done, verb = helius.update(done.id, desired), "updated"
            if not done.active:
                done, verb = helius.activate(done.id), "updated"
                changed.append("active")
    if verb != "unchanged":
        record_act("register_webhook", url, {"id": done.id, "changed": changed})
    if as_json:
        _json([done], verb=verb, changed=changed)
    else:
        click.echo(f"{verb}{': ' + ', '.join(changed) if changed else ''}")
        _show(done)
    raise SystemExit(0 if done.active else EXIT_INACTIVE)


@webhook.command()
@click.option("--json", "as_json", is_flag=True, help="Print the webhooks as JSON.")
def status(as_json: bool) -> None:
    """Show the webhooks of the program, and whether they are active.

    \b
    Exit codes: 0 one is active with the secret of these settings, 1 none is, 2 Helius does
    not answer.

    \b
    Example:
      zmart webhook status
    """
    from zmart_pipelines.monitoring.webhook_status import (
        delivery_problems,
        program_webhooks,
        webhook_problems,
    )

    settings = with_running_system(Settings())
    _type(settings)
    _secret(settings)
    with _helius(settings) as helius:
        found = program_webhooks(helius, settings)
    wrong = delivery_problems(found, settings)
    if as_json:
        _json(found, problems={one.id: webhook_problems(one, settings) for one in found})
    else:
        for one in found:
            _show(one)
            for problem in webhook_problems(one, settings):
                click.echo(f"  problem    {problem}")
        if not found:
            click.echo("\n".join(wrong))
    raise SystemExit(EXIT_INACTIVE if wrong else 0)


@webhook.command()
@click.option("--show", is_flag=True, help="Print both secrets.")
def rotate(show: bool) -> None:
    """Generate a new secret and keep the previous one while both are accepted.

    Only files are written; Helius gets the new secret from zmart webhook register, after the
    API accepts both. Until then, running it again changes nothing and repeats the steps.

    \b
    Example:
      zmart webhook rotate
    """
    from zmart_pipelines.monitoring.webhook_status import program_webhooks

    settings = with_running_system(Settings())
    current = _secret(settings)
    state = StateFolder.of(settings)
    state.prepare()
    new_file, old_file = state.secrets / CURRENT, state.secrets / PREVIOUS
    under_way = (
        new_file.exists()
        and old_file.exists()
        and old_file.read_text().strip() == current != new_file.read_text().strip()
    )
    if not under_way:
        with _helius(settings) as helius:
            behind = [
                one.id
                for one in program_webhooks(helius, settings)
                if one.auth_header not in (None, current)
            ]
        if behind:
            _refuse(
                f"webhook {', '.join(behind)} does not carry HELIUS_WEBHOOK_SECRET yet; "
                "zmart webhook register first, or its deliveries would be refused"
            )
        # The previous secret first, so that an interruption loses nothing.
        write_private(old_file, current)
        write_private(new_file, secrets.token_urlsafe(32))
        record_act("rotate_webhook_secret")
    click.echo("a rotation is in progress" if under_way else "a new secret was generated")
    if show:
        click.echo(f"HELIUS_WEBHOOK_SECRET={new_file.read_text().strip()}")
        click.echo(f"HELIUS_WEBHOOK_SECRET_PREVIOUS={current}")
    click.echo(
        "1. set both for the API, and restart it; it accepts either then:\n"
        f'     export HELIUS_WEBHOOK_SECRET="$(cat {new_file})"\n'
        f'     export HELIUS_WEBHOOK_SECRET_PREVIOUS="$(cat {old_file})"\n'
        "2. with these settings run: zmart webhook register --url …\n"
        "3. after a minute unset HELIUS_WEBHOOK_SECRET_PREVIOUS and restart the API"
    )


@contextmanager
def _helius(settings: Settings) -> Iterator[HeliusClient]:
    """Provide the client; an error of Helius ends the command with one line."""
    from zmart_pipelines.chain.helius_webhooks import HeliusClient, HeliusError

    if settings.helius_api_key is None:
        _refuse("HELIUS_API_KEY is not set; without it webhooks are managed at Helius itself")
    try:
        with HeliusClient(settings.helius_api_url, settings.helius_api_key) as helius:
            yield helius
    except HeliusError as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_REFUSED) from error


def _secret(settings: Settings) -> str:
    secret = settings.helius_webhook_secret
    if secret is None or len(secret.get_secret_value()) < 16:
        _refuse(
            "HELIUS_WEBHOOK_SECRET is not set or shorter than 16 characters; generate one with: "
            "openssl rand -base64 32"
        )
    return secret.get_secret_value()


def _type(settings: Settings) -> str:
    """Return the webhook type that carries logs, for the configured cluster."""
    from zmart_pipelines.monitoring.webhook_status import RAW_TYPES

    if settings.solana_cluster not in RAW_TYPES:
        _refuse(f"Helius has no webhooks for {settings.solana_cluster}; set SOLANA_CLUSTER")
    return RAW_TYPES[settings.solana_cluster]


def _show(one: Webhook) -> None:
    click.echo(f"webhook {one.id}")
    click.echo(f"  active     {'yes' if one.active else 'NO'}")
    click.echo(f"  url        {one.url}")
    click.echo(f"  type       {one.webhook_type}, transactions: {one.txn_status or 'all'}")
    click.echo(f"  addresses  {', '.join(one.account_addresses)}")


def _json(found: list[Webhook], **more: object) -> None:
    """Print the webhooks without their secrets."""
    rows = [msgspec.to_builtins(one) for one in found]
    for row in rows:
        row.pop("authHeader", None)
    click.echo(msgspec.json.encode({"webhooks": rows, **more}).decode())


def _refuse(text: str) -> NoReturn:
    click.echo(text, err=True)
    raise SystemExit(EXIT_REFUSED)
