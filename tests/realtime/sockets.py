"""A client's connection by WebSocket."""

from __future__ import annotations

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.realtime.client_model import Step
from tests.realtime.crowd import Client
from tests.realtime.messages import decode
from tests.realtime.signed_in_wallets import SignedInWallets


class Socket:
    """Subscribes to each channel from the position that it has."""

    adds_channels = True

    def __init__(self, url: str, wallets: SignedInWallets) -> None:
        self._url = url
        self._wallets = wallets

    async def serve(self, client: Client) -> None:
        """Follow the client's channels until the socket breaks or this is cancelled."""
        ticket = None
        if client.wallet is not None:
            ticket = await self._wallets.ticket(client.wallet)
            if ticket is None:
                client.crowd.counts["no ticket"] += 1
                return
        try:
            socket = await connect(
                self._url,
                local_addr=(client.address, 0),
                compression=None,
                ping_interval=None,
                proxy=None,
                max_queue=None,
            )
        except (OSError, WebSocketException, TimeoutError):
            client.crowd.counts["socket refused"] += 1
            return
        try:
            if ticket is not None:
                command = {"action": "authenticate", "ticket": ticket}
                await socket.send(msgspec.json.encode(command).decode())
            await _subscribe(socket, client)
            async for text in socket:
                if client.take(decode(text)) is Step.SUBSCRIBE_AGAIN:
                    await _subscribe(socket, client)
            client.crowd.counts[f"socket closed {socket.close_code}"] += 1
        except (OSError, WebSocketException):
            client.crowd.counts[f"socket closed {socket.close_code}"] += 1
        finally:
            # As a client that vanishes: no close frame.
            socket.transport.abort()


async def _subscribe(socket: ClientConnection, client: Client) -> None:
    for channel in client.subscribing():
        command: dict[str, object] = {"action": "subscribe", "channel": channel}
        since = client.views[channel].position
        if since is not None:
            command["since"] = since
        await socket.send(msgspec.json.encode(command).decode())
