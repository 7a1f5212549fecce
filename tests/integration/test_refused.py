"""Input that a gateway refuses: who is told of it, and for how long."""

import gzip
import json
import random
import re
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import Wire, connected

GAP = {"channel": "bbo", "symbol": "BTTC.SIM", "reason": "refused"}
HEALTH = {"channel": "health", "scope": "instruments"}
MESSAGES_MAX = 50
TOO_LONG = "1" * 120
"""No decimal that a record carries has so many digits."""


def quote(**more: str) -> dict[str, str]:
    fields = {"bid": "1.0", "bid_qty": "5", "ask": "1.1", "ask_qty": "6"}
    return {"channel": "bbo", "symbol": "BTTC", **fields, **more}


def follow(gateway: Serving, channel: str, *symbols: str, **params: Any) -> Wire:
    """A client of its own, subscribed."""
    wire = connected(gateway.url)
    params |= {"channel": channel, "symbol": list(symbols)}
    reply = wire.ask({"method": "subscribe", "req_id": 1, "params": params})
    assert reply["failed"] == 0, reply
    return wire


def told(wire: Wire) -> dict[str, Any]:
    """The next message but heartbeats."""
    for _ in range(MESSAGES_MAX):
        if (message := wire.message()).get("channel") != "heartbeat":
            return message
    raise AssertionError("nothing but heartbeats")


def health(wire: Wire) -> tuple[str, str, str, str]:
    message = told(wire)
    (data,) = message["data"]
    assert message["channel"] == "health"
    assert data["age_ms"] >= 0
    return message["type"], message["symbol"], data["state"], data["reason"]


def test_f66_a_refused_quote_is_told_until_a_good_one_comes(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with (
            follow(gateway, "bbo", "BTTC.SIM") as quotes,
            follow(gateway, "trade", "BTTC.SIM") as trades,
            follow(gateway, "health", "*.SIM", scope="instruments") as pattern,
            follow(gateway, "health", "BTTC.SIM") as name,
        ):
            venue.send(quote())
            assert told(quotes)["data"][0]["ask_qty"] == "6"
            venue.send(quote(ask_qty=TOO_LONG))
            venue.send(quote(ask_qty="nine"))  # the same run
            gap = told(quotes)
            assert (gap["channel"], gap["type"], gap["data"]) == ("system", "gap", [GAP])
            for wire in (pattern, name):
                kind, symbol, state, reason = health(wire)
                assert (kind, symbol, state) == ("update", "BTTC.SIM", "suspect")
                assert reason.startswith("bbo ask_qty: ")
            with follow(gateway, "health", "*", scope="instruments") as late:
                assert health(late)[:3] == ("snapshot", "BTTC.SIM", "suspect")
            with follow(gateway, "bbo", "BTTC*") as late:
                both = [told(late), told(late)]
                assert [one["type"] for one in both] == ["snapshot", "gap"]
                assert both[0]["data"][0]["ask_qty"] == "6"

            venue.send(quote(ask_qty="7"))
            good = told(quotes)
            assert (good["type"], good["seq"], good["data"][0]["ask_qty"]) == ("update", 2, "7")
            assert health(pattern) == health(name) == ("update", "BTTC.SIM", "ok", "")
            with follow(gateway, "health", "*", scope="instruments") as late:
                assert late.message()["channel"] == "heartbeat", "all is well"
            with follow(gateway, "health", "BTTC.SIM") as late:
                assert health(late)[:3] == ("snapshot", "BTTC.SIM", "ok")

            venue.trades("BTTC", 1)
            assert told(trades)["channel"] == "trade", "no gap was told of trades"
            venue.send_raw(json.dumps(quote() | {"bid": float("nan")}))  # no JSON
            assert told(quotes)["data"] == [GAP], "another run is told again"
        until(lambda: gateway.metrics().of("instrument_health", "suspect") == 1)
        assert gateway.metrics().of("instrument_health", "ok") == 0


def test_f66_a_flood_of_made_up_names_makes_no_topic_and_hides_no_instrument(stage: Stage) -> None:
    dice = random.Random(11)
    spoils = ("bid", "ask_qty", "ask", "bid_qty")
    worthless: tuple[Any, ...] = (
        "x",
        TOO_LONG,
        "1e999",
        "\x00",
        "-",
        "NaN",
        "9" * 2000,
        [1.5],
        True,
        None,
    )
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, "ring.topics_max=64", "log.format='json'")

        def feed() -> dict[str, Any]:
            found: dict[str, Any] = gateway.status()["feeds"][0]
            return found

        venue.send(quote())
        until(lambda: feed()["records"] == 1)
        with follow(gateway, "bbo", "BTTC.SIM") as quotes:
            assert told(quotes)["type"] == "snapshot"
            for _ in range(100):
                spoilt = [{dice.choice(spoils): dice.choice(worthless)} for _ in range(20)]
                names = [f"M{dice.getrandbits(60)}" for _ in spoilt]
                lines = zip(names, spoilt, strict=True)
                venue.send(*(quote(symbol=name) | one for name, one in lines))

            def counted() -> bool:
                venue.send(quote(bid="x"))
                return "BTTC.SIM" in feed()["refused_symbols"]

            until(counted)
            assert told(quotes)["data"] == [GAP]
        now = feed()
        assert now["refused_symbols"]["others"] > 100
        assert len(now["refused_symbols"]) < 20
        assert sum(now["refused_symbols"].values()) == now["decode_errors"]
        metrics = gateway.metrics()
        assert metrics.of("topics", "live") == 1, "that of the good quote"
        assert metrics.of("instrument_health", "suspect") == 1
        assert "topics" not in now["refused"]
        venue.send(quote(symbol=names[0]))
        until(lambda: gateway.metrics().of("topics", "live") == 2)


def test_health_of_instruments_is_apart_from_the_gateway_s(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        venue.send(quote())
        until(lambda: gateway.metrics().of("published_total", "bbo") == 1)
        with connected(gateway.url) as wire:

            def ask(method: str, **params: Any) -> dict[str, Any]:
                request = {"channel": "health", "symbol": ["*"], **params}
                return wire.ask({"method": method, "req_id": 1, "params": request})

            assert "epoch" not in ask("subscribe")["results"][0]
            assert ask("subscribe", scope="instruments")["results"][0]["matched"] == 0
            assert ask("unsubscribe", scope="instruments")["success"]
            assert ask("unsubscribe", scope="gateway")["success"]
            again = ask("unsubscribe")
            assert again["results"][0]["error"]["code"] == "not_subscribed"
            lossless = ask("subscribe", scope="instruments", mode="lossless")
            assert "conflate" in lossless["error"]["message"]
            wrong = ask("subscribe", scope="instruments", channel="bbo")
            assert "params.scope" in wrong["error"]["message"]
            unknown = ask("subscribe", symbol=["X.NOWHERE"])
            assert unknown["results"][0]["error"]["code"] == "unknown_symbol"


def test_f66_a_feed_that_only_refuses_is_failing(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, "log.format='json'")

        def feed() -> dict[str, Any]:
            found: dict[str, Any] = gateway.status()["feeds"][0]
            return found

        until(lambda: gateway.metrics().total("feed_up") == 1)
        with connected(gateway.url) as wire:
            wire.ask(
                {
                    "method": "subscribe",
                    "req_id": 1,
                    "params": {"channel": "health", "symbol": ["*"]},
                }
            )
            assert told(wire)["data"][0]["state"] == "ok"

            def failing() -> bool:
                venue.send(
                    quote(bid="1\n\x1b[31m"), {"channel": "bbo", "symbol": "BTTC", "bid": "1"}
                )
                return bool(feed()["state"] == "failing")

            until(failing, interval_s=0.2)
            assert gateway.metrics().of("feed_up", feed()["name"]) == 0
            data = told(wire)["data"][0]
            assert (data["state"], data["feeds"][0]["up"]) == ("down", False)

            now = feed()
            assert set(now["refused"]) == {"number", "value"}
            last = now["last_refused"]
            assert (last["symbol"], last["channel"], last["reason"]) == ("BTTC.SIM", "bbo", "value")
            assert sum(now["refused"].values()) == now["decode_errors"]
            metrics = gateway.metrics()
            for reason, count in now["refused"].items():
                assert metrics.of("feed_refused_total", now["name"], reason) >= count

            gateway.says('"event": "feed.state"', '"failing"')
            lines = [json.loads(line) for line in gateway.lines().splitlines()]
            refused = [line for line in lines if line["event"] == "feed.refused"]
            assert len(refused) < 8, "one for each reason every ten seconds"
            number = next(line for line in refused if line["reason"] == "number")
            assert (number["symbol"], number["field"]) == ("BTTC.SIM", "bid")
            assert number["value"] == r"1\n\x1b[31m"
            states = [line for line in lines if line["event"] == "feed.state"]
            assert [line["state"] for line in states] == ["up", "failing"]
            assert "BTTC.SIM bbo" in states[-1]["reason"]

            venue.send(quote())
            until(lambda: feed()["state"] == "up")
            assert told(wire)["data"][0]["state"] == "ok"


# --- tickgate replay ------------------------------------------------------------------------------


def replay(path: Path, *more: str) -> "subprocess.Popen[str]":
    program = Path(sysconfig.get_path("scripts"), "tickgate")
    free = () if "--set" in more else ("--set", "listen.port=0", "--set", "ops.port=0")
    return subprocess.Popen(
        [sys.executable, str(program), "replay", str(path), "--speed", "0", *free, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def write(path: Path, *messages: str) -> Path:
    lines = (f"{1723161255000000000 + k} {text}\n" for k, text in enumerate(messages))
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def trade(number: int, qty: str = "1.5") -> str:
    data = {"e": "trade", "s": "BTTCUSDT", "t": number, "p": "0.5", "q": qty, "T": 8, "m": True}
    return json.dumps({"stream": "bttcusdt@trade", "data": data})


DEPTH = '{"stream":"bttcusdt@depth","data":{"b":[]}}'


def test_a_replay_ends_with_what_it_played_and_what_not(tmp_path: Path) -> None:
    path = write(
        tmp_path / "some.gz", trade(1), DEPTH, trade(2, TOO_LONG), "{}", trade(2), trade(2)
    )
    with replay(path) as process:
        try:
            assert process.stdout is not None
            text = [process.stdout.readline() for _ in range(3)]
            assert text[0].startswith("Plays ")
            assert text[1].startswith(
                "replay:BINANCE: played 1 trade; skipped 1 depth, 2 duplicate;"
                " refused 1 shape, 1 limit; the last: "
            )
            assert text[2].startswith("It is over")
            assert process.poll() is None, "it serves the last values"
        finally:
            process.terminate()
        assert process.wait(60) == 0


def test_a_replay_beside_a_gateway_takes_free_ports(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.2", 8765)):  # the default port, at an address of our own
        hosts = ("--set", "listen.host='127.0.0.2'", "--set", "ops.port=0")
        with replay(write(tmp_path / "one.gz", trade(1)), *hosts) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert re.match(r"Plays .* to ws://127\.0\.0\.2:\d+/v1; ", line)
                assert ":8765/" not in line
            finally:
                process.terminate()
            _, told = process.communicate(timeout=90)
    assert "listen.port 8765 is in use" in told


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ((DEPTH, DEPTH), "skipped 2 depth"),
        (("{}", "nonsense"), "refused 1 line, 1 shape"),
        ((), "played nothing"),
    ],
)
def test_a_replay_of_nothing_is_over_and_says_why(
    tmp_path: Path, messages: tuple[str, ...], says: str
) -> None:
    with replay(write(tmp_path / "none.gz", *messages)) as process:
        out, log = process.communicate(timeout=60)
    assert process.returncode == 1, out + log
    assert "nothing in it to play" in out
    assert says in out
    assert "replay.ended" in log
