"""Run every data check at once, without a daemon: ``python -m assets.run_checks``.

Reads the configured database and chain. To compare with the chain, it first reads into the ledger
what is missing up to the slot it compares at, and it records the differences; it changes nothing
else. With ``--recorded`` the chain is a recorded one, and the configured database, which must be
empty, is filled from it. ``zmart check`` starts this module. The check ``verified_within_limit``
is left out: it reads the event log of a Dagster instance, and there is none here.
Exit codes: 0 all checks pass, 1 one of severity ERROR failed, 2 one could not be run.
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

from assets import freshness
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
    """The result of one check. ``text`` is its description, or why it could not run."""

    asset: str
    check: str
    severity: str
    verdict: Verdict
    text: str


def evaluate(backend: Backend | None = None, select: Sequence[str] = ()) -> list[CheckRow]:
    """Run the checks in this process, on a Dagster instance that exists for this call only.

    Args:
        backend: Database and chain; those of the process by default.
        select: Assets (``market/state``), checks (``coverage_has_no_gaps``) or both joined by a
            colon; empty for all.

    Raises:
        ValueError: Nothing matches ``select``.
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
        errors = _errors(instance, result)
    found = {
        evaluation.asset_check_key: evaluation
        for evaluation in result.get_asset_check_evaluations()
    }
    return [_row(key, found.get(key), errors.get(key, "it returned no result")) for key in keys]


def _selected(key: dg.AssetCheckKey, select: Sequence[str]) -> bool:
    asset = key.asset_key.to_user_string()
    if key.name == freshness.CHECK_NAME:
        return False
    return not select or any(name in (asset, key.name, f"{asset}:{key.name}") for name in select)


def _errors(
    instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> dict[dg.AssetCheckKey, str]:
    """Return the reason for each check whose step failed; several checks may share a step."""
    failed = {
        event.step_key: _reason(event.step_failure_data.error)
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error is not None
    }
    planned = instance.get_records_for_run(
        result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    ).records
    events = [record.event_log_entry.dagster_event for record in planned]
    return {
        event.asset_check_planned_data.asset_check_key: failed[event.step_key]
        for event in events
        if event is not None and event.step_key in failed
    }


def _reason(error: SerializableErrorInfo) -> str:
    """Return the first line of what was raised, without the path of its class."""
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
    """Return 2 if a check could not run, else 1 if one of severity ERROR failed, else 0."""
    verdicts = {row.verdict for row in rows}
    return 2 if "not run" in verdicts else 1 if "fails" in verdicts else 0


def _table(rows: Sequence[CheckRow]) -> str:
    wide = max(len(f"{row.asset}:{row.check}") for row in rows)
    lines = [f"{row.asset + ':' + row.check:<{wide}}  {row.verdict:<8} {row.text}" for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def run_checks(
    select: Sequence[str] | None = None, json: bool = False, backend: Backend | None = None
) -> int:
    """Run the checks, print a table (or one JSON document) and return the exit code."""
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
