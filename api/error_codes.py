"""The codes of error responses: the one list that programs may test.

``docs/api.md`` and the OpenAPI document hold the same list. A code keeps its meaning; new ones
may be added.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ErrorCode(StrEnum):
    """What went wrong, for programs."""

    # 400
    BAD_REQUEST = "bad_request"
    CORS_REFUSED = "cors_refused"
    INVALID_JSON = "invalid_json"
    INVALID_FIELD = "invalid_field"
    NOT_ELIGIBLE = "not_eligible"
    TRANSACTION_NOT_RELAYED = "transaction_not_relayed"
    UNKNOWN_PARAMETER = "unknown_parameter"
    # 401, 403
    UNAUTHORIZED = "unauthorized"
    INVALID_API_KEY = "invalid_api_key"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_EXPIRED = "signature_expired"
    SIGNATURE_USED = "signature_used"
    NONCE_USED = "nonce_used"
    ACCESS_TOKEN_INVALID = "access_token_invalid"  # noqa: S105 - a code, no secret
    ACCESS_TOKEN_EXPIRED = "access_token_expired"  # noqa: S105 - a code, no secret
    SESSION_ENDED = "session_ended"
    REFRESH_TOKEN_INVALID = "refresh_token_invalid"  # noqa: S105 - a code, no secret
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 - a code, no secret
    TICKET_INVALID = "ticket_invalid"
    CSRF_TOKEN_INVALID = "csrf_token_invalid"  # noqa: S105 - a code, no secret
    FORBIDDEN = "forbidden"
    OPERATORS_ONLY = "operators_only"
    SCOPE_MISSING = "scope_missing"
    KEY_WALLET_MISMATCH = "key_wallet_mismatch"
    # 404, 405
    NOT_FOUND = "not_found"
    ROUTE_NOT_FOUND = "route_not_found"
    MARKET_NOT_FOUND = "market_not_found"
    WALLET_NOT_FOUND = "wallet_not_found"
    COMMENT_NOT_FOUND = "comment_not_found"
    TRANSACTION_NOT_FOUND = "transaction_not_found"
    FILE_NOT_FOUND = "file_not_found"
    DRAFT_NOT_FOUND = "draft_not_found"
    SESSION_NOT_FOUND = "session_not_found"
    SERVICE_NOT_FOUND = "service_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    # 409: the state of votes and requests
    CONFLICT = "conflict"
    ALREADY_VOTED = "already_voted"
    VOTING_CLOSED = "voting_closed"
    IDEMPOTENCY_KEY_USED = "idempotency_key_used"
    IDEMPOTENCY_KEY_IN_USE = "idempotency_key_in_use"
    # 409: the program would refuse, or the transaction would do nothing
    BLOCKHASH_EXPIRED = "blockhash_expired"
    SIMULATION_FAILED = "simulation_failed"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    INSUFFICIENT_SHARES = "insufficient_shares"
    INSUFFICIENT_LIQUIDITY = "insufficient_liquidity"
    SLIPPAGE_EXCEEDED = "slippage_exceeded"
    TRADE_TOO_SMALL = "trade_too_small"
    TRADE_TOO_LARGE = "trade_too_large"
    SALE_UNSUPPORTED = "sale_unsupported"
    INVALID_MARKET_STATE = "invalid_market_state"
    PROTOCOL_PAUSED = "protocol_paused"
    PERIOD_NOT_ENDED = "period_not_ended"
    PERIOD_ENDED = "period_ended"
    ALREADY_CLAIMED = "already_claimed"
    NO_WINNINGS = "no_winnings"
    NOT_PERMITTED = "not_permitted"
    MARKET_EXISTS = "market_exists"
    NO_CHANGE = "no_change"
    # Other statuses of 4xx
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNPROCESSABLE = "unprocessable"
    LIMIT_EXCEEDED = "limit_exceeded"
    HEAD_TOO_LARGE = "head_too_large"
    # 5xx
    INTERNAL_ERROR = "internal_error"
    SERVICE_UNAVAILABLE = "service_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    CHAIN_UNAVAILABLE = "chain_unavailable"
    PIN_STORE_UNAVAILABLE = "pin_store_unavailable"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    OVERLOADED = "overloaded"

    @property
    def meaning(self) -> str:
        """The meaning in a few words: RFC 9457's ``title``."""
        return _MEANINGS[self]

    @property
    def type_uri(self) -> str:
        """The address of the list, at this code: RFC 9457's ``type``."""
        return f"{TYPES_PATH}#{self.value}"


# The page that lists the codes.
TYPES_PATH: Final = "/docs/errors"

_MEANINGS: Final = MappingProxyType(
    {
        ErrorCode.BAD_REQUEST: "The request is invalid",
        ErrorCode.CORS_REFUSED: "The page may not send this request",
        ErrorCode.INVALID_JSON: "The body is not acceptable JSON",
        ErrorCode.INVALID_FIELD: "Fields or parameters are missing, unknown or invalid",
        ErrorCode.NOT_ELIGIBLE: "The wallet may not vote",
        ErrorCode.TRANSACTION_NOT_RELAYED: "The transaction is not one that is relayed",
        ErrorCode.UNKNOWN_PARAMETER: "The query has parameters that this route does not have",
        ErrorCode.UNAUTHORIZED: "The request is not authenticated",
        ErrorCode.INVALID_API_KEY: "The service key is unknown or revoked",
        ErrorCode.SIGNATURE_INVALID: "The signature does not prove this request",
        ErrorCode.SIGNATURE_EXPIRED: "The signed text has expired",
        ErrorCode.SIGNATURE_USED: "The signature has served another request",
        ErrorCode.NONCE_USED: "The text to sign was used, has expired or is not the wallet's",
        ErrorCode.ACCESS_TOKEN_INVALID: "The access token is not valid",
        ErrorCode.ACCESS_TOKEN_EXPIRED: "The access token has expired",
        ErrorCode.SESSION_ENDED: "The session has ended",
        ErrorCode.REFRESH_TOKEN_INVALID: "The refresh token is unknown or has expired",
        ErrorCode.REFRESH_TOKEN_REUSED: "The refresh token was used before; its session has ended",
        ErrorCode.TICKET_INVALID: "The ticket is unknown, used or expired, or its session ended",
        ErrorCode.CSRF_TOKEN_INVALID: "No page that may call the API sent the cookies",
        ErrorCode.FORBIDDEN: "Another wallet owns the resource",
        ErrorCode.OPERATORS_ONLY: "Only operators may do this",
        ErrorCode.SCOPE_MISSING: "The service key lacks a scope",
        ErrorCode.KEY_WALLET_MISMATCH: "The service key belongs to no wallet, or to another one",
        ErrorCode.NOT_FOUND: "The resource does not exist",
        ErrorCode.ROUTE_NOT_FOUND: "The route does not exist",
        ErrorCode.MARKET_NOT_FOUND: "The market does not exist",
        ErrorCode.WALLET_NOT_FOUND: "The path names no wallet",
        ErrorCode.COMMENT_NOT_FOUND: "The comment does not exist",
        ErrorCode.TRANSACTION_NOT_FOUND: "The transaction does not exist",
        ErrorCode.FILE_NOT_FOUND: "The file does not exist",
        ErrorCode.DRAFT_NOT_FOUND: "The wallet has no such draft",
        ErrorCode.SESSION_NOT_FOUND: "The wallet has no such session",
        ErrorCode.SERVICE_NOT_FOUND: "The service does not exist",
        ErrorCode.METHOD_NOT_ALLOWED: "The route does not have this method",
        ErrorCode.CONFLICT: "The request conflicts with the stored state",
        ErrorCode.ALREADY_VOTED: "The wallet has already voted",
        ErrorCode.VOTING_CLOSED: "The vote is closed",
        ErrorCode.IDEMPOTENCY_KEY_USED: "The Idempotency-Key was used for another request",
        ErrorCode.IDEMPOTENCY_KEY_IN_USE: "A request with this Idempotency-Key is being served",
        ErrorCode.BLOCKHASH_EXPIRED: "The blockhash of the transaction is not valid",
        ErrorCode.SIMULATION_FAILED: "The program would refuse the transaction",
        ErrorCode.INSUFFICIENT_FUNDS: "The wallet has too few lamports",
        ErrorCode.INSUFFICIENT_SHARES: "The wallet has too few shares",
        ErrorCode.INSUFFICIENT_LIQUIDITY: "The market has too little liquidity",
        ErrorCode.SLIPPAGE_EXCEEDED: "The price has passed the limit of the trade",
        ErrorCode.TRADE_TOO_SMALL: "The trade is too small",
        ErrorCode.TRADE_TOO_LARGE: "The trade is too large for the program's arithmetic",
        ErrorCode.SALE_UNSUPPORTED: "The deployed program cannot pay for sold shares",
        ErrorCode.INVALID_MARKET_STATE: "The market's state does not permit this",
        ErrorCode.PROTOCOL_PAUSED: "The program or the market is paused",
        ErrorCode.PERIOD_NOT_ENDED: "The period before this has not ended",
        ErrorCode.PERIOD_ENDED: "The period for this has ended",
        ErrorCode.ALREADY_CLAIMED: "The winnings were already claimed",
        ErrorCode.NO_WINNINGS: "There is nothing to claim",
        ErrorCode.NOT_PERMITTED: "The program does not permit this to the wallet",
        ErrorCode.MARKET_EXISTS: "The market is on chain already",
        ErrorCode.NO_CHANGE: "The transaction would change nothing",
        ErrorCode.REQUEST_TIMEOUT: "The request did not arrive in time",
        ErrorCode.BODY_TOO_LARGE: "The body is too large",
        ErrorCode.UNSUPPORTED_MEDIA_TYPE: "The body is not uncompressed JSON",
        ErrorCode.UNPROCESSABLE: "The request asks for more than one answer may cost",
        ErrorCode.LIMIT_EXCEEDED: "A limit on requests is reached",
        ErrorCode.HEAD_TOO_LARGE: "The head of the request is too large",
        ErrorCode.INTERNAL_ERROR: "The server failed",
        ErrorCode.SERVICE_UNAVAILABLE: "A service is unavailable",
        ErrorCode.DATABASE_UNAVAILABLE: "The database is unavailable",
        ErrorCode.CHAIN_UNAVAILABLE: "The chain is unavailable",
        ErrorCode.PIN_STORE_UNAVAILABLE: "The pin store is unavailable",
        ErrorCode.TOO_MANY_CONNECTIONS: "There are too many connections or requests",
        ErrorCode.OVERLOADED: "The server is overloaded",
    }
)

_OF_STATUS: Final = MappingProxyType(
    {
        401: ErrorCode.UNAUTHORIZED,
        403: ErrorCode.FORBIDDEN,
        404: ErrorCode.NOT_FOUND,
        405: ErrorCode.METHOD_NOT_ALLOWED,
        408: ErrorCode.REQUEST_TIMEOUT,
        409: ErrorCode.CONFLICT,
        413: ErrorCode.BODY_TOO_LARGE,
        415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        422: ErrorCode.UNPROCESSABLE,
        429: ErrorCode.LIMIT_EXCEEDED,
        431: ErrorCode.HEAD_TOO_LARGE,
        503: ErrorCode.SERVICE_UNAVAILABLE,
    }
)

# Names of ProgramError, and of errors of Anchor, the System program and the runtime. A wallet that
# was never funded has no account, and one that never traded in a market has no position there.
_OF_PROGRAM_ERROR: Final = MappingProxyType(
    {
        "BlockhashNotFound": ErrorCode.BLOCKHASH_EXPIRED,
        "AccountNotFound": ErrorCode.INSUFFICIENT_FUNDS,
        "InsufficientFunds": ErrorCode.INSUFFICIENT_FUNDS,
        "InsufficientFundsForFee": ErrorCode.INSUFFICIENT_FUNDS,
        "InsufficientFundsForRent": ErrorCode.INSUFFICIENT_FUNDS,
        "ResultWithNegativeLamports": ErrorCode.INSUFFICIENT_FUNDS,
        "AccountNotInitialized": ErrorCode.INSUFFICIENT_SHARES,
        "InsufficientShares": ErrorCode.INSUFFICIENT_SHARES,
        "InsufficientLiquidity": ErrorCode.INSUFFICIENT_LIQUIDITY,
        "WouldBreakRentExemption": ErrorCode.INSUFFICIENT_LIQUIDITY,
        "SlippageExceeded": ErrorCode.SLIPPAGE_EXCEEDED,
        "TradeTooSmall": ErrorCode.TRADE_TOO_SMALL,
        "ZeroAmount": ErrorCode.TRADE_TOO_SMALL,
        "BoundedLossExceeded": ErrorCode.TRADE_TOO_LARGE,
        "ExponentTooLarge": ErrorCode.TRADE_TOO_LARGE,
        "ExponentialOverflow": ErrorCode.TRADE_TOO_LARGE,
        "OverflowError": ErrorCode.TRADE_TOO_LARGE,
        "UnderflowError": ErrorCode.TRADE_TOO_LARGE,
        "AlreadyDisputed": ErrorCode.INVALID_MARKET_STATE,
        "AlreadyResolved": ErrorCode.INVALID_MARKET_STATE,
        "CannotCancelMarket": ErrorCode.INVALID_MARKET_STATE,
        "InvalidMarketState": ErrorCode.INVALID_MARKET_STATE,
        "InvalidStateTransition": ErrorCode.INVALID_MARKET_STATE,
        "MarketAlreadyCancelled": ErrorCode.INVALID_MARKET_STATE,
        "MarketCancelled": ErrorCode.INVALID_MARKET_STATE,
        "NoResolutionProposed": ErrorCode.INVALID_MARKET_STATE,
        "MarketPaused": ErrorCode.PROTOCOL_PAUSED,
        "ProtocolPaused": ErrorCode.PROTOCOL_PAUSED,
        "DisputePeriodNotEnded": ErrorCode.PERIOD_NOT_ENDED,
        "ResolutionPeriodNotEnded": ErrorCode.PERIOD_NOT_ENDED,
        "DisputePeriodEnded": ErrorCode.PERIOD_ENDED,
        "AlreadyClaimed": ErrorCode.ALREADY_CLAIMED,
        "NoWinnings": ErrorCode.NO_WINNINGS,
        "AlreadyVoted": ErrorCode.ALREADY_VOTED,
        "InvalidStateForVoting": ErrorCode.VOTING_CLOSED,
        "InsufficientReputation": ErrorCode.NOT_PERMITTED,
        "InvalidAdmin": ErrorCode.NOT_PERMITTED,
        "InvalidResolver": ErrorCode.NOT_PERMITTED,
        "Unauthorized": ErrorCode.NOT_PERMITTED,
    }
)


def code_of_status(status: int) -> ErrorCode:
    """Return the code of an error of which only the status is known."""
    default = ErrorCode.BAD_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    return _OF_STATUS.get(status, default)


def code_of_program_error(name: str) -> ErrorCode:
    """Return the code of an error that the program, or the runtime around it, would raise.

    Args:
        name: As ``zmart_pipelines.program.errors`` names it, such as ``TradeTooSmall``.
    """
    return _OF_PROGRAM_ERROR.get(name, ErrorCode.SIMULATION_FAILED)
