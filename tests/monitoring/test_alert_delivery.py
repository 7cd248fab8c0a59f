"""Messages about alerts on real receivers: the right ones, once, and the addresses nowhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select, text

from assets.defs.sensors.alert_delivery import alert_sensor
from assets.defs.sensors.run_alerts import run_failure_sensor
from assets.resources import Backend
from tests.fixtures.alert_receivers import SECRET, MailServer, Slack
from zmart_pipelines.monitoring.alert_delivery import DeliveryReport, deliver, pause_after
from zmart_pipelines.monitoring.alert_posters import WebhookPoster, posters
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.alert_messages import alert_messages
from zmart_pipelines.store.tables.ops import alerts

# Nothing waits for others, so that a test sees each message at once.
AT_ONCE: dict[str, Any] = {"alert_group_seconds": 0, "alert_interval_seconds": 0}


@pytest.fixture
def pool(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def raised(pool: Engine, key: str, severity: Any = "high", message: str = "it fails") -> None:
    with pool.begin() as conn:
        raise_alert(conn, AlertKey(key), severity, message)


def cleared(pool: Engine, key: str) -> None:
    with pool.begin() as conn:
        assert clear_alert(conn, AlertKey(key))


def sent(pool: Engine, settings: Settings) -> DeliveryReport:
    return deliver(pool, settings, posters(settings))


def by_webhook(slack: Slack, **more: Any) -> Settings:
    return Settings(**{"alert_webhook_url": slack.address, **AT_ONCE, **more})


def try_again(pool: Engine) -> None:
    """End the pauses after failures."""
    with pool.begin() as conn:
        conn.execute(text("UPDATE ops.alert_messages SET next_attempt_at = now()"))


def test_severe_alerts_are_sent_once_and_their_end_as_well(pool: Engine, slack: Slack) -> None:
    settings = by_webhook(slack)
    raised(pool, "a", "critical", "<script> & more")
    raised(pool, "b", "medium")
    raised(pool, "c")
    cleared(pool, "c")
    assert sent(pool, settings) == DeliveryReport(1, ("webhook #1",))
    first = slack.texts[0].splitlines()
    assert first[0] == "ZMART #1: 1 alert: 1 critical"
    assert first[1] == "*critical*: &lt;script&gt; &amp; more"
    assert first[2].startswith("  a, since 20")
    # Seen again it is the same alert; cleared and raised again it is another.
    raised(pool, "a", "critical", "still")
    assert sent(pool, settings) == DeliveryReport()
    cleared(pool, "a")
    assert sent(pool, settings).written == 1
    assert slack.texts[1].splitlines() == ["ZMART #2: ended: 1 alert", "ended: a"]
    raised(pool, "a", "critical", "again")
    assert sent(pool, settings).written == 1
    assert len(slack.received) == 3


def test_medium_alert_raised_to_critical_is_sent(pool: Engine, slack: Slack) -> None:
    settings = by_webhook(slack)
    raised(pool, "a", "medium")
    assert sent(pool, settings).written == 0
    raised(pool, "a", "high")
    assert sent(pool, settings).written == 1
    raised(pool, "a", "critical")
    assert sent(pool, settings).written == 1
    raised(pool, "a", "high")
    assert sent(pool, settings).written == 0


def test_what_opens_together_is_one_message(pool: Engine, slack: Slack) -> None:
    settings = by_webhook(slack)
    for number in range(30):
        raised(pool, f"a{number}")
    assert sent(pool, settings).written == 30
    assert len(slack.received) == 1
    lines = slack.texts[0].splitlines()
    assert lines[0] == "ZMART #1: 30 alerts: 30 high"
    assert lines[-1] == "and 10 more; zmart alerts list shows all"


def test_concurrent_senders_send_each_message_once(pool: Engine, slack: Slack) -> None:
    settings = by_webhook(slack)
    for number in range(6):
        raised(pool, f"a{number}")
        deliver(pool, settings, [_Unreachable()])
    reports: list[DeliveryReport] = []
    with pool.begin() as conn:
        conn.execute(text("UPDATE ops.alert_messages SET channel = 'webhook'"))
    try_again(pool)
    threads = [
        threading.Thread(target=lambda: reports.append(sent(pool, settings))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.splitlines()[2][2:4] for one in slack.texts) == [f"a{n}" for n in range(6)]
    assert sum(len(report.sent) for report in reports) == 6


class _Unreachable(WebhookPoster):
    """A receiver that is away."""

    def __init__(self) -> None:
        super().__init__(SecretStr(f"http://127.0.0.1:{unused_port()}"))


def test_rejected_message_is_sent_later(
    pool: Engine, slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = by_webhook(slack)
    raised(pool, "a")
    slack.status, slack.headers = 429, {"Retry-After": "30"}
    assert sent(pool, settings) == DeliveryReport(1, (), ("the webhook answered 429",))
    with pool.connect() as conn:
        wait = "SELECT extract(epoch FROM next_attempt_at - now()) FROM ops.alert_messages"
        assert 25 < conn.execute(text(wait)).scalar_one() <= 30
    assert sent(pool, settings) == DeliveryReport()
    slack.status, slack.headers = 302, {"Location": "/elsewhere"}
    try_again(pool)
    assert sent(pool, settings).faults == ("the webhook answered 302",)
    for address, reason in (
        (f"http://127.0.0.1:{unused_port()}/services/{SECRET}", "ConnectError"),
        (f"nonsense:{SECRET}", "UnsupportedProtocol"),
    ):
        try_again(pool)
        elsewhere = Settings(alert_webhook_url=SecretStr(address), **AT_ONCE)
        expected = f"the webhook could not be reached: {reason}"
        assert sent(pool, elsewhere).faults == (expected,)
    slack.status = 204
    try_again(pool)
    assert sent(pool, settings).sent == ("webhook #1",)
    with pool.connect() as conn:
        rows = conn.execute(select(alert_messages)).all()
    assert len(slack.received) == 1
    assert SECRET not in caplog.text + str(rows)


def test_message_of_a_sender_that_died_is_sent_again_and_says_so(
    pool: Engine, slack: Slack
) -> None:
    """Whether Slack had it when the process died is not known."""
    settings = by_webhook(slack)
    raised(pool, "a")

    class Dies(WebhookPoster):
        def send(self, message: Any) -> None:
            super().send(message)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(pool, settings, [Dies(slack.address)])
    assert sent(pool, settings) == DeliveryReport()
    with pool.begin() as conn:
        conn.execute(text("UPDATE ops.alert_messages SET claimed_until = now()"))
    assert sent(pool, settings).sent == ("webhook #1",)
    assert [one.splitlines()[0] for one in slack.texts] == [
        "ZMART #1: 1 alert: 1 high",
        "ZMART #1: 1 alert: 1 high (repeated: whether it was received is unknown)",
    ]


def test_message_that_cannot_be_sent_for_long_is_given_up(pool: Engine, slack: Slack) -> None:
    settings = by_webhook(slack)
    raised(pool, "a")
    slack.status = 500
    sent(pool, settings)
    with pool.begin() as conn:
        conn.execute(text("UPDATE ops.alert_messages SET created_at = now() - interval '25 hours'"))
    sent(pool, settings)
    slack.status = 200
    try_again(pool)
    assert sent(pool, settings) == DeliveryReport()
    assert slack.received == []


def test_pauses_grow_to_their_limit() -> None:
    pauses = [pause_after(attempt, 0.0) for attempt in range(1, 10)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert pause_after(1, 90.0) == 90.0
    assert pause_after(1, 1e9) == 3600.0


def test_mail_is_sent_encrypted_with_password(
    pool: Engine, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    values: dict[str, Any] = {
        "alert_smtp_host": "127.0.0.1",
        "alert_smtp_port": mail_server.port,
        "alert_smtp_user": SecretStr("zmart"),
        "alert_smtp_password": SecretStr(SECRET),
        "alert_mail_from": "zmart@example.com",
        "alert_mail_to": "a@example.com, b@example.com",
        **AT_ONCE,
    }
    raised(pool, "a", "critical", "Größe")
    wrong = Settings(**{**values, "alert_smtp_password": SecretStr("falsch")})
    assert sent(pool, wrong).faults == ("the mail server answered 535",)
    mail_server.answer = f"451 {SECRET} later"
    try_again(pool)
    assert sent(pool, Settings(**values)).faults == ("the mail server answered 451",)
    mail_server.answer = "250 OK"
    try_again(pool)
    assert sent(pool, Settings(**values)).sent == ("mail #1",)
    (mail,) = mail_server.received
    assert mail["To"] == "a@example.com, b@example.com"
    assert mail["Subject"] == "ZMART #1: 1 alert: 1 critical"
    assert mail["Message-ID"] == "<alert-message-1@example.com>"
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "Größe" in body.decode()
    with pool.connect() as conn:
        rows = conn.execute(select(alert_messages)).all()
    assert SECRET not in caplog.text + str(rows)


def test_mail_server_without_a_trusted_certificate_gets_no_password(
    pool: Engine, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    settings = Settings(
        alert_smtp_host="127.0.0.1",
        alert_smtp_port=mail_server.port,
        alert_smtp_user=SecretStr("zmart"),
        alert_smtp_password=SecretStr(SECRET),
        alert_mail_to="a@example.com",
        **AT_ONCE,
    )
    raised(pool, "a")
    expected = "the mail server could not be used: SSLCertVerificationError"
    assert sent(pool, settings).faults == (expected,)


def test_receivers_of_apprise_are_channels_of_their_own(
    pool: Engine, slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    urls = (
        f"json://127.0.0.1:{slack.port}/services/{SECRET} json://127.0.0.1:{unused_port()}/{SECRET}"
    )
    settings = Settings(alert_urls=SecretStr(urls), **AT_ONCE)
    raised(pool, "a")
    report = sent(pool, settings)
    assert report.faults == ("Apprise could not send it",)
    assert len(report.sent) == 1
    assert slack.received[0]["title"] == "ZMART #1: 1 alert: 1 high"
    with pool.connect() as conn:
        rows = conn.execute(select(alert_messages)).all()
        own = conn.execute(select(alerts).where(alerts.c.topic == "alert_delivery")).one()
    assert own.subject.startswith("json-")
    assert SECRET not in caplog.text + str(rows) + str(own) + repr(settings)


def test_failed_run_reaches_the_webhook(
    pool: Engine, database: str, slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    """Run failure, alert row, webhook; with the webhook away the message waits."""
    caplog.set_level(logging.DEBUG)
    logins = login_settings(database)
    settings = Settings(**logins, **AT_ONCE, alert_webhook_url=slack.address)
    backend = Backend(settings)

    @dg.op
    def breaks() -> None:
        raise ValueError("the reason")

    @dg.job(name="reconcile")
    def job() -> None:
        breaks()

    def tick() -> Any:
        return alert_sensor(dg.build_sensor_context(resources={"backend": backend}))

    with dg.DagsterInstance.ephemeral() as instance:
        failed = job.execute_in_process(instance=instance, raise_on_error=False)
        assert isinstance(tick(), dg.SkipReason)
        run_failure_sensor(
            dg.build_run_status_sensor_context(
                sensor_name="run_failure_sensor",
                dagster_instance=instance,
                dagster_run=failed.dagster_run,
                dagster_event=failed.get_run_failure_event(),
                resources={"backend": backend},
            ).for_run_failure()
        )
    slack.status = 500
    assert isinstance(tick(), dg.SensorResult)
    with pool.connect() as conn:
        rows = conn.execute(select(alerts)).all()
    assert {(row.topic, row.subject) for row in rows} == {
        ("run", "reconcile"),
        ("alert_delivery", "webhook"),
    }
    assert isinstance(tick(), dg.SkipReason)
    slack.status = 200
    try_again(pool)
    assert isinstance(tick(), dg.SensorResult)
    assert "*high*: A run of reconcile failed\n  run:reconcile, since " in slack.texts[0]
    assert "docs/runbooks/run.md" in slack.texts[0]
    assert isinstance(tick(), dg.SkipReason)
    assert len(slack.received) == 1
    with pool.connect() as conn:
        own = select(alerts.c.cleared_at).where(alerts.c.topic == "alert_delivery")
        assert conn.execute(own).scalar_one() is not None
    assert not any(SECRET in shown for shown in (caplog.text, repr(settings), str(rows)))


def test_without_a_receiver_nothing_is_written(pool: Engine, database: str) -> None:
    raised(pool, "a")
    backend = Backend(Settings(**login_settings(database)))
    tick = alert_sensor(dg.build_sensor_context(resources={"backend": backend}))
    assert isinstance(tick, dg.SkipReason)
    with pool.connect() as conn:
        assert conn.execute(select(alerts.c.posted_at)).scalar_one() is None
