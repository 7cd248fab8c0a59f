"""How many connections the process's limit of open files allows."""

from __future__ import annotations

import logging
import resource
from typing import Final

from zmart_pipelines.settings import Settings

log = logging.getLogger("api.connections")

# Files besides connections of clients and threads: listeners, Redis, logs, libraries.
OTHER_FILES: Final = 64
# A thread has at most a connection and a file open at the same time.
FILES_PER_THREAD: Final = 2
MIN_CONNECTIONS: Final = 64


def reserved_files(settings: Settings) -> int:
    """Return how many files must stay free for everything but clients."""
    threads = (
        settings.api_threads
        + settings.api_write_threads
        + settings.api_chain_threads
        + settings.api_pin_threads
    )
    return OTHER_FILES + FILES_PER_THREAD * threads


def allowed_connections(settings: Settings) -> int:
    """Raise the process's limit as far as needed and return how many connections it allows.

    Raises:
        SystemExit: The limit leaves no file descriptor for clients' connections.
    """
    reserved = reserved_files(settings)
    wanted = settings.api_connections + reserved
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings.api_connections
    allowed = soft - reserved
    if allowed < MIN_CONNECTIONS:
        raise SystemExit(
            f"The process may open {soft} files, which leaves {max(0, allowed)} for clients; "
            f"raise the limit (ulimit -Hn) to at least {reserved + MIN_CONNECTIONS}"
        )
    log.warning(
        "the limit of %d open files allows %d connections instead of API_CONNECTIONS=%d",
        soft,
        allowed,
        settings.api_connections,
    )
    return allowed
