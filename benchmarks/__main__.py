"""``python -m benchmarks [NAME...] [--quick] [--json] [--markdown]``: measure and print the rows.

``--json`` prints one JSON line per row instead of a table; ``--markdown`` also writes the rows
into the table of docs/performance.md. Exit code 0 if all goals are met, 1 if not, 2 for an
unknown name.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import click
import msgspec

from benchmarks import report
from benchmarks.at_rest import GOAL as GOAL_REST
from benchmarks.at_rest import at_rest
from benchmarks.ballots import GOAL as GOAL_BALLOTS
from benchmarks.ballots import ballots
from benchmarks.compressed_week import GOAL as GOAL_WEEK
from benchmarks.compressed_week import compressed_week
from benchmarks.dashboard import GOAL_INPUT, GOAL_PAINT, dashboard_input, dashboard_paint
from benchmarks.decoding import logs_to_events, payload_to_events
from benchmarks.frame_latency import GOAL as GOAL_FRAME
from benchmarks.frame_latency import frame_latency
from benchmarks.intake import GOAL_INTAKE, GOAL_REPLAY, replay, webhook_to_ledger
from benchmarks.limits import GOAL as GOAL_LIMIT
from benchmarks.limits import limit_exactness
from benchmarks.localnet import (
    GOAL_GROWTH,
    GOAL_TRADES,
    localnet_memory,
    localnet_trades,
)
from benchmarks.mixed_users import GOAL_100, GOAL_500, users_100, users_500
from benchmarks.monitoring import GOAL_MONITOR, GOAL_SNAPSHOTS, monitor, snapshots
from benchmarks.read_rows import (
    GOAL_COALESCED,
    GOAL_DETAIL,
    GOAL_EQUAL,
    GOAL_HEALTH,
    GOAL_LIST,
    api_coalesced,
    api_detail,
    api_list,
    api_list_equal,
    health,
    on_many_markets,
)
from benchmarks.read_scale import (
    GOAL_LIST_COST,
    GOAL_P99,
    api_list_cost,
    api_search,
    api_sorted,
)
from benchmarks.relay import GOAL as GOAL_RELAY
from benchmarks.relay import relay
from benchmarks.resume_storm import GOAL as GOAL_STORM
from benchmarks.resume_storm import resume_storm
from benchmarks.rows import RivalMissing, Row
from benchmarks.run_start import GOAL as GOAL_START
from benchmarks.run_start import run_start
from benchmarks.scale import GOAL_GROWTH as GOAL_COST
from benchmarks.scale import GOAL_SECONDS, one_event_cost, rebuilding
from benchmarks.sessions import GOAL_LIST as GOAL_SIGNED_IN
from benchmarks.sessions import GOAL_SIGN_INS, sign_ins, signed_in_list
from benchmarks.sockets import (
    GOAL_FANOUT,
    GOAL_MANY,
    GOAL_READING,
    hub_reading,
    socket_fanout,
    socket_many,
)
from benchmarks.under_load import GOAL as GOAL_LOAD
from benchmarks.under_load import under_load
from benchmarks.vote_cycle import GOAL as GOAL_CYCLE
from benchmarks.vote_cycle import vote_cycle

BENCHMARKS: dict[str, tuple[float, Callable[[bool], Row]]] = {
    "payload_to_events": (12, payload_to_events),
    "logs_to_events": (8, logs_to_events),
    "webhook_to_ledger": (GOAL_INTAKE, webhook_to_ledger),
    "replay": (GOAL_REPLAY, replay),
    "one_event_cost": (GOAL_COST, one_event_cost),
    "rebuild": (GOAL_SECONDS, rebuilding),
    "ballots": (GOAL_BALLOTS, ballots),
    "vote_cycle": (GOAL_CYCLE, vote_cycle),
    "monitor": (GOAL_MONITOR, monitor),
    "snapshots": (GOAL_SNAPSHOTS, snapshots),
    "api_list": (GOAL_LIST, on_many_markets(api_list)),
    "api_list_equal": (GOAL_EQUAL, on_many_markets(api_list_equal)),
    "api_detail": (GOAL_DETAIL, on_many_markets(api_detail)),
    "api_coalesced": (GOAL_COALESCED, on_many_markets(api_coalesced)),
    "api_list_cost": (GOAL_LIST_COST, api_list_cost),
    "api_search": (GOAL_P99, api_search),
    "api_sorted": (GOAL_P99, api_sorted),
    "health": (GOAL_HEALTH, on_many_markets(health)),
    "limit_exactness": (GOAL_LIMIT, limit_exactness),
    "signed_in_list": (GOAL_SIGNED_IN, on_many_markets(signed_in_list)),
    "sign_ins": (GOAL_SIGN_INS, sign_ins),
    "socket_fanout": (GOAL_FANOUT, socket_fanout),
    "socket_many": (GOAL_MANY, socket_many),
    "hub_reading": (GOAL_READING, hub_reading),
    "relay": (GOAL_RELAY, relay),
    "users_100": (GOAL_100, users_100),
    "users_500": (GOAL_500, users_500),
    "frame_latency": (GOAL_FRAME, frame_latency),
    "resume_storm": (GOAL_STORM, resume_storm),
    "dashboard_paint": (GOAL_PAINT, dashboard_paint),
    "dashboard_input": (GOAL_INPUT, dashboard_input),
    "run_start": (GOAL_START, run_start),
    "at_rest": (GOAL_REST, at_rest),
    "under_load": (GOAL_LOAD, under_load),
    "compressed_week": (GOAL_WEEK, compressed_week),
    "localnet_trades": (GOAL_TRADES, localnet_trades),
    "localnet_memory": (GOAL_GROWTH, localnet_memory),
}


def measure(name: str, quick: bool) -> Row:
    """Return the row of a benchmark; a row without its rival is not ok."""
    goal, benchmark = BENCHMARKS[name]
    try:
        return benchmark(quick)
    except RivalMissing as error:
        return Row(name, None, "times as fast", goal, str(error), ok=False)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Less data and fewer rounds; figures are rougher.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line for each row.")
@click.option("--markdown", is_flag=True, help="Write the rows into docs/performance.md too.")
def main(names: tuple[str, ...], quick: bool, as_json: bool, markdown: bool) -> None:
    """Measure the named benchmarks, or all. Example: python -m benchmarks --quick"""
    # Ended by SIGTERM, a benchmark stops what it has started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell ignores SIGINT for a background job, and so would every process started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows = []
    for name in names or BENCHMARKS:
        row = measure(name, quick)
        rows.append(row)
        if as_json:
            click.echo(msgspec.json.encode(row).decode())
        else:
            value = "-" if row.value is None else f"{row.value:g}"
            mark = "ok" if row.ok else "NOT MET"
            click.echo(f"{row.name:20} {value:>8} {row.unit}, goal {row.goal:g}: {mark}")
            click.echo(f"{'':20} {row.rival}")
    if markdown:
        report.write(rows, list(BENCHMARKS))
    sys.exit(0 if all(row.ok for row in rows) else 1)


if __name__ == "__main__":
    main()
