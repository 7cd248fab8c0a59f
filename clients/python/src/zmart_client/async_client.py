"""The client for programs of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

import httpx

from zmart_client import acts, models
from zmart_client.acts import Act, VoteKind
from zmart_client.call import Call
from zmart_client.configuration import DEFAULT, Configuration
from zmart_client.exchange import Outcome, Renew, Send, Sleep, exchange
from zmart_client.messages import answer_of, request_of
from zmart_client.wallet import Wallet

Answer = TypeVar("Answer")
Result = TypeVar("Result")


class AsyncClient:
    """A client of the API; tasks may share it.

    Attributes:
        session: Who is signed in.
    """

    def __init__(self, url: str, configuration: Configuration = DEFAULT) -> None:
        """Call the API at ``url``, such as ``https://api.example.com``; nothing is sent yet."""
        self.session = configuration.session()
        self._retries = configuration.retries
        self._http = httpx.AsyncClient(base_url=url, **configuration.http())
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Return the client, which is closed at the end."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections; the session goes on."""
        await self._http.aclose()

    async def send(self, call: Call[Answer], *, idempotency_key: str | None = None) -> Answer:
        """Send a call and return its answer.

        Args:
            call: A call of ``zmart_client.calls``.
            idempotency_key: Of a write that was sent before and may have arrived.

        Raises:
            ApiError: The API answered with an error.
            httpx.TransportError: No answer came.
        """
        return answer_of(await self._response(call, idempotency_key), call)

    async def pages(self, call: Call[Answer]) -> AsyncIterator[Answer]:
        """Yield the pages of a list, one after another; raise what ``send`` raises."""
        following: Call[Answer] | None = call
        while following is not None:
            response = await self._response(following, None)
            yield answer_of(response, following)
            following = following.next_page(response.headers.get("link"))

    async def sign_in(self, wallet: Wallet) -> None:
        """Sign in with a wallet, which signs one text; raise what ``send`` raises."""
        await self._perform(acts.sign_in(self.session, wallet))

    async def sign_out(self) -> None:
        """End the session, if there is one; raise what ``send`` raises."""
        await self._perform(acts.sign_out(self.session))

    async def vote(
        self, wallet: Wallet, kind: VoteKind, market: str, choice: bool
    ) -> models.CastVote:
        """Cast a ballot that the wallet signs; raise what ``send`` raises."""
        return await self._perform(acts.vote(wallet, kind, market, choice))

    async def submit(self, wallet: Wallet, transaction: str) -> models.TransactionDetail:
        """Have the wallet sign a prepared transaction (base64), hand it in, and await its effects.

        Raises:
            TransactionFailed: It failed, or did not land in time.
            ApiError: The API refused it.
        """
        return await self._perform(acts.submit(wallet, transaction))

    async def landing(self, signature: str) -> models.TransactionDetail:
        """Wait for a transaction that was handed in before; raise what ``submit`` raises."""
        return await self._perform(acts.landing(signature))

    async def _perform(self, act: Act[Result]) -> Result:
        answer: object = None
        while True:
            try:
                step = act.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
            else:
                answer = await self.send(step)

    async def _response(self, call: Call[object], key: str | None) -> httpx.Response:
        steps = exchange(call, self.session, self._retries, key)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                response: httpx.Response = end.value
                return response
            match step:
                case Send(headers):
                    outcome = await self._sent(request_of(self._http, call, headers))
                case Sleep(seconds):
                    await asyncio.sleep(seconds)
                case Renew(tokens):
                    async with self._renewing:
                        await self._perform(acts.renewal(self.session, tokens))

    async def _sent(self, request: httpx.Request) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.send(request)
        except httpx.TransportError as error:
            return error
