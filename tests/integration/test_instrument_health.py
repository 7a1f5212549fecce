"""The health of instruments in a whole gateway: silence, heartbeats, holes, and what mends them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.serving import Serving
from support.stage import Stage
from support.udp import Venue
from support.wire import Wire, connected

from gateway.model.outcomes import HEALTH_STATES

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
        counts = [gateway.metrics().of("instrument_health", state) for state in HEALTH_STATES]
        assert sum(counts) == 2


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
