"""Every setting of the system, typed, read from the environment, documented once.

``Settings()`` reads the environment (names are the fields' upper-case names). The
defaults are those of a fresh machine: the embedded parts on loopback. Nothing else in
the project reads ``os.environ``; a process that starts others passes values on through
``Settings.environment()``.

Secrets are ``SecretStr``: they never appear in ``repr``, logs or error texts.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from solders.pubkey import Pubkey


class Settings(BaseSettings):
    """The configuration of one process."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    # State and services
    zmart_state: Path = Field(
        Path(".zmart"), description="Folder of everything the embedded parts keep."
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql://zmart@127.0.0.1:5544/zmart"),
        description="Postgres, as postgresql://user:password@host:port/database.",
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6399/0"), description="Redis, as redis://host:port/db."
    )
    postgres_port: int = Field(5544, gt=0, lt=65536, description="Port of the embedded Postgres.")
    postgres_bin: Path | None = Field(
        None, description="Folder with initdb and postgres; empty: the ones installed with us."
    )
    redis_port: int = Field(6399, gt=0, lt=65536, description="Port of the embedded Redis.")
    redis_server: Path | None = Field(
        None, description="The redis-server to run; empty: the system's, else the one installed."
    )

    # Chain
    solana_rpc_url: SecretStr = Field(
        SecretStr("http://127.0.0.1:8899"), description="JSON-RPC endpoint of the cluster."
    )
    solana_rpc_urls: SecretStr | None = Field(
        None,
        description="Several endpoints of the same cluster, separated by commas, the preferred"
        " one first; they take the place of SOLANA_RPC_URL.",
    )
    localnet_port: int = Field(8899, gt=0, lt=65535, description="RPC port of the local chain.")
    localnet_slot_ms: int = Field(
        400, gt=0, description="Milliseconds of one slot of the local chain."
    )
    localnet_finality_depth: int = Field(
        8, ge=1, description="Slots until the local chain finalizes; 32 on the real one."
    )
    localnet_dispute_period: int = Field(
        15, ge=1, description="Seconds of the dispute window of a new local chain."
    )
    localnet_program: Path | None = Field(
        None, description="Program (.so) of a new local chain; empty: the reference program."
    )
    localnet_webhook: bool = Field(True, description="Whether the local chain posts webhooks.")
    solana_cluster: str = Field(
        "localnet",
        pattern="^(localnet|devnet|testnet|mainnet)$",
        description="Name of the cluster; part of every ballot's text.",
    )
    program_id: str = Field(
        "6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw", description="Address of zmart-core."
    )
    rpc_timeout: float = Field(10.0, gt=0, description="Seconds one RPC call may take.")
    rpc_calls_per_second: float | None = Field(
        None,
        gt=0,
        description="RPC calls of one process to one endpoint in a second; empty: 50, without"
        " limit where all endpoints are on this machine.",
    )

    backfill_calls_per_second: float = Field(
        20.0, gt=0, description="RPC calls of a backfill in a second, all its threads together."
    )
    backfill_partition_slots: int = Field(
        216_000, gt=0, description="Slots of one backfill partition; a day of 400 ms slots."
    )

    # Keys. Each is a path to a JSON key file (mode 0600) or the key itself in base58.
    backend_authority_keypair: Path | None = Field(
        None, description="File with the backend authority's key (aggregate, finalize)."
    )
    backend_authority_private_key: SecretStr | None = Field(
        None, description="The same key in base58, where a file is not possible."
    )
    admin_keypair: Path | None = Field(
        None, description="File with the admin's key; where empty, approvals are only prepared."
    )
    admin_private_key: SecretStr | None = Field(None, description="The admin's key in base58.")
    resolver_keypair: Path | None = Field(
        None, description="File with the key that resolves markets; where empty, none are resolved."
    )
    resolver_private_key: SecretStr | None = Field(
        None, description="The resolver's key in base58."
    )

    # Webhook
    helius_api_key: SecretStr | None = Field(
        None, description="Helius key, for zmart webhook; nothing else needs it."
    )
    helius_api_url: str = Field(
        "https://api.helius.xyz",
        pattern="^https?://[^?#@]+$",
        description="Address of the Helius API, without the key.",
    )
    helius_webhook_secret: SecretStr | None = Field(
        None, description="Value that Helius echoes in Authorization; without it webhooks are off."
    )
    helius_webhook_secret_previous: SecretStr | None = Field(
        None, description="The value before, accepted while it is being rotated."
    )
    webhook_hmac_secret: SecretStr | None = Field(
        None,
        description="Key of x-helius-signature (hex HMAC-SHA256 of the body), which older "
        "senders give in place of Authorization; without it that header counts for nothing.",
    )
    webhook_max_bytes: int = Field(16 * 1024 * 1024, gt=0, description="Largest webhook body.")
    webhook_inline_transactions: int = Field(
        100, gt=0, description="Transactions of one delivery ingested before the answer."
    )
    webhook_answer_seconds: float = Field(
        0.7,
        gt=0,
        description="Longest wait of a delivery for its answer; Helius gives up after 1 s.",
    )

    # Voting
    min_proposal_votes: int = Field(
        10, ge=1, le=2**32 - 1, description="Ballots a proposal needs to be counted."
    )
    min_dispute_votes: int = Field(
        1, ge=1, le=2**32 - 1, description="Ballots a dispute needs to be counted."
    )
    ballot_min_lamports: int = Field(
        0, ge=0, description="Balance a wallet needs to vote on a proposal; 0: none."
    )
    ballot_min_age_seconds: int = Field(
        0,
        ge=0,
        description="Age of the oldest transaction that a wallet needs to vote on a proposal, in"
        " chain seconds; 0: none.",
    )
    dispute_weight_unit: int | None = Field(
        None,
        gt=0,
        # Ballot bundles are JSON, whose integers are exact up to here.
        le=2**53 - 1,
        description="Shares (9 decimals) that make one vote of a dispute, at least one to a"
        " wallet; empty: each wallet counts once, as the chain counts.",
    )
    dispute_voting_seconds: int | None = Field(
        None, gt=0, description="Length of the dispute vote; empty: the chain's dispute_period."
    )
    proposal_review_seconds: int = Field(
        86_400, gt=0, description="Age at which a proposal not approved asks for people's review."
    )
    window_margin_seconds: int = Field(
        2, ge=0, description="Chain seconds waited past a window before acting on it."
    )
    ballot_ttl_seconds: int = Field(
        600, gt=0, description="How far ahead a ballot's expiry may lie."
    )
    accept_older_ballots: bool = Field(
        True, description="Accept ballots signed with the older clients' login texts."
    )

    # Submissions
    submission_lease_seconds: int = Field(30, gt=0, description="Length of the submitter's lease.")
    submission_run_seconds: int = Field(
        90, gt=0, description="How long one run drives live attempts before the next resumes."
    )
    max_priority_fee_micro_lamports: int = Field(
        1_000_000, ge=0, description="Cap of the compute-unit price."
    )
    max_fee_per_transaction_lamports: int = Field(
        500_000,
        ge=5_000,
        description="Most that one submission may cost; its priority fee is lowered to fit.",
    )
    max_fees_per_hour_lamports: int = Field(
        100_000_000, ge=0, description="Most that submissions may cost in an hour, all together."
    )
    min_balance_lamports: int = Field(
        20_000_000, ge=0, description="Balance below which a key signs nothing new."
    )
    breaker_action_failures: int = Field(
        3, ge=1, description="Markets in a row whose submission failed that stop an action."
    )
    breaker_endpoint_failures: int = Field(
        5, ge=1, description="Calls in a row without an answer that stop an RPC endpoint."
    )
    breaker_pause_seconds: int = Field(
        300,
        gt=0,
        description="First pause of what was stopped; it doubles twice, by failed probes.",
    )
    submissions_enabled: bool = Field(
        True, description="The switch over all submissions; off means decide but do not send."
    )
    auto_activate: bool = Field(
        False, description="Activate approved markets with the admin's key; else creators do it."
    )
    expected_resolvers: str = Field(
        "",
        description="Addresses that may resolve beside our own resolver key, separated by commas; "
        "a resolution by anybody else raises an alert.",
    )

    # Alerts
    alert_webhook_url: SecretStr | None = Field(
        None,
        description="Where alerts of severity high and critical are posted, as Slack takes "
        'them: {"text": "..."}. The address is a secret.',
    )

    # API
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(4000, gt=0, lt=65536, description="Port of the API.")
    ws_port: int = Field(4001, gt=0, lt=65536, description="Second port of the same app.")
    cors_origins: str = Field(
        "http://localhost:3001,http://localhost:3000,http://localhost:3004",
        description="Origins that may call the API from a browser, separated by commas.",
    )
    draft_ttl_hours: int = Field(24, gt=0, description="Age at which an unused draft expires.")
    api_threads: int = Field(8, gt=0, description="Database threads of one API process.")
    auth_window_seconds: int = Field(
        300, gt=0, description="How far a sign-in text's time may lie from the server's."
    )
    trusted_proxies: str = Field(
        "", description="Addresses whose X-Forwarded-For counts, separated by commas."
    )
    ws_connections_per_ip: int = Field(10, gt=0, description="Open sockets of one address.")
    stream_poll_seconds: float = Field(
        0.25, gt=0, description="Longest wait of the socket hub between two looks at the stream."
    )

    # Dagster
    dagster_host: str = Field("127.0.0.1", description="Address of the Dagster webserver.")
    dagster_port: int = Field(3000, gt=0, lt=65536, description="Port of the Dagster webserver.")
    code_server_port: int = Field(4266, gt=0, lt=65536, description="Port of the code server.")
    dagster_keep_days: int = Field(
        14, gt=0, description="Age at which finished runs that submitted nothing are deleted."
    )
    poll_page_size: int = Field(
        1000, gt=0, le=1000, description="Signatures asked for in one page."
    )

    # IPFS
    pinata_jwt: SecretStr | None = Field(
        None, description="Pinata token; where empty, files are pinned in the local store."
    )

    @field_validator("expected_resolvers")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for item in value.split(","):
            if item.strip():
                Pubkey.from_string(item.strip())
        return value

    @field_validator("program_id")
    @classmethod
    def _is_address(cls, value: str) -> str:
        Pubkey.from_string(value)
        return value

    @field_validator("solana_rpc_urls")
    @classmethod
    def _names_endpoints(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and _listed(value.get_secret_value()) else None

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """The RPC endpoints, the preferred one first (secrets in clear)."""
        if self.solana_rpc_urls is not None:
            return _listed(self.solana_rpc_urls.get_secret_value())
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
    def origins(self) -> tuple[str, ...]:
        """The entries of ``cors_origins``."""
        return _listed(self.cors_origins)

    def environment(self) -> dict[str, str]:
        """The settings as environment variables for a child process (secrets in clear)."""
        values: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            values[name.upper()] = str(value)
        return values


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
