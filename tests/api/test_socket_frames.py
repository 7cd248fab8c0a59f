"""Frames that are written by the app: their bytes, and the queue behind a client that is slow."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import OP_TEXT, Frame

from api.connections.socket_frames import text_frame
from api.realtime.outgoing import Outgoing, json_message
from api.realtime.protocol import CLOSE_SLOW
from api.realtime.subscriber import Subscriber

EDGES = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
TEXTS = st.text(max_size=200) | st.sampled_from(EDGES).map(lambda size: "x" * size)


@given(TEXTS)
def test_frame_is_what_the_library_sends(text: str) -> None:
    assert text_frame(text.encode()) == Frame(OP_TEXT, text.encode()).serialize(mask=False)
    assert message(text).text == text


def message(text: str) -> Outgoing:
    return json_message("t", text.encode())


class Client:
    """Takes ``room`` writes, then none until it has read."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.received: list[str] = []
        self.closings = 0

    def write(self, frame: bytes) -> bool:
        """Take the texts of all frames in these bytes if there is room."""
        if not self.room:
            return False
        self.room -= 1
        while frame:
            size = frame[1] if frame[1] < 126 else int.from_bytes(frame[2:4], "big")
            start = 2 if frame[1] < 126 else 4
            self.received.append(frame[start : start + size].decode())
            frame = frame[start + size :]
        return True

    def when_writable(self, resume: Callable[[], None] | None) -> None:
        """Leave it to the test to flush."""

    def end(self, code: int, _reason: str) -> None:
        """Note that it was closed."""
        assert code == CLOSE_SLOW
        self.closings += 1


@given(st.lists(st.sampled_from(["push", "push all", "read", 0, 1]), max_size=60))
def test_messages_leave_in_order_whenever_the_client_reads(steps: list[int | str]) -> None:
    client = Client(room=0)
    subscriber = Subscriber(1 << 20, client)
    pushed: list[str] = []
    for number, step in enumerate(steps):
        if step == "push":
            pushed.append(str(number))
            subscriber.push(message(pushed[-1]))
        elif step == "push all":
            several = [f"{number}.{part}" for part in range(3)]
            pushed += several
            subscriber.push_all([message(text) for text in several])
        elif step == "read":  # and the server has not noticed yet
            client.room += 1
        else:
            client.room += int(step)
            subscriber.flush()
            assert not client.room or client.received == pushed
        assert client.received == pushed[: len(client.received)]
    client.room = len(pushed)
    subscriber.flush()
    assert client.received == pushed
    assert subscriber._bytes == 0


def test_client_that_does_not_read_is_closed_once_too_many_bytes_wait() -> None:
    client = Client(room=1)
    subscriber = Subscriber(1008, client)  # two of the frames below
    subscriber.push(message("sent at once"))
    for _ in range(2):
        subscriber.push(message("ä" * 250))  # 500 bytes each
    assert client.closings == 0
    subscriber.push(message("x"))
    assert client.closings == 1
    client.room = 10
    subscriber.push(message("after the end"))
    subscriber.flush()
    assert client.received == ["sent at once"]
    assert not subscriber._queue
