"""Client of the ZMART API: typed calls, sign-in with a wallet, retries and pages.

``zmart_client.calls`` has a function for each operation, ``zmart_client.models`` the types of
bodies and answers.
"""

from zmart_client.async_client import AsyncClient
from zmart_client.call import Call
from zmart_client.client import Client
from zmart_client.configuration import Configuration
from zmart_client.errors import ApiError, TransactionFailed
from zmart_client.retries import RetryPolicy
from zmart_client.session import Tokens
from zmart_client.wallet import Wallet

__all__ = [
    "ApiError",
    "AsyncClient",
    "Call",
    "Client",
    "Configuration",
    "RetryPolicy",
    "Tokens",
    "TransactionFailed",
    "Wallet",
]
