"""The health of instruments in a whole gateway: silence, heartbeats, holes, and what mends them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import Wire, connected

WAIT_S = 30.0


class Health:
    """A client of all instruments' health."""

    def __init__(self, gateway: Serving, *symbols: str) -> None:
        self._wire: Wire = connected(gateway.url)
        params = {"channel": "health", "scope": "instruments", "symbol": list(symbols or "*")}
        assert self._wire.ask({"method": "subscribe", "req_id": 1, "params": params})["success"]

    def until(self, symbol: str, state: str, alive: Callable[[], object] = lambda: 0) -> Any:
        """Its message that says so; `alive` is called while it has not come."""
        end_s = time.monotonic() + WAIT_S
        while time.monotonic() < end_s:
            alive()
            message = self._wire.message()
            if message.get("channel") == "health" and message["symbol"] == symbol:
                (data,) = message["data"]
                if data["state"] == state:
                    return data
        raise AssertionError(f"{symbol} is never {state}")

    def next(self) -> Any:
        """The next thing told, whatever it is."""
        end_s = time.monotonic() + WAIT_S
        while time.monotonic() < end_s:
            message = self._wire.message()
            if message.get("channel") == "health":
                (data,) = message["data"]
                return data
        raise AssertionError("nothing is told")

    def __enter__(self) -> "Health":
        return self

    def __exit__(self, *error: object) -> None:
        self._wire.__exit__(*error)


def level(price: str) -> list[list[str]]:
    return [[price, "1"]]


def book(kind: str, number: int) -> dict[str, Any]:
    more = {"bids": level(f"1.{number}"), "asks": level("2"), "first": number, "last": number}
    return {"channel": "book", "symbol": "A", "type": kind, **more}


def test_silence_and_the_feeds_own_heartbeat(stage: Stage) -> None:
    beat = {"channel": "heartbeat", "interval_ms": 300}
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with Health(gateway) as health:
            with venue.ticking("A", "B", every_s=0.05):
                time.sleep(1.0)
            with venue.ticking("B", every_s=0.05):
                data = health.until("A.SIM", "quiet")
                assert data["reason"] == "silent for longer than 5.0 s"
                assert data["age_ms"] >= 5000
            with Health(gateway) as late:
                assert late.until("A.SIM", "quiet")["age_ms"] >= data["age_ms"]
                venue.send(beat)
                reason = health.until("A.SIM", "stale")["reason"]
                assert reason == "the feed's heartbeat is missing"
                assert late.until("B.SIM", "stale")
            health.until("A.SIM", "quiet", alive=lambda: venue.send(beat))
            venue.send(beat | {"interval_ms": 0})
            venue.trades("A", 5)
            health.until("A.SIM", "ok")
        until(lambda: gateway.metrics().total("instrument_health") == 2)


def test_a_hole_in_a_book_until_its_snapshot(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with Health(gateway, "A.SIM") as health:
            venue.send(book("snapshot", 1), book("update", 2), book("update", 4))
            assert health.until("A.SIM", "gap")["reason"] == "the venue's numbers have a hole"
            venue.send(book("snapshot", 7))
            assert health.until("A.SIM", "ok")["reason"] == ""


def test_a_replay_that_has_ended_is_stale(stage: Stage, tmp_path: Path) -> None:
    lines = [
        f'{n} {{"e":"trade","E":{n},"s":"BTCUSDT","t":{n},"p":"1.0","q":"1","T":{n},"m":true}}'
        for n in range(1, 4)
    ]
    (tmp_path / "capture.jsonl").write_text("\n".join(lines) + "\n")
    sets = ["feeds.0.type='replay'", f"feeds.0.path='{tmp_path}/capture.jsonl'"]
    gateway = stage.serve(*sets, "feeds.0.speed=0", "feeds.0.start_after_clients=1")
    with Health(gateway) as health:
        data = health.until("BTCUSDT.BINANCE", "stale")
        assert data["reason"] == "the feed is not connected"


# --- a book that is crossed -----------------------------------------------------------------------


def at(second: int) -> int:
    """A time of the venue's."""
    return (1_700_000_000 + second) * 1_000_000_000


def crossing(number: int, bid: str, ts: int) -> dict[str, Any]:
    """The best bid is there, and the ask at 2."""
    levels = {"bids": level(bid), "asks": level("2"), "first": number, "last": number}
    return {"channel": "book", "symbol": "A", "type": "update", "ts": ts, **levels}


def test_a_book_that_stays_crossed_until_its_snapshot(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with Health(gateway, "A.SIM") as health, connected(gateway.url) as wire:
            params = {"channel": "book", "symbol": ["A.SIM"], "depth": 5}
            assert wire.ask({"method": "subscribe", "req_id": 1, "params": params})["success"]
            venue.send(book("snapshot", 1) | {"ts": at(1)})
            # For a second it may be: and it is not, before the two are one.
            venue.send(crossing(2, "2.5", at(2)), crossing(3, "2.4", at(3)))
            gone = {"bids": [["2.5", "0"], ["2.4", "0"]], "first": 4, "last": 4, "asks": []}
            venue.send(crossing(0, "0", at(3)) | gone)
            venue.send(crossing(5, "2", at(5)), crossing(6, "2.1", at(6) + 1))
            data = health.until("A.SIM", "crossed")
            assert data["reason"] == "its best bid is not below its best ask"
            assert 0 <= data["age_ms"] < 5000
            while (message := wire.message()).get("type") != "gap":
                assert "maybe_bad" not in json.dumps(message)
            assert message["data"][0]["reason"] == "feed"
            venue.send(crossing(7, "1.5", at(7)))  # of no use: it waits for a snapshot
            venue.send(book("snapshot", 8) | {"ts": at(8)})
            assert health.until("A.SIM", "ok")["reason"] == ""
            while (message := wire.message())["channel"] != "book" or message["seq"] < 8:
                pass  # whatever frame it gets before says that it may be bad
            assert message["data"][0]["bids"][-1] == ["1.8", "1"]
            assert "maybe_bad" not in message["data"][0]


def test_a_book_may_be_crossed_while_its_instrument_is_halted(stage: Stage) -> None:
    halted = {"channel": "status", "symbol": "A", "status": "halted"}
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with Health(gateway, "A.SIM") as health:
            venue.send(book("snapshot", 1) | {"ts": at(1)}, halted)
            venue.send(crossing(2, "2.5", at(2)), crossing(3, "2.6", at(9)))
            venue.send(halted | {"status": "trading"})
            venue.send(crossing(4, "2.7", at(9) + 1), crossing(5, "2.8", at(10)))
            venue.send(book("update", 7))
            assert health.next()["state"] == "gap", "it was crossed for less than a second"
            venue.send(book("snapshot", 8) | {"ts": at(11)})
            assert health.until("A.SIM", "ok")


def test_what_crosses_and_says_nothing_more(stage: Stage) -> None:
    """A book, and quotes of an instrument that has none: by the clock, until they say better."""
    quote = {"channel": "bbo", "symbol": "B", "bid_qty": "1", "ask_qty": "1", "ask": "2.00"}
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with Health(gateway) as health:
            venue.send(book("snapshot", 1), crossing(2, "2.5", 0), quote | {"bid": "2"})
            book_says, quote_says = (health.next() for _ in range(2))
            assert {one["state"] for one in (book_says, quote_says)} == {"crossed"}
            assert {one["reason"] for one in (book_says, quote_says)} == {
                "its best bid is not below its best ask",
                "the quote's bid is not below its ask",
            }
            assert all(one["age_ms"] >= 1000 for one in (book_says, quote_says))
            gone = {"bids": [["2.5", "0"]], "asks": [], "first": 3, "last": 3}
            venue.send(crossing(0, "0", 0) | gone, quote | {"bid": "1.99"})
            assert [health.next()["state"] for _ in range(2)] == ["ok", "ok"]
            venue.send({"channel": "status", "symbol": "B", "status": "auction"})
            venue.send(quote | {"bid": "3"}, book("update", 5))
            assert health.until("A.SIM", "gap")


# --- captures -------------------------------------------------------------------------------------


def replayed(stage: Stage, path: Path, entries: list[tuple[float, Any]], *sets: str) -> Serving:
    """A gateway that plays these, each at its second, once a client is there."""
    lines = [f"{1_700_000_000_000_000_000 + int(at * 1e9)} {json.dumps(m)}" for at, m in entries]
    path.write_text("\n".join(lines) + "\n")
    more = ["feeds.0.type='replay'", f"feeds.0.path='{path}'", "feeds.0.start_after_clients=1"]
    return stage.serve(*more, *sets)


def ticker(price: int) -> list[Any]:
    side = [f"{price}.5", 1, "1.000"]
    return [340, {"a": side, "b": [f"{price}.1", 1, "1.5"]}, "ticker", "XBT/USD"]


def test_the_venues_heartbeat_in_a_capture_tells_quiet_from_dead(
    stage: Stage, tmp_path: Path
) -> None:
    """Ten times as fast as it was: a heartbeat each 100 ms."""
    beat = {"event": "heartbeat"}
    quotes: list[tuple[float, Any]] = [(n, ticker(n)) for n in range(20)]
    beats = [(20.0 + n, beat) for n in range(70)]
    # Nothing for 30 s: the connection is dead. Then it lives, and then there is news.
    after: list[tuple[float, Any]] = [(120.0 + n, beat) for n in range(30)]
    after += [(150.0 + n, ticker(n)) for n in range(20)]  # for longer than a look
    gateway = replayed(
        stage,
        tmp_path / "capture.jsonl",
        [*quotes, *beats, *after],
        "feeds.0.format='kraken-v1'",
        "feeds.0.speed=10.0",
    )
    with Health(gateway) as health:
        told = [health.next() for _ in range(5)]
    assert [one["state"] for one in told] == ["quiet", "stale", "quiet", "ok", "stale"]
    assert told[0]["reason"] == "silent for longer than 5.0 s"
    assert told[1]["reason"] == "the feed's heartbeat is missing"
    assert told[-1]["reason"] == "the feed is not connected"


def test_quotes_that_contradict_the_book(stage: Stage, tmp_path: Path) -> None:
    def quote(number: int, bid: str) -> Any:
        sides = {"b": bid, "B": "1", "a": "20", "A": "1"}
        return {"e": "bookTicker", "s": "A", "u": number, "T": number, "E": number, **sides}

    def depth(first: int, last: int) -> Any:
        ids = {"U": first, "u": last, "E": last, "T": last, "s": "A"}
        return {"e": "depthUpdate", **ids, "b": [["8", str(last)]], "a": []}

    snapshot = {"lastUpdateId": 1000, "bids": [["9", "1"]], "asks": [["20", "1"]]}
    entries: list[tuple[float, Any]] = [(0, depth(1000, 1000)), (0, snapshot)]
    last = 1000
    for n, bid in enumerate(("9", "10", "10", "10", "9", "9")):
        first, last = last + 1, 1001 + 700 * n  # which is the venue's time in milliseconds, too
        entries += [(1 + 0.7 * n, quote(last, bid)), (1 + 0.7 * n, depth(first, last))]
    gateway = replayed(stage, tmp_path / "capture.jsonl", entries)
    with Health(gateway) as health:
        told = [health.next() for _ in range(3)]
    assert [one["state"] for one in told] == ["suspect", "ok", "stale"]
    assert told[0]["reason"] == "the quote is not the top of the book"


# --- how soon -------------------------------------------------------------------------------------


@pytest.mark.alone
def test_how_long_after_the_fact_a_change_is_told(stage: Stage) -> None:
    beat = {"channel": "heartbeat", "interval_ms": 200}
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with Health(gateway, "A.SIM") as health:
            took: dict[str, list[float]] = {}

            def took_ms(what: str, state: str, since_s: float) -> None:
                health.until("A.SIM", state)
                took.setdefault(what, []).append((time.monotonic() - since_s) * 1e3)

            venue.send(book("snapshot", 1))
            for n in range(2, 60, 10):
                at_s = time.monotonic()
                venue.send(book("update", n + 4))
                took_ms("gap", "gap", at_s)
                at_s = time.monotonic()
                venue.send(book("snapshot", n + 9))
                took_ms("its end", "ok", at_s)
            for _ in range(3):
                venue.send(beat)
                took_ms("heartbeat missing twice", "stale", time.monotonic() + 0.4)
                at_s = time.monotonic()
                venue.send(beat)
                took_ms("its end by a heartbeat", "ok", at_s)
        for what, each in took.items():
            print(f"{what}: {', '.join(f'{ms:.0f}' for ms in sorted(each))} ms")
        # Medians: a host may stand still for as long as any of them.
        assert median(took["gap"] + took["its end"]) < 500
        assert median(took["heartbeat missing twice"]) < 1000
        assert median(took["its end by a heartbeat"]) < 1000
