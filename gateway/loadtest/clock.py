"""The offset between a server's clock and ours, by four-stamp pings of the gateway's protocol.

Stamps of one host need none: CLOCK_REALTIME is shared. Across hosts a ping that leaves at t0, is
received at t1 and answered at t2 by the server's clock, and is back at t3, says that the server's
clock is ahead of ours by ((t1 - t0) + (t2 - t3)) / 2, and this is wrong by at most half of the
round trip (t3 - t0) - (t2 - t1), whatever the ways there and back took: F. Cristian,
"Probabilistic clock synchronization", Distributed Computing 3 (1989), and RFC 5905 section 8.
Queueing only ever adds to a round trip, so the fastest of many pings knows best.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

SAMPLES = 50
"""Within the burst of requests that a gateway takes from one connection (200)."""
TIMEOUT_S = 2.0
"""A server that has not answered a ping by then does not speak the gateway's protocol."""


class Ping(NamedTuple):
    """Sent and received by our clock (t0, t3), received and answered by the server's (t1, t2)."""

    t0: int
    t1: int
    t2: int
    t3: int

    @property
    def round_trip_ns(self) -> int:
        return (self.t3 - self.t0) - (self.t2 - self.t1)


class Offset(NamedTuple):
    """What to add to our clock to get the server's, and by how much that may be wrong."""

    offset_ns: int
    error_ns: int


def estimate(pings: Iterable[Ping]) -> Offset | None:
    """The offset by the fastest of the pings; None of none.

    A round trip below zero shows that a clock was set meanwhile: such a ping says nothing.
    """
    usable = [ping for ping in pings if ping.round_trip_ns >= 0]
    if not usable:
        return None
    best = min(usable, key=lambda ping: ping.round_trip_ns)
    offset_ns = ((best.t1 - best.t0) + (best.t2 - best.t3)) // 2
    return Offset(offset_ns, (best.round_trip_ns + 1) // 2)


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
