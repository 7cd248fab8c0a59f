"""Links and previews: exact numbers, no secret in a URL."""

from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg
import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature

from assets import metadata
from zmart_pipelines.settings import Settings

SIGNATURE = bytes(range(64))
TEXT = str(Signature.from_bytes(SIGNATURE))


@pytest.mark.parametrize(
    ("cluster", "ending"),
    [
        ("mainnet", ""),
        ("devnet", "?cluster=devnet"),
        ("testnet", "?cluster=testnet"),
        ("localnet", "?cluster=custom&customUrl=http%3A%2F%2F127.0.0.1%3A8899"),
    ],
)
def test_links_by_cluster(cluster: str, ending: str) -> None:
    settings = Settings(solana_cluster=cluster, solana_rpc_url="http://127.0.0.1:8899")
    assert (
        metadata.transaction_link(settings, SIGNATURE)
        == f"https://explorer.solana.com/tx/{TEXT}{ending}"
    )
    assert metadata.transaction_link(settings, TEXT) == metadata.transaction_link(
        settings, SIGNATURE
    )
    assert metadata.address_link(settings, bytes(32)).startswith(
        "https://explorer.solana.com/address/11111111111111111111111111111111"
    )


def test_no_link_holds_the_endpoints_key() -> None:
    for cluster in ("localnet", "devnet", "mainnet"):
        settings = Settings(
            solana_cluster=cluster,
            solana_rpc_url="https://user:geheim@rpc.example.com/geheim?api-key=geheim",
        )
        assert "geheim" not in metadata.transaction_link(settings, SIGNATURE)


def test_a_long_list_of_links_is_cut_and_says_so() -> None:
    shown = metadata.links(Settings(), [SIGNATURE] * (metadata.MAX_ITEMS + 5)).value
    assert isinstance(shown, str)
    assert shown.count("](https://") == metadata.MAX_ITEMS
    assert shown.endswith("and 5 more")
    assert metadata.links(Settings(), []).value == "none"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("slot", 7, 7),
        ("amount", 2**53, str(2**53)),
        ("amount", 2**53 - 1, 2**53 - 1),
        ("amount", Decimal(2**64 - 1), str(2**64 - 1)),
        ("amount", Decimal(5), 5),
        ("user", bytes(32), str(Pubkey.default())),
        ("market_id", bytes(32), "00" * 32),
        ("signature", SIGNATURE, TEXT),
        ("raw", b"\x01\xff", "01ff"),
        ("failed", True, True),
        ("reason", None, None),
        ("at", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000+00:00"),
    ],
)
def test_cells(name: str, value: object, shown: object) -> None:
    found = metadata.cell(name, value)
    assert found == shown
    assert type(found) is type(shown)


def test_a_table_shows_the_first_rows() -> None:
    rows = [{"slot": n, "price": 2**60} for n in range(30)]
    value = metadata.table(rows)
    assert isinstance(value, dg.TableMetadataValue)
    assert len(value.records) == metadata.PREVIEW_ROWS
    assert [column.type for column in value.schema.columns] == ["int", "string"]
    assert metadata.table([]).value == "no rows"


def test_counts_are_sorted() -> None:
    assert metadata.counts({"b": 1, "a": 1, "c": 5}).value == "- c: 5\n- a: 1\n- b: 1"
