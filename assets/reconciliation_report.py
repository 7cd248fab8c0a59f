"""Render a comparison of the projection with the chain's accounts: a summary, tables, charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

import dagster as dg
from sqlalchemy import Connection

from assets import metadata
from assets.asset_checks import LATENCY_LIMIT
from zmart_pipelines.ledger.audit.difference_records import ClassifiedDifference
from zmart_pipelines.ledger.audit.reconcile import ReconciliationReport
from zmart_pipelines.store.queries import reconciliation as history
from zmart_pipelines.store.queries.committed_changes import Latency, latencies
from zmart_pipelines.store.queries.markets import questions

# Period of the chart of differences.
_HISTORY = timedelta(hours=24)
# Seconds: period of the chart of latencies, and length of its intervals.
_HOUR = 3600
_MINUTE = 60

# The classes of differences, the actionable ones first, and what is to be done about each.
_REMEDIES = {
    "drift": "seen twice, and reading again did not help: it must be investigated",
    "missing_event": "a transaction is not in the ledger; it is listed and read now",
    "decode_error": "an event of the market is in quarantine; fix the decoder, then "
    "materialize chain/quarantine",
    "in_flight": "seen once, on a market that changes; the next comparison decides",
    "lag": "the accounts are newer than the ledger",
}
_CLASSES = tuple(_REMEDIES)


def report_metadata(
    conn: Connection, report: ReconciliationReport
) -> dict[str, dg.MetadataValue | int | None]:
    """Return the metadata of ``reconciliation/report``, with the history from the database."""
    by_class = Counter(str(one.class_) for one in report.differences)
    by_field = Counter(one.difference.field for one in report.differences)
    names = questions(conn, [one.difference.market_id for one in report.differences])
    past = history.recent_reconciliations(conn, _HISTORY)
    resolved = history.cleared_differences(conn)
    return {
        "dagster/row_count": len(report.differences),
        "Report": dg.MetadataValue.md(summary(report, names)),
        "Differences, last day": _difference_chart(past),
        "Latency, last hour": _latency_chart(latencies(conn, seconds=_HOUR, piece=_MINUTE)),
        "Markets compared": report.markets,
        "Positions compared": report.positions,
        "Actionable differences": len(report.actionable),
        "Slot": report.market_slot,
        "Ledger complete to slot": report.covered_slot,
        "Comparisons, last day": len(past),
        "Differences by class": metadata.counts(by_class),
        "Differences by field": metadata.counts(by_field),
        "Differences": metadata.table([difference_row(one) for one in report.differences]),
        "Resolved differences": metadata.table(
            metadata.rows(resolved, *history.ClearedDifference.__struct_fields__)
        ),
    }


def difference_row(classified: ClassifiedDifference) -> dict[str, object]:
    """Return a difference as a row of a table."""
    found = classified.difference
    return {
        "market_id": found.market_id,
        "user": found.user,
        "field": found.field,
        "ledger": found.folded,
        "chain": found.chain,
        "chain - ledger": _delta(found.folded, found.chain),
        "class": classified.class_,
        "seen": classified.occurrences,
    }


def summary(report: ReconciliationReport, names: Mapping[bytes, str]) -> str:
    """Return a sentence, then the differences market by market, the actionable ones first.

    Args:
        report: The comparison.
        names: Questions of the markets, by id.
    """
    head = (
        f"{report.markets} markets at slot {report.market_slot} and {report.positions} positions "
        f"at slot {report.position_slot} compared with the ledger, which is complete up to slot "
        f"{report.covered_slot}: **{len(report.actionable)} actionable** of "
        f"{len(report.differences)} differences."
    )
    lines = [head]
    ordered = sorted(
        report.differences,
        key=lambda one: (_CLASSES.index(one.class_), one.difference.market_id),
    )
    shown = ordered[: metadata.MAX_ITEMS]
    market = None
    for one in shown:
        if one.difference.market_id != market:
            market = one.difference.market_id
            lines += _market_head(market, names.get(market, "not in the ledger"))
        lines.append(_summary_line(one))
    if len(ordered) > len(shown):
        lines += ["", f"and {len(ordered) - len(shown)} more"]
    classes = [name for name in _CLASSES if any(one.class_ == name for one in ordered)]
    lines += ["", *(f"- {name}: {_REMEDIES[name]}" for name in classes)]
    return "\n".join(lines)


def _market_head(market_id: bytes, name: str) -> list[str]:
    return [
        "",
        f"**{name.replace('|', '/')}** `{market_id.hex()}`",
        "",
        "| of | field | ledger | chain | chain - ledger | class | seen |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: |",
    ]


def _summary_line(classified: ClassifiedDifference) -> str:
    found = classified.difference
    owner = f"`{metadata.cell('user', found.user)}`" if found.user else "market"
    delta = _delta(found.folded, found.chain) or ""
    return (
        f"| {owner} | {found.field} | {found.folded} | {found.chain} | {delta} "
        f"| {classified.class_} | {classified.occurrences} |"
    )


def _delta(folded: str | None, chain: str | None) -> str | None:
    """Return by how much two numbers differ, with sign."""
    if folded is None or chain is None or not (folded.isdecimal() and chain.isdecimal()):
        return None
    return f"{int(chain) - int(folded):+d}"


def _difference_chart(past: Sequence[history.Reconciliation]) -> dg.MetadataValue:
    """Draw how many fields differed when, by class; a line at 0 if none did."""
    from assets import plots

    times = [int(comparison.reconciled_at.timestamp()) for comparison in past]
    series = {
        name.replace("_", " "): [
            (moment, float(getattr(comparison, name)))
            for moment, comparison in zip(times, past, strict=True)
        ]
        for name in _CLASSES
        if any(getattr(comparison, name) for comparison in past)
    }
    return plots.lines(
        "Fields that differed, by class",
        series or {"any class": [(moment, 0.0) for moment in times]},
        "fields",
        "Differences of the last day by class",
        whole=True,
    )


def _latency_chart(late: Sequence[Latency]) -> dg.MetadataValue:
    """Draw the seconds from block to row."""
    from assets import plots

    if not late:
        return dg.MetadataValue.text("nothing arrived by webhook or poll")
    return plots.lines(
        "From block to row, by webhook or confirmed poll",
        {
            "median": [(interval.begins, interval.median) for interval in late],
            "largest": [(interval.begins, interval.worst) for interval in late],
        },
        "seconds",
        "Seconds from block to row in the last hour",
        limit=LATENCY_LIMIT,
    )
