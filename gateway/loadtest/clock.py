"""The offset between a server's clock and ours, asked of a server that may not be a gateway."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.clock import Offset, Ping, estimate

SAMPLES = 50
"""Within the burst of requests that a gateway takes from one connection (200)."""
TIMEOUT_S = 2.0
"""A server that has not answered a ping by then does not speak the gateway's protocol."""


class _Reply(msgspec.Struct):
    method: str = ""
    req_id: Any = None
    t1: int | None = None
    t2: int | None = None


def measure(
    url: str, headers: Sequence[tuple[str, str]] = (), *, samples: int = SAMPLES
) -> Offset | None:
    """Pings the server at `url`; None where it does not answer as a gateway does.

    Args:
        url: the endpoint, `ws://...`.
        headers: of the handshake, beside those of the protocol.
        samples: how many pings, one after the other.
    """
    from websockets.exceptions import InvalidHandshake, WebSocketException
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    try:
        with connect(
            url,
            subprotocols=[Subprotocol("tickgate.v1.json")],
            additional_headers=list(headers),
            compression=None,
            ping_interval=None,
            open_timeout=TIMEOUT_S,
            close_timeout=TIMEOUT_S,
            proxy=None,
        ) as peer:
            pings = []
            for number in range(samples):
                ping = _ping(peer, number)
                if ping is None:
                    break
                pings.append(ping)
            return estimate(pings)
    except (OSError, InvalidHandshake, WebSocketException):
        return None


def _ping(peer: Any, number: int) -> Ping | None:
    """One ping; what else the server says meanwhile is dropped. None: no answer in time."""
    t0 = time.time_ns()
    peer.send(f'{{"method":"ping","req_id":{number},"params":{{"t0":{t0}}}}}')
    deadline = time.monotonic() + TIMEOUT_S
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            text = peer.recv(timeout=left_s)
            t3 = time.time_ns()
            reply = msgspec.json.decode(text, type=_Reply)
        except TimeoutError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if reply.method == "ping" and reply.req_id == number:
            if reply.t1 is None or reply.t2 is None:
                return None
            return Ping(t0, reply.t1, reply.t2, t3)
    return None
