"""What a client of a socket may ask for."""

from __future__ import annotations

from msgspec import UNSET
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.database import Database
from api.errors import ApiError, invalid, unavailable
from api.realtime import acknowledgements, channels, protocol
from api.realtime.access import is_permitted, may_subscribe
from api.realtime.channels import MARKETS, Channel
from api.realtime.feed import Feed
from api.realtime.identity import Identity
from api.realtime.session_watch import SessionWatch
from api.realtime.start import Start
from api.realtime.subscriber import Subscriber
from api.requests import identifiers
from zmart_pipelines.client_schemas.frames import DisplayedPrices, displayed_prices
from zmart_pipelines.store.queries import markets


class Commands:
    """Executes the commands of one socket; what they answer is pushed to its subscriber."""

    def __init__(
        self,
        subscriber: Subscriber,
        feed: Feed,
        database: Database,
        session_watch: SessionWatch,
        max_subscriptions: int,
    ) -> None:
        self._subscriber = subscriber
        self._feed = feed
        self._database = database
        self._max_subscriptions = max_subscriptions
        self._identity = Identity(database, session_watch, self._end_forbidden)
        # What the socket's path asks for, while it waits for a ticket.
        self._waiting: bytes | None = None

    def close(self) -> None:
        """Release what is held for the socket."""
        self._identity.close()

    async def begin(self, text: bytes) -> None:
        """Execute the command that the socket's path stands for.

        One that is refused is executed again once a ticket has signed the socket in.
        """
        await self.execute(text)
        if not self._subscriber.channels:
            self._waiting = text

    async def execute(self, text: str | bytes) -> None:
        """Execute the command in ``text``; one that fails is answered with an ``error``.

        Raises:
            TooManyRefused: The socket must be closed.
        """
        try:
            await self._execute(protocol.parse_command(text))
        except protocol.InvalidMessage as error:
            self._subscriber.push(protocol.error(str(error), error.code))
        except ApiError as error:
            self._subscriber.push(protocol.error(error.message, error.code))
        except (DBAPIError, PoolTimeout):
            away = unavailable("The database")
            self._subscriber.push(protocol.error(away.message, away.code))

    async def _execute(self, command: protocol.Command) -> None:
        match command.action:
            case "ping":
                self._subscriber.push(protocol.reply("pong", protocol.Pong()))
            case "pong":
                pass
            case "subscribe":
                await self.subscribe(_channel(command), command.since)
            case "unsubscribe":
                await self._unsubscribe(_channel(command))
            case "authenticate":
                await self._authenticate(command.ticket)
            case other:
                raise ApiError(400, f"Unknown action: {other[:50]}")

    async def subscribe(self, asked: Channel, since: int | None) -> None:
        """Subscribe the socket to a channel.

        Raises:
            ApiError: The caller may not, or the socket has too many subscriptions.
        """
        channel = may_subscribe(self._identity.caller, await self._feed.located(asked))
        own = self._subscriber.channels
        if channel.name not in own and len(own) >= self._max_subscriptions:
            raise ApiError(
                400,
                f"A socket may have at most {self._max_subscriptions} subscriptions;"
                " unsubscribe first",
            )

        def acknowledge(start: Start) -> None:
            self._subscriber.push(
                acknowledgements.subscribed(
                    channel,
                    own,
                    start.heads[channel.name],
                    start.prices.get(channel.name),
                    start.snapshots.get(channel.name, UNSET) if since is None else UNSET,
                )
            )

        await self._feed.subscribe([channel], since, acknowledge)

    async def _authenticate(self, ticket: str | None) -> None:
        if ticket is None:
            raise invalid("ticket", "is required")
        authenticated = await self._identity.authenticate(ticket)
        self._subscriber.push(protocol.reply("authenticated", authenticated))
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            await self.execute(waiting)

    def _end_forbidden(self, reason: str) -> None:
        """End the subscriptions that the caller no longer may have, and say why."""
        for channel in self._feed.channels:
            if not is_permitted(self._identity.caller, channel):
                self._feed.unsubscribe([channel])
                self._subscriber.push(acknowledgements.ended(channel, reason))

    async def _unsubscribe(self, asked: Channel) -> None:
        channel = await self._feed.located(asked)
        self._feed.unsubscribe([channel])
        prices = await self._prices(channel)
        names = self._subscriber.channels
        self._subscriber.push(acknowledgements.unsubscribed(channel, names, prices))

    async def _prices(self, channel: Channel) -> DisplayedPrices | None:
        """Return the prices for older clients."""
        market_id = channel.market_id
        if market_id is None or not acknowledgements.is_known_to_older_clients(channel):
            return None
        row = await self._database.read(lambda conn: markets.get(conn, market_id))
        return None if row is None else displayed_prices(row)


def _channel(command: protocol.Command) -> Channel:
    """Return the channel that a command names."""
    if MARKETS.name in (command.channel, command.market_id):
        return MARKETS
    if command.market_id is not None:
        return channels.of_market(identifiers.market_key(command.market_id))
    if command.channel is None:
        raise invalid("market_id", "is required, or channel")
    return channels.parse(command.channel)
