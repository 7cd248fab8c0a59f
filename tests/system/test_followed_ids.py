"""What happened is followed by an id over all processes: in the logs, and as traces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from websockets.sync.client import connect

from tests.fixtures.running_system import RunningSystem
from tests.fixtures.spans import Collector, Seen, path_of

# Until the demo's first market is approved.
FIRST_FINAL_SECONDS = 300

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


class Followed(NamedTuple):
    system: RunningSystem
    collector: Collector

    def logs(self, pattern: str) -> list[dict[str, Any]]:
        """The lines that ``zmart logs --grep`` finds."""
        found = self.system.run("logs", "--grep", pattern)
        assert found.returncode == 0, f"nothing about {pattern}: {found.stderr}"
        lines = [line.split(maxsplit=1)[1] for line in found.stdout.splitlines()]
        assert [line for line in lines if not line.startswith("{")] == []
        return [json.loads(line) for line in lines]

    def has(self, name: str) -> bool:
        """Return whether a span of this name was exported."""
        return self.first(name) is not None

    def first(self, name: str) -> Seen | None:
        return next((one for one in list(self.collector.seen) if one.name == name), None)

    def path(self, last: Seen) -> list[str]:
        """The names up to ``last``; each process exports every few seconds, a run when it ends."""
        self.system.wait_for(lambda: self._has_first(last), 60, f"exporting all before {last}")
        return path_of(self.collector.seen, last)

    def _has_first(self, last: Seen) -> bool:
        try:
            path_of(list(self.collector.seen), last)
        except KeyError:
            return False
        return True

    def run_of(self, link: tuple[int, int]) -> Seen:
        """The run with this span, once it has ended."""

        def found() -> list[Seen]:
            runs = (one for one in list(self.collector.seen) if one.name == "run")
            return [one for one in runs if (one.trace, one.span) == link]

        self.system.wait_for(lambda: bool(found()), 120, "exporting the run")
        return found()[0]


@pytest.fixture(scope="module")
def followed() -> Iterator[Followed]:
    """A system with its demo, up to the first final submission, and a client of the markets."""
    with Collector().running() as collector:
        system = RunningSystem(LOG_FORMAT="json", OTLP_ENDPOINT=collector.endpoint)
        found = Followed(system, collector)
        try:
            system.start()
            with connect(f"ws://127.0.0.1:{system.environment['WS_PORT']}/") as socket:
                socket.send('{"action": "subscribe", "channel": "markets"}')
                for name in ("frame delivery", "submission attempt", "transaction final"):
                    system.wait_for(
                        partial(found.has, name),
                        FIRST_FINAL_SECONDS,
                        f"exporting a span {name}",
                    )
            yield found
        finally:
            system.discard()


def test_trace_from_the_webhook_to_the_socket_is_whole(followed: Followed) -> None:
    spans = list(followed.collector.seen)
    frames = [one for one in spans if one.name == "frame delivery"]
    whole = ["webhook delivery", "ledger ingest", "market materialization", "frame delivery"]
    by_webhook = [one for one in frames if followed.path(one)[0] == whole[0]]
    assert by_webhook
    for frame in by_webhook:
        assert followed.path(frame) == whole
        assert frame.service == "api"


def test_trace_from_the_decision_to_finality_is_whole(followed: Followed) -> None:
    final = followed.first("transaction final")
    assert final is not None
    assert followed.path(final) == [
        *("submission intent", "submission attempt", "transaction confirmed", "transaction final")
    ]
    intent = next(
        one
        for one in followed.collector.seen
        if one.trace == final.trace and one.name == "submission intent"
    )
    (link,) = intent.links
    run = followed.run_of(link)
    assert run.attributes["zmart.run_id"] == intent.attributes["zmart.run_id"]


def test_no_secret_is_exported(followed: Followed) -> None:
    secrets = [path.read_text().strip() for path in (followed.system.state / "secrets").iterdir()]
    assert len(secrets) > 3
    exported = b"".join(followed.collector.bodies)
    assert exported
    assert [secret for secret in secrets if secret.encode() in exported] == []


def test_request_is_followed_from_the_webhook_to_the_materialization(followed: Followed) -> None:
    delivery = next(one for one in list(followed.collector.seen) if one.name == "webhook delivery")
    request = delivery.attributes["zmart.request_id"]
    (line,) = (one for one in followed.logs(request) if "request_ids" in one)
    assert line["part"] == "api"
    assert request in line["request_ids"]
    assert delivery.attributes["zmart.delivery_id"] in line["delivery_ids"]
    assert line["market_ids"], line
    assert line["trace_id"] == f"{delivery.trace:032x}"


def test_run_is_followed_to_finality(followed: Followed) -> None:
    attempt = followed.first("submission attempt")
    assert attempt is not None
    intent, run = (attempt.attributes[f"zmart.{name}"] for name in ("intent_id", "run_id"))
    of_run = followed.logs(f'"run_id": "{run}"')
    assert any(one.get("intent_id") == intent for one in of_run)
    assert {one["run_id"] for one in of_run} == {run}
    events = [one["event"] for one in followed.logs(f'"intent_id": {intent}\\b')]
    steps = ("is planned", "is signed", "MarkSent", "MarkLanded", "Settle")
    places = [next(i for i, event in enumerate(events) if step in event) for step in steps]
    assert places == sorted(places), events


def test_signature_joins_the_submission_with_its_webhook(followed: Followed) -> None:
    attempt = followed.first("submission attempt")
    assert attempt is not None
    lines = followed.logs(attempt.attributes["zmart.signature"])
    assert {"api", "code-server"} <= {one["part"] for one in lines}
    ingested = next(one for one in lines if "signatures" in one)
    assert ingested["request_ids"]
