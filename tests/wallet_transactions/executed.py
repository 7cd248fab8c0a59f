"""Execute an act, and compare what it did with what was said before."""

from __future__ import annotations

from solders.pubkey import Pubkey

from tests.wallet_transactions.svm_chain import FEE, SvmChain
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.agreement import differences
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.funds import funds_refusal
from zmart_pipelines.wallet_transactions.refusals import Reason, Refusal

# What the act refuses although the program would accept it.
OUR_OWN = (Reason.NO_CHANGE, Reason.TRADE_TOO_SMALL, Reason.TRADE_TOO_LARGE)


def execute(
    chain: SvmChain, act: Act, wallet: Pubkey, market_id: bytes | None
) -> Refusal | Effects | None:
    """Return the refusal or the effects, after the chain has shown that they are right.

    None for a sale that the program cannot pay for.
    """
    view = chain.view(act, wallet, market_id)
    if act.SUBJECT == "market" and view.market is None:
        return None
    refusal = act.refusal(view)
    if refusal is not None:
        _check_refused(chain, act, view, refusal)
        return refusal
    effects = act.effects(view)
    unfunded = funds_refusal(view, effects, FEE)
    if unfunded is not None:
        assert chain.send(act.instruction(view), wallet) is not None, unfunded
        return unfunded
    return _check_executed(chain, act, view, effects)


def _check_refused(chain: SvmChain, act: Act, view: ChainView, refusal: Refusal) -> None:
    assert refusal.message
    if refusal.reason in OUR_OWN:
        return
    try:
        instruction = act.instruction(view)
    except LookupError:
        return  # no budget buys these shares
    error = chain.send(instruction, view.wallet)
    assert error == refusal.error, (act, error, refusal)


def _check_executed(chain: SvmChain, act: Act, view: ChainView, effects: Effects) -> Effects | None:
    instruction = act.instruction(view)
    keys = {meta.pubkey for meta in instruction.accounts} | {view.wallet}
    before = {key: chain.lamports(key) for key in keys}
    existing = {key for key in keys if chain.data(key) is not None}
    error = chain.send(instruction, view.wallet)
    if error == "PrivilegeEscalation" and act.NAME == "sell":
        return None
    assert error is None, (act, error, effects)
    after = {key: chain.lamports(key) for key in keys}
    for key in keys:
        expected = before[key] + effects.received(key) - effects.sent(key)
        assert after[key] == expected - (FEE if key == view.wallet else 0), (act, key, effects)
    found = {key: data for key in keys if (data := chain.data(key)) is not None}
    assert not list(differences(view, effects, FEE, after, found))
    assert {account.address for account in effects.created} == set(found) - existing
    return effects
