"""The table of topics: full, and made free again."""

from typing import Any

from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import Wire, connected

MAX = 16


def subscribe(
    wire: Wire, *symbols: str, channel: str = "trade", req_id: int = 1, **more: Any
) -> dict[str, Any]:
    params = {"channel": channel, "symbol": list(symbols), **more}
    return wire.ask({"method": "subscribe", "req_id": req_id, "params": params})


def told(wire: Wire) -> dict[str, Any]:
    """The next message but heartbeats."""
    while (message := wire.message()).get("channel") == "heartbeat":
        pass
    return message


def health_of(wire: Wire, state: str) -> dict[str, Any]:
    """The gateway's own, once it is in this state."""
    while (message := told(wire))["data"][0]["state"] != state:
        pass
    found: dict[str, Any] = message["data"][0]
    return found


def live(gateway: Serving) -> float:
    return gateway.metrics().of("topics", "live")


def test_f71_a_full_table_is_seen_by_its_operator_and_by_who_wants_more(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, f"ring.topics_max={MAX}")
        with connected(gateway.url) as early, connected(gateway.url) as watcher:
            assert subscribe(early, "S19.SIM")["failed"] == 0
            subscribe(watcher, "*", channel="health")
            health_of(watcher, "ok")
            for n in range(20):
                venue.trades(f"S{n}", 1)
            until(lambda: gateway.metrics().total("feed_refused_total") == 4)
            assert gateway.metrics().total("topics_max") == live(gateway) == MAX
            feed = gateway.status()["feeds"][0]["name"]
            assert gateway.metrics().of("feed_refused_total", feed, "topics") == 4
            status = gateway.status()["topics"]
            assert status == {"live": MAX, "waiting": 1, "retired": 0, "max": MAX}
            line = gateway.says("feed.refused")
            for word in ("topics", "S16.SIM", f"all {MAX} topics", "ring.topics_max"):
                assert word in line
            (reason,) = health_of(watcher, "degraded")["reasons"]
            assert reason.startswith("ring.topics_max")
            limit = {"limit": "ring.topics_max", "value": MAX, "subscription": "S19.SIM"}
            assert (message := told(early))["type"] == "limit_exceeded"
            assert message["data"] == [limit]
            with connected(gateway.url) as late:
                (result,) = subscribe(late, "S18.SIM")["results"]
                assert result["error"]["code"] == "limit_exceeded"
                assert "ring.topics_max" in result["error"]["message"]
                assert subscribe(late, "S15.SIM", req_id=2)["failed"] == 0


def test_f71_a_delisted_instrument_is_told_and_its_place_used_again(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, f"ring.topics_max={MAX}")
        for n in range(MAX):
            venue.trades(f"S{n}", 1)
        until(lambda: live(gateway) == MAX)
        with connected(gateway.url) as name, connected(gateway.url) as pattern:
            assert subscribe(name, "S3.SIM")["results"][0]["seq"] == 1
            assert subscribe(pattern, "*")["results"][0]["matched"] == MAX
            assert {told(pattern)["type"] for _ in range(MAX)} == {"snapshot"}
            assert told(name)["type"] == "snapshot"
            venue.trades("S3", 2)
            venue.send({"channel": "status", "symbol": "S3", "status": "delisted"})
            for wire in (name, pattern):
                assert told(wire)["seq"] == 2
                ended = told(wire)
                assert (ended["channel"], ended["type"]) == ("system", "retired")
                assert ended["data"] == [{"channel": "trade", "symbol": "S3.SIM"}]
            until(lambda: live(gateway) == MAX - 1)
            with connected(gateway.url) as late:
                assert subscribe(late, "S3.SIM")["results"][0]["seq"] == 0
                assert subscribe(late, "*", req_id=2)["results"][0]["matched"] == MAX - 1
                listed = late.ask({"method": "list", "req_id": 3})["instruments"]
                assert "S3.SIM" not in [one["symbol"] for one in listed]

            def taken() -> bool:
                venue.trades("NEW", 7)
                return live(gateway) == MAX

            until(taken)
            new = told(pattern)
            assert (new["symbol"], new["seq"], new["data"][0]["id"]) == ("NEW.SIM", 1, "7")
            venue.send({"channel": "status", "symbol": "NEW", "status": "delisted"})
            while told(pattern)["channel"] != "system":
                pass
            until(lambda: live(gateway) == MAX - 1)

            def back() -> bool:
                venue.trades("S3", 9)
                return live(gateway) == MAX

            until(back)
            for wire in (name, pattern):
                while (again := told(wire))["type"] == "limit_exceeded":
                    assert wire is name  # it may have waited while the table was full
                assert (again["symbol"], again["seq"]) == ("S3.SIM", 3), "its numbers go on"
                assert again["type"] == "snapshot"
            # Who was away, and had the first trade: the second went with the first life.
            with connected(gateway.url) as away:
                epoch = subscribe(away, "S3.SIM")["results"][0]["epoch"]
                state = told(away)["seq"]
                since: dict[str, Any] = {"from": {"epoch": epoch, "seq": 1}}
                (result,) = subscribe(away, "S3.SIM", **since)["results"]
                assert (result["recovery"], result["oldest"]) == ("insufficient_state", 3)
                assert (told(away)["type"], state) == ("snapshot", result["seq"])
                since["from"]["seq"] = 2
                (result,) = subscribe(away, "S3.SIM", **since)["results"]
                assert (result["recovery"], result["seq"]) == ("replaying", 2)
                assert [told(away)["seq"] for _ in range(2, state)] == [*range(3, state + 1)]
                assert told(away)["type"] == "replay_completed"
