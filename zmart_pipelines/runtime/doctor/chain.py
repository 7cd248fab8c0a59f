"""Checks of the RPC endpoints, the program on chain and the keys."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from solders.pubkey import Pubkey

from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable, label
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signer import KeyFileError, KeypairSigner
from zmart_pipelines.program.accounts import GlobalConfig
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.runtime.doctor.findings import Finding, fail, ok, warn
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.verification import GENESIS

NODE_ERRORS = (RpcError, RpcUnavailable)
TIMEOUT = 5.0
CORRECT_URL = "correct SOLANA_RPC_URL or SOLANA_RPC_URLS"


def check_endpoints(settings: Settings) -> Iterator[Finding]:
    """Check each RPC endpoint: its health, its cluster, and the program on it."""
    genesis: set[str] = set()
    for url in settings.rpc_urls:
        yield _check_endpoint(settings, url, genesis)
    if len(genesis) > 1:
        yield fail("RPC endpoints", "they serve different clusters", "correct SOLANA_RPC_URLS")


def _check_endpoint(settings: Settings, url: str, seen: set[str]) -> Finding:
    subject = f"RPC {label(url)}"
    try:
        with RpcClient(url, TIMEOUT, attempts=1) as rpc:
            genesis = str(rpc.genesis_hash())
            seen.add(genesis)
            if not rpc.health():
                return warn(subject, "the node is behind the cluster", "wait, or use another node")
            account = rpc.account(settings.program, "confirmed").value
    except NODE_ERRORS as error:
        return fail(subject, f"no usable response: {error}", CORRECT_URL)
    expected = GENESIS.get(settings.solana_cluster)
    if expected is not None and not genesis.startswith(expected):
        return fail(
            subject,
            f"its genesis hash {genesis} is not that of {settings.solana_cluster}",
            "correct SOLANA_CLUSTER or the endpoint",
        )
    if account is None or not account.executable:
        return fail(
            subject,
            f"there is no program {settings.program_id} on this cluster",
            "correct PROGRAM_ID or SOLANA_CLUSTER, or deploy the program",
        )
    return ok(subject, f"healthy, {settings.solana_cluster}, has the program")


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Check each key: its file, its contents, and the authority that the chain names."""
    config, problem = _read_config(settings)
    if problem is not None:
        yield problem
    backend = None if config is None else Pubkey.from_bytes(config.backend_authority)
    admin = None if config is None else Pubkey.from_bytes(config.admin)
    yield _check_key(
        "backend authority", "BACKEND_AUTHORITY",
        settings.backend_authority_keypair, settings.backend_authority_private_key,
        backend, settings.program,
    )  # fmt: skip
    yield _check_key(
        "admin", "ADMIN", settings.admin_keypair, settings.admin_private_key,
        admin, settings.program,
    )  # fmt: skip
    yield _check_key(
        "resolver", "RESOLVER", settings.resolver_keypair, settings.resolver_private_key,
        None, settings.program,
    )  # fmt: skip


def _read_config(settings: Settings) -> tuple[GlobalConfig | None, Finding | None]:
    subject = "GlobalConfig"
    try:
        with RpcClient(settings.rpc_urls, TIMEOUT, attempts=1) as rpc:
            return AccountReader(rpc, settings.program).config("confirmed").value, None
    except AccountMissing as error:
        return None, fail(subject, f"not on chain: {error}", "initialize the program's config")
    except DecodeError as error:
        return None, fail(subject, f"not readable: {error}", "correct PROGRAM_ID")
    except NODE_ERRORS:
        return None, warn(subject, "keys are not compared: no endpoint answers", CORRECT_URL)


def _check_key(
    role: str,
    setting: str,
    path: Path | None,
    secret: SecretStr | None,
    authority: Pubkey | None,
    program: Pubkey,
) -> Finding:
    subject = f"{role} key"
    try:
        if path is not None:
            signer = KeypairSigner.from_file(path, program)
        elif secret is not None:
            signer = KeypairSigner.from_base58(secret.get_secret_value(), program)
        else:
            return warn(subject, "none is set", f"set {setting}_KEYPAIR to sign as the {role}")
    except KeyFileError as error:
        return fail(subject, str(error), f"correct {setting}_KEYPAIR or {setting}_PRIVATE_KEY")
    key = signer.pubkey()
    if authority is not None and key != authority:
        return fail(
            subject,
            f"{key} is not the {role} that the chain names ({authority})",
            f"set {setting}_KEYPAIR to the key of {authority}",
        )
    mode = "" if path is None else f", mode {stat.S_IMODE(path.stat().st_mode):04o}"
    matched = ", named on chain" if authority is not None else ""
    return ok(subject, f"{key}{mode}{matched}")
