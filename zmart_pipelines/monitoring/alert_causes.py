"""The catalogue of alert causes: what each topic means, how severe it is, and its runbook. Pure.

Every alert's topic is an entry here. ``docs/operations.md`` shows the catalogue as a table, and
``docs/runbooks`` has one page per cause; tests compare both with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

import msgspec

from zmart_pipelines.monitoring.severity import Severity

RUNBOOKS: Final = "docs/runbooks"


class Escalation(Enum):
    """After how long an open alert that is not acknowledged becomes one step more severe.

    The value is the name of the setting with the seconds; None: never.
    """

    FAST = "alert_escalation_fast_seconds"
    SLOW = "alert_escalation_slow_seconds"
    NONE = None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of condition that raises alerts.

    Attributes:
        topic: Its name, the topic of its alerts.
        severity: Of a new alert. Where ``severe`` is set, of its first threshold.
        severe: Of an alert past the second threshold; None where there is one only.
        summary: What is wrong, in one sentence of plain text without its full stop.
        remedy: What the operator does first; code is in backticks.
        settings: The settings with its thresholds; empty where it has none.
        escalation: How fast its severity rises.
        ceiling: The severity that escalation does not exceed.
        is_accepted_by_acknowledgement: Whether its alerts close once they were acknowledged: what
            happened does not end, and an operator accepts it, with a reason.
    """

    topic: str
    severity: Severity
    summary: str
    remedy: str
    severe: Severity | None = None
    settings: tuple[str, ...] = ()
    escalation: Escalation = Escalation.SLOW
    ceiling: Severity = "critical"
    is_accepted_by_acknowledgement: bool = False

    @property
    def runbook(self) -> str:
        """The path of its runbook in the repository."""
        return f"{RUNBOOKS}/{self.topic}.md"


_PROPOSALS: Final = (
    Cause(
        topic="proposal_review",
        severity="medium",
        settings=("proposal_review_seconds",),
        ceiling="high",
        summary="a proposal is not approved a day after its creation",
        remedy="review it; approve by votes, or `zmart admin prepare cancel`",
    ),
    Cause(
        topic="approval_needs_admin",
        severity="medium",
        ceiling="high",
        summary="the counts are on chain and the admin's key is not configured here",
        remedy="`zmart admin prepare approve`, sign, send",
    ),
    Cause(
        topic="threshold_raised",
        severity="high",
        ceiling="high",
        summary="the threshold was raised above counts that are already on chain",
        remedy="`zmart admin reopen … proposal`, or cancel",
    ),
    Cause(
        topic="too_many_ballots",
        severity="critical",
        summary="more votes than the chain's u32 holds",
        remedy="`zmart admin reopen … dispute`: the next round begins with a unit with which all"
        " votes fit, and the holders vote again",
    ),
)

_RESOLUTIONS: Final = (
    Cause(
        topic="resolution_due",
        severity="medium",
        summary="the end time of an active market has passed",
        remedy="resolve it from the launchpad, as above",
        ceiling="high",
    ),
    Cause(
        topic="unexpected_resolution",
        severity="medium",
        severe="high",
        settings=("expected_resolvers",),
        summary="the resolver is neither ours nor in EXPECTED_RESOLVERS, or the market was"
        " resolved before its end time",
        remedy="check outcome and evidence; to object, send `initiate_dispute` before the window"
        " ends",
    ),
    Cause(
        topic="resolving_after_dispute",
        severity="critical",
        summary="the market went back from a dispute to RESOLVING; no transaction of ours does"
        " that",
        remedy="inside the window, dispute it again: the next vote ends it with counts. After the"
        " window only `finalize_market(None, None)` is left, which confirms the disputed outcome;"
        " the program's owners must decide that",
    ),
    Cause(
        topic="dispute_without_ballots",
        severity="high",
        summary="the dispute period is over and there is no ballot",
        remedy="ask a holder to vote, here or on chain; the next plan finds the ballot and"
        " finalizes. The chain's other way out, `aggregate_dispute_votes(0, 0)`, ends the market"
        " without an outcome and refunds deposits until the money runs out; this backend never"
        " sends it",
    ),
    Cause(
        topic="dispute_short_of_ballots",
        severity="high",
        settings=("min_dispute_votes",),
        summary="fewer ballots than MIN_DISPUTE_VOTES",
        remedy="the same, or lower the setting",
    ),
)

_MARKETS: Final = (
    Cause(
        topic="stuck_market",
        severity="medium",
        settings=(
            "stuck_approved_seconds",
            "stuck_active_seconds",
            "stuck_resolving_seconds",
            "stuck_disputed_seconds",
        ),
        ceiling="high",
        summary="markets have been in one state for longer than that state should last; one"
        " alert for each state",
        remedy="`zmart market MARKET` says what it waits for and who must act",
    ),
    Cause(
        topic="stuck_markets",
        severity="high",
        severe="critical",
        settings=("stuck_markets",),
        escalation=Escalation.NONE,
        summary="many markets are stuck at once, so the cause is likely ours",
        remedy="look for what they have in common: a switch that is off, an open breaker, a run"
        " that fails",
    ),
    Cause(
        topic="early_withdrawal",
        severity="high",
        summary="the creator withdrew the liquidity of a market before its winners had claimed",
        remedy="warn the winners to claim now where the market has no outcome; it closes when all"
        " claims are paid, or once it is acknowledged with a reason; `claims_not_payable` says"
        " whether anything is missing",
        is_accepted_by_acknowledgement=True,
    ),
    Cause(
        topic="claims_not_payable",
        severity="critical",
        summary="a finalized market holds less than its unclaimed shares are owed",
        remedy="rule out a wrong projection by `zmart check`; inform the program's owners, who"
        " decide whether the missing lamports are sent to the market's account",
    ),
)

_PROGRAM: Final = (
    Cause(
        topic="config_changed",
        severity="high",
        escalation=Escalation.NONE,
        settings=("config_alert_seconds",),
        summary="the program's configuration was changed on chain",
        remedy="confirm with the admin that the change was intended; it clears by itself",
    ),
    Cause(
        topic="program_upgraded",
        severity="critical",
        escalation=Escalation.NONE,
        summary="the program's code is another one than was accepted last",
        remedy="switch submissions off until the new code is reviewed; acknowledging the alert"
        " accepts the code",
        is_accepted_by_acknowledgement=True,
    ),
    Cause(
        topic="superseded_reading",
        severity="high",
        ceiling="high",
        summary="a finalized reading was false (a node lost its log, or altered it) and gave way to"
        " another one",
        remedy="the message says why; find the endpoint that returned it and replace it. The next"
        " comparison without differences clears the alert",
    ),
)

_SUBMISSIONS: Final = (
    Cause(
        topic="bundle_not_pinned",
        severity="high",
        summary="the pin store failed; the tally is frozen and not sent",
        remedy="repair the store; the next plan continues",
    ),
    Cause(
        topic="planning_failed",
        severity="high",
        summary="planning one market raised an unexpected error",
        remedy="read the error and the log; other markets continue",
    ),
    Cause(
        topic="market_unreadable",
        severity="high",
        summary="the account's bytes cannot be decoded",
        remedy="find out whether the program changed; other markets continue",
    ),
    Cause(
        topic="submission",
        severity="medium",
        severe="high",
        summary="an intent was superseded, failed or quarantined",
        remedy="the message gives the reason; `zmart submissions retry ID` when the cause is"
        " removed, or `close ID --reason …`; a resolution that failed may be requested again",
    ),
    *(
        Cause(
            topic=f"{role}_key",
            severity="critical",
            escalation=Escalation.NONE,
            settings=("min_balance_lamports",),
            summary=f"the {role}'s key is not the one that the chain names, or has no funds",
            remedy="correct the setting, or fund the key",
        )
        for role in ("submitter", "admin", "resolver")
    ),
    Cause(
        topic="submission_fees",
        severity="high",
        settings=("max_fees_per_hour_lamports",),
        summary="the hourly cap on fees is reached, and nothing more is sent",
        remedy="find out what spends them; wait, or raise the cap",
    ),
    Cause(
        topic="fee_burn",
        severity="medium",
        severe="high",
        settings=("fee_burn_hour_lamports", "fee_burn_day_lamports"),
        ceiling="high",
        summary="our transactions cost more in an hour or a day than they usually do",
        remedy="the runbook's query shows the attempts by hour and action; look for an action that"
        " repeats, or for a high price per compute unit",
    ),
    Cause(
        topic="switch",
        severity="medium",
        ceiling="high",
        summary="a kill switch is off",
        remedy="switch it on when the reason is gone",
    ),
)

_SERVICES: Final = (
    Cause(
        topic="health",
        severity="medium",
        severe="high",
        escalation=Escalation.FAST,
        summary="a quantity of health is past its first threshold or its second",
        remedy="the message names what is owed and since when; if Dagster's daemon is dead, several"
        " are raised at once",
    ),
    Cause(
        topic="breaker",
        severity="critical",
        escalation=Escalation.NONE,
        summary="a circuit breaker has been open for over five minutes",
        remedy="the message names the error; `zmart breakers reset NAME` once the cause is removed",
    ),
    Cause(
        topic="run",
        severity="high",
        ceiling="high",
        summary="a Dagster run failed",
        remedy="open its page in Dagster; the next success clears the alert",
    ),
    Cause(
        topic="check",
        severity="medium",
        severe="high",
        # Health counts the failing checks by their severity.
        escalation=Escalation.NONE,
        summary="a check of an asset failed",
        remedy="open its page in Dagster; the next success clears the alert",
    ),
    Cause(
        topic="api_errors",
        severity="high",
        severe="critical",
        settings=("api_error_percent",),
        escalation=Escalation.FAST,
        summary="many requests to the API are answered with 5xx",
        remedy="`zmart logs --part api --level error` shows the causes; see which dependency is"
        " away",
    ),
    Cause(
        topic="socket_drops",
        severity="high",
        settings=("socket_drop_percent", "socket_drop_clients"),
        escalation=Escalation.NONE,
        ceiling="high",
        summary="most clients of the live updates were lost within five minutes",
        remedy="look at `GET /health/websocket`, and for restarts of the API; clients reconnect by"
        " themselves",
    ),
    Cause(
        topic="rate_limit_violations",
        severity="medium",
        settings=("refused_requests_per_hour",),
        escalation=Escalation.NONE,
        ceiling="medium",
        summary="rate limits refuse many requests",
        remedy="the API's log says whose requests are refused most; block the client in the proxy,"
        " or raise its limit",
    ),
    Cause(
        topic="stuck_run",
        severity="high",
        settings=("stuck_run_seconds",),
        summary="a Dagster run has not ended for longer than any run should take",
        remedy="open its page in Dagster, read its log, terminate it; its sensor starts another",
    ),
    Cause(
        topic="restarts",
        severity="high",
        settings=("restarts_per_hour",),
        summary="a process of zmart up was restarted more than three times in an hour",
        remedy="read its log in the state folder; the message says how it ended last",
    ),
    Cause(
        topic="monitor_silent",
        severity="critical",
        escalation=Escalation.NONE,
        settings=("monitor_silence_seconds",),
        summary="the monitor has not finished a round for too long",
        remedy="look at `monitor_sensor` in Dagster and at the logs of the daemon and the code"
        " server; restart the one that hangs",
    ),
    Cause(
        topic="daemon_silent",
        severity="critical",
        escalation=Escalation.NONE,
        settings=("daemon_silence_seconds",),
        summary="Dagster's daemon has not sent a heartbeat for too long",
        remedy="read its log; restart it",
    ),
)

_MACHINE: Final = (
    Cause(
        topic="disk_space",
        severity="medium",
        severe="critical",
        settings=("disk_used_percent",),
        summary="the disk of the state folder is nearly full",
        remedy="free or add space; never delete files of Postgres by hand",
    ),
    Cause(
        topic="clock_skew",
        severity="high",
        settings=("clock_skew_seconds",),
        summary="this machine's clock and the database's differ",
        remedy="check NTP on the machine that is wrong; decisions follow the chain's clock and stay"
        " right",
    ),
    Cause(
        topic="database_connections",
        severity="medium",
        severe="high",
        settings=("database_connections_percent",),
        summary="most of the connections that Postgres accepts are taken",
        remedy="`SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2` shows whose;"
        " lower `API_PROCESSES`, or raise `max_connections`",
    ),
    Cause(
        topic="database_unreachable",
        severity="critical",
        escalation=Escalation.NONE,
        settings=("watchdog_database_seconds",),
        summary="the watchdog cannot log in to Postgres",
        remedy="read the log of Postgres, check its disk, restart it",
    ),
    Cause(
        topic="pin_storage",
        settings=("pin_storage_bytes",),
        severity="medium",
        severe="high",
        summary="the pinned files take more space than planned",
        remedy="raise the plan's limit and the setting, or shorten the retention",
    ),
    Cause(
        topic="failed_uploads",
        settings=("failed_upload_attempts",),
        severity="medium",
        ceiling="high",
        summary="documents or snapshots wait to be pinned because the pin store fails",
        remedy="check Pinata's status and `PINATA_JWT`; they are pinned again by themselves",
    ),
    Cause(
        topic="ipfs_gateway",
        severity="high",
        settings=("ipfs_gateway_ejection_seconds",),
        ceiling="high",
        summary="an IPFS gateway sent other bytes than those of the CID",
        remedy="it is left out by itself, and no wrong byte reached a client; replace it in"
        " `IPFS_GATEWAYS` if it does so again",
    ),
    Cause(
        topic="alert_delivery",
        severity="medium",
        escalation=Escalation.NONE,
        summary="a channel does not accept our messages",
        remedy="check the channel's settings; what could not be sent is kept and sent later",
    ),
)

CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        cause.topic: cause
        for group in (
            _PROPOSALS,
            _RESOLUTIONS,
            _MARKETS,
            _PROGRAM,
            _SUBMISSIONS,
            _SERVICES,
            _MACHINE,
        )
        for cause in group
    }
)


def cause_of(topic: str) -> Cause:
    """Return the cause of an alert's topic.

    Raises:
        KeyError: The topic is none of the catalogue's.
    """
    return CAUSES[topic]
