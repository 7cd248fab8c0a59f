"""The pin stores: what goes in comes out, and nothing else does."""

import base64
import email
import errno
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from zmart_pipelines import base58
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError, PinNotFound
from zmart_pipelines.ipfs.pinata import PinataPinStore
from zmart_pipelines.settings import Settings

TOKEN = "token-that-must-not-leak"


def test_local_store_returns_what_was_pinned(tmp_path: Path) -> None:
    store = LocalPinStore(tmp_path / "ipfs")
    cid = store.pin(b"a document")
    assert store.pin(b"a document") == cid == cid_v0(b"a document")
    assert store.get(cid) == b"a document"
    assert [path.name for path in (tmp_path / "ipfs").iterdir()] == [cid]
    assert stat.S_IMODE((tmp_path / "ipfs").stat().st_mode) == 0o700


def test_local_store_reports_missing_blocks_and_tampering(tmp_path: Path) -> None:
    store = LocalPinStore(tmp_path)
    with pytest.raises(PinNotFound):
        store.get(cid_v0(b"never pinned"))
    cid = store.pin(b"right")
    (tmp_path / cid).write_bytes(b"wrong")
    with pytest.raises(PinError, match="other bytes"):
        store.get(cid)
    assert store.pin(b"right") == cid
    assert store.get(cid) == b"right"
    with pytest.raises(PinError, match="not a CIDv0"):
        store.get("../../etc/passwd")


def test_settings_choose_the_store(tmp_path: Path) -> None:
    local = configured_pin_store(Settings(zmart_state=tmp_path, pinata_jwt=None))
    assert isinstance(local, LocalPinStore)
    remote = configured_pin_store(Settings(zmart_state=tmp_path, pinata_jwt=SecretStr(TOKEN)))
    assert isinstance(remote, PinataPinStore)
    assert TOKEN not in repr(remote) + str(vars(remote))


def _v1(cid: str, codec: bytes = b"\x70") -> str:
    """Return the CIDv1, in base32, with the multihash of a CIDv0."""
    data = b"\x01" + codec + base58.decode(cid)
    return "b" + base64.b32encode(data).decode().rstrip("=").lower()


# How Pinata names the block that it pinned, by mode.
_NAMES: dict[str, Callable[[str], object]] = {
    "good": str,
    "wrong": str,
    "v1": _v1,
    "v1 base58": lambda cid: "z" + base58.encode(b"\x01\x70" + base58.decode(cid)),
    "v1 base16": lambda cid: "f0170" + base58.decode(cid).hex(),
    "raw": lambda cid: _v1(cid, b"\x55"),
    "v1 of others": lambda cid: _v1(cid_v0(b"other")),
    "cut": lambda cid: _v1(cid)[:-2],
    "nothing": lambda _: None,
    "number": lambda _: 7,
}


class Pinata(ThreadingHTTPServer):
    """Answers as Pinata's pinFileToIPFS and its gateway do, or badly on request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blocks: dict[str, bytes] = {}
        self.mode = "good"
        self.options: dict[str, object] = {}
        self.tokens: set[str | None] = set()
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Pinata

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.mode == "hang":
            self.server.release.wait(10)
            return
        if self.server.mode == "refuse":
            self._answer(401, b'{"error":"no"}')
            return
        if self.server.mode == "garbage":
            self._answer(200, b"<html>")
            return
        parts = self._parts(body)
        content = parts["file"]
        self.server.options = json.loads(parts.get("pinataOptions", b"{}"))
        cid = cid_v0(content if self.server.mode != "wrong" else content + b"!")
        self.server.blocks[cid] = content
        named = _NAMES[self.server.mode](cid)
        self._answer(200, json.dumps({"IpfsHash": named, "PinSize": len(content)}).encode())

    def _parts(self, body: bytes) -> dict[str, bytes]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + body)
        assert message.is_multipart()
        contents: dict[str, bytes] = {}
        for part in message.walk():
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                contents[str(part.get_param("name", header="content-disposition"))] = content
        return contents

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        block = self.server.blocks.get(self.path.rsplit("/", 1)[1])
        if block is None:
            self._answer(404, b"")
        else:
            self._answer(200, block)


@pytest.fixture
def pinata() -> Iterator[Pinata]:
    server = Pinata()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


def _store(pinata: Pinata, folder: Path, timeout: float = 30) -> PinataPinStore:
    return PinataPinStore(
        SecretStr(TOKEN),
        LocalPinStore(folder),
        timeout=timeout,
        base_url=pinata.url,
        gateway=f"{pinata.url}ipfs/",
    )


def test_pinata_pins_and_another_machine_reads(pinata: Pinata, tmp_path: Path) -> None:
    data = bytes(range(256)) * 100
    cid = _store(pinata, tmp_path / "here").pin(data)
    assert cid == cid_v0(data)
    assert pinata.tokens == {f"Bearer {TOKEN}"}
    pinata.tokens.clear()
    assert _store(pinata, tmp_path / "there").get(cid) == data
    assert pinata.tokens == {None}, "the gateway must not be given the token"
    assert LocalPinStore(tmp_path / "there").get(cid) == data


@pytest.mark.parametrize("mode", ["good", "v1", "v1 base58", "v1 base16"])
def test_pinata_is_asked_for_cid_v0_and_may_name_the_same_block_as_v1(
    pinata: Pinata, tmp_path: Path, mode: str
) -> None:
    pinata.mode = mode
    data = b'{"votes":[1,2,3]}'
    assert _store(pinata, tmp_path).pin(data) == cid_v0(data)
    assert pinata.options == {"cidVersion": 0}
    assert pinata.blocks[cid_v0(data)] == data


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("wrong", "instead of Qm"),
        ("raw", "instead of Qm"),
        ("v1 of others", "instead of Qm"),
        ("cut", "instead of Qm"),
        ("nothing", "instead of Qm"),
        ("number", "instead of Qm"),
        ("refuse", "responded with 401"),
        ("garbage", "could not be reached"),
        ("hang", "could not be reached: ReadTimeout"),
    ],
)
def test_pinata_failures_are_reported(
    pinata: Pinata, tmp_path: Path, mode: str, message: str
) -> None:
    pinata.mode = mode
    with pytest.raises(PinError, match=message) as caught:
        _store(pinata, tmp_path, timeout=0.5 if mode == "hang" else 30).pin(b"data")
    assert TOKEN not in str(caught.value)


def _planted(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "mount its disk for writing"),
        (errno.EACCES, "account that runs zmart"),
        (errno.EIO, "disk is failing"),
        (errno.EBUSY, "can be written"),
    ],
)
def test_folder_that_cannot_be_written_is_a_pin_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    store = LocalPinStore(tmp_path / "pins")
    with monkeypatch.context() as patch:
        _planted(patch, number)
        with pytest.raises(PinError, match=remedy) as error:
            store.pin(b"data")
        assert str(tmp_path / "pins") in str(error.value)
    assert list((tmp_path / "pins").iterdir()) == [], "no part of a block is left behind"
    assert store.get(store.pin(b"data")) == b"data"


def test_file_in_the_place_of_the_folder_is_a_pin_error(pinata: Pinata, tmp_path: Path) -> None:
    place = tmp_path / "pins"
    place.write_bytes(b"")
    for store in (LocalPinStore(place), _store(pinata, place)):
        with pytest.raises(PinError, match="remove the file"):
            store.pin(b"data")
    with pytest.raises(PinError, match="remove the file"):
        LocalPinStore(place).get(cid_v0(b"data"))
    # What the gateway has is read although it cannot be kept.
    pinata.blocks[cid_v0(b"data")] = b"data"
    there = _store(pinata, Path("/proc/zmart-pins"))
    assert there.get(cid_v0(b"data")) == b"data"
    place.unlink()
    assert LocalPinStore(place).pin(b"data") == cid_v0(b"data")


def test_gateway_is_not_trusted(pinata: Pinata, tmp_path: Path) -> None:
    store = _store(pinata, tmp_path)
    with pytest.raises(PinNotFound):
        store.get(cid_v0(b"unknown"))
    pinata.blocks[cid_v0(b"asked")] = b"other"
    with pytest.raises(PinError, match="other bytes"):
        store.get(cid_v0(b"asked"))
    pinata.blocks[cid_v0(b"large")] = bytes(MAX_BLOCK + 1)
    with pytest.raises(PinError, match="more than"):
        store.get(cid_v0(b"large"))
