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
)
"""How a connection's handshake ended: `tickgate_handshakes_total{result}`."""

ACCEPT_ERRORS = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "other")
"""Why accept failed: `tickgate_accept_errors_total{errno}`. The first two mean that descriptors ran
out, and that the gateway is not ready."""

CLOSE_CODES = (
    *(1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1011, 1012, 1013),
    *(4001, 4008, 4010, 4012, 4013, 4029, 4030),
    *(4500, 4501, 4502, 4505),
)
"""Codes of `tickgate_closes_total{code}`; 1006 stands for ends without a close frame."""
