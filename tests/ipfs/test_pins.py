"""The pin stores: what goes in comes out, and nothing else does."""

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

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
    assert (tmp_path / "ipfs").is_dir()
    remote = configured_pin_store(Settings(zmart_state=tmp_path, pinata_jwt=SecretStr(TOKEN)))
    assert isinstance(remote, PinataPinStore)
    assert TOKEN not in repr(remote) + str(vars(remote))


class Pinata(ThreadingHTTPServer):
    """Answers as Pinata's pinFileToIPFS and its gateway do, or badly on request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blocks: dict[str, bytes] = {}
        self.mode = "good"
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
        content = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
        cid = cid_v0(content if self.server.mode == "good" else content + b"!")
        self.server.blocks[cid] = content
        self._answer(200, json.dumps({"IpfsHash": cid, "PinSize": len(content)}).encode())

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


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("wrong", "instead of Qm"),
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
