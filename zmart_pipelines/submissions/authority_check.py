"""Whether our keys are the authorities that the chain names, and can pay the fees."""

from __future__ import annotations

from sqlalchemy import Engine

from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signer import Signer
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.program.accounts import GlobalConfig
from zmart_pipelines.submissions.chain_reads import NODE_ERRORS
from zmart_pipelines.submissions.signers import Signers
from zmart_pipelines.submissions.statuses import Action


def check_authorities(
    engine: Engine, rpc: RpcClient, reader: AccountReader, signers: Signers, *, min_balance: int
) -> tuple[set[Action], str | None]:
    """Return the actions that cannot be signed now, and why nothing may be signed at all.

    The backend's key is required for everything; unsignable the admin's or the resolver's key only
    their own actions are excluded. Each fault has an open alert while it lasts.

    Args:
        engine: For the alerts.
        rpc: The chain.
        reader: Reads the configuration.
        signers: The configured keys.
        min_balance: Lamports that a key must have.
    """
    try:
        config = reader.config("finalized").value
        faults = {
            "submitter_key": _fault(rpc, "backend authority", signers.backend, config, min_balance),
            "admin_key": _fault(rpc, "admin", signers.admin, config, min_balance),
            "resolver_key": _fault(rpc, "resolver", signers.resolver, config, min_balance),
        }
    except (*NODE_ERRORS, AccountMissing) as error:
        return set(), f"the configuration cannot be read: {error}"
    with engine.begin() as conn:
        for topic, fault in faults.items():
            if fault:
                raise_alert(conn, AlertKey(topic), "critical", fault)
            else:
                clear_alert(conn, AlertKey(topic))
    unsignable: set[Action] = set()
    if signers.admin is None or faults["admin_key"]:
        unsignable |= {"approve_proposal", "activate_market"}
    if signers.resolver is None or faults["resolver_key"]:
        unsignable.add("resolve_market")
    return unsignable, faults["submitter_key"]


def _fault(
    rpc: RpcClient, role: str, signer: Signer | None, config: GlobalConfig, min_balance: int
) -> str | None:
    if signer is None:
        return None
    key = signer.pubkey()
    named = {"admin": config.admin, "backend authority": config.backend_authority}
    if bytes(key) != named.get(role, bytes(key)):
        return f"{key} is not the {role} in the program's configuration"
    balance = rpc.balance(key, "finalized").value
    if balance < min_balance:
        return f"{key}, the {role}, has only {balance} lamports for fees; fund it"
    return None
