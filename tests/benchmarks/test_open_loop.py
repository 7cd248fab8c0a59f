"""Users send on time, whether or not they are answered, and every answer is accounted for."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.open_loop import Outcome, User, call, run

pytestmark = pytest.mark.process

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno"


class Server:
    """Gives its answers in order."""

    def __init__(self, answers: list[bytes], hold_first: bool = False) -> None:
        self.answers = answers
        self.hold_first = hold_first
        self.peers: set[str] = set()
        self._number = 0
        self._second = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.add(writer.get_extra_info("peername")[0])
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                number, self._number = self._number, self._number + 1
                if number:
                    self._second.set()
                elif self.hold_first:
                    await self._second.wait()
                writer.write(self.answers[number])
        except asyncio.IncompleteReadError:
            writer.close()


def outcomes(server: Server, users: int, seconds: int) -> list[Outcome]:
    async def measure() -> list[Outcome]:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        crowd = [User(number, port) for number in range(users)]
        found = await run(crowd, [[call("read", "/")] * seconds for _ in crowd])
        for user in crowd:
            user.close()
        listening.close()
        return found

    return asyncio.run(measure())


def test_request_is_sent_while_the_one_before_is_not_answered() -> None:
    # The server answers the first only once the second has come: a closed loop would hang.
    found = outcomes(Server([OK, OK], hold_first=True), users=1, seconds=2)
    assert sorted((one.second, one.status) for one in found) == [(0, 200), (1, 200)]


def test_refusal_is_an_outcome_with_its_text() -> None:
    found = outcomes(Server([REFUSED, OK]), users=1, seconds=2)
    assert [(one.second, one.status) for one in found] == [(0, 429), (1, 200)]
    assert found[0].text == b"no"


def test_each_user_has_an_address_of_its_own() -> None:
    server = Server([OK] * 3)
    outcomes(server, users=3, seconds=1)
    assert server.peers == {"127.1.1.1", "127.1.1.2", "127.1.1.3"}
