"""The live updates over plain HTTP: as Server-Sent Events, and by long poll."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter, QueryParameter, SkipValidation

from api.connections.draining import draining
from api.dependencies import (
    CallerDep,
    ConnectionPolicyDep,
    HubDep,
    SessionWatchDep,
    SettingsDep,
    error_responses,
)
from api.errors import RETRY_SECONDS, ApiError, invalid
from api.identity.caller import Caller
from api.realtime import channels, event_stream, protocol
from api.realtime.access import may_subscribe
from api.realtime.address_budget import AddressBudget
from api.realtime.channels import Channel
from api.realtime.connection_policy import ConnectionPolicy
from api.realtime.event_stream_response import EventStreamResponse, ended_by_client
from api.realtime.long_poll import StreamPage, poll
from api.realtime.reader import Reader, reading
from api.realtime.session_watch import SessionWatch
from api.requests import identifiers, query_rules

MAX_CHANNELS: Final = 20
MAX_WAIT: Final = 25
FrameType: TypeAlias = Literal["market_state", "trade", "vote", "discussion"]
_PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {type_: part for part, type_ in channels.PART_TYPES.items() if part != channels.PRICES}
)

ChannelNames: TypeAlias = Annotated[
    list[str] | None,
    QueryParameter(
        name="channel",
        max_items=MAX_CHANNELS,
        description="Channels, as for a socket; may be repeated.",
    ),
]
MarketName: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="market",
        description="A market's id or its base58 address: the same as its channel.",
    ),
]
Types: TypeAlias = Annotated[
    list[FrameType] | None,
    QueryParameter(
        name="type",
        max_items=len(_PARTS),
        description="Only these types of the market's frames; may be repeated.",
    ),
]
WalletName: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="wallet",
        description="A wallet's base58 address: the same as its channel, which is its own alone.",
    ),
]
Position: TypeAlias = Annotated[
    int | None,
    QueryParameter(
        ge=0,
        le=2**63 - 1,
        description="The position after which to begin; without it the answer begins with the"
        " state of each channel. `since` and `after` are the same.",
    ),
]
LastEventId: TypeAlias = Annotated[
    int | None,
    HeaderParameter(
        name="Last-Event-ID",
        ge=0,
        le=2**63 - 1,
        description="The position that a browser goes on from; it goes before `since`.",
    ),
]
Wait: TypeAlias = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=MAX_WAIT,
        description="Most seconds that a long poll waits for the first frame.",
    ),
]


def asked_channels(
    names: Sequence[str] | None,
    market: str | None,
    types: Sequence[str] | None,
    wallet: str | None,
) -> list[Channel]:
    """Return the channels that a request names, each once.

    Raises:
        ApiError: 400 naming the parameter that is wrong.
    """
    asked = [channels.parse(name) for name in names or ()]
    if market is not None:
        key = identifiers.market_key(market, "market")
        parts = [_PARTS[one] for one in types] if types else [None]
        asked += [channels.of_market(key, part) for part in parts]
    elif types:
        raise invalid("type", "selects frames of a market: name the market as well")
    if wallet is not None:
        asked.append(channels.of_wallet(identifiers.wallet(wallet)))
    if not asked:
        raise invalid("channel", "is required, or market or wallet")
    if len(asked) > MAX_CHANNELS:
        raise invalid("channel", f"there may be at most {MAX_CHANNELS} channels in a request")
    return list(dict.fromkeys(asked))


def _each_channel(given: query_rules.Given) -> None:
    for name in given.query.get("channel") or ():
        channels.parse(name)


_EACH: Final = (
    _each_channel,
    query_rules.parsed(identifiers.market_key, "market"),
    query_rules.parsed(identifiers.wallet, "wallet"),
)


def _channels_are_named(given: query_rules.Given) -> None:
    """Check what the parameters that are valid by themselves name together."""
    values = given.query
    are_valid = given.names & {"channel", "market", "type", "wallet"} <= values.keys()
    if are_valid and next(query_rules.broken(_EACH, given), None) is None:
        asked_channels(*(values.get(name) for name in ("channel", "market", "type", "wallet")))


def _one_position(given: query_rules.Given) -> None:
    if {"since", "after"} <= given.names:
        raise invalid("after", "is the same as since: give one of them")


_RULES: Final = query_rules.stated(*_EACH, _channels_are_named, _one_position)


class StreamQuery(msgspec.Struct, frozen=True):
    """What a request asks of the stream."""

    channels: Sequence[Channel]
    since: int | None
    wait: int


StreamQueryDep: TypeAlias = NamedDependency[SkipValidation[StreamQuery]]


def stream_query(
    channel: ChannelNames = None,
    market: MarketName = None,
    type_: Types = None,
    wallet: WalletName = None,
    since: Position = None,
    after: Position = None,
    last_event_id: LastEventId = None,
    wait: Wait = 0,
) -> StreamQuery:
    """Read the parameters, which ``_RULES`` have checked."""
    given = (position for position in (last_event_id, since, after) if position is not None)
    return StreamQuery(asked_channels(channel, market, type_, wallet), next(given, None), wait)


@get(
    "/api/stream",
    tags=["live updates"],
    responses=error_responses(400, 401, 403),
    dependencies={"asked": Provide(stream_query, sync_to_thread=False)},
    opt=_RULES,
)
async def follow_stream(
    request: Request[Any, Any, Any],
    hub: HubDep,
    connection_policy: ConnectionPolicyDep,
    session_watch: SessionWatchDep,
    settings: SettingsDep,
    caller: CallerDep,
    asked: StreamQueryDep,
) -> Response[StreamPage]:
    """Follow channels as Server-Sent Events or by long poll.

    With `Accept: text/event-stream` the answer goes on until either side ends it: each message is
    an event named by its type, with the position of a frame as its id. Otherwise it is one JSON
    page of what there is after `after`, for which it waits up to `wait` seconds.
    """
    located = [await hub.located(one) for one in asked.channels]
    permitted = [may_subscribe(caller, one) for one in located]

    follows_events = (
        request.accept.best_match([MediaType.JSON, event_stream.MEDIA_TYPE])
        == event_stream.MEDIA_TYPE
    )

    @contextlib.asynccontextmanager
    async def open_reader() -> AsyncIterator[Reader]:
        async with (
            _admitted(request, connection_policy) as budget,
            reading(
                hub,
                permitted,
                asked.since,
                budget=budget,
                max_bytes=settings.ws_queue_bytes,
                repeats_states=follows_events,
            ) as reader,
        ):
            with _watched(session_watch, caller, reader):
                yield reader

    if follows_events:
        return EventStreamResponse(open_reader, hub.heartbeats)
    async with open_reader() as reader, ended_by_client(request.receive, reader):
        with draining(request.scope).calling(reader.end):
            # Encoded already.
            page: Any = await poll(reader, asked.since, asked.wait)
    return Response(page, media_type=MediaType.JSON, headers={"Cache-Control": "no-store"})


def _watched(
    session_watch: SessionWatch, caller: Caller, reader: Reader
) -> AbstractContextManager[None]:
    if reader.belongs_to_session:
        return session_watch.watching(caller, reader.end_session)
    return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def _admitted(
    request: Request[Any, Any, Any], policy: ConnectionPolicy
) -> AsyncIterator[AddressBudget]:
    """Count the request as one of its address's sockets while the block runs.

    Raises:
        ApiError: 403 where its origin is not allowed, 429 where the address has too many.
    """
    async with policy.admitted(request) as rejection:
        if rejection is not None:
            raise _refused(*rejection)
        yield policy.budget(request)


def _refused(code: int, reason: str) -> ApiError:
    if code == protocol.CLOSE_TOO_MANY:
        return ApiError(429, reason, headers={"Retry-After": str(RETRY_SECONDS)})
    return ApiError(403, reason)


HANDLERS = [follow_stream]
