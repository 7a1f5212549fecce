"""Venues' messages: each is read or refused by ValueError, and a whole pass of them through the
reading, the books and a real ring never fails.

The first byte says which venue's they are, the second what they are: messages of one connection, in
lines; a recorder's envelopes, in lines; a response of REST; reference data.
"""

import contextlib
import json
from collections.abc import Hashable, Iterable
from typing import Any, Final

from fuzz.feeding import NoStats, ring
from fuzz.mutate import quoted

from gateway.feeds.books import Doubt
from gateway.feeds.envelope import unwrap
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.outlet import Outlet
from gateway.feeds.reading import After, Reading
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.message import BookMessage
from gateway.feeds.venues.table import VENUES
from gateway.model.record import BOOK, INSTRUMENT

NAMES: Final = tuple(VENUES)
MESSAGES, ENVELOPES, RESPONSE, REFERENCE = range(4)
LINES_MAX: Final = 30
URL: Final = "https://a.test/api/v3/depth?symbol=BTCUSDT&limit=1000"
JSON_AT: Final = 2
TOKENS: Final = [
    *quoted(
        r"""
        e s t p q T m E U u pu b a B A stream data trade aggTrade bookTicker depthUpdate
        lastUpdateId bids asks event systemStatus subscriptionStatus heartbeat book-10
        as bs c channel events type snapshot update l2_data market_trades sequence_num
        updates side bid offer price_level new_quantity product_id topic cs seq
        orderbook.50.BTCUSDT publicTrade.BTCUSDT tickers.BTCUSDT delta BUY Buy op
        symbols result list tickSize recv conn ts http url connect addr
        """
    ),
    *rb"""[ ] { } : , null true "1.50" "0" "0.00000000" \u0041 ["1.5","2"] 1723161255342""".split(),
    *(b"\n", b"\xff", b'"2024-08-08T00:00:00.123456789Z"'),
    *(bytes((venue, kind)) for venue in range(len(NAMES)) for kind in range(4)),
]
SEEDS: Final = [
    bytes((0, MESSAGES))
    + b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":5,"p":"6.1","q":"2",'
    + b'"T":9,"m":true}}\n'
    + b'{"u":5,"s":"BTCUSDT","b":"6.1","B":"3","a":"6.2","A":"1"}',
    bytes((0, RESPONSE)) + b'{"lastUpdateId":5,"bids":[["6.1","3"]],"asks":[]}',
    bytes((1, MESSAGES)) + b'{"event":"heartbeat"}',
    bytes((2, MESSAGES))
    + b'{"channel":"heartbeats","sequence_num":1,"events":[{"current_time":"x"}]}',
    bytes((3, MESSAGES)) + b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[]}',
    bytes((0, ENVELOPES)) + b'{"t":"recv","conn":1,"ts":"1700000000000000000","data":"{}"}',
    *(bytes((venue, REFERENCE)) + b"{}" for venue in range(4)),
]


def run(data: bytes) -> Iterable[Hashable]:
    if len(data) < 2:
        return ()
    venue, kind, payload = VENUES[NAMES[data[0] % len(NAMES)]], data[1] % 4, data[2:]
    if kind == RESPONSE:
        with contextlib.suppress(ValueError):
            return ((data[0] % 4, type(venue.respond(URL, payload)).__name__),)
        return ()
    if kind == REFERENCE:
        with contextlib.suppress(ValueError):
            return ((data[0] % 4, min(len(venue.instruments(payload)), 2)),)
        return ()
    with contextlib.suppress(ValueError, RecursionError):
        venue.identify(json.loads(payload))
    with ring() as writer:
        return _played(venue, writer, payload.split(b"\n")[:LINES_MAX], kind)


def _played(venue: Any, writer: Any, lines: list[bytes], kind: int) -> Iterable[Hashable]:
    stats: Any = NoStats()
    counters = Counters("replay", "replay", "X", 0, stats)
    owners: dict[str, int] = {}
    channels = ("trade", "bbo", BOOK, INSTRUMENT)
    topics = {name: Topics(name, "X", 0, writer, owners) for name in channels}
    reading, outlet = Reading(venue, counters, topics), Outlet(counters, writer, 0, topics)
    told: list[Hashable] = []
    for line in lines:
        entry: Any = (1, line)
        if kind == ENVELOPES:
            try:
                entry = unwrap(line)
            except ValueError:
                continue
        found: Any = reading.read(entry)
        found = found if isinstance(found, list) else [found]
        told += [_tell(outlet, one) for one in found]
    return told


def _tell(outlet: Outlet, one: Any) -> Hashable:
    if isinstance(one, After):
        outlet.publish([one.row], 10**18, 10**9, gap=one.gap, lost=one.lost)
    elif isinstance(one, Refusal):
        outlet.refuse(one, 10**18, 10**9)
        return one.reason, one.words[:24]
    elif isinstance(one, BookMessage | Doubt):
        fate = outlet.book(one, 10**18, 10**9)
        return type(one).__name__, fate.published, fate.why[:16]
    elif type(one) is tuple:
        outlet.publish([one], 10**18, 10**9)
    return type(one).__name__
