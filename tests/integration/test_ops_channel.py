"""What a page or a terminal is shown of a whole gateway, by its ops listener."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from support.serving import Serving
from support.stage import Stage
from support.wire import Wire, connected, subscribe, text

MARKET = ('feeds.0.type="synthetic"', "feeds.0.symbols=3", "feeds.0.rate=400")
FOLLOW = {"method": "subscribe", "req_id": 1, "params": {"channel": "ops", "symbol": ["*"]}}
UPDATES_MAX = 60


def follow(gateway: Serving, **options: Any) -> Wire:
    """A session that follows, acknowledged."""
    wire = connected(gateway.ops.replace("http", "ws", 1) + "/v1", **options)
    assert wire.ask(FOLLOW)["results"][0]["success"] is True
    return wire


def now(wire: Wire) -> dict[str, Any]:
    """The next message's data."""
    while (message := wire.message()).get("channel") != "ops":
        continue
    (data,) = message["data"]
    return dict(data)


def until_now(wire: Wire, condition: Any) -> dict[str, Any]:
    """The first data of which it is true."""
    for _ in range(UPDATES_MAX):
        if condition(data := now(wire)):
            return data
    raise AssertionError(f"never so, but {data}")


def delivered(data: dict[str, Any]) -> int:
    """Of the last second; 0 before there was one."""
    return int(data["point"]["delivered"]) if data["point"] else 0


@contextmanager
def listening(gateway: Serving) -> Iterator[None]:
    """Somebody who takes everything, so that there is something to show."""
    with connected(gateway.url) as wire:
        for channel in ("trade", "bbo"):
            wire.send(subscribe(["*"], channel))
        stop = threading.Event()

        def take() -> None:
            while not stop.is_set():
                wire.message()

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def test_figures_are_those_of_statusz_within_one_update(stage: Stage) -> None:
    gateway = stage.serve(*MARKET, "cluster.workers=2")
    with listening(gateway), follow(gateway) as wire:
        until_now(wire, lambda data: data["slo"]["count"] >= 1000)
        for _ in range(UPDATES_MAX):
            data, status = now(wire), gateway.status()
            shown = {name: status["slo"][name] for name in data["slo"]} | {"age_s": 0}
            if shown == data["slo"] | {"age_s": 0}:
                break
        else:
            raise AssertionError(f"{data['slo']} is not {status['slo']}")
        assert data["connections"] == status["counters"]["connections"] == 1
        assert data["subscriptions"] == status["counters"]["subscriptions"] == 2
        assert data["epoch"] == status["epoch"]
        assert data["listen"] == status["listen"]
        assert data["stages"]["total"]["count"] == data["slo"]["count"]
        for name in ("name", "pid", "state"):
            rows = data["processes"], status["processes"]
            assert [each[name] for each in rows[0]] == [each[name] for each in rows[1]]
        assert [each["name"] for each in data["feeds"]] == [f["name"] for f in status["feeds"]]
        assert [each["worker"] for each in data["controller"]] == ["worker-0", "worker-1"]


def test_rates_and_the_point_are_of_the_last_second(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    with listening(gateway), follow(gateway) as wire:
        # A second of 400 records, all of which one client gets; a loaded machine makes it longer.
        data = until_now(wire, lambda data: 300 < delivered(data) < 500)
        point = data["point"]
        assert point["count"] == sum(count for _, count in point["heat"])
        assert point["count"] == sum(each["count"] for each in point["classes"])
        rates = data["channels"]
        shown = sum(each["delivered"] for each in rates.values()) * point["span_s"]
        assert shown == pytest.approx(point["delivered"], rel=0.01, abs=1)
        assert data["stages"]["total"]["p50_us"] > 0


def test_history_is_merged_and_not_averaged(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    with listening(gateway), follow(gateway) as wire:
        until_now(wire, lambda data: data["slo"]["count"] >= 1500)
        ask = {"method": "history", "req_id": 7, "params": {"points": 2}}
        wire.send(text(ask))
        while (reply := wire.message()).get("method") != "history":
            continue
        assert (reply["req_id"], reply["success"]) == (7, True)
        assert 1 <= len(reply["points"]) <= 2
        whole = reply["merged"]
        assert whole["count"] == sum(point["count"] for point in reply["points"]) >= 1500
        decoded = HdrHistogram.decode(whole["hdr"])
        assert decoded.get_total_count() == whole["count"]
        assert decoded.get_value_at_percentile(99) / 1000 == whole["p99_us"]
        assert f"Total count    = {whole['count']:12d}" in whole["hgrm"]
        told = dict(map(tuple, whole["percentiles"]))
        assert told[50] == whole["p50_us"] <= told[99] <= told[100] == whole["max_us"]


def test_a_reader_that_takes_nothing_costs_nobody_anything(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    with listening(gateway), follow(gateway, receive_bytes=4096) as slow, follow(gateway) as fast:
        # Histories are large: soon nothing more fits what lies between, and none is read.
        for number in range(12):
            slow.send(text({"method": "history", "req_id": number}))
        for _ in range(8):
            now(fast)
            assert gateway.get("/livez")[0] == 200
        assert gateway.get("/readyz")[0] == 200
        data = until_now(fast, lambda data: data["ready"])
        assert {each["state"] for each in data["processes"]} == {"ready"}
        # It is told late, but in order, and it may read again.
        seen = [now(slow)["ts"] for _ in range(5)]
        assert seen == sorted(set(seen))


def test_a_worker_that_died_is_shown_and_comes_back(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    with follow(gateway) as wire:
        pid = gateway.pid()
        os.kill(pid, signal.SIGKILL)
        data = until_now(
            wire,
            lambda data: any(
                each["name"] == "worker-0" and each["restarts"] == 1 and each["state"] == "ready"
                for each in data["processes"]
            ),
        )
        worker = next(each for each in data["processes"] if each["name"] == "worker-0")
        assert worker["pid"] != pid
        with listening(gateway):
            until_now(wire, lambda data: delivered(data) > 0)


def test_a_gateway_that_ends_says_so_and_a_new_one_begins_anew(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    with follow(gateway) as wire:
        uptime_s = until_now(wire, lambda data: data["ready"])["uptime_s"]
        assert uptime_s > 0
        gateway.terminate()
        while (message := wire.message()).get("type") != "shutdown":
            continue
        assert message["data"][0]["reconnect_after_ms"] > 0
        assert wire.closed() == (1012, "restart")
    assert gateway.process.wait(60) == 0
    lines = [line for line in gateway.lines().splitlines() if " error " in line]
    assert lines == [], json.dumps(lines)
