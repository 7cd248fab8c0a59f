"""How facts of one materialization are shown: links, table previews, lags.

The only home of explorer links and of the rendering of keys and signatures in the UI. Nothing
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
LINKS = 20

# Above this a browser's numbers are no longer exact; such integers are shown as text.
_EXACT = 2**53

Cell = str | int | float | bool | None


def _cluster(settings: Settings) -> str:
    """The explorer's query for the cluster; "" for mainnet.

    Of a local endpoint only scheme, host and port are told: user, path and query may be secret.
    """
    if settings.solana_cluster == "mainnet":
        return ""
    if settings.solana_cluster != "localnet":
        return f"?cluster={settings.solana_cluster}"
    custom = quote(label(settings.rpc_urls[0]), safe="")
    return f"?cluster=custom&customUrl={custom}"


def base58(signature: bytes | str) -> str:
    """A transaction's signature as people write it; text is taken as such."""
    return signature if isinstance(signature, str) else str(Signature.from_bytes(signature))


def transaction_link(settings: Settings, signature: bytes | str) -> str:
    """The page of a transaction in the Solana explorer, for the configured cluster."""
    return f"{EXPLORER}/tx/{base58(signature)}{_cluster(settings)}"


def address_link(settings: Settings, address: bytes) -> str:
    """The page of an account in the Solana explorer, for the configured cluster."""
    return f"{EXPLORER}/address/{Pubkey.from_bytes(address)}{_cluster(settings)}"


def links(settings: Settings, signatures: Sequence[bytes | str]) -> dg.MetadataValue:
    """A list of transactions as links, the first ``LINKS`` of them, as Markdown."""
    lines = [
        f"- [{base58(signature)}]({transaction_link(settings, signature)})"
        for signature in signatures[:LINKS]
    ]
    if len(signatures) > LINKS:
        lines.append(f"- and {len(signatures) - LINKS} more")
    return dg.MetadataValue.md("\n".join(lines) if lines else "none")


def counts(numbers: Mapping[str, int]) -> dg.MetadataValue:
    """Counts by name, the largest first, as Markdown; "none" where there are none."""
    lines = [
        f"- {name}: {number}" for name, number in sorted(numbers.items(), key=lambda i: (-i[1], i))
    ]
    return dg.MetadataValue.md("\n".join(lines) if lines else "none")


def texts(items: Sequence[str]) -> dg.MetadataValue:
    """A list of texts as they are, e.g. CIDs, the first ``LINKS`` of them, as Markdown."""
    lines = [f"- {item}" for item in items[:LINKS]]
    if len(items) > LINKS:
        lines.append(f"- and {len(items) - LINKS} more")
    return dg.MetadataValue.md("\n".join(lines) if lines else "none")


def cell(name: str, value: object) -> Cell:
    """One value as a table shows it.

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
    """The named fields of each Struct, as rows for ``table``."""
    return [{field: getattr(item, field) for field in fields} for item in items]


def table(rows: Sequence[Mapping[str, object]], limit: int = PREVIEW_ROWS) -> dg.MetadataValue:
    """The first ``limit`` rows as a table; "no rows" where there are none.

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
    """What an intake changed, as numbers that the UI plots."""
    return {
        name: dg.MetadataValue.int(number)
        for name, number in {
            "new transactions": result.new_transactions,
            "new events": result.new_events,
            "quarantined": result.quarantined,
            "promoted": result.promoted,
            "orphaned": result.orphaned,
            "markets changed": len(result.markets),
        }.items()
    }
