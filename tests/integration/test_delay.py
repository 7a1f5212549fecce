"""A venue and the same venue two seconds later, of one gateway: clients of the later one get the
same records, none early, also from a gateway that was started again."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.fleet import Client
from support.serving import WAIT_S, serving
from support.udp import Venue

from gateway._native import Book

DELAY_S = 2
DELAY_NS = DELAY_S * 1_000_000_000
DELAYED = [
    'candles.intervals=["1s"]',
    'feeds.1.type="delay"',
    'feeds.1.of="SIM"',
    f"feeds.1.delay_s={DELAY_S}",
    'feeds.1.venue="SIM_D2"',
]
CHANNELS = ("trade", "bbo", "status", "instrument")
PERIOD_S = 0.01


class Audience:
    """What a client of both venues got, by channel and symbol, in order."""

    def __init__(self, client: Client, **trades: Any) -> None:
        self.client = client
        self.data: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.gaps: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.books: dict[str, Book] = {}
        client.subscribe("trade", "A.SIM", "A.SIM_D2", **trades)
        for channel in ("bbo", "status"):
            client.subscribe(channel, "A.SIM", "A.SIM_D2", mode="lossless")
        for channel in ("instrument", "book"):
            client.subscribe(channel, "A.SIM", "A.SIM_D2")
        client.subscribe("candle", "A.SIM", "A.SIM_D2", interval="1s")

    def take(self, duration_s: float) -> None:
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            self._read()

    def until(self, condition: Callable[[], object]) -> None:
        """Takes until it is so."""
        deadline_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline_s, {key: len(of) for key, of in self.data.items()}
            self._read()

    def subscribed(self) -> None:
        """Takes until every request has its reply."""
        self.until(lambda: len(self.results) == 2 * (len(CHANNELS) + 2))

    def caught_up(self) -> None:
        """Takes until the later venue has said last what the other one did."""
        self.until(lambda: all(map(self._same_end, (*CHANNELS, "book"))))

    def _same_end(self, channel: str) -> bool:
        live, late = (self.of(channel, name) for name in ("A.SIM", "A.SIM_D2"))
        if not live or not late:
            return False
        key = {"trade": "id", "bbo": "bid_qty", "book": "checksum"}.get(channel, "status")
        return bool(live[-1]["data"][0].get(key) == late[-1]["data"][0].get(key))

    def _read(self) -> None:
        self.client.socket.settimeout(0.1)
        with suppress(TimeoutError):
            self.client.read()
        for message in map(json.loads, self.client.take()):
            self._one(message)

    def _one(self, message: dict[str, Any]) -> None:
        if message.get("method") == "subscribe":
            self.results += message["results"]
        elif message.get("type") == "gap":
            self.gaps += message["data"]
        elif message.get("type") in ("snapshot", "update") and "symbol" in message:
            if message["channel"] == "book":
                self._book(message)
            self.data.setdefault((message["channel"], message["symbol"]), []).append(message)

    def _book(self, message: dict[str, Any]) -> None:
        (data,) = message["data"]
        book = self.books.setdefault(message["symbol"], Book(depth=data["depth"]))
        change = book.replace if message["type"] == "snapshot" else book.apply
        sides = [[(price, qty) for price, qty in data[side]] for side in ("bids", "asks")]
        change(sides[0], sides[1], seq=message["seq"])
        assert data["checksum"] == book.checksum(data["depth"])

    def of(self, channel: str, symbol: str) -> list[dict[str, Any]]:
        return self.data.get((channel, symbol), [])


@contextmanager
def market(venue: Venue) -> Iterator[None]:
    """Trades, quotes and books of one instrument until the context ends; ids count up."""
    stop = threading.Event()
    at = getattr(venue, "at", 0)

    def run() -> None:
        nonlocal at
        venue.send({"channel": "instrument", "symbol": "A", "tick": "0.01", "base": "X"})
        venue.send({"channel": "status", "symbol": "A", "status": "trading"})
        book = {"channel": "book", "symbol": "A"}
        at += 1
        levels = {"bids": [["100.10", "1"]], "asks": [["100.20", "1"]]}
        venue.send(book | {"type": "snapshot", "first": at, "last": at} | levels)
        while not stop.wait(PERIOD_S):
            at += 1
            venue.trades("A", at)
            venue.quotes("A", at)
            levels = {"bids": [["100.10", f"{at}"], [f"{90 + at % 7}", f"{at}"]], "asks": []}
            venue.send(book | {"type": "update", "first": at, "last": at} | levels)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        venue.at = at  # type: ignore[attr-defined]


def updates(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in messages if one["type"] == "update"]


def dense(messages: list[dict[str, Any]]) -> bool:
    """Whether no number is missing."""
    seqs = [one["seq"] for one in messages]
    skipped = [one.get("skipped", 0) for one in messages]
    return all(b == a + 1 + s for a, b, s in zip(seqs, seqs[1:], skipped[1:], strict=False))


def not_early(live: list[dict[str, Any]], late: list[dict[str, Any]]) -> list[int]:
    """How late each is beyond the delay, of both by the data; none is early."""
    by_data = {json.dumps(one["data"]): one for one in live}
    beyond = []
    for one in late:
        original = by_data[json.dumps(one["data"])]
        assert one["ts_event"] == original["ts_event"]
        beyond.append(one["ts_recv"] - original["ts_recv"] - DELAY_NS)
    assert min(beyond) >= 0
    return beyond


@pytest.mark.threat("I4")
def test_the_same_records_two_seconds_later(tmp_path: Path) -> None:
    with Venue() as venue, ExitStack() as stack:
        gateway = stack.enter_context(serving(tmp_path / "log", *venue.sets, *DELAYED))
        audience = Audience(stack.enter_context(Client(gateway.url)))
        audience.subscribed()
        with market(venue):
            audience.take(4.0)
        audience.caught_up()
        audience.until(lambda: len(closed(audience.of("candle", "A.SIM_D2"))) >= 3)
        late_ns = []
        for channel in ("trade", "bbo", "status"):
            live, late = (audience.of(channel, name) for name in ("A.SIM", "A.SIM_D2"))
            assert [one["data"] for one in live] == [one["data"] for one in late]
            assert dense(live)
            assert dense(late)
            assert late[0]["seq"] == 1
            late_ns += not_early(live, late)
        assert len(late_ns) > 200
        assert audience.gaps == []
        live, late = (audience.of("instrument", name) for name in ("A.SIM", "A.SIM_D2"))
        (told,) = live[0]["data"]
        assert told["delay_s"] == 0
        assert [one["data"] for one in late] == [[told | {"delay_s": DELAY_S}]]
        books = [audience.of("book", name) for name in ("A.SIM", "A.SIM_D2")]
        assert books[0][-1]["data"][0]["checksum"] == books[1][-1]["data"][0]["checksum"]
        assert len(books[1]) > 100
        for side in ("bid", "ask"):
            levels = [audience.books[name].levels(side) for name in ("A.SIM", "A.SIM_D2")]
            assert levels[0] == levels[1]
        candles = [closed(audience.of("candle", name)) for name in ("A.SIM", "A.SIM_D2")]
        assert len(candles[1]) >= 3
        assert candles[1] == candles[0][: len(candles[1])]
        acks = {(one["symbol"], one.get("delay_s")) for one in audience.results}
        assert acks == {("A.SIM", None), ("A.SIM_D2", DELAY_S)}


def closed(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The candles that are closed, without those that trades have changed since."""
    whole = {one["data"][0]["start"]: one["data"][0] for one in messages}
    return [whole[start] for start in sorted(whole) if whole[start]["closed"]]


def test_a_gateway_that_is_started_again_goes_on(tmp_path: Path) -> None:
    sets: list[str] = []
    with Venue() as venue:
        sets = [*venue.sets, *DELAYED]
        with serving(tmp_path / "log", *sets) as gateway, Client(gateway.url) as client:
            first = Audience(client)
            first.subscribed()
            with market(venue):
                first.take(3.0)
        with serving(tmp_path / "log2", *sets) as gateway, Client(gateway.url) as client:
            second = Audience(client, **{"from": {"last": 1000}})
            second.subscribed()
            with market(venue):
                second.take(DELAY_S + 1.0)
            second.caught_up()
    check_restart(first, second)


def check_restart(first: Audience, second: Audience) -> None:
    live = updates(first.of("trade", "A.SIM")) + updates(second.of("trade", "A.SIM"))
    before, after = (one.of("trade", "A.SIM_D2") for one in (first, second))
    assert dense(before)
    assert dense(after)
    assert after[0]["seq"] == 1  # the client asked for all there was
    ids = [int(one["data"][0]["id"]) for one in before + after]
    assert ids == sorted(set(ids)), "none came twice, all in order"
    originals = [int(one["data"][0]["id"]) for one in live]
    not_early(live, [one for one in before + after if int(one["data"][0]["id"]) in {*originals}])
    assert ids[-1] == originals[-1]
    # No client was there for what was released between the goodbye and the feed's end.
    missing = [one for one in originals if one not in ids]
    assert len(missing) < len(originals) / 2
    assert all(ids[len(before) - 1] < one < ids[len(before)] for one in missing)
    assert len(after) > DELAY_S / PERIOD_S / 2
    gaps = [one for one in second.gaps if one["symbol"] == "A.SIM_D2"]
    assert {one["channel"] for one in gaps} >= {"trade", "bbo"}
    assert {one["reason"] for one in gaps} == {"feed"}
    books = [second.of("book", name)[-1]["data"][0] for name in ("A.SIM", "A.SIM_D2")]
    assert books[0]["checksum"] == books[1]["checksum"]
