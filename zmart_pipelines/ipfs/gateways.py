"""Reading of a block from several IPFS gateways, of which none is trusted.

The first gateway is asked at once, each further one after a pause or as soon as one before it has
failed; the first right answer wins and the others are cancelled. Every answer is checked against
the CID. A gateway that sends other bytes is not asked again for a while. Nothing is sent to a
gateway but the CID: the token of the pin store is not known here.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import anyio
import httpx
import msgspec
from anyio.streams.memory import MemoryObjectSendStream

from zmart_pipelines.ipfs.cid import MAX_BLOCK, content_of

# The block itself (specs.ipfs.tech, "Trustless Gateway"), else the file that it holds.
_HEADERS: Final = {"Accept": "application/vnd.ipld.raw, application/octet-stream;q=0.9, */*;q=0.8"}
# Bytes of the nodes around the content of a block, at most.
_FRAME: Final = 64

Outcome: TypeAlias = Literal["right", "missing", "wrong", "failed"]


class Verdict(msgspec.Struct, frozen=True):
    """What a gateway answered.

    Attributes:
        gateway: Its host, with the port where one is stated.
        outcome: ``right``; ``missing``: it does not know the CID; ``wrong``: it sent other bytes;
            ``failed``: no usable answer came in time.
        reason: Of what is not right.
    """

    gateway: str
    outcome: Outcome
    reason: str = ""


class Race(msgspec.Struct, frozen=True):
    """How a CID was read.

    Attributes:
        data: The bytes; None where no gateway sent the right ones.
        verdicts: Of the gateways that answered, in that order.
        skipped: Gateways that were not asked because of earlier wrong bytes.
    """

    data: bytes | None
    verdicts: tuple[Verdict, ...]
    skipped: tuple[str, ...]

    @property
    def is_unknown(self) -> bool:
        """Whether every gateway was asked and knows no such CID."""
        return not self.skipped and all(one.outcome == "missing" for one in self.verdicts)


class _Answer(msgspec.Struct, frozen=True):
    verdict: Verdict
    data: bytes | None = None


class Gateways:
    """Gateways in the order in which they are asked, and which of them are left out."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        stagger: float,
        seconds: float,
        ejection_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Choose the gateways; nothing is sent yet.

        Args:
            urls: Of each gateway; the CID follows after a slash.
            stagger: Seconds after which the next gateway is asked too.
            seconds: How long a gateway may take.
            ejection_seconds: For how long one that sent wrong bytes is not asked.
            clock: Seconds, monotonic.
        """
        self._urls = [url.rstrip("/") + "/" for url in urls]
        self._stagger = stagger
        self._seconds = seconds
        self._ejection_seconds = ejection_seconds
        self._clock = clock
        self._ejected_until: dict[str, float] = {}

    async def fetch(self, cid: str) -> Race:
        """Ask the gateways for a CIDv0."""
        now = self._clock()
        ejected = [url for url in self._urls if self._ejected_until.get(url, -math.inf) > now]
        asked = deque(url for url in self._urls if url not in ejected)
        verdicts: list[Verdict] = []
        data: bytes | None = None
        send, receive = anyio.create_memory_object_stream[_Answer](len(asked))
        async with send, receive, httpx.AsyncClient() as client, anyio.create_task_group() as group:
            pending = 0
            while data is None and (asked or pending):
                if asked:
                    group.start_soon(self._ask, client, asked.popleft(), cid, send)
                    pending += 1
                answer = None
                with anyio.move_on_after(self._stagger if asked else math.inf):
                    answer = await receive.receive()
                if answer is not None:
                    pending -= 1
                    verdicts.append(answer.verdict)
                    data = answer.data
            group.cancel_scope.cancel()
        return Race(data, tuple(verdicts), tuple(map(_host, ejected)))

    async def _ask(
        self,
        client: httpx.AsyncClient,
        url: str,
        cid: str,
        answers: MemoryObjectSendStream[_Answer],
    ) -> None:
        try:
            with anyio.fail_after(self._seconds):
                answer = await _answer(client, url, cid)
        except TimeoutError:
            answer = _Answer(Verdict(_host(url), "failed", f"no answer in {self._seconds:g} s"))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            answer = _Answer(Verdict(_host(url), "failed", type(error).__name__))
        if answer.verdict.outcome == "wrong":
            self._ejected_until[url] = self._clock() + self._ejection_seconds
        answers.send_nowait(answer)


async def _answer(client: httpx.AsyncClient, url: str, cid: str) -> _Answer:
    host = _host(url)
    async with client.stream("GET", url + cid, headers=_HEADERS, timeout=None) as response:
        if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            return _Answer(Verdict(host, "missing", f"status {response.status_code}"))
        if response.status_code != httpx.codes.OK:
            # Redirects are not followed: a gateway does not choose which hosts are asked.
            return _Answer(Verdict(host, "failed", f"status {response.status_code}"))
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BLOCK + _FRAME:
                return _Answer(Verdict(host, "wrong", f"more than {MAX_BLOCK} bytes for {cid}"))
    data = content_of(bytes(body), cid)
    if data is None:
        return _Answer(Verdict(host, "wrong", f"other bytes than those of {cid}"))
    return _Answer(Verdict(host, "right"), data)


def _host(url: str) -> str:
    return urlsplit(url).netloc
