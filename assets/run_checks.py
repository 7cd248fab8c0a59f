"""Every data check at once, without a daemon: ``python -m assets.run_checks``.

Reads the configured database and chain. Of the ledger it reads what is missing up to the slot
it compares at, and it records the differences it sees; it changes nothing else. With
``--recorded`` the chain is one on file, and the configured database, which must be empty, is
filled from it. ``zmart check`` starts this module.
Exit codes: 0 all checks hold, 1 one of severity ERROR failed, 2 one could not be run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
import dagster as dg
import msgspec

from assets.dagster_internals import SerializableErrorInfo
from assets.definitions import build_defs
from assets.recorded_chain import NotEmpty
from assets.recorded_chain import recorded as on_record
from assets.resources import Backend
from zmart_pipelines.chain.recording import RecordingError, read
from zmart_pipelines.settings import settings

JOB = "data_checks"
Verdict = Literal["holds", "warning", "fails", "not run"]


class CheckRow(msgspec.Struct, frozen=True):
    """What became of one check. ``text`` is its finding, or why it could not run."""

    asset: str
    check: str
    severity: str
    verdict: Verdict
    text: str


def _selected(key: dg.AssetCheckKey, select: Sequence[str]) -> bool:
    asset = key.asset_key.to_user_string()
    return not select or any(name in (asset, key.name, f"{asset}:{key.name}") for name in select)


def evaluate(backend: Backend | None = None, select: Sequence[str] = ()) -> list[CheckRow]:
    """Run the checks in this process on an instance that is forgotten afterwards.

    :param select: assets (``market/state``), checks (``no_hole``) or both joined by a colon;
        empty for all.
    :raises ValueError: when nothing matches ``select``.
    """
    overrides = {"backend": backend} if backend is not None else None
    defs = build_defs(resource_overrides=overrides)
    keys = sorted(
        (key for key in defs.resolve_asset_graph().asset_check_keys if _selected(key, select)),
        key=lambda key: (key.asset_key.to_user_string(), key.name),
    )
    if not keys:
        raise ValueError(f"no check is named {', '.join(select)}")
    job = dg.define_asset_job(JOB, selection=dg.AssetSelection.checks(*keys))
    built = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        result = built.resolve_job_def(JOB).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        planned = instance.get_records_for_run(
            result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        ).records
    steps = {
        event.asset_check_planned_data.asset_check_key: event.step_key
        for record in planned
        if (event := record.event_log_entry.dagster_event) is not None
    }
    found = {
        evaluation.asset_check_key: evaluation
        for evaluation in result.get_asset_check_evaluations()
    }
    # Several checks may share one step, and so its error.
    errors = {
        event.step_key: _reason(event.step_failure_data.error)
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error is not None
    }
    return [
        _row(key, found.get(key), errors.get(steps.get(key), "it gave no result")) for key in keys
    ]


def _reason(error: SerializableErrorInfo) -> str:
    """The first line of what was raised, without the path of its class."""
    text = (error.cause or error).message.strip()
    return re.sub(r"^[\w.]+\.(?=\w+:)", "", text.splitlines()[0]) if text else "no text"


def _row(key: dg.AssetCheckKey, evaluation: dg.AssetCheckEvaluation | None, error: str) -> CheckRow:
    asset = key.asset_key.to_user_string()
    if evaluation is None:
        return CheckRow(asset, key.name, "ERROR", "not run", error)
    severe = evaluation.severity is dg.AssetCheckSeverity.ERROR
    verdict: Verdict = "holds" if evaluation.passed else "fails" if severe else "warning"
    return CheckRow(
        asset, key.name, evaluation.severity.value, verdict, evaluation.description or ""
    )


def exit_code(rows: Sequence[CheckRow]) -> int:
    """2 where a check could not run, else 1 where one of severity ERROR failed, else 0."""
    verdicts = {row.verdict for row in rows}
    return 2 if "not run" in verdicts else 1 if "fails" in verdicts else 0


def _table(rows: Sequence[CheckRow]) -> str:
    wide = max(len(f"{row.asset}:{row.check}") for row in rows)
    lines = [f"{row.asset + ':' + row.check:<{wide}}  {row.verdict:<8} {row.text}" for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def run_checks(
    select: Sequence[str] | None = None, json: bool = False, backend: Backend | None = None
) -> int:
    """Run the checks, print a table (or one JSON document), return the exit code."""
    rows = evaluate(backend, select or ())
    click.echo(msgspec.json.encode(rows).decode() if json else _table(rows))
    return exit_code(rows)


@click.command()
@click.option("--select", multiple=True, help="An asset, a check, or asset:check; repeatable.")
@click.option("--json", is_flag=True, help="Print one JSON document instead of a table.")
@click.option(
    "--recorded",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A recorded chain to check the empty database with.",
)
def main(select: tuple[str, ...], json: bool, recorded: Path | None) -> None:
    """Run the data checks against the configured database and chain.

    Example: python -m assets.run_checks --select market/state
    """
    try:
        if recorded is None:
            sys.exit(run_checks(select, json))
        with on_record(settings(), read(recorded)) as backend:
            sys.exit(run_checks(select, json, backend))
    except (ValueError, RecordingError, NotEmpty) as error:
        click.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
