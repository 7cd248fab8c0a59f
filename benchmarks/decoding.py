"""From raw payloads to events: our decoder, anchorpy, and Anchor's own client in Node."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from anchorpy.coder.coder import Coder
from anchorpy.program.event import EventParser

from benchmarks.node import run_node
from benchmarks.payloads import PROGRAM, webhook_body
from benchmarks.rows import Row, cpu_seconds, ratio_row
from zmart_pipelines.chain.program_logs import parse_logs
from zmart_pipelines.chain.transactions import from_helius
from zmart_pipelines.program import idl
from zmart_pipelines.program.events import Event, decode_event

# Transactions per body.
BODY = 100


def _events(logs: Iterable[list[str]]) -> list[Event]:
    address = str(PROGRAM)
    return [
        decode_event(payload)
        for lines in logs
        for _, payload in parse_logs(lines, address).payloads
    ]


def payload_to_events(quick: bool) -> Row:
    """Measure raw webhook bodies to checked transactions and decoded events, on one core.

    Ours also checks frames and depths, signatures and addresses and reads the instructions,
    which the rival does not.
    """
    count = 200 if quick else 1000
    bodies = [webhook_body(BODY, seed) for seed in range(count // BODY)]
    parser = EventParser(PROGRAM, Coder(idl.legacy()))

    def ours() -> list[Event]:
        found: list[Event] = []
        for body in bodies:
            found += _events(transaction.logs for transaction in from_helius(body, PROGRAM))
        return found

    def theirs() -> list[Any]:
        found: list[Any] = []
        for body in bodies:
            for element in json.loads(body):
                parser.parse_logs(element["meta"]["logMessages"], found.append)
        return found

    if len(ours()) != count or len(theirs()) != count:
        raise AssertionError("both must find every event")
    rounds = 3 if quick else 10
    return ratio_row(
        "payload_to_events",
        12,
        "json and anchorpy's EventParser",
        cpu_seconds(ours, 3 * rounds) / count * 1e6,
        cpu_seconds(theirs, rounds) / count * 1e6,
        "us a transaction",
    )


def logs_to_events(quick: bool) -> Row:
    """Measure log lines to decoded events, on one core."""
    count = 200 if quick else 1000
    logs = [element["meta"]["logMessages"] for element in json.loads(webhook_body(count))]
    rounds = 10 if quick else 40
    if len(_events(logs)) != count:
        raise AssertionError("we must find every event")
    ours = cpu_seconds(lambda: _events(logs), rounds)
    answer = run_node(
        "anchor.mjs",
        {
            "idl": json.loads(idl.IDL_FILE.read_bytes()),
            "program": str(PROGRAM),
            "logs": logs,
            "rounds": rounds,
        },
    )
    if answer["events"] != count:
        raise AssertionError("the rival must find every event")
    return ratio_row(
        "logs_to_events",
        8,
        f"EventParser of @coral-xyz/anchor {answer['version']} in Node {answer['node']}",
        ours / count * 1e6,
        answer["seconds"] / count * 1e6,
        "us a transaction",
    )
