"""Subscriptions over WebSocket, as in agave's PubSub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable

from localnet.accounts import Account, Key
from localnet.bank import Tip
from localnet.blocks import Block, Commitment, Record
from localnet.node import Listener, Node
from localnet.rpc import encoding
from localnet.rpc.accounts import AccountOptions, ProgramOptions, Tests, compile_filters, passes
from localnet.rpc.encoding import signature_text
from localnet.rpc.errors import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
    invalid,
)
from localnet.rpc.params import Options, Params, context
from localnet.views import ChainView

MAX_QUEUE: Final = 10_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class SignatureOptions(Options, rename="camel"):
    """Options of ``signatureSubscribe``."""

    enable_received_notification: bool = False


class Mentions(msgspec.Struct):
    """The filter for transactions that reference an address."""

    mentions: list[str]


class Subscription(msgspec.Struct):
    """One subscription of a client. Unused fields keep their defaults."""

    identity: int
    client: Client
    kind: str
    commitment: Commitment
    key: bytes | None = None
    received: bool = False
    options: AccountOptions | None = None
    tests: Tests = []


class Client:
    """One connection: its subscriptions and its queue of outgoing messages."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_QUEUE)
        self.subscriptions: dict[int, Subscription] = {}

    def put(self, message: Any) -> None:
        """Enqueue a message; a client that does not read is disconnected."""
        try:
            self.queue.put_nowait(_encode(message))
        except asyncio.QueueFull:
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)


class Subscriptions(Listener):
    """All connections of the node; notifies them of its events."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._next = 0
        self._clients: set[Client] = set()
        self._by_kind: dict[str, dict[int, Subscription]] = {
            kind: {} for kind in ("signature", "logs", "slot", "root", "account", "program")
        }

    # Connections

    async def serve(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one client until it disconnects or the node stops."""
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        client = Client()
        self._clients.add(client)
        writing = asyncio.create_task(_write(client, send))
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message["type"] == "websocket.receive":
                    text = message.get("text")
                    self._handle(client, text.encode() if text else message.get("bytes") or b"")
        finally:
            self._clients.discard(client)
            for identity in list(client.subscriptions):
                self._remove(client, identity)
            writing.cancel()

    async def close(self) -> None:
        """Close the connection of every client."""
        for client in self._clients:
            if client.queue.full():
                client.queue.get_nowait()
            client.queue.put_nowait(None)
        for _ in range(20):
            if not self._clients:
                return
            await asyncio.sleep(0.01)

    def _handle(self, client: Client, body: bytes) -> None:
        identity = None
        try:
            try:
                request = _decode(body)
            except msgspec.DecodeError as error:
                raise RpcError(PARSE_ERROR, "Parse error") from error
            if not isinstance(request, dict) or not isinstance(request.get("method"), str):
                raise RpcError(INVALID_REQUEST, "Invalid request")
            identity = request.get("id")
            values = request.get("params") or []
            if not isinstance(values, list):
                raise invalid("Invalid params: expected a list")
            result, after = self._call(client, request["method"], Params(self._node, values))
        except RpcError as error:
            client.put({"jsonrpc": "2.0", "error": error.body(), "id": identity})
            return
        client.put({"jsonrpc": "2.0", "result": result, "id": identity})
        if after is not None:
            after()

    def _call(
        self, client: Client, method: str, params: Params
    ) -> tuple[Any, Callable[[], None] | None]:
        if method.endswith("Unsubscribe") and method.removesuffix("Unsubscribe") in self._by_kind:
            number = params.convert(0, int)
            if number not in client.subscriptions:
                raise invalid("Invalid subscription id.")
            self._remove(client, number)
            return True, None
        kind = method.removesuffix("Subscribe")
        if kind == method or kind not in self._by_kind:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        subscription = self._make(client, kind, params)
        client.subscriptions[subscription.identity] = subscription
        self._by_kind[kind][subscription.identity] = subscription
        if kind != "signature":
            return subscription.identity, None
        return subscription.identity, lambda: self._notify_if_reached(subscription)

    def _make(self, client: Client, kind: str, params: Params) -> Subscription:
        new = Subscription(self._next, client, kind, Commitment.FINALIZED)
        self._next += 1
        if kind == "signature":
            new.key = params.signature(0)
            wanted = params.options(1, SignatureOptions)
            new.commitment = wanted.commitment or Commitment.FINALIZED
            new.received = wanted.enable_received_notification
        elif kind == "logs":
            if params.get(0) not in ("all", "allWithVotes"):
                names = params.convert(0, Mentions).mentions
                if len(names) != 1:
                    raise invalid("Invalid Request: Only 1 address supported")
                new.key = bytes(Params(self._node, names).pubkey(0))
            new.commitment = params.options(1, Options).commitment or Commitment.FINALIZED
        elif kind == "account":
            new.key = bytes(params.pubkey(0))
            new.options = params.options(1, AccountOptions)
            new.commitment = new.options.commitment or Commitment.FINALIZED
        elif kind == "program":
            new.key = bytes(params.pubkey(0))
            program = params.options(1, ProgramOptions)
            new.options, new.tests = program, compile_filters(program.filters)
            new.commitment = program.commitment or Commitment.FINALIZED
        return new

    def _remove(self, client: Client, identity: int) -> None:
        subscription = client.subscriptions.pop(identity, None)
        if subscription is not None:
            del self._by_kind[subscription.kind][identity]

    # Notifications

    def _notify(self, subscription: Subscription, result: Any) -> None:
        subscription.client.put(
            {
                "jsonrpc": "2.0",
                "method": f"{subscription.kind}Notification",
                "params": {"result": result, "subscription": subscription.identity},
            }
        )

    def _notify_if_reached(self, subscription: Subscription) -> None:
        """Notify at once if the transaction has already reached the commitment."""
        view = ChainView(self._node.bank)
        status = view.status(subscription.key or b"")
        if status is not None and status.slot <= view.tip(subscription.commitment).slot:
            self._notify_signature(subscription, status.slot, status.error)

    def _notify_signature(self, subscription: Subscription, slot: int, error: Any) -> None:
        self._notify(subscription, _at(slot, {"err": error}))
        self._remove(subscription.client, subscription.identity)

    def transaction(self, record: Record, slot: int) -> None:
        """Notify of a transaction at processed."""
        for subscription in list(self._by_kind["signature"].values()):
            if subscription.key != record.signature:
                continue
            if subscription.received:
                self._notify(subscription, _at(slot, "receivedSignature"))
            if subscription.commitment is Commitment.PROCESSED:
                self._notify_signature(subscription, slot, record.error)
        self._notify_logs(record, slot, Commitment.PROCESSED)

    def slot(self, slot: int, parent: int, root: int) -> None:
        """Notify of a new slot."""
        for subscription in self._by_kind["slot"].values():
            self._notify(subscription, {"parent": parent, "root": root, "slot": slot})

    def block(self, block: Block, level: Commitment) -> None:
        """Notify of a block that reached a commitment."""
        if level is not Commitment.PROCESSED:
            if self._by_kind["signature"]:
                self._notify_signatures(block, level)
            if self._by_kind["logs"]:
                for record in block.records:
                    self._notify_logs(record, block.slot, level)
        if level is Commitment.FINALIZED:
            for subscription in self._by_kind["root"].values():
                self._notify(subscription, block.slot)
        if self._by_kind["account"] or self._by_kind["program"]:
            self._notify_accounts(block, level)

    def _notify_signatures(self, block: Block, level: Commitment) -> None:
        errors = {record.signature: record.error for record in block.records}
        for subscription in list(self._by_kind["signature"].values()):
            if subscription.commitment is level and subscription.key in errors:
                self._notify_signature(subscription, block.slot, errors[subscription.key])

    def _notify_logs(self, record: Record, slot: int, level: Commitment) -> None:
        for subscription in self._by_kind["logs"].values():
            if subscription.commitment is not level:
                continue
            if subscription.key is None or subscription.key in record.keys:
                self._notify(
                    subscription,
                    _at(
                        slot,
                        {
                            "signature": signature_text(record.signature),
                            "err": record.error,
                            "logs": record.logs,
                        },
                    ),
                )

    def _notify_accounts(self, block: Block, level: Commitment) -> None:
        for key in block.changed:
            account = self._node.bank.account(key, block.slot)
            for subscription in self._by_kind["account"].values():
                if subscription.commitment is level and subscription.key == key:
                    self._notify(subscription, _at(block.slot, _shown(subscription, key, account)))
            for subscription in self._by_kind["program"].values():
                if (
                    subscription.commitment is level
                    and account is not None
                    and subscription.key == account.owner
                    and passes(account, subscription.tests)
                ):
                    shown = _shown(subscription, key, account)
                    row = {"pubkey": encoding.address(key), "account": shown}
                    self._notify(subscription, _at(block.slot, row))


def _shown(subscription: Subscription, key: Key, account: Account | None) -> Any:
    options = subscription.options or AccountOptions()
    return encoding.account(
        key, account or Account(0, bytes(32), b""), options.encoding, options.data_slice
    )


def _at(slot: int, value: Any) -> dict[str, Any]:
    return {"context": context(Tip(slot, 0, 0)), "value": value}


async def _write(client: Client, send: ASGISendCallable) -> None:
    while True:
        message = await client.queue.get()
        if message is None:
            await send({"type": "websocket.close", "code": 1001, "reason": "going away"})
            return
        await send({"type": "websocket.send", "bytes": None, "text": message.decode()})
