"""Datagrams of the `udp` feed: what the native parser takes is what the decoder reads, and the feed
publishes or refuses each line into a real ring, and never fails.

A NUL is the end of a datagram, a line feed that of a line.
"""

from collections.abc import Hashable, Iterable
from typing import Any, Final

from fuzz.feeding import NoIntake, NoStats, ring
from fuzz.mutate import quoted
from support.usual import as_record, is_unicode

from gateway._native import usual_line
from gateway.feeds.feed import Counters
from gateway.feeds.options import UdpOptions
from gateway.feeds.refusals import Refusal
from gateway.feeds.udp import UdpFeed
from gateway.feeds.venues.tickgate_json import Batch, decode

DATAGRAMS_MAX: Final = 20
JSON_AT: Final = 0
TOKENS: Final = [
    *quoted(
        r"""
        channel symbol trade bbo book status instrument heartbeat price qty side buy
        sell id ts bid ask bid_qty ask_qty type snapshot update bids asks first last
        checksum halted delisted trading reason tick lot A.B SYM001 depth conditions
        """
    ),
    *rb"""{ } [ ] : , null -0 1e5 "1.50" \u0041 9223372036854775808 1723161255342""".split(),
    *(b"\n", b"\0", b"\xef\xbb\xbf", b"\xff", b"1723161255342000000"),
]
SEEDS: Final = [
    b'{"channel":"trade","symbol":"SYM001","price":"64250.10","qty":"0.015","side":"buy","id":"7","ts":5}\n'
    b'{"channel":"trade","symbol":"SYM001","price":64250.1,"qty":1e2}',
    b'{"channel":"bbo","symbol":"SYM001","bid":"1.0","bid_qty":"2","ask":"1.10","ask_qty":"3.00","ts":5}',
    b'{"channel":"bbo","symbol":"A","bid":null,"bid_qty":null,"ask":1.10,"ask_qty":"3"}',
    b'{"channel":"status","symbol":"SYM001","status":"halted","reason":"news"}',
    b'{"channel":"book","symbol":"SYM001","type":"snapshot","bids":[["1.5","2"],["1.4","1"]],'
    b'"asks":[["1.6","3"]],"first":1,"last":5,"ts":5}\0'
    b'{"channel":"book","symbol":"SYM001","type":"update","bids":[["1.5","0"]],"asks":[],"first":6,'
    b'"last":6}',
    b'{"channel":"heartbeat"}',
    b'{"channel":"instrument","symbol":"SYM001","tick":"0.01","lot":"0.001"}',
]


class _NoSocket:
    port = dropped = oversized = stamp_anomalies = 0
    batched = stamped = True

    def receive(self, timeout_ms: int) -> tuple[list[bytes], list[int], int, int]:
        raise AssertionError("the feed is not started")

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """It was never open."""


def run(data: bytes) -> Iterable[Hashable]:
    datagrams = data.split(b"\0")[:DATAGRAMS_MAX]
    for line in data.split(b"\n"):
        read = usual_line(line)
        if read is not None and is_unicode(read):
            assert decode([line]) == Batch([as_record(read)] if read else [], [0] if read else [])
    with ring() as writer:
        stats: Any = NoStats()
        counters = Counters("udp", "udp", "SIM", 0, stats)
        feed = UdpFeed(
            "udp", 0, UdpOptions(), writer, counters, {}, NoIntake(), _NoSocket(), _NoSocket
        )
        for _ in range(2):  # names are known then
            feed._lines.publish(datagrams, [0] * len(datagrams), 10**18, 10**9)
        del feed
    return [
        (item.reason, item.channel, item.words[:24])
        if isinstance(item, Refusal)
        else type(item).__name__
        for item in decode(datagrams).items
    ]
