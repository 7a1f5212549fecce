"""Which closes of a connection allow another one."""

# RFC 6455 section 7.4.1: the server says that this client is wrong; it would be wrong again.
_CLIENT_FAULTS = frozenset({1002, 1003, 1007, 1008, 1009})


def reconnects(code: int) -> bool:
    """Whether a client may connect again after this close code (PROTOCOL section 5).

    4000-4499 yes, 4500-4999 no; 1000 is the end; of the others all but the client's own faults.
    1006 stands for a connection that ended without a close frame.
    """
    return code != 1000 and code not in _CLIENT_FAULTS and not 4500 <= code <= 4999
