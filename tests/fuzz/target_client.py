"""A server's texts to the client's session: each is events, or malformed, and nothing raises.

Lines are messages, one after the other.
"""

import json
from collections.abc import Hashable, Iterable
from typing import Final

from fuzz.mutate import quoted
from support.said import hello, tick

from gateway.client.events import Malformed
from gateway.client.session import ClientSession

MESSAGES_MAX: Final = 40
JSON_AT: Final = 0
TOKENS: Final = [
    *quoted(
        r"""
        channel type symbol seq ts_event ts_recv ts_send skipped data id price qty side
        bid ask bids asks depth checksum first_id part method req_id success results
        error code message system hello gap epoch heartbeat replay_completed slow
        shutdown retired snapshot update trade bbo book candle health status instrument
        slo A.SIM recovery replaying insufficient_state lost reason interval subscribe
        unsubscribe
        """
    ),
    *b"{ } [ ] : , null true 1.5 -1 9223372036854775808".split(),
    b"\n",
]


def _book(kind: str, seq: int, **members: object) -> bytes:
    times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
    data = [{"bids": [["1.5", "2"]], "asks": [["1.6", "3"]], "depth": 10, **members}]
    head = {"channel": "book", "type": kind, "symbol": "A.SIM", "seq": seq}
    return json.dumps({**head, **times, "data": data}).encode()


_HELLO: Final = json.dumps(hello()).encode()
SEEDS: Final = [
    b"\n".join([_HELLO, *(json.dumps(tick(seq)).encode() for seq in (1, 2, 5))]),
    b"\n".join([_HELLO, _book("snapshot", 1), _book("update", 2), _book("update", 4, checksum=7)]),
    b"\n".join(
        [
            _HELLO,
            b'{"method":"subscribe","req_id":1,"success":true,"results":[{"symbol":"A.SIM",'
            b'"success":true,"channel":"trade","mode":"lossless","epoch":"k3f9aaaa","seq":5}]}',
        ]
    ),
    b'{"channel":"system","type":"gap","data":[{"channel":"trade","symbol":"A.SIM","lost":3,"reason":"x"}]}',
    b'{"channel":"slo","type":"update","ts_send":1,"data":[{}]}\n{"channel":"heartbeat","type":"update"}',
    b'{"channel":"candle","type":"update","symbol":"A.SIM","seq":1,"data":[{"interval":"1m","start":0}]}',
]


def run(data: bytes) -> Iterable[Hashable]:
    session = ClientSession()
    session.subscribe("trade", ["A.SIM"])
    session.subscribe("book", ["A.SIM"], depth=10)
    session.connected(0)
    told: list[Hashable] = []
    for number, line in enumerate(data.split(b"\n")[:MESSAGES_MAX]):
        text = line.decode("utf-8", "replace")
        for event in session.receive(text, mono_ns=number * 10**6, real_ns=10**18):
            told.append(event.reason[:16] if isinstance(event, Malformed) else type(event).__name__)
            repr(event)
    session.overdue(10**12)
    session.disconnected()
    session.connected(2 * 10**12)
    return told
