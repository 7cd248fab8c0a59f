"""Readiness: does a child answer what its users will ask of it?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

Probe = Callable[[], Awaitable[bool]]


def call(question: Callable[[], bool]) -> Probe:
    """A probe from a quick blocking question (``SELECT 1``, ``PING`` on loopback)."""

    async def probe() -> bool:
        return question()

    return probe


def http(url: str) -> Probe:
    """Whether GET answers with a 2xx status."""

    async def probe() -> bool:
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False

    return probe


def json_rpc(url: str) -> Probe:
    """Whether a Solana RPC node says it is healthy."""

    async def probe() -> bool:
        body = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                answer = (await client.post(url, json=body)).json()
        except (httpx.HTTPError, ValueError):
            return False
        return isinstance(answer, dict) and answer.get("result") == "ok"

    return probe


def listening(host: str, port: int) -> Probe:
    """Whether a TCP connection is taken.

    Enough for a gRPC server of Dagster: it binds its port only after the code has loaded,
    and ends when the code cannot be loaded.
    """

    async def probe() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    return probe
