"""Why a connection ends and why a request is refused, as data (PROTOCOL.md sections 3 and 5)."""

from typing import Final, NamedTuple


class CloseCode(NamedTuple):
    """One way for a connection to end.

    Attributes:
        code: RFC 6455 section 7.4; 4000 and up are ours.
        name: for logs.
        reconnect: whether the same client may try again: always below 4500, never from there on.
    """

    code: int
    name: str
    reconnect: bool


CLOSES: Final = (
    CloseCode(1000, "normal", reconnect=False),
    CloseCode(1001, "going_away", reconnect=True),
    CloseCode(1002, "protocol_error", reconnect=False),
    CloseCode(1003, "wrong_frame_type", reconnect=False),
    CloseCode(1005, "no_code", reconnect=True),  # the peer's close frame had none; never sent
    CloseCode(1006, "dropped", reconnect=True),  # the socket ended without a close; never sent
    CloseCode(1007, "bad_utf8", reconnect=False),
    CloseCode(1008, "policy", reconnect=False),
    CloseCode(1009, "too_big", reconnect=False),
    CloseCode(1011, "internal", reconnect=True),
    CloseCode(1012, "restart", reconnect=True),
    CloseCode(1013, "try_later", reconnect=True),
    CloseCode(4001, "token_expired", reconnect=True),
    CloseCode(4008, "slow_consumer", reconnect=True),
    CloseCode(4010, "insufficient_state", reconnect=True),
    CloseCode(4012, "no_pong", reconnect=True),
    CloseCode(4013, "rebalance", reconnect=True),
    CloseCode(4029, "rate_limited", reconnect=True),
    CloseCode(4030, "connection_limit", reconnect=True),
    CloseCode(4500, "invalid_token", reconnect=False),
    CloseCode(4501, "forbidden", reconnect=False),
    CloseCode(4502, "too_many_errors", reconnect=False),
    CloseCode(4505, "auth_timeout", reconnect=False),
)
"""Every close code that the gateway sends or counts."""

CLOSE_CODES: Final = tuple(row.code for row in CLOSES)
"""A code's place here is its index into the `closes` counters, and `str(code)` its metric label."""

TOO_BIG: Final = 1009
TOKEN_EXPIRED: Final = 4001
RATE_LIMITED: Final = 4029
CONNECTION_LIMIT: Final = 4030
INVALID_TOKEN: Final = 4500
NOT_GRANTED: Final = 4501
TOO_MANY_ERRORS: Final = 4502
AUTH_TIMEOUT: Final = 4505


class ErrorCode(NamedTuple):
    """One reason for refusing a request or one of its symbols.

    Attributes:
        name: as sent.
        retryable: whether the same request may succeed later.
        faulty: whether it shows a broken client; many of those close the connection (4502).
    """

    name: str
    retryable: bool = False
    faulty: bool = False


BAD_REQUEST: Final = ErrorCode("bad_request", faulty=True)
UNKNOWN_METHOD: Final = ErrorCode("unknown_method", faulty=True)
UNKNOWN_CHANNEL: Final = ErrorCode("unknown_channel")
UNKNOWN_SYMBOL: Final = ErrorCode("unknown_symbol")
NOT_SUBSCRIBED: Final = ErrorCode("not_subscribed")
LIMIT_EXCEEDED: Final = ErrorCode("limit_exceeded")
RATE_LIMITED_ERROR: Final = ErrorCode("rate_limited", retryable=True)
CAPACITY: Final = ErrorCode("capacity", retryable=True)
UNAUTHORIZED: Final = ErrorCode("unauthorized", faulty=True)
FORBIDDEN: Final = ErrorCode("forbidden")


class Error(NamedTuple):
    """Why a request or one of its symbols is refused."""

    code: ErrorCode
    message: str
    retry_after_ms: int | None = None
