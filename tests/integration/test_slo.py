"""The objective of a whole gateway: clients, /statusz and /metrics are told the same."""

import os
import signal
from contextlib import ExitStack
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from support.serving import Serving, until
from support.stage import Stage
from support.wire import Wire, connected, subscribe, text

MARKET = ('feeds.0.type="synthetic"', "feeds.0.symbols=3", "feeds.0.rate=400")
SLO = {"channel": "slo", "symbol": ["*"]}
LOOKS_MAX = 60
AUDIENCE = 30
NOT_SHOWN = {"hdr"}


def follow(gateway: Serving) -> Wire:
    """A client of the channel, acknowledged."""
    wire = connected(gateway.url)
    reply = wire.ask({"method": "subscribe", "req_id": 1, "params": SLO})
    assert reply["results"][0]["success"] is True
    return wire


def listen(wire: Wire) -> None:
    """Gives the gateway something to deliver."""
    for channel in ("trade", "bbo"):
        wire.send(subscribe(["*"], channel))


def report(wire: Wire) -> dict[str, Any]:
    """The next one; everything else is passed over."""
    while (message := wire.message()).get("channel") != "slo":
        continue
    (data,) = message["data"]
    assert data["since"] <= message["ts_send"]
    return dict(data)


def until_state(wire: Wire, state: str) -> dict[str, Any]:
    for _ in range(LOOKS_MAX):
        if (data := report(wire))["state"] == state and data["count"] >= 1000:
            return data
    raise AssertionError(f"never {state}, but {data}")


def agreeing(gateway: Serving, wire: Wire) -> tuple[dict[str, Any], dict[str, Any]]:
    """A report and the status that was asked for before the next look."""
    for _ in range(LOOKS_MAX):
        data, status = report(wire), gateway.status()
        shown = status["slo"]
        if all(shown[name] == data[name] for name in data.keys() - NOT_SHOWN):
            return data, status
    raise AssertionError(f"{data} is not {shown}")


def test_a_target_of_a_microsecond_is_missed_and_all_say_so(stage: Stage) -> None:
    # So few deliveries that what a write costs stays unknown: else the target would be infeasible.
    sparse = "feeds.0.rate=200"
    gateway = stage.serve(*MARKET, sparse, "slo.target_us=1", "cluster.workers=2")
    with follow(gateway) as wire:
        listen(wire)
        first = until_state(wire, "breached")
        assert (first["target_us"], first["percentile"], first["stage"]) == (1, 99, "total")
        assert first["bad"] > 0.01 * first["count"]
        assert 0 < first["p50_us"] <= first["p99_us"] <= first["p999_us"]
        assert first["budget_remaining"] < 0
        data, status = agreeing(gateway, wire)
        assert data["since"] == first["since"]
        histogram = HdrHistogram.decode(data["hdr"])
        assert histogram.get_total_count() == data["count"]
        assert histogram.get_value_at_percentile(99) / 1000 == data["p99_us"]
        assert status["window"]["total"]["p99_us"] == data["p99_us"]
        metrics = gateway.metrics()
        assert metrics.of("slo_state") == 2
        assert metrics.of("slo_burning", "14.4", "1h/5m") == 1
        assert metrics.of("slo_transitions_total", "breached") == 1
        assert metrics.of("slo_events_total", "bad") > 0
        assert gateway.says("slo.state state=breached was=ok")


def test_a_target_shorter_than_a_write_is_infeasible_and_no_step_is_taken(stage: Stage) -> None:
    # One record at a time to each of several clients: a write is a delivery, and its cost is known.
    gateway = stage.serve(*MARKET, "feeds.0.rate=100", "slo.target_us=1")
    with follow(gateway) as wire, ExitStack() as others:
        for _ in range(AUDIENCE):
            others.enter_context(connected(gateway.url)).send(subscribe(["*"], "trade"))
        data = until_state(wire, "infeasible")
        assert (data["action"], data["step"], data["intervals_ms"]) == ("none", 0, [0, 0, 0, 0])
        assert [each["state"] for each in data["classes"]] == ["infeasible"] * 2 + ["ok"] * 2
        (controller,) = gateway.status()["controller"]
        assert controller["fan_out_us"] > 1
        assert controller["audience_max"] == AUDIENCE
        assert gateway.metrics().of("slo_state") == 3
        assert gateway.metrics().of("fan_out_seconds", "worker-0") > 0.000001
        assert gateway.says("slo.state state=infeasible")
    assert gateway.lines().count("slo.state state=infeasible") == 1


def test_the_classes_are_told_apart_and_are_the_promise_together(stage: Stage) -> None:
    gateway = stage.serve(*MARKET, "slo.target_us=60000000")
    with follow(gateway) as wire:
        listen(wire)
        data = until_state(wire, "ok")
        trades, books, screens, bulk = data["classes"]
        assert trades["count"] > 0 < books["count"]
        assert trades["count"] + books["count"] == data["count"]
        assert max(trades["max_us"], books["max_us"]) == data["max_us"]
        assert (screens["count"], bulk["count"], bulk["target_us"]) == (0, 0, None)
        assert screens["target_us"] == 60_000_000, "as long as what is promised to the others"
        metrics = gateway.metrics()
        assert metrics.of("class_links", "0") == metrics.of("class_links", "1") == 3
        assert metrics.of("class_links", "2") == 0
        assert metrics.of("conflation_interval_seconds", "0", "worker-0") == 0
        assert metrics.of("slo_action") == 0
        os.kill(gateway.pid(), signal.SIGKILL)
        wire.ended()
    # Its clients are gone with it, once the supervisor has seen its end.
    until(lambda: gateway.metrics().total("class_links") == 0)
    until(lambda: gateway.get("/readyz")[0] == 200)


def test_a_minute_s_target_is_held(stage: Stage) -> None:
    gateway = stage.serve(*MARKET, "slo.target_us=60000000")
    with follow(gateway) as wire:
        listen(wire)
        data = until_state(wire, "ok")
        assert (data["bad"], data["budget_remaining"], data["action"]) == (0, 1, "none")
        agreeing(gateway, wire)
        assert gateway.metrics().of("slo_state") == 0


def test_one_subscription_that_comes_and_goes(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    with follow(gateway) as wire:
        assert gateway.metrics().of("subscriptions") == 1
        until(lambda: gateway.status()["workers"][0]["slo_subscribers"] == 1)
        report(wire)
        wire.send(text({"method": "unsubscribe", "req_id": 2, "params": SLO}))
        wire.reply()
        assert gateway.metrics().of("subscriptions") == 0
        until(lambda: gateway.status()["workers"][0]["slo_subscribers"] == 0)
        for _ in range(2):
            assert wire.message()["channel"] == "heartbeat", "none follows the reply"
    with follow(gateway):
        until(lambda: gateway.status()["workers"][0]["slo_subscribers"] == 1)
    until(lambda: gateway.status()["workers"][0]["slo_subscribers"] == 0)


def test_a_client_of_a_new_worker_is_told_again(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    with follow(gateway) as wire:
        report(wire)
        os.kill(gateway.pid(), signal.SIGKILL)
        wire.ended()
    until(lambda: gateway.get("/readyz")[0] == 200)
    with follow(gateway) as wire:
        assert report(wire)["stage"] == "total"
