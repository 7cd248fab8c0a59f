"""Accept signed transactions, and send them in the background until each has its end.

A transaction is stored before it is first sent, and before its request is answered. From then on
it is sent whatever becomes of the request, its connection or this process: what one process leaves
behind, another one goes on with (``zmart_pipelines.relay.driver``).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from api.chain import ATTEMPTS, Chain
from api.database import Database
from api.error_codes import code_of_program_error
from api.errors import ApiError, FieldError, limit_exceeded, unavailable
from api.metrics import RELAY_ACCEPTANCE_SECONDS, RELAY_PROGRESS_SECONDS, Acceptance
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.faults import Fault, transaction_fault
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.program.errors import describe
from zmart_pipelines.relay import admission, machine, rows
from zmart_pipelines.relay.driver import RelayDriver
from zmart_pipelines.relay.rows import Stored
from zmart_pipelines.relay.signed_transaction import SignedTransaction
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.outages import concerns_database
from zmart_pipelines.store.queries.relayed_transactions import (
    RelayedTransaction,
    relayed_transaction,
)

log = logging.getLogger("api.transaction_relay")

# Seconds between two searches for transactions that another process left behind.
_IDLE_SECONDS: Final = 5.0
# Seconds after a failure.
_PAUSE_SECONDS: Final = 2.0
# Seconds in which a wallet with too many open transactions may try again: a finality's time.
_RETRY_SECONDS: Final = 15
# The one error of the cluster's state that does not pass by itself.
_BLOCKHASH_NOT_FOUND: Final = "BlockhashNotFound"
# Outcomes by the status of the refusal.
_REFUSALS: Final = {409: Acceptance.REFUSED, 429: Acceptance.LIMITED}


class TransactionRelay:
    """The relay of one process. Run with ``async with transaction_relay.running()``."""

    def __init__(self, chain: Chain, database: Database, settings: Settings) -> None:
        self._chain = chain
        self._database = database
        self._open_limit = settings.relay_open_per_wallet
        seconds = settings.api_chain_seconds
        self._rpc = connect(
            settings,
            guard=chain.guard,
            timeout=min(settings.rpc_timeout, seconds),
            attempts=ATTEMPTS,
            patience=seconds,
        )
        self._admission = admission.Admission(self._rpc)
        self._engine = engine(
            Role.API,
            settings,
            pool_size=1,
            max_overflow=0,
            statement_timeout=settings.api_database_seconds,
        )
        self._driver = RelayDriver(
            self._engine,
            self._rpc,
            lease_seconds=settings.relay_lease_seconds,
            observe=_observe_progress,
        )
        self._stopped = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._work, name="relay", daemon=True)

    def announce_commits(self, announce: Callable[[], None]) -> None:
        """Call ``announce``, in the committing thread, after each commit that appended frames."""
        stream.announce_commits(self._engine, announce)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send what is stored until the block ends; the rest is left to other processes."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._woken.set()

    def close(self) -> None:
        """Wait for what is being sent, release the transactions, close the connections."""
        if self._thread.ident is not None:
            self._thread.join()
        self._rpc.close()
        self._engine.dispose()

    async def accept(self, signed: SignedTransaction) -> Stored:
        """Store a transaction, to be sent from now on, unless it is stored already.

        Raises:
            ApiError: 409 where the chain would refuse it, 429 where its fee payer has too many open
                ones, 503 without an answer of the chain. Nothing is stored then.
            DatabaseBusy: Postgres is away or does not answer in time.
        """
        started = time.perf_counter()
        outcome = Acceptance.UNAVAILABLE
        try:
            stored = await self._accept(signed)
            outcome = Acceptance.ACCEPTED if stored.is_new else Acceptance.REPEATED
        except ApiError as refusal:
            outcome = _REFUSALS.get(refusal.status, outcome)
            raise
        finally:
            RELAY_ACCEPTANCE_SECONDS.labels(outcome).observe(time.perf_counter() - started)
        return stored

    async def _accept(self, signed: SignedTransaction) -> Stored:
        try:
            last_valid = await self._chain.run(lambda: self._last_valid_height(signed))
        except ApiError:
            # The chain may refuse, or not answer for, what was stored when it was still valid.
            found = await self._find(signed.signature)
            if found is None:
                raise
            return Stored(found, is_new=False)
        limit = self._open_limit
        try:
            stored = await self._database.write(
                signed.fee_payer,
                lambda conn: rows.store(conn, signed, last_valid, open_limit=limit),
            )
        except rows.TooManyOpen as error:
            raise limit_exceeded("relay_open_per_wallet", limit, _RETRY_SECONDS) from error
        self._woken.set()
        return stored

    async def _find(self, signature: bytes) -> RelayedTransaction | None:
        return await self._database.read(lambda conn: relayed_transaction(conn, signature))

    def _last_valid_height(self, signed: SignedTransaction) -> int:
        try:
            return self._admission.last_valid_height(signed.data)
        except (RpcError, RpcUnavailable) as error:
            raise unavailable("The chain") from error
        except admission.WouldFail as failure:
            raise _refusal(failure.error) from failure

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            self._woken.wait(self._round())
        try:
            self._driver.close()
        except SQLAlchemyError:
            log.warning("relayed transactions stay held until their lease ends", exc_info=True)

    def _round(self) -> float:
        """Drive what is held one step on; return the seconds until the next round."""
        try:
            return machine.POLL_SECONDS if self._driver.round() else _IDLE_SECONDS
        except Exception as error:
            self._driver.forget()
            if concerns_database(error):
                log.warning("no transaction is relayed while the database is away")
            else:
                log.exception("a round of the relay failed")
            return _PAUSE_SECONDS


def _refusal(error: object) -> ApiError:
    """Return the answer for a transaction that the chain would refuse with this error."""
    reason = describe(error)
    if transaction_fault(error) is Fault.BEHIND and reason != _BLOCKHASH_NOT_FOUND:
        return unavailable("The chain")
    return ApiError(
        409,
        f"The chain would refuse this transaction now: {reason}",
        FieldError("transaction", reason),
        code=code_of_program_error(reason),
        extra={"program_error": reason},
    )


def _observe_progress(state: str, seconds: float) -> None:
    RELAY_PROGRESS_SECONDS.labels(state).observe(seconds)
