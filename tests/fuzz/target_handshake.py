"""Requests to the server's side, and answers to the client's: what is no handshake is refused by a
documented status, and the same however it is cut.

The first byte says which side reads, the second how the bytes are cut.
"""

from collections.abc import Hashable, Iterable
from typing import Final

from support.meaning import documented, meaning
from support.sans import Sans, cut, endpoint
from support.sans_client import SansClient, upgrade
from support.wire import ACCEPT, KEY, request

from gateway.wire.client_handshake import Opened, Refused
from gateway.wire.handshake import Accepted
from gateway.wire.response import Response

CLIENT, HAS_BODIES = 1, 2
PLACE: Final = b"<accept>"
"""Stands for what the client's key, which is another each time, has to be answered with."""
JSON_AT: Final = None
_UPGRADE: Final = upgrade(b"Sec-WebSocket-Key: x\r\n", accept=PLACE.decode())
_NAMES: Final = """
    Host Origin Upgrade Connection Sec-WebSocket-Key Sec-WebSocket-Version Sec-WebSocket-Protocol
    Sec-WebSocket-Extensions Sec-WebSocket-Accept Retry-After Content-Length Transfer-Encoding
    Cookie Authorization Location
"""
_WORDS: Final = b"""
    GET POST HTTP/1.1 HTTP/1.0 HTTP/2 /v1 /v1/x ?a=b %2e%2e/ http://a.test/v1 // * 13 ; "
    websocket Upgrade chunked null tickgate.v1.json permessage-deflate client_max_window_bits=99
"""
TOKENS: Final = [
    *(f"{name}: x\r\n".encode() for name in _NAMES.split()),
    *_WORDS.split(),
    *(KEY.encode(), ACCEPT.encode(), PLACE, b"HTTP/1.1 503 X", b"HTTP/1.1 101 X"),
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b", ", b"\xff"),
    *(b"X: " + b"y" * 8000 + b"\r\n", b"x" * 9000),
]
SEEDS: Final = [
    *(
        bytes((mode, at)) + request(more=more)
        for mode in (0, HAS_BODIES)
        for at in (0, 7)
        for more in ([], [("Origin", "null"), ("Sec-WebSocket-Protocol", "x, tickgate.v1.json")])
    ),
    bytes((HAS_BODIES, 0))
    + request(line="POST /v1 HTTP/1.1", more=[("Content-Length", "3")])
    + b"abc",
    bytes((CLIENT, 0)) + _UPGRADE + b"\x81\x02{}",
    bytes((CLIENT, 5)) + b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno",
]


def run(data: bytes) -> Iterable[Hashable]:
    if len(data) < 2:
        return ()
    mode, step, whole = data[0], data[1], data[2:]
    places = range(step, len(whole), step) if step else ()
    return _client(whole, step) if mode & CLIENT else _server(whole, places, mode)


def _server(whole: bytes, places: range | tuple[()], mode: int) -> Iterable[Hashable]:
    def sent(*pieces: bytes) -> Sans:
        return Sans(endpoint(bodies=bool(mode & HAS_BODIES))).send(*pieces)

    once = sent(whole)
    documented(once)
    assert meaning(sent(*cut(whole, places))) == meaning(once)
    first = once.events[0] if once.events else None
    if isinstance(first, Response):
        return ((first.status, first.text[:24]),)
    return ((isinstance(first, Accepted), len(once.events)),)


def _client(whole: bytes, step: int) -> Iterable[Hashable]:
    answers = []
    for pieces in (lambda data: [data], lambda data: cut(data, range(0, len(data), step or 1))):
        client = SansClient()
        accept = upgrade(client.side.request).split(b"Accept: ")[1].split(b"\r\n")[0]
        client.get(*pieces(whole.replace(PLACE, accept)))
        answers.append(client.answer or client.side.receive_end())
        assert client.answer is None or isinstance(client.answer, Opened | Refused)
    assert type(answers[0]) is type(answers[1]), answers
    one = answers[0]
    return (("client", one.status, one.text[:24]) if isinstance(one, Refused) else one,)
