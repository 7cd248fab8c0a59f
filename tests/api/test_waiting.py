"""What a socket waits for: messages in their order, and a gate, whoever gives up meanwhile."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from api.connections.waiting import Gate, Received


@given(st.lists(st.sampled_from(["put", "get", "give up", "run"]), max_size=40))
def test_messages_are_taken_once_and_in_order(steps: list[str]) -> None:
    async def scenario() -> None:
        received: Received[int] = Received()
        taken: list[int] = []
        put = 0
        waiting: asyncio.Task[int] | None = None
        for step in [*steps, "run", "run"]:
            if step == "put":
                received.put_nowait(put)
                put += 1
            elif step == "get" and waiting is None:
                waiting = asyncio.create_task(received.get())
            elif step == "give up" and waiting is not None:
                waiting.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if waiting is not None and waiting.done():
                if not waiting.cancelled():
                    taken.append(waiting.result())
                waiting = None
        if waiting is not None:
            assert received.empty()
            waiting.cancel()
        while not received.empty():
            taken.append(await received.get())
        assert taken == list(range(put))

    asyncio.run(scenario())


def test_gate_lets_all_through_once_it_opens() -> None:
    async def scenario() -> None:
        gate = Gate()
        waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert [one.done() for one in waiting] == [True, False, False]
        gate.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*waiting[1:])
        assert gate.is_set()
        gate.clear()
        closed = asyncio.create_task(gate.wait())
        await asyncio.sleep(0)
        assert not closed.done()
        gate.set()
        async with asyncio.timeout(5):
            await closed

    asyncio.run(scenario())
