"""What a wallet and an operator begin with: the states of their channels, in the shapes of REST."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.client_schemas import alerts as alert_schemas
from zmart_pipelines.client_schemas import claims as claim_schemas
from zmart_pipelines.client_schemas import positions as position_schemas
from zmart_pipelines.client_schemas import relayed_transactions as transaction_schemas
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store.queries import (
    alerts,
    positions,
    relayed_transactions,
    wallet_activity,
)

# As many as REST returns where a request does not say how many.
_POSITIONS: Final = 100
_ROWS: Final = 50
# More conditions than there are.
_ALERTS: Final = 1_000


class WalletSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to a wallet: the first page of each, in the order of REST.

    `positions_total` counts all of them. `due` are claims that are not paid yet, `paid` those that
    were, `transactions` those that the wallet handed in.
    """

    positions: list[position_schemas.Position]
    positions_total: int
    due: list[claim_schemas.Claim]
    paid: list[claim_schemas.Claim]
    transactions: list[transaction_schemas.RelayedTransaction]


class AlertsSnapshot(msgspec.Struct, frozen=True):
    """The open alerts, newest first."""

    alerts: list[alert_schemas.Alert]


class OperatorAlertsSnapshot(msgspec.Struct, frozen=True):
    """The open alerts with their texts, newest first."""

    alerts: list[alert_schemas.OperatorAlert]


def load_wallet(conn: Connection, wallet: bytes) -> WalletSnapshot:
    """Return what belongs to a wallet (32 bytes); the caller has checked who asks."""
    held = positions.of_user(conn, wallet, limit=_POSITIONS)
    due = positions.of_user(conn, wallet, status="claimable", limit=_ROWS)
    paid = wallet_activity.claims_of_wallet(conn, wallet, after=None, limit=_ROWS)
    transactions = relayed_transactions.relayed_of_wallet(
        conn, wallet, after=None, limit=_ROWS, offset=0
    )
    return WalletSnapshot(
        positions=[
            position_schemas.position(*one) for one in wallet_reads.with_results(conn, wallet, held)
        ],
        positions_total=positions.count_of_user(conn, wallet),
        due=[
            claim_schemas.due_claim(row, result.claim_refusal)
            for row, result in wallet_reads.with_results(conn, wallet, due)
        ],
        paid=[claim_schemas.paid_claim(row) for row in paid],
        transactions=[transaction_schemas.relayed_transaction(row) for row in transactions],
    )


def load_alerts(
    conn: Connection, *, for_operators: bool
) -> AlertsSnapshot | OperatorAlertsSnapshot:
    """Return the open alerts."""
    rows = alerts.open_alerts(conn, _ALERTS)
    if for_operators:
        return OperatorAlertsSnapshot([alert_schemas.operator_alert(row) for row in rows])
    return AlertsSnapshot([alert_schemas.alert(row) for row in rows])
