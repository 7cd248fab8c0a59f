"""The one set-up of logging: every process calls :func:`configure_logs` first of all.

Modules log with ``logging.getLogger(...)``; libraries do so too. A record leaves the process as one
line, JSON or readable, with the ids that :func:`bound` has put around the work: ``request_id``,
``run_id``, ``intent_id``, ``signature``. So the lines of one piece of work are found by one id, and
those of the pieces that it caused by the ids that they share.

No secret leaves the process: values of secret types are masked by their type, and everywhere in a
line the passwords of URLs, bearer tokens, key files, and the values of this process's own secret
settings.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog
from pydantic import SecretStr
from solders.keypair import Keypair
from structlog.typing import EventDict, Processor, WrappedLogger

from zmart_pipelines.settings import Settings

MASK: Final = "**********"
# Loggers whose INFO is a line for each request or each check of the schema.
_QUIET: Final = ("httpx", "httpcore", "alembic", "asyncio", "solanaweb3")
# Shorter values would mask ordinary words.
_SHORTEST_SECRET: Final = 8
_PATTERNS: Final = (
    # The password of a URL, or a URL's user where it has no password.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@?#]*:)[^\s@/]+(@)", re.IGNORECASE), rf"\1{MASK}\2"),
    # Keys in the query of a URL.
    (
        re.compile(
            r"([?&](?:api[-_]?key|key|token|jwt|secret|password|access_token)=)[^\s&#\"']+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), MASK),
    (re.compile(r"(\bpassword\s*=\s*)(?:'[^']*'|[^\s'\"]+)", re.IGNORECASE), rf"\1{MASK}"),
    # A key file of Solana: 64 numbers.
    (re.compile(r"\[\s*(?:\d{1,3}\s*,\s*){63}\d{1,3}\s*\]"), MASK),
)


def bound(**ids: object) -> AbstractContextManager[None]:
    """Add these ids to each record that is logged while the block runs, in this task or thread."""
    return structlog.contextvars.bound_contextvars(**ids)


def bind(**ids: object) -> None:
    """Add these ids to the records of the current task or thread from here on."""
    structlog.contextvars.bind_contextvars(**ids)


def bound_id(name: str) -> str | None:
    """Return the id of this name that is added to the records of the current task or thread."""
    found = structlog.contextvars.get_contextvars().get(name)
    return None if found is None else str(found)


class Masking:
    """A processor that masks secrets; the last before and the first after rendering."""

    def __init__(self, settings: Settings) -> None:
        """Mask the secrets that these settings hold, too."""
        values = sorted(set(_secret_values(settings)), key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, values))) if values else None

    def by_type(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Replace values of secret types, also in lists and mappings."""
        return {name: _without_secrets(value) for name, value in event.items()}

    def in_line(self, _logger: WrappedLogger, _method: str, line: Any) -> str:
        """Mask what looks like a secret, or is one of ours, in a line that is ready to be written.

        Exceptions and the texts of libraries are part of it.
        """
        return self.text(line)

    def text(self, text: str) -> str:
        """Return a text without its secrets."""
        if self._values is not None:
            text = self._values.sub(MASK, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _without_secrets(value: Any) -> Any:
    if isinstance(value, (SecretStr, Keypair)):
        return MASK
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_without_secrets(item) for item in value]
    return value


def _secret_values(settings: Settings) -> Iterator[str]:
    for name in settings.secret_fields():
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            for text in value.get_secret_value().split(","):
                yield from filter(_is_long, _secret_parts(text.strip()))


def _secret_parts(text: str) -> Iterator[str]:
    """Yield the parts of a secret that are so by themselves: of a URL not the host and the user."""
    url = urlsplit(text)
    if not url.netloc:
        yield text
        return
    if url.password is not None:
        yield unquote(url.password)
        yield url.password
    # Keys of RPC nodes and of alert webhooks; the database's name is shorter or known.
    if url.scheme in ("http", "https"):
        yield from url.path.split("/")
        yield from (value for _, value in parse_qsl(url.query))


def _is_long(text: str) -> bool:
    return len(text) >= _SHORTEST_SECRET


def configure_logs(settings: Settings, *, part: str) -> None:
    """Make this process log as the settings say, in place of any earlier set-up.

    Args:
        settings: Format, least level, and the secrets to mask.
        part: Name of the process, as in ``zmart logs --part``.
    """
    masking = Masking(settings)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        masking.by_type,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings.log_format, part),
                masking.in_line,
            ],
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderers(log_format: str, part: str) -> list[Processor]:
    if log_format == "console":
        return [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,
                sort_keys=False,
            )
        ]

    def with_part(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        head = {name: event.pop(name) for name in ("timestamp", "level")}
        return {**head, "part": part, **event}

    return [
        structlog.processors.format_exc_info,
        with_part,
        structlog.processors.JSONRenderer(default=str),
    ]
