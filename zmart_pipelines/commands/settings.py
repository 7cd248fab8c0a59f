"""``zmart settings``: the settings in effect, and the file that documents all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import click
import msgspec
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

HEADER = """\
# Every setting with its default. Copy this file to .env and uncomment what you change; the
# environment takes precedence over .env. Generated from zmart_pipelines/settings.py by
# "make env-example".
"""


@click.command("settings")
@click.option("--env-example", is_flag=True, help="Print the contents of .env.example.")
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
def show_settings(env_example: bool, as_json: bool) -> None:
    """Show the settings in effect; of secrets only whether they are set.

    They come from the environment, from .env, from the running system and from the defaults,
    in this order.

    \b
    Example:
      zmart settings
      zmart settings --env-example > .env.example
    """
    if env_example:
        click.echo(render_env_example(), nl=False)
        return
    shown = dict(_shown(with_running_system(Settings())))
    if as_json:
        click.echo(msgspec.json.encode(shown).decode())
        return
    for name, value in shown.items():
        click.echo(f"{name}={value}")


def _shown(settings: Settings) -> Iterator[tuple[str, str]]:
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = "(set)"
        yield name.upper(), "" if value is None else str(value)


def render_env_example() -> str:
    """Return the contents of ``.env.example``."""
    parts = [HEADER]
    for name, field in Settings.model_fields.items():
        text = textwrap.fill(
            field.description or "", 96, initial_indent="# ", subsequent_indent="# "
        )
        parts.append(f"{text}\n#{name.upper()}={_default(field)}\n")
    return "\n".join(parts)


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default()
    return "" if value is None or isinstance(value, SecretStr) else str(value)
