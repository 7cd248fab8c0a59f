"""Every setting of the system, typed and documented once.

``Settings()`` reads the environment, then ``.env`` in the working directory; a variable is
named like its field in upper case. The environment takes precedence over ``.env``, and an
empty value counts as not set. The defaults are those of a fresh machine: the embedded parts
on loopback. Nothing else in the project reads ``os.environ``; a process that starts others
passes values on through ``Settings.environment()``.

``ZMART_ENV_FILE`` names another file than ``.env``; empty: none is read.

Secrets are ``SecretStr``: they never appear in ``repr``, logs or error messages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import CoreSchema, core_schema
from pydantic_settings import BaseSettings, SettingsConfigDict
from solders.pubkey import Pubkey


class Threshold:
    """From which value on a measured quantity is degraded, and from which it is down.

    Written as ``60/180``. Both are integers in the quantity's unit.
    """

    __slots__ = ("degraded", "down")

    def __init__(self, degraded: int, down: int) -> None:
        """Take both steps.

        Raises:
            ValueError: They are not 0 < degraded < down.
        """
        if not 0 < degraded < down:
            raise ValueError(f"{degraded}/{down}: must be two numbers with 0 < degraded < down")
        self.degraded = degraded
        self.down = down

    @classmethod
    def parse(cls, value: object) -> Threshold:
        """Read ``degraded/down``.

        Raises:
            ValueError: It is not of this form.
        """
        if isinstance(value, Threshold):
            return value
        steps = re.fullmatch(r"(\d{1,9})\s*/\s*(\d{1,9})", str(value))
        if steps is None:
            raise ValueError("must be degraded/down, two numbers such as 60/180")
        return cls(int(steps[1]), int(steps[2]))

    def __str__(self) -> str:
        return f"{self.degraded}/{self.down}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Threshold) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash((self.degraded, self.down))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )


def _threshold(degraded: int, down: int, subject: str) -> Any:
    return Field(
        Threshold(degraded, down),
        description=f"{subject}: from which value it is degraded and from which it is down.",
    )


def _alert_threshold(first: int, second: int, subject: str) -> Any:
    return Field(
        Threshold(first, second),
        description=f"{subject}: from which value an alert is raised, and from which it is severe.",
    )


def _lag_threshold(high: int, critical: int, subject: str) -> Any:
    return Field(
        Threshold(high, critical),
        description=f"{subject}: from which value its alert is high, and from which critical.",
    )


HEALTH_PREFIX = "health_"
RATE_LIMIT_PREFIX = "rate_limit_"
MAX_RATE_LIMIT = 1_000_000
DEFAULT_MIN_PIN_LAMPORTS = 10_000_000
# Requests per minute, those of pin_day per day, on every cluster but localnet.
DEFAULT_RATE_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "anonymous": 100,
        "wallet": 1_000,
        "write": 60,
        "search": 30,
        "auth": 20,
        "pin": 5,
        "pin_day": 50,
        "webhook": 6_000,
    }
)


def _rate_limit(name: str, subject: str, window: str = "minute") -> Any:
    return Field(
        None,
        ge=0,
        le=MAX_RATE_LIMIT,
        description=f"{subject} per {window}, all of which may come at once. 0: no limit. Empty:"
        f" {DEFAULT_RATE_LIMITS[name]}, and no limit on localnet, where everything shares the"
        " loopback address.",
    )


class Settings(BaseSettings):
    """The configuration of one process."""

    model_config = SettingsConfigDict(
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
        env_file=os.environ.get("ZMART_ENV_FILE", ".env") or None,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        # A value that is refused may be a secret.
        hide_input_in_errors=True,
    )

    # State and services
    zmart_state: Path = Field(
        Path(".zmart"), description="Folder with the data, logs and secrets of the embedded parts."
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql://zmart@127.0.0.1:5544/zmart"),
        description="Postgres, as postgresql://user:password@host:port/database, for the login that"
        " owns the database and migrates it; where not set, zmart up runs an embedded one.",
    )
    database_url_api: SecretStr | None = Field(
        None,
        description="Postgres for the login of users' requests, usually zmart_api. Empty, here and"
        " below: zmart migrate creates the login and keeps its password in the state folder.",
    )
    database_url_ingest: SecretStr | None = Field(
        None, description="Postgres for the login that writes the ledger, usually zmart_ingest."
    )
    database_url_pipelines: SecretStr | None = Field(
        None, description="Postgres for the login of the pipelines, usually zmart_pipelines."
    )
    database_url_read: SecretStr | None = Field(
        None, description="Postgres for the login that only reads, usually zmart_read."
    )
    database_url_dagster: SecretStr | None = Field(
        None, description="Postgres for the login of Dagster's own tables, usually zmart_dagster."
    )
    database_url_backup: SecretStr | None = Field(
        None, description="Postgres for the login that backups read with, usually zmart_backup."
    )
    database_url_wal: SecretStr | None = Field(
        None,
        description="Postgres for a login with REPLICATION, by which zmart up archives the"
        " write-ahead log; the embedded server has one. Empty: the log of another server is not"
        " archived.",
    )
    database_connect_seconds: int = Field(
        3, ge=2, description="Seconds after which connecting to Postgres fails."
    )
    database_statement_seconds: float = Field(
        30.0,
        gt=0,
        description="Seconds after which Postgres cancels a statement of a pipeline or command;"
        " the API has API_DATABASE_SECONDS.",
    )
    database_silence_seconds: int = Field(
        10,
        gt=0,
        description="Seconds without any sign of life from Postgres's machine after which a"
        " connection counts as dead (TCP keepalive and user timeout).",
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6399/0"),
        description="Redis, as redis://host:port/db; where not set, zmart up runs an embedded one.",
    )
    postgres_port: int = Field(5544, gt=0, lt=65536, description="Port of the embedded Postgres.")
    postgres_bin: Path | None = Field(
        None,
        description="Folder with initdb and postgres; empty: the installed package's binaries.",
    )
    redis_port: int = Field(6399, gt=0, lt=65536, description="Port of the embedded Redis.")
    redis_server: Path | None = Field(
        None,
        description="The redis-server to run; empty: the one on PATH, else the installed"
        " package's.",
    )

    # Chain
    solana_rpc_url: SecretStr = Field(
        SecretStr("http://127.0.0.1:8899"),
        description="JSON-RPC endpoint of the cluster; where not set, zmart up runs a local chain.",
    )
    solana_rpc_urls: SecretStr | None = Field(
        None,
        description="Several endpoints of the same cluster, separated by commas, the preferred"
        " one first; they replace SOLANA_RPC_URL.",
    )
    localnet_port: int = Field(8899, gt=0, lt=65535, description="RPC port of the local chain.")
    localnet_slot_ms: int = Field(
        400, gt=0, description="Length of the local chain's slots in milliseconds."
    )
    localnet_finality_depth: int = Field(
        8,
        ge=1,
        description="Slots after which the local chain finalizes a block; 32 on a real cluster.",
    )
    localnet_dispute_period: int = Field(
        15, ge=1, description="Dispute period of a new local chain in seconds."
    )
    localnet_program: Path | None = Field(
        None, description="Program (.so) of a new local chain; empty: the reference program."
    )
    localnet_webhook: bool = Field(
        True, description="Post a webhook for each transaction on the local chain."
    )
    solana_cluster: str = Field(
        "localnet",
        pattern="^(localnet|devnet|testnet|mainnet)$",
        description="Name of the cluster; part of every ballot's signed text.",
    )
    program_id: str = Field(
        "6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw", description="Address of zmart-core."
    )
    rpc_timeout: float = Field(10.0, gt=0, description="Timeout of one RPC call in seconds.")
    rpc_calls_per_second: float | None = Field(
        None,
        gt=0,
        description="Limit of RPC calls per second, for each process and endpoint; empty: 50,"
        " without"
        " limit when all endpoints are on this machine.",
    )

    backfill_calls_per_second: float = Field(
        20.0, gt=0, description="Limit of a backfill's RPC calls per second, over all its threads."
    )
    backfill_partition_slots: int = Field(
        216_000,
        gt=0,
        description="Slots per backfill partition; the default is a day of 400 ms slots.",
    )

    # Keys: each is a JSON key file (mode 0600) or the key itself in base58.
    backend_authority_keypair: Path | None = Field(
        None,
        description="Key file of the backend authority, which aggregates votes and finalizes"
        " markets.",
    )
    backend_authority_private_key: SecretStr | None = Field(
        None, description="The backend authority's key in base58, where a file is not possible."
    )
    admin_keypair: Path | None = Field(
        None, description="Key file of the admin; empty: approvals are prepared but not sent."
    )
    admin_private_key: SecretStr | None = Field(
        None, description="The admin's key in base58, where a file is not possible."
    )
    resolver_keypair: Path | None = Field(
        None, description="Key file of the resolver; empty: no market is resolved."
    )
    resolver_private_key: SecretStr | None = Field(
        None, description="The resolver's key in base58, where a file is not possible."
    )

    # Webhook
    helius_api_key: SecretStr | None = Field(
        None, description="Helius API key; used by zmart webhook alone."
    )
    helius_api_url: str = Field(
        "https://api.helius.xyz",
        pattern="^https?://[^?#@]+$",
        description="URL of the Helius API, without the key.",
    )
    helius_webhook_secret: SecretStr | None = Field(
        None,
        description="Value that Helius sends in the Authorization header; empty: webhooks are"
        " rejected.",
    )
    helius_webhook_secret_previous: SecretStr | None = Field(
        None, description="Previous HELIUS_WEBHOOK_SECRET, accepted during a rotation."
    )
    webhook_hmac_secret: SecretStr | None = Field(
        None,
        description="HMAC key of x-helius-signature (hex HMAC-SHA256 of the body), which older "
        "senders use instead of Authorization; empty: that header is ignored.",
    )
    webhook_max_bytes: int = Field(
        16 * 1024 * 1024, gt=0, description="Maximum size of a webhook body in bytes."
    )
    webhook_inline_transactions: int = Field(
        100, gt=0, description="Transactions of one delivery that are ingested before the response."
    )
    webhook_answer_seconds: float = Field(
        0.7,
        gt=0,
        description="Maximum seconds before a delivery is answered; Helius gives up after 1 s.",
    )

    # Voting
    min_proposal_votes: int = Field(
        10,
        ge=1,
        le=2**32 - 1,
        description="Minimum number of ballots before a proposal is tallied.",
    )
    min_dispute_votes: int = Field(
        1, ge=1, le=2**32 - 1, description="Minimum number of ballots before a dispute is tallied."
    )
    ballot_min_lamports: int = Field(
        0,
        ge=0,
        description="Minimum balance in lamports of a wallet that votes on a proposal; 0: no"
        " minimum.",
    )
    ballot_min_age_seconds: int = Field(
        0,
        ge=0,
        description="Minimum age of the oldest transaction of a wallet that votes on a proposal, in"
        " seconds of chain time; 0: no minimum.",
    )
    dispute_weight_unit: int | None = Field(
        None,
        gt=0,
        # Ballot bundles are JSON, whose integers are exact up to here.
        le=2**53 - 1,
        description="Shares (9 decimals) per vote in a dispute, at least one vote per wallet; more"
        " where the votes of all holders would not fit the chain's u32; empty: each wallet has one"
        " vote, as on chain.",
    )
    dispute_voting_seconds: int | None = Field(
        None,
        gt=0,
        description="Length of the dispute vote in seconds; empty: the chain's dispute_period.",
    )
    proposal_review_seconds: int = Field(
        86_400,
        gt=0,
        description="Age in seconds at which a proposal that is not approved raises an alert.",
    )
    window_margin_seconds: int = Field(
        2,
        ge=0,
        description="Seconds of chain time to wait after a window ends before acting on it.",
    )
    ballot_ttl_seconds: int = Field(
        600, gt=0, description="Maximum seconds until a ballot's expiry."
    )
    accept_older_ballots: bool = Field(
        False,
        description="Accept ballots signed with older clients' sign-in texts, which name no vote.",
    )

    # Submissions
    submission_lease_seconds: int = Field(
        30, gt=0, description="Length of the submitter's lease in seconds."
    )
    submission_run_seconds: int = Field(
        90,
        gt=0,
        description="Seconds for which one run drives live attempts before the next run resumes"
        " them.",
    )
    max_priority_fee_micro_lamports: int = Field(
        1_000_000, ge=0, description="Maximum compute-unit price in micro-lamports."
    )
    max_fee_per_transaction_lamports: int = Field(
        500_000,
        ge=5_000,
        description="Maximum fee of one submission in lamports; its priority fee is lowered to"
        " fit.",
    )
    prepared_fee_percentile: int = Field(
        75,
        ge=0,
        le=100,
        description="Percentile of the written accounts' recent prices that a transaction prepared"
        " for a wallet offers per compute unit.",
    )
    prepared_max_fee_lamports: int = Field(
        100_000,
        ge=5_000,
        description="Maximum fee of the network that a transaction prepared for a wallet offers, in"
        " lamports.",
    )
    max_fees_per_hour_lamports: int = Field(
        100_000_000, ge=0, description="Maximum fees of all submissions in an hour, in lamports."
    )
    min_balance_lamports: int = Field(
        20_000_000, ge=0, description="Balance in lamports below which a key signs nothing new."
    )
    breaker_action_failures: int = Field(
        3,
        ge=1,
        description="Consecutive markets with a failed submission that open an action's breaker.",
    )
    breaker_endpoint_failures: int = Field(
        5, ge=1, description="Consecutive failed calls that open an RPC endpoint's breaker."
    )
    breaker_pause_seconds: int = Field(
        300,
        gt=0,
        description="Seconds until an open breaker is probed; doubled twice by failed probes.",
    )
    submissions_enabled: bool = Field(
        True,
        description="Send submissions; false: everything is decided and simulated, nothing is"
        " sent.",
    )
    auto_activate: bool = Field(
        False,
        description="Activate approved markets with the admin's key; false: their creators do.",
    )
    expected_resolvers: str = Field(
        "",
        description="Addresses that may resolve markets besides the resolver key, separated by"
        " commas; a resolution by any other address raises an alert.",
    )

    # Alerts: where they are sent, and how often
    alert_webhook_url: SecretStr | None = Field(
        None,
        description="URL to which messages about alerts are posted in Slack's format,"
        ' {"text": "..."}. The URL is a secret.',
    )
    alert_urls: SecretStr | None = Field(
        None,
        description="Further receivers of messages about alerts, as URLs of the library Apprise"
        " (https://github.com/caronc/apprise), separated by spaces. They are secrets.",
    )
    alert_smtp_host: str | None = Field(
        None, description="Mail server that sends messages about alerts; empty: no mail is sent."
    )
    alert_smtp_port: int = Field(587, gt=0, lt=65536, description="Port of the mail server.")
    alert_smtp_security: str = Field(
        "starttls",
        pattern="^(starttls|tls|none)$",
        description="How the connection to the mail server is protected: starttls, tls from the"
        " start (usually port 465), or none, which is refused together with a password.",
    )
    alert_smtp_user: SecretStr | None = Field(
        None,
        description="User name at the mail server, together with ALERT_SMTP_PASSWORD; empty:"
        " without authentication.",
    )
    alert_smtp_password: SecretStr | None = Field(None, description="Password of ALERT_SMTP_USER.")
    alert_mail_from: str = Field(
        "zmart@localhost",
        pattern=r"^[^@\s,]+@[^@\s,]+$",
        description="Address that mail about alerts is sent from.",
    )
    alert_mail_to: str = Field(
        "", description="Addresses that mail about alerts is sent to, separated by commas."
    )
    alert_min_severity: str = Field(
        "high",
        pattern="^(medium|high|critical)$",
        description="Severity from which on alerts are sent; the others are only shown.",
    )
    alert_group_seconds: int = Field(
        30,
        ge=0,
        description="Seconds for which an alert must be open before it is sent, together with all"
        " others that wait.",
    )
    alert_interval_seconds: int = Field(
        900,
        ge=0,
        description="Minimum seconds between two messages; a critical alert waits for a tenth of"
        " that, the end of alerts for four times that.",
    )
    alert_abandon_seconds: int = Field(
        86_400,
        gt=0,
        description="Seconds after which a message that no attempt could send is given up.",
    )
    alert_escalation_fast_seconds: int = Field(
        600,
        gt=0,
        description="Age in seconds at which an alert of the system's health becomes one step more"
        " severe, and again at each multiple, unless it is acknowledged.",
    )
    alert_escalation_slow_seconds: int = Field(
        86_400, gt=0, description="The same for alerts of markets, submissions and the machine."
    )

    # Alerts of two lags, beside those of the thresholds of health
    alert_aggregation_lag_seconds: Threshold = _lag_threshold(
        300, 600, "Seconds for which a vote has waited for its aggregation"
    )
    alert_indexing_lag_slots: Threshold = _lag_threshold(
        50, 100, "Slots from the confirmed poll's last slot to the chain's tip"
    )

    # Monitor: from when on an alert is raised
    stuck_approved_seconds: int = Field(
        604_800, gt=0, description="Seconds after which an approved market counts as stuck."
    )
    stuck_active_seconds: int = Field(
        2_592_000,
        gt=0,
        description="Seconds after its end time, or its activation where none is known, after which"
        " an active market counts as stuck.",
    )
    stuck_resolving_seconds: int = Field(
        604_800, gt=0, description="Seconds after which a resolving market counts as stuck."
    )
    stuck_disputed_seconds: int = Field(
        604_800, gt=0, description="Seconds after which a disputed market counts as stuck."
    )
    stuck_markets: Threshold = _alert_threshold(10, 50, "Markets that are stuck at once")
    fee_burn_hour_lamports: Threshold = _alert_threshold(
        20_000_000, 50_000_000, "Lamports that our transactions cost in an hour"
    )
    fee_burn_day_lamports: Threshold = _alert_threshold(
        100_000_000, 300_000_000, "Lamports that our transactions cost in a day"
    )
    disk_used_percent: Threshold = _alert_threshold(
        80, 90, "Percent of the state folder's disk that is full"
    )
    database_connections_percent: Threshold = _alert_threshold(
        70, 90, "Percent of the connections of Postgres that are taken"
    )
    api_error_percent: Threshold = _alert_threshold(
        5, 10, "Percent of the API's requests of five minutes that are answered with 5xx"
    )
    socket_drop_percent: int = Field(
        50,
        gt=0,
        le=100,
        description="Percent of the clients of live updates that may be lost within five minutes.",
    )
    socket_drop_clients: int = Field(
        20, gt=0, description="Clients of live updates below which losing them raises no alert."
    )
    refused_requests_per_hour: int = Field(
        1_000,
        gt=0,
        description="Requests that rate limits refuse within an hour, over all API processes, from"
        " which on an alert is raised.",
    )
    pin_storage_bytes: Threshold = _alert_threshold(
        800_000_000, 950_000_000, "Bytes that are pinned at Pinata, or else in the local store"
    )
    failed_upload_attempts: int = Field(
        3,
        gt=0,
        description="Failures of pinning one snapshot's file, or of users' files within fifteen"
        " minutes, from which on an alert is raised.",
    )
    config_alert_seconds: int = Field(
        86_400,
        gt=0,
        description="Seconds for which the alert of a changed configuration stays open.",
    )
    clock_skew_seconds: float = Field(
        5.0, gt=0, description="Seconds by which the clocks of machine and database may differ."
    )
    stuck_run_seconds: int = Field(
        3_600, gt=0, description="Seconds after which a Dagster run that has not ended is stuck."
    )
    monitor_silence_seconds: int = Field(
        180,
        gt=0,
        description="Seconds without a finished round of the monitor after which the watchdog"
        " raises an alert; also the time that it grants after a start.",
    )
    daemon_silence_seconds: int = Field(
        120,
        gt=0,
        description="Seconds without a heartbeat of Dagster's daemon after which the watchdog"
        " raises an alert.",
    )
    restarts_per_hour: int = Field(
        3,
        gt=0,
        description="Restarts of a process within an hour that raise no alert yet; zmart up alone.",
    )
    watchdog_database_seconds: int = Field(
        30,
        gt=0,
        description="Seconds without an answer of Postgres after which the watchdog sends a message"
        " by itself.",
    )

    # Relay of transactions that wallets signed
    relay_open_per_wallet: int = Field(
        20,
        gt=0,
        description="Relayed transactions of one fee payer that have not come to their end.",
    )
    relay_lease_seconds: int = Field(
        15,
        gt=0,
        description="Seconds for which a process holds the transactions that it relays without a"
        " sign of life; then another one goes on.",
    )

    # Health: for each measured quantity, where it is degraded and where it is down
    health_due_decision_seconds: Threshold = _threshold(
        60, 180, "Age of the oldest market that is due for a decision of the backend"
    )
    health_open_intent_seconds: Threshold = _threshold(
        60, 300, "Age of the oldest intent that is not true on chain yet"
    )
    health_relayed_transaction_seconds: Threshold = _threshold(
        180, 600, "Age of the oldest relayed transaction that neither ended nor expired"
    )
    health_confirmed_lag_seconds: Threshold = _threshold(
        60, 180, "Time since the confirmed poll had read everything up to the chain's tip"
    )
    health_confirmed_lag_slots: Threshold = _threshold(
        150, 450, "Slots from the confirmed poll's last slot to the chain's tip"
    )
    health_finalized_lag_seconds: Threshold = _threshold(
        120, 300, "Time since the finalized window had covered everything up to the chain's tip"
    )
    health_finalized_lag_slots: Threshold = _threshold(
        300, 750, "Slots from the finalized window's last slot to the chain's tip"
    )
    health_delivery_seconds: Threshold = _threshold(
        60, 600, "Age of the oldest webhook delivery that is stored and not ingested"
    )
    health_job_overdue_seconds: Threshold = _threshold(
        300, 1800, "Time by which a scheduled job's last success is older than its interval"
    )
    health_backup_age_seconds: Threshold = _threshold(
        93_600, 172_800, "Age of the newest verified backup"
    )
    health_wal_archive_lag_seconds: Threshold = _threshold(
        300, 1_800, "Time since the archive of the write-ahead log had everything that was written"
    )
    health_failed_runs: Threshold = _threshold(2, 5, "Runs of one job that failed in a row")
    health_failing_checks: Threshold = _threshold(1, 10, "Data checks of severity ERROR that fail")
    health_stale_assets: Threshold = _threshold(1, 10, "Assets past their limit of age")
    health_open_breakers: Threshold = _threshold(1, 3, "Circuit breakers that are not closed")

    # API
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(4000, gt=0, lt=65536, description="Port of the API.")
    ws_port: int = Field(
        4001,
        gt=0,
        lt=65536,
        description="Second port of the API, on which older clients open WebSockets.",
    )
    api_processes: int = Field(
        1,
        gt=0,
        le=64,
        description="API processes that zmart up runs on the same ports; the operating system"
        " divides the connections among them.",
    )
    api_process: int = Field(
        1,
        gt=0,
        le=64,
        description="Number of this API process among API_PROCESSES; zmart up sets it.",
    )
    api_connections: int = Field(
        4000,
        ge=64,
        description="Maximum open connections of an API process on both ports; fewer where the"
        " limit of open files (ulimit -Hn) allows fewer.",
    )
    api_connections_per_ip: int = Field(
        256,
        gt=0,
        description="Maximum open connections per client address (IPv6: per /64 network), and"
        " concurrent requests of a client behind a trusted proxy.",
    )
    api_head_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds in which the head of a request or the handshake of a WebSocket must"
        " arrive.",
    )
    api_body_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds in which the body of a request must arrive, besides those earned by"
        " API_BODY_BYTES_PER_SECOND.",
    )
    api_body_bytes_per_second: int = Field(
        4096, gt=0, description="Minimum rate of a request's body after API_BODY_SECONDS."
    )
    api_keep_alive_seconds: int = Field(
        75,
        ge=11,
        description="Seconds for which an idle connection is kept; responses announce 10 less.",
    )
    api_stalled_seconds: float = Field(
        5.0,
        gt=0,
        description="Seconds after which a client that does not read what was sent to it is"
        " disconnected.",
    )
    cors_origins: str = Field(
        "http://localhost:3001,http://localhost:3000,http://localhost:3004",
        description="Origins that may call the API from a browser, separated by commas.",
    )
    draft_ttl_hours: int = Field(
        24, gt=0, description="Age in hours at which an unused draft expires."
    )
    api_threads: int = Field(8, gt=0, description="Threads per API process that read Postgres.")
    api_write_threads: int = Field(
        4,
        gt=0,
        description="Threads per API process that write comments and drafts, and connections by"
        " which wallets sign in; ballots have their own.",
    )
    api_chain_threads: int = Field(
        8, gt=0, description="Threads per API process that wait for the chain's RPC nodes."
    )
    api_pin_threads: int = Field(
        4,
        gt=0,
        description="Threads per API process that pin files; two more read them.",
    )
    api_past_threads: int = Field(
        2,
        gt=0,
        description="Threads per API process that fold states of the past (?at=) from the ledger.",
    )
    api_past_seconds: float = Field(
        2.0,
        gt=0,
        description="Seconds after which a request for a state of the past is answered 503.",
    )
    api_past_events: int = Field(
        20_000,
        gt=0,
        description="Maximum events that are folded for one request; more are answered 422.",
    )
    api_verify_threads: int = Field(
        2,
        gt=0,
        description="Threads per API process that read accounts for ?verify=true; each waits"
        " API_CHAIN_SECONDS at most.",
    )
    api_verify_seconds: float = Field(
        2.0,
        ge=0,
        description="Seconds for which the reading of an account serves further requests for its"
        " verification.",
    )
    verifications_per_minute: int = Field(
        120,
        gt=0,
        le=1_000_000,
        description="Maximum accounts that all API processes read in a minute for ?verify=true.",
    )
    verifications_per_address_minute: int = Field(
        20, gt=0, le=1_000_000, description="The same for the requests of one client address."
    )
    api_queue: int = Field(
        200,
        gt=0,
        description="Requests that may wait for each of these groups of threads; more are"
        " answered 503.",
    )
    api_shed_seconds: float = Field(
        0.5,
        ge=0,
        description="Standing delay of an API process's event loop in seconds from which searches"
        " are answered 503; reads from twice and writes from four times as much. 0: never.",
    )
    api_read_connections: int = Field(
        8,
        gt=0,
        description="Connections per API process for the reads that need no thread: the list of"
        " markets and single markets. API_QUEUE limits what waits for them.",
    )
    api_row_cache_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="Bytes of encoded markets that an API process keeps. They are never stale:"
        " Postgres names the version of each row that a request needs.",
    )
    api_body_cache_bytes: int = Field(
        16 * 1024 * 1024,
        ge=0,
        description="Bytes of encoded bodies, for lists and for single markets each, that an API"
        " process keeps for requests to which the tables give the same answer.",
    )
    list_shared_seconds: float = Field(
        0.0,
        ge=0,
        description="Age in seconds up to which requests for the same page of the list of markets"
        " share an answer; 0: each answer is at least as recent as its request.",
    )
    api_database_seconds: float = Field(
        2.0,
        gt=0,
        description="Seconds after which a request that waits for Postgres is answered 503.",
    )
    api_chain_seconds: float = Field(
        5.0,
        gt=0,
        description="Seconds after which a request that waits for the chain is answered 503.",
    )
    api_pin_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds after which a request that waits for the pin store is answered 503.",
    )
    auth_window_seconds: int = Field(
        300,
        gt=0,
        le=3600,
        description="Maximum difference in seconds between a sign-in text's time and the server's,"
        " and the longest validity of the text that a wallet signs for a write.",
    )
    public_domain: str = Field(
        "localhost",
        pattern=r"^[A-Za-z0-9.:-]{1,253}$",
        description="Domain name of this service in the texts that wallets sign for a write.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]{1,253}$",
        description="Origin under which clients reach this API, such as https://api.example.com;"
        " issuer of its access tokens. Empty: https:// and PUBLIC_DOMAIN, or for localhost http://"
        " with API_PORT.",
    )
    public_rpc_url: str | None = Field(
        None,
        description="RPC endpoint that browsers may read, such as https://api.devnet.solana.com;"
        " the dashboard recounts tallies with it. Everyone sees it: it has no path, query or user,"
        " where keys would be. Empty: the local chain's, else none.",
    )
    accept_older_signatures: bool = Field(
        True,
        description="Accept the sign-in texts of older clients, which name no act: in the header"
        " they identify a read for 60 minutes, in the body they are good for one act. Ballots:"
        " ACCEPT_OLDER_BALLOTS.",
    )
    auth_signing_key: SecretStr | None = Field(
        None,
        description="Key that signs access tokens: 32 random bytes in 43 characters of URL-safe"
        " base64. Empty: zmart up makes one and keeps it in the state folder; without one no wallet"
        " can sign in.",
    )
    auth_signing_key_previous: SecretStr | None = Field(
        None,
        description="A second key whose access tokens are accepted while AUTH_SIGNING_KEY is being"
        " replaced: the previous key, or the next one.",
    )
    access_token_seconds: int = Field(
        600, ge=60, le=900, description="Seconds for which an access token is valid."
    )
    refresh_token_days: int = Field(
        14, ge=1, le=60, description="Days after which a session that is not used expires."
    )
    session_days: int = Field(
        60, ge=1, le=365, description="Days after which a session expires even if it is used."
    )
    operators: str = Field(
        "",
        description="Addresses of the wallets that may do what only operators may, separated by"
        " commas; keys with the scope operator may too.",
    )
    comments_per_wallet_hour: int = Field(
        30, gt=0, description="Maximum comments of a wallet in an hour; deletions count apart."
    )
    comments_per_address_hour: int = Field(
        300, gt=0, description="Maximum comments from a client address in an hour, likewise."
    )
    drafts_per_address_hour: int = Field(
        60, gt=0, description="Maximum market drafts from a client address in an hour."
    )
    service_api_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key with which the demo and other tools of this system call the API, which"
        " accepts it besides those of zmart keys. Empty: zmart up makes one and keeps it in the"
        " state folder.",
    )
    rate_limit_anonymous: int | None = _rate_limit(
        "anonymous",
        "Requests from a client address (IPv6: a /64 network) without a session or a service key",
    )
    rate_limit_wallet: int | None = _rate_limit(
        "wallet",
        "Requests of a wallet that signed in, or with a limited service key,",
    )
    rate_limit_write: int | None = _rate_limit(
        "write", "Requests of one client that change something, ballots included,"
    )
    rate_limit_search: int | None = _rate_limit("search", "Searches by text of one client")
    rate_limit_auth: int | None = _rate_limit(
        "auth", "Requests to sign in from a client address, and the same for a wallet,"
    )
    rate_limit_pin: int | None = _rate_limit("pin", "Drafts and documents that a wallet pins")
    rate_limit_pin_day: int | None = _rate_limit("pin_day", "The same", "day")
    rate_limit_webhook: int | None = _rate_limit("webhook", "Webhook deliveries of one sender")
    pin_min_lamports: int | None = Field(
        None,
        ge=0,
        description="Minimum balance in lamports of a wallet whose drafts and documents are pinned,"
        " so that wallets that cost nothing cannot fill the pin store. 0: no minimum. Empty:"
        " 10,000,000 (0.01 SOL), and no minimum on localnet.",
    )
    trusted_proxies: str = Field(
        "",
        description="Networks or addresses of the proxies whose X-Forwarded-For header is trusted,"
        " separated by commas.",
    )
    ws_connections_per_ip: int = Field(
        10, gt=0, description="Maximum open WebSockets per client address."
    )
    ws_subscriptions: int = Field(100, gt=0, description="Maximum subscriptions of a WebSocket.")
    ws_messages_per_minute: int = Field(
        100,
        gt=0,
        description="Maximum messages of a WebSocket in a minute; an address may send"
        " WS_CONNECTIONS_PER_IP times as many over all its sockets.",
    )
    ws_queue_bytes: int = Field(
        4 * 1024 * 1024,
        gt=0,
        description="Bytes that may wait for a WebSocket before it is closed as too slow; live"
        " frames that wait for several sockets are kept once.",
    )
    ws_replay_bytes_per_minute: int = Field(
        16 * 1024 * 1024,
        gt=0,
        description="Bytes of missed frames sent to the WebSockets of one address in a minute;"
        " beyond it they receive a reset.",
    )
    ws_heartbeat_seconds: float = Field(
        15, gt=0, description="Seconds between two heartbeats to a client of the live updates."
    )
    ws_prices_per_second: int = Field(
        10, gt=0, description="Maximum price frames of a market in a second."
    )
    realtime_ticket_seconds: int = Field(
        30,
        ge=5,
        le=300,
        description="Seconds within which a ticket for private live updates must be used.",
    )
    stream_poll_seconds: float = Field(
        0.25,
        gt=0,
        description="Maximum seconds between two reads of the stream by the WebSocket hub.",
    )

    # Retention: days for which rows are kept that nothing needs any more
    stream_keep_days: int = Field(
        7, gt=0, description="Days for which a socket can resume from frames it missed."
    )
    deliveries_keep_days: int = Field(
        14, gt=0, description="Days for which ingested webhook deliveries and hints are kept."
    )
    failures_keep_days: int = Field(
        90,
        gt=0,
        description="Days for which failures are kept: failed deliveries and runs, closed gaps,"
        " cleared alerts and differences, repairs.",
    )
    reports_keep_days: int = Field(
        90,
        gt=0,
        description="Days for which results of reconciliations and sizes of tables are kept.",
    )
    signed_requests_keep_days: int = Field(
        7,
        gt=0,
        description="Days for which the signatures of writes are kept with the client's address.",
    )
    idempotency_keys_keep_days: int = Field(
        1,
        gt=0,
        description="Days for which the answers of writes are kept: a repeated request, by its"
        " Idempotency-Key or its signature, gets the same answer for at least as long.",
    )
    sessions_keep_days: int = Field(
        7,
        gt=0,
        description="Days for which sessions and texts to sign are kept after they have ended or"
        " expired.",
    )
    expired_drafts_keep_days: int = Field(
        1, gt=0, description="Days after its expiry for which an unused market draft is kept."
    )
    relayed_transactions_keep_days: int = Field(
        30, gt=0, description="Days for which relayed transactions are kept after their end."
    )
    snapshots_keep_days: int = Field(
        90,
        gt=0,
        description="Days for which snapshots of discussions stay pinned; a market's last one stays"
        " for ever.",
    )
    documents_keep_days: int = Field(
        7,
        gt=0,
        description="Days for which an uploaded document is kept that no draft, market or profile"
        " names.",
    )
    runs_keep_days: int = Field(
        3,
        gt=0,
        description="Days for which Dagster runs that submitted nothing, check results and"
        " reported events are kept.",
    )
    submission_runs_keep_days: int = Field(
        365,
        gt=0,
        description="Days for which Dagster runs are kept that signed a transaction or that an"
        " operator launched.",
    )
    idle_ticks_keep_days: int = Field(
        1, gt=0, description="Days for which sensor ticks that did nothing are kept."
    )

    # Backups
    backup_target: str | None = Field(
        None,
        description="Where backups are kept: file:///folder or s3://bucket/prefix; empty: backups/"
        " in the state folder, which protects against neither the loss of the disk nor of the"
        " machine.",
    )
    backup_key: SecretStr | None = Field(
        None,
        description="age identity (AGE-SECRET-KEY-1…) that backups are encrypted with; keep a copy"
        " elsewhere, because without it they cannot be read. Empty: not encrypted.",
    )
    backup_keep_days: int = Field(
        30, gt=0, description="Days for which backups are kept; the last good one stays longer."
    )
    wal_archive: Path | None = Field(
        None,
        description="Folder with base backups and the archived write-ahead log; empty: wal/ in the"
        " state folder. On another disk it survives the loss of the database's.",
    )
    wal_keep_days: int = Field(
        7, gt=0, description="Days to any second of which the database can be restored."
    )
    backup_s3_endpoint: str | None = Field(
        None,
        pattern="^https?://[^/?#@]+/?$",
        description="URL of the S3-compatible store; empty: AWS.",
    )
    backup_s3_region: str = Field("us-east-1", description="Region of the bucket for backups.")
    backup_s3_access_key_id: str | None = Field(
        None,
        description="Access key of the bucket for backups; empty: the credentials that AWS's own"
        " variables or the machine's role provide.",
    )
    backup_s3_secret_access_key: SecretStr | None = Field(
        None, description="Secret of BACKUP_S3_ACCESS_KEY_ID."
    )

    # Dagster
    dagster_host: str = Field("127.0.0.1", description="Address of the Dagster webserver.")
    dagster_port: int = Field(3000, gt=0, lt=65536, description="Port of the Dagster webserver.")
    dagster_origins: str = Field(
        "",
        description="Origins under which browsers reach the Dagster webserver besides loopback and"
        " DAGSTER_HOST, such as https://dagster.example.com, separated by commas.",
    )
    dagster_read_only: bool = Field(
        False,
        description="Start the Dagster webserver so that it shows everything and changes nothing.",
    )
    code_server_port: int = Field(4266, gt=0, lt=65536, description="Port of the code server.")
    poll_page_size: int = Field(
        1000, gt=0, le=1000, description="Signatures per page of getSignaturesForAddress."
    )

    # Metrics
    metrics_host: str = Field(
        "127.0.0.1",
        description="Address on which processes serve their metrics for Prometheus. They need no"
        " credentials, so it should be reachable by Prometheus alone.",
    )
    metrics_port: int = Field(
        9470,
        ge=0,
        # The last API process uses the port 64 above it.
        le=65535 - 64,
        description="Port on which the exporter serves the metrics of the whole system; the API"
        " processes serve theirs on the ports after it, METRICS_PORT + API_PROCESS. 0: no process"
        " serves metrics, and zmart up runs no exporter.",
    )

    # Traces
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s@?#]+$",
        description="Address to which processes send traces by OTLP over HTTP, with its path, such"
        " as http://127.0.0.1:4318/v1/traces. Not set: nothing is traced. It holds no secret; see"
        " OTLP_HEADERS.",
    )
    otlp_headers: SecretStr | None = Field(
        None,
        description="Headers sent to OTLP_ENDPOINT, such as a key: name=value,name=value, with"
        " values percent-encoded.",
    )
    trace_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the traces that is kept, the same ones in every process.",
    )

    # Logs
    log_format: str = Field(
        "console",
        pattern="^(json|console)$",
        description="How processes log: json, one object a line; console, a readable line.",
    )
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="Least level that processes log.",
    )
    log_file_bytes: int = Field(
        20 * 1024 * 1024,
        ge=64 * 1024,
        description="Size in bytes at which zmart up begins a new log file of a process; it also"
        " does so each day.",
    )
    log_keep_days: int = Field(
        30, gt=0, description="Days for which zmart up keeps the earlier log files."
    )
    log_keep_files: int = Field(
        40,
        gt=0,
        description="Maximum number of earlier log files of a process, whatever their age.",
    )

    # IPFS
    pinata_jwt: SecretStr | None = Field(
        None, description="Pinata token; empty: files are pinned in the local store."
    )
    pinata_api_url: str = Field(
        "https://api.pinata.cloud",
        pattern="^https?://[^?#@]+$",
        description="URL of the Pinata API, without the token.",
    )
    pinata_gateway_url: str = Field(
        "https://gateway.pinata.cloud/ipfs",
        pattern="^https?://[^?#@]+$",
        description="URL of the gateway that pinned files are read from, such as your own one at"
        " Pinata; the CID follows after a slash.",
    )
    ipfs_gateways: str = Field(
        "",
        description="URLs of further gateways that snapshots are read from where neither the"
        " database nor the local store has them, separated by commas; the CID follows after a"
        " slash. With PINATA_JWT, PINATA_GATEWAY_URL is asked first. Gateways must answer without"
        " redirects, such as https://trustless-gateway.link/ipfs.",
    )
    ipfs_gateway_stagger_seconds: float = Field(
        0.5, gt=0, description="Seconds after which the next gateway is asked as well."
    )
    ipfs_gateway_seconds: float = Field(
        5.0, gt=0, description="How many seconds a gateway may take for an answer."
    )
    ipfs_gateway_ejection_seconds: float = Field(
        600.0,
        gt=0,
        description="For how many seconds a gateway that sent other bytes than the CID's is not"
        " asked.",
    )

    @field_validator("backup_target")
    @classmethod
    def _is_a_target(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"file:///[^?#]+|s3://[A-Za-z0-9.-]+(/[^?#]*)?", value):
            return value
        raise ValueError("must be file:///folder or s3://bucket/prefix")

    @field_validator("expected_resolvers", "operators")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for item in value.split(","):
            if item.strip():
                Pubkey.from_string(item.strip())
        return value

    @field_validator("ipfs_gateways")
    @classmethod
    def _are_gateways(cls, value: str) -> str:
        for item in _split(value):
            if re.fullmatch("https?://[^?#@]+", item) is None:
                raise ValueError(f"{item!r} must be an http(s) URL without credentials and query")
        return value

    @field_validator("alert_mail_to")
    @classmethod
    def _are_mail_addresses(cls, value: str) -> str:
        for item in _split(value):
            if not re.fullmatch(r"[^@\s]+@[^@\s]+", item):
                raise ValueError(f"{item} is no mail address such as oncall@example.com")
        return value

    @model_validator(mode="after")
    def _mail_is_complete_and_protected(self) -> Settings:
        if self.alert_smtp_host is not None and not _split(self.alert_mail_to):
            raise ValueError("ALERT_MAIL_TO: must name an address, because ALERT_SMTP_HOST is set")
        if (self.alert_smtp_user is None) != (self.alert_smtp_password is None):
            raise ValueError("ALERT_SMTP_USER: must be set together with ALERT_SMTP_PASSWORD")
        if self.alert_smtp_password is not None and self.alert_smtp_security == "none":
            raise ValueError(
                "ALERT_SMTP_SECURITY: must be starttls or tls, so that ALERT_SMTP_PASSWORD is not"
                " sent in clear"
            )
        return self

    @field_validator("program_id")
    @classmethod
    def _is_address(cls, value: str) -> str:
        Pubkey.from_string(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for item in _split(value):
            if item == "*":
                raise ValueError(
                    "* would let every client pretend to have any address; name the addresses or"
                    " networks of your proxies, such as 10.0.0.0/8"
                )
            try:
                ip_network(item)
            except ValueError as error:
                raise ValueError(f"{item} is no address or network such as 10.0.0.0/8") from error
        return value

    @field_validator("auth_signing_key", "auth_signing_key_previous")
    @classmethod
    def _are_signing_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]{43}", value.get_secret_value()):
            raise ValueError("must be 32 bytes in 43 characters of URL-safe base64")
        return value

    @field_validator("dagster_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for item in _split(value):
            if not re.fullmatch(r"https?://[^/?#@*\s]+", item):
                raise ValueError(f"{item} is no origin such as https://dagster.example.com")
        return value

    @field_validator("public_rpc_url")
    @classmethod
    def _is_public(cls, value: str | None) -> str | None:
        if not value:
            return None
        # The value may hold the key that must not be there, so the message does not repeat it.
        if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]{1,253}/?", value):
            raise ValueError(
                "must be http:// or https:// and a host, such as https://api.devnet.solana.com,"
                " without path, query or user: browsers read it, so it must not contain a key"
            )
        return value.rstrip("/")

    @field_validator("solana_rpc_urls")
    @classmethod
    def _names_endpoints(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and _split(value.get_secret_value()) else None

    @property
    def wal_archive_folder(self) -> Path:
        """The folder of ``wal_archive``, or its default."""
        return self.wal_archive or self.zmart_state.absolute() / "wal"

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """RPC endpoints, the preferred one first (secrets in clear)."""
        if self.solana_rpc_urls is not None:
            return _split(self.solana_rpc_urls.get_secret_value())
        return (self.solana_rpc_url.get_secret_value(),)

    @property
    def program(self) -> Pubkey:
        """The program's address."""
        return Pubkey.from_string(self.program_id)

    @property
    def resolvers(self) -> tuple[Pubkey, ...]:
        """The entries of ``expected_resolvers``."""
        listed = (item.strip() for item in self.expected_resolvers.split(","))
        return tuple(Pubkey.from_string(item) for item in listed if item)

    @property
    def alert_url_list(self) -> tuple[str, ...]:
        """The entries of ``alert_urls`` (secrets in clear)."""
        return () if self.alert_urls is None else tuple(self.alert_urls.get_secret_value().split())

    @property
    def alert_mail_recipients(self) -> tuple[str, ...]:
        """The entries of ``alert_mail_to``."""
        return _split(self.alert_mail_to)

    @property
    def operator_wallets(self) -> frozenset[bytes]:
        """The entries of ``operators``, 32 bytes each."""
        return frozenset(bytes(Pubkey.from_string(item)) for item in _split(self.operators))

    @property
    def api_process_name(self) -> str:
        """The name of this API process: ``api`` for the first, then ``api-2`` and so on."""
        return "api" if self.api_process == 1 else f"api-{self.api_process}"

    @property
    def public_origin(self) -> str:
        """The origin under which clients reach the API, without a final slash."""
        if self.public_url is not None:
            return self.public_url
        if self.public_domain == "localhost":
            return f"http://localhost:{self.api_port}"
        return f"https://{self.public_domain}"

    @property
    def browser_rpc_url(self) -> str | None:
        """The RPC endpoint that browsers may read: the public one, or that of a local chain."""
        if self.public_rpc_url is not None:
            return self.public_rpc_url
        own = self.rpc_urls[0].rstrip("/")
        return own if re.fullmatch(r"http://(127\.0\.0\.1|localhost)(:[0-9]+)?", own) else None

    @property
    def dagster_url(self) -> str | None:
        """The address under which browsers reach the Dagster webserver; None: not known."""
        if self.dagster_origin_list:
            return self.dagster_origin_list[0]
        if self.public_domain == "localhost":
            return f"http://localhost:{self.dagster_port}"
        return None

    @property
    def dagster_origin_list(self) -> tuple[str, ...]:
        """The entries of ``dagster_origins``."""
        return _split(self.dagster_origins)

    @property
    def origins(self) -> tuple[str, ...]:
        """The entries of ``cors_origins``, those of localhost also with its address."""
        named = _split(self.cors_origins)
        return tuple(dict.fromkeys((*named, *(_loopback_twin(origin) for origin in named))))

    @property
    def own_origins(self) -> tuple[str, ...]:
        """The origins of the API's own pages: the public one, of localhost also its address."""
        return tuple(dict.fromkeys((self.public_origin, _loopback_twin(self.public_origin))))

    @property
    def proxy_networks(self) -> tuple[str, ...]:
        """The networks of ``trusted_proxies``.

        Those of IPv4 are also given as a socket for both families shows them: ``::ffff:10.0.0.1``.
        """
        networks = [ip_network(item) for item in _split(self.trusted_proxies)]
        mapped = [
            f"::ffff:{network.network_address}/{96 + network.prefixlen}"
            for network in networks
            if network.version == 4
        ]
        return (*map(str, networks), *mapped)

    @property
    def rate_limits(self) -> Mapping[str, int]:
        """The limits of requests by quota, as they hold on this cluster; 0: none."""
        limits: dict[str, int] = {}
        for name, default in DEFAULT_RATE_LIMITS.items():
            value: int | None = getattr(self, RATE_LIMIT_PREFIX + name)
            limits[name] = value if value is not None else 0 if self.is_localnet else default
        return limits

    @property
    def snapshot_gateways(self) -> tuple[str, ...]:
        """The gateways that snapshots are read from, in the order in which they are asked."""
        own = () if self.pinata_jwt is None else (self.pinata_gateway_url,)
        return (*own, *_split(self.ipfs_gateways))

    @property
    def is_localnet(self) -> bool:
        """Whether the chain is one on this machine, on which everything is free."""
        return self.solana_cluster == "localnet"

    @property
    def min_pin_lamports(self) -> int:
        """The minimum balance of a wallet whose files are pinned, as it holds on this cluster."""
        if self.pin_min_lamports is not None:
            return self.pin_min_lamports
        return 0 if self.is_localnet else DEFAULT_MIN_PIN_LAMPORTS

    @property
    def health_thresholds(self) -> Mapping[str, Threshold]:
        """The thresholds of health by quantity; each is the setting ``health_<quantity>``."""
        return {
            name.removeprefix(HEALTH_PREFIX): value
            for name in type(self).model_fields
            if name.startswith(HEALTH_PREFIX)
            and isinstance(value := getattr(self, name), Threshold)
        }

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        """Return the names of the settings that are secrets, or files that hold one."""
        return frozenset(
            name
            for name, field in cls.model_fields.items()
            if SecretStr in (field.annotation, *get_args(field.annotation))
            or name.endswith("_keypair")
        )

    def environment(self, secrets: Collection[str] | None = None) -> dict[str, str]:
        """Return the settings as environment variables for a child process, secrets in clear.

        Args:
            secrets: Names of the secrets to include; None: all of them.
        """
        withheld = self.secret_fields() - set(secrets) if secrets is not None else frozenset()
        values: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None or name in withheld:
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            values[name.upper()] = str(value)
        return values


def _loopback_twin(origin: str) -> str:
    """Return the origin with ``127.0.0.1`` for ``localhost`` and vice versa; others unchanged."""
    found = re.fullmatch(r"(https?://)(localhost|127\.0\.0\.1)(:\d+)?", origin)
    if found is None:
        return origin
    other = "127.0.0.1" if found[2] == "localhost" else "localhost"
    return f"{found[1]}{other}{found[3] or ''}"


def _split(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()
