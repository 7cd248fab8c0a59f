"""What takes several calls, as steps that either client runs: signing in, voting, landing.

Each is a generator that yields calls and pauses and is sent the calls' answers.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Generator
from typing import Any, Literal, TypeAlias, TypeVar

import base58

from zmart_client import calls, models
from zmart_client.call import Call
from zmart_client.errors import TransactionFailed
from zmart_client.exchange import Sleep
from zmart_client.session import Session, Tokens
from zmart_client.wallet import Wallet

Result = TypeVar("Result")
Act: TypeAlias = Generator[Call[Any] | Sleep, Any, Result]
_FAILED = frozenset(("failed", "expired"))
_POLL_SECONDS = 0.5
VoteKind: TypeAlias = Literal["proposal", "dispute"]


def sign_in(session: Session, wallet: Wallet) -> Act[None]:
    """Have the wallet sign the server's text, and begin a session."""
    text: models.TextToSignIn = yield calls.get_sign_in_text(
        models.NonceRequest(wallet=wallet.address)
    )
    signed = models.SignInRequest(
        message=text.message, signature=_signature(wallet, text.message), wallet=wallet.address
    )
    answer: models.SignedIn = yield calls.sign_wallet_in(signed)
    session.renew(answer)


def renewal(session: Session, tokens: Tokens) -> Act[None]:
    """Exchange the refresh token, unless the session has other tokens than these by now."""
    if session.tokens is not tokens:
        return
    call = calls.refresh_session(models.RefreshRequest(refresh_token=tokens.refresh_token))
    answer: models.SignedIn = yield call
    session.renew(answer)


def sign_out(session: Session) -> Act[None]:
    """End the session, if there is one."""
    tokens = session.tokens
    if tokens is None:
        return
    session.change(None)
    yield calls.sign_out(models.RefreshRequest(refresh_token=tokens.refresh_token))


def vote(wallet: Wallet, kind: VoteKind, market: str, choice: bool) -> Act[models.CastVote]:
    """Sign a ballot with the wallet and cast it; a session alone never does."""
    word = str(choice).lower()
    text: models.BallotTextToSign = yield calls.get_ballot_text(kind, market, vote=word)
    ballot = models.NewVote(
        market_id=text.market_id,
        vote=choice,
        message=text.message,
        signature=_signature(wallet, text.message),
        wallet=wallet.address,
    )
    answer: models.CastVote = yield calls.cast_vote(kind, ballot)
    return answer


def submit(wallet: Wallet, transaction: str) -> Act[models.TransactionDetail]:
    """Sign a prepared transaction (base64), hand it in, and wait until it is confirmed."""
    signed = b64encode(wallet.sign_transaction(b64decode(transaction))).decode()
    handed_in: models.RelayedTransaction = yield calls.relay_transaction(
        models.RelayRequest(transaction=signed)
    )
    return (yield from landing(handed_in.signature))


def landing(signature: str) -> Act[models.TransactionDetail]:
    """Wait until a transaction is confirmed and its effects are in what the API answers.

    Raises:
        TransactionFailed: It failed, or did not land in time.
    """
    while True:
        found: models.TransactionDetail = yield calls.get_transaction(signature)
        if found.relayed is not None and found.relayed.state in _FAILED:
            raise TransactionFailed(found.relayed)
        if found.confirmed_at is not None and not found.failed:
            return found
        yield Sleep(_POLL_SECONDS)


def _signature(wallet: Wallet, text: str) -> str:
    return base58.b58encode(wallet.sign_message(text.encode())).decode()
