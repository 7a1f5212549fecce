"""The channel `health` of a whole gateway: what it is now, then each change, to those who ask."""

import os
import signal
from typing import Any

from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import Wire, connected

HEALTH = {"channel": "health", "symbol": ["*"]}
MESSAGES_MAX = 20


def follow(gateway: Serving) -> Wire:
    wire = connected(gateway.url)
    reply = wire.ask({"method": "subscribe", "req_id": 1, "params": HEALTH})
    assert reply["results"][0] == {
        "symbol": "*",
        "success": True,
        "channel": "health",
        "mode": "conflate",
        "class": 0,
        "snapshot": False,
    }
    return wire


def kill(gateway: Serving, name: str) -> None:
    """Kills a child, and waits for the next one of its name."""
    pid = gateway.pid(name)
    os.kill(pid, signal.SIGKILL)
    until(lambda: gateway.pid(name) not in (0, pid))


def told(wire: Wire) -> tuple[str, dict[str, Any]]:
    """Type and state of the next message; heartbeats are passed over."""
    for _ in range(MESSAGES_MAX):
        if (message := wire.message()).get("channel") == "health":
            assert message["ts_send"] > 0
            (data,) = message["data"]
            return message["type"], data
    raise AssertionError("no message of the channel")


def until_state(wire: Wire, state: str) -> list[dict[str, Any]]:
    """Everything up to the first message of this state; each says something new."""
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["state"] != state:
        kind, data = told(wire)
        assert kind == "update"
        assert data not in seen[-1:]
        seen.append(data)
    return seen


def test_a_feed_that_ends_and_comes_back(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, "cluster.workers=2")
        (feed,) = until(lambda: gateway.status()["feeds"])
        until(lambda: gateway.metrics().total("feed_up") == 1)
        up = {"name": feed["name"], "venue": "SIM", "up": True, "stale": False}
        calm = {"state": "ok", "ready": True, "slo": "ok", "feeds": [up]}
        with follow(gateway) as one, follow(gateway) as other:
            assert told(one) == told(other) == ("snapshot", calm)
            for _ in range(4):  # each time it stays away for longer: in the end for two looks
                kill(gateway, "feed")
            for wire in (one, other):
                assert until_state(wire, "down")[-1]["feeds"] == [up | {"up": False}]
                assert until_state(wire, "ok")[-1] == calm


def test_who_comes_first_finds_feeds_that_are_up_and_their_names(stage: Stage) -> None:
    gateway = stage.serve('feeds.0.type="synthetic"', "feeds.0.symbols=3", "feeds.0.rate=100")
    (feed,) = gateway.status()["feeds"]
    assert feed["state"] == "up"
    with follow(gateway) as wire:
        kind, data = told(wire)
        assert (kind, data["state"], data["feeds"][0]["up"]) == ("snapshot", "ok", True)
        assert len(wire.ask({"method": "list", "req_id": 2})["instruments"]) == 3


def test_whoever_comes_later_is_told_at_once_and_nobody_else_again(stage: Stage) -> None:
    gateway = stage.serve()
    calm = {"state": "ok", "ready": True, "slo": "ok", "feeds": []}
    with follow(gateway) as first:
        assert told(first) == ("snapshot", calm)
        with follow(gateway) as second:
            assert told(second) == ("snapshot", calm)
            until(lambda: gateway.status()["workers"][0]["health_subscribers"] == 2)
            for _ in range(2):
                assert first.message()["channel"] == "heartbeat"
    until(lambda: gateway.status()["workers"][0]["health_subscribers"] == 0)
