"""Names of what is counted by outcome: the place in a tuple is the index in the array."""

HANDSHAKES = (
    "ok",
    "timeout",
    "bad_request",
    "too_large",
    "origin",
    "unauthorized",
    "shed",
    "not_found",
    "method",
    "version",
    "upgrade_required",
    "closed",
    "overload",
)
"""How a connection's handshake ended: `tickgate_handshakes_total{result}`."""

ACCEPT_ERRORS = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "other")
"""Why accept failed: `tickgate_accept_errors_total{errno}`. The first two mean that descriptors ran
out, and that the gateway is not ready."""
