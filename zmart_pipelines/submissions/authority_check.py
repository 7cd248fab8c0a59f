"""Whether our keys are those that the chain names, and have funds for the fees."""

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
    """The actions that no key of ours can sign now, and why nothing at all may be signed.

    The backend's key is needed for everything; the admin's and the resolver's only take their
    own actions out. Each fault is an alert while it lasts.

    :param min_balance: lamports that a key must have left.
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
    without: set[Action] = set()
    if signers.admin is None or faults["admin_key"]:
        without |= {"approve_proposal", "activate_market"}
    if signers.resolver is None or faults["resolver_key"]:
        without.add("resolve_market")
    return without, faults["submitter_key"]


def _fault(
    rpc: RpcClient, role: str, signer: Signer | None, config: GlobalConfig, min_balance: int
) -> str | None:
    if signer is None:
        return None
    key = signer.pubkey()
    named = {"admin": config.admin, "backend authority": config.backend_authority}
    if bytes(key) != named.get(role, bytes(key)):
        return f"{key} is not the {role} that the chain names"
    balance = rpc.balance(key, "finalized").value
    if balance < min_balance:
        return f"{key}, the {role}, has only {balance} lamports left for fees; fund it"
    return None
