"""What a restored database may differ in, and that a manifest survives being stored."""

from datetime import UTC, datetime

import pytest

from zmart_pipelines.backup.manifest import (
    FORMAT,
    Manifest,
    StoredFile,
    TableContent,
    UnreadableManifest,
    decode,
    differences,
    encode,
)

A = TableContent(("id", "text"), 2, "aa" * 32)
MANIFEST = Manifest(
    name="20260630T000000Z",
    taken_at=datetime(2026, 6, 30, tzinfo=UTC),
    encrypted=False,
    server_version="18.4",
    revision="0033_backups",
    lsn="0/1234",
    program_id="6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw",
    tables={"voting.ballots": A},
    cids=(),
    files={"database.dump": StoredFile(7, "bb" * 32)},
)


def test_manifest_is_read_as_it_was_written() -> None:
    assert decode(encode(MANIFEST)) == MANIFEST
    assert (MANIFEST.rows, MANIFEST.bytes) == (2, 7)


def test_damaged_or_later_manifest_is_refused() -> None:
    with pytest.raises(UnreadableManifest, match="cannot be read"):
        decode(encode(MANIFEST)[:-3])
    with pytest.raises(UnreadableManifest, match="format 2"):
        decode(encode(MANIFEST).replace(b'"format": 1', b'"format": %d' % (FORMAT + 1)))


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        ({}, "was not restored"),
        ({"t": A, "u": A}, "u is not in the manifest"),
        ({"t": TableContent(("id",), 2, A.sha256)}, "other columns"),
        ({"t": TableContent(A.columns, 1, A.sha256)}, "1 rows, the manifest says 2"),
        ({"t": TableContent(A.columns, 2, "cc" * 32)}, "other content"),
        ({"t": A}, None),
    ],
)
def test_every_difference_is_named(found: dict[str, TableContent], difference: str | None) -> None:
    texts = list(differences({"t": A}, found))
    assert texts == [] if difference is None else [t for t in texts if difference in t] == texts
    assert bool(texts) is (difference is not None)
