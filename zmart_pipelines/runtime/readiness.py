"""Readiness probes: whether a process answers the requests that its users will send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

Probe = Callable[[], Awaitable[bool]]


def call(check: Callable[[], bool]) -> Probe:
    """Return a probe from a short blocking check (``SELECT 1``, ``PING`` on loopback)."""

    async def probe() -> bool:
        return check()

    return probe


def http(url: str) -> Probe:
    """Return a probe that succeeds when GET answers with a 2xx status."""

    async def probe() -> bool:
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False

    return probe


def api_process(url: str, name: str) -> Probe:
    """Return a probe that succeeds when the API process of this name is healthy.

    The kernel chooses one of the processes on the port for each connection, so that it may take
    several attempts to reach this one.
    """

    async def probe() -> bool:
        try:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
                answer = await client.get(f"{url}/health")
                return answer.is_success and answer.json()["process"] == name
        except (httpx.HTTPError, ValueError, KeyError):
            return False

    return probe


def json_rpc(url: str) -> Probe:
    """Return a probe that succeeds when a Solana RPC node reports that it is healthy."""

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
    """Return a probe that succeeds when a TCP connection is accepted.

    That suffices for Dagster's gRPC server: it binds its port only after the code has loaded,
    and exits when the code cannot be loaded.
    """

    async def probe() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    return probe
