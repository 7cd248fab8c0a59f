"""The last span of a trace: a frame that was delivered to the clients of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from api.database import Database
from zmart_pipelines import tracing
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import StoredFrame


async def record_delivery(
    database: Database,
    frames: Sequence[StoredFrame],
    started_ns: int,
    clients_of: Callable[[StoredFrame], int],
) -> None:
    """Export a span for each frame that has clients, in the trace in which it was written.

    Args:
        database: Of the stream.
        frames: Read together, in the order of their positions.
        started_ns: When they were read, in nanoseconds since 1970.
        clients_of: Returns how many clients of this process a frame is for.
    """
    first, last = frames[0].position, frames[-1].position
    # Before the wait, in which clients come and go.
    delivered = [(frame, clients) for frame in frames if (clients := clients_of(frame))]
    if not delivered:
        return
    ended_ns = time.time_ns()
    contexts = await database.read_stream(lambda conn: stream.traceparents(conn, first, last))
    for frame, clients in delivered:
        parent = tracing.parse_traceparent(contexts.get(frame.position, ""))
        if parent is not None:
            tracing.record(
                "frame delivery",
                tracing.random_child_of(parent),
                started_ns,
                end_ns=ended_ns,
                parent=parent,
                position=frame.position,
                channel=frame.channel,
                type=frame.type,
                clients=clients,
            )
