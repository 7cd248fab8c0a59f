"""Render the metadata of a materialization: links, counts and table previews.

Explorer links and the formatting of keys and signatures in the UI are defined here only. Nothing
here reads a database or a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

import dagster as dg
import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.chain.jsonrpc import label
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.settings import Settings

EXPLORER = "https://explorer.solana.com"
PREVIEW_ROWS = 10
MAX_ITEMS = 20

# From here on numbers in a browser are not exact; such integers are shown as text.
_EXACT = 2**53

Cell = str | int | float | bool | None


def _cluster(settings: Settings) -> str:
    """Return the explorer's query for the cluster; "" for mainnet.

    Of a local endpoint only scheme, host and port are shown: user, path and query may be secret.
    """
    if settings.solana_cluster == "mainnet":
        return ""
    if settings.solana_cluster != "localnet":
        return f"?cluster={settings.solana_cluster}"
    custom = quote(label(settings.rpc_urls[0]), safe="")
    return f"?cluster=custom&customUrl={custom}"


def base58(signature: bytes | str) -> str:
    """Return a signature in base58; text is returned as it is."""
    return signature if isinstance(signature, str) else str(Signature.from_bytes(signature))


def transaction_link(settings: Settings, signature: bytes | str) -> str:
    """Return the page of a transaction in the Solana explorer, for the configured cluster."""
    return f"{EXPLORER}/tx/{base58(signature)}{_cluster(settings)}"


def address_link(settings: Settings, address: bytes) -> str:
    """Return the page of an account in the Solana explorer, for the configured cluster."""
    return f"{EXPLORER}/address/{Pubkey.from_bytes(address)}{_cluster(settings)}"


def links(settings: Settings, signatures: Sequence[bytes | str]) -> dg.MetadataValue:
    """Return the first ``MAX_ITEMS`` transactions as links, in Markdown."""
    lines = [
        f"- [{base58(signature)}]({transaction_link(settings, signature)})"
        for signature in signatures[:MAX_ITEMS]
    ]
    if len(signatures) > MAX_ITEMS:
        lines.append(f"- and {len(signatures) - MAX_ITEMS} more")
    return dg.MetadataValue.md("\n".join(lines) if lines else "none")


def counts(numbers: Mapping[str, int]) -> dg.MetadataValue:
    """Return counts by name, the largest first, in Markdown; "none" if there are none."""
    lines = [
        f"- {name}: {number}" for name, number in sorted(numbers.items(), key=lambda i: (-i[1], i))
    ]
    return dg.MetadataValue.md("\n".join(lines) if lines else "none")


def texts(items: Sequence[str], limit: int = MAX_ITEMS) -> dg.MetadataValue:
    """Return the first ``limit`` texts, e.g. CIDs, as a list in Markdown."""
    lines = [f"- {item}" for item in items[:limit]]
    if len(items) > limit:
        lines.append(f"- and {len(items) - limit} more")
    return dg.MetadataValue.md("\n".join(lines) if lines else "none")


def cell(name: str, value: object) -> Cell:
    """Return a value as a table shows it.

    Addresses and signatures in base58, other bytes (market ids too) in hex, times in ISO 8601,
    integers that a browser cannot hold exactly as text.
    """
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, int):
        return value if abs(value) < _EXACT else str(value)
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        if name != "market_id" and len(raw) == Pubkey.LENGTH:
            return str(Pubkey.from_bytes(raw))
        if len(raw) == Signature.LENGTH:
            return str(Signature.from_bytes(raw))
        return raw.hex()
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return str(value)


def rows(items: Iterable[msgspec.Struct], *fields: str) -> list[dict[str, object]]:
    """Return the named fields of each Struct, as rows for ``table``."""
    return [{field: getattr(item, field) for field in fields} for item in items]


def table(rows: Sequence[Mapping[str, object]], limit: int = PREVIEW_ROWS) -> dg.MetadataValue:
    """Return the first ``limit`` rows as a table; "no rows" if there are none.

    All rows must have the keys of the first.
    """
    if not rows:
        return dg.MetadataValue.text("no rows")
    records = [
        dg.TableRecord({name: cell(name, value) for name, value in row.items()})
        for row in rows[:limit]
    ]
    types = {bool: "bool", int: "int", float: "float"}
    columns = [
        dg.TableColumn(name=name, type=types.get(type(value), "string"))
        for name, value in records[0].data.items()
    ]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))


def ingest_counts(result: IngestResult) -> dict[str, dg.MetadataValue]:
    """Return what an ingest changed, as numbers that the UI plots."""
    return {
        label: dg.MetadataValue.int(number)
        for label, number in {
            "New transactions": result.new_transactions,
            "New events": result.new_events,
            "Newly quarantined": result.quarantined,
            "Promoted rows": result.promoted,
            "Orphaned rows": result.orphaned,
            "Markets changed": len(result.markets),
        }.items()
    }
