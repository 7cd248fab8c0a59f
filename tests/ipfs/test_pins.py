"""The pin stores: what goes in comes out, and nothing else does."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.ipfs.pinata_server import Pinata, running_pinata
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError, PinNotFound, PinStore
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


def test_settings_name_the_api_and_the_gateway(pinata: Pinata, tmp_path: Path) -> None:
    def store(folder: str) -> PinStore:
        return configured_pin_store(
            Settings(
                zmart_state=tmp_path / folder,
                pinata_jwt=SecretStr(TOKEN),
                pinata_api_url=pinata.url.rstrip("/"),
                pinata_gateway_url=f"{pinata.url}ipfs",
            )
        )

    assert store("there").get(store("here").pin(b"data")) == b"data"
    assert pinata.tokens == {f"Bearer {TOKEN}", None}


@pytest.fixture
def pinata() -> Iterator[Pinata]:
    with running_pinata() as server:
        yield server


def _store(pinata: Pinata, folder: Path, timeout: float = 30) -> PinataPinStore:
    return PinataPinStore(
        SecretStr(TOKEN),
        LocalPinStore(folder),
        api_url=pinata.url,
        gateway_url=f"{pinata.url}ipfs",
        timeout=timeout,
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


def test_answer_that_comes_twice_is_not_taken_for_that_of_the_next_pin(
    pinata: Pinata, tmp_path: Path
) -> None:
    pinata.mode = "twice"
    store = _store(pinata, tmp_path)
    documents = [b"document %d" % number for number in range(5)]
    assert [store.pin(one) for one in documents] == [cid_v0(one) for one in documents]
    assert list(pinata.blocks.values()) == documents, "each was pinned, once"


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


def test_local_store_says_how_much_it_holds(tmp_path: Path) -> None:
    store = LocalPinStore(tmp_path / "ipfs")
    assert store.used_bytes() == 0
    store.pin(b"a" * 600)
    store.pin(b"b" * 40)
    assert store.used_bytes() == 640


@pytest.mark.parametrize("mode", ["good", "size as text"])
def test_pinata_says_how_much_is_pinned_whatever_is_kept_here(
    pinata: Pinata, tmp_path: Path, mode: str
) -> None:
    store = _store(pinata, tmp_path)
    store.pin(b"a" * 600)
    pinata.blocks[cid_v0(b"of another machine")] = bytes(1_000)
    pinata.tokens.clear()
    pinata.mode = mode
    assert store.used_bytes() == 1_600
    assert pinata.tokens == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("refuse", "HTTPError"),
        ("garbage", "JSONDecodeError"),
        ("hang", "ReadTimeout"),
        ("no size", "KeyError"),
        ("list", "TypeError"),
        ("size is null", "TypeError"),
        ("size is no number", "ValueError"),
        ("size is infinite", "OverflowError"),
        ("size below zero", "-1 bytes"),
    ],
)
def test_size_that_pinata_does_not_name_is_a_pin_error(
    pinata: Pinata, tmp_path: Path, mode: str, message: str
) -> None:
    pinata.mode = mode
    with pytest.raises(PinError, match=message) as caught:
        _store(pinata, tmp_path, timeout=0.5 if mode == "hang" else 30).used_bytes()
    assert TOKEN not in str(caught.value)


def test_size_that_pinata_cannot_be_asked_for_is_a_pin_error(tmp_path: Path) -> None:
    with running_pinata() as pinata:
        store = _store(pinata, tmp_path)
    with pytest.raises(PinError, match="ConnectionError"):
        store.used_bytes()
