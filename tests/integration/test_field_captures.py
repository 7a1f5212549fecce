"""Captures as people have them, from the file to the client: what is played, told and logged."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import zstandard
from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import Wire, connected

T0 = 1_723_161_255_000_000_000
MESSAGES_MAX = 100
PACKED = zstandard.ZstdCompressor(write_checksum=True)
"""The last byte is of the checksum, so that all text is there without it."""


def trade(number: int, symbol: str = "BTCUSDT", at: str = "") -> str:
    data = {"e": "trade", "s": symbol, "t": number, "p": f"{number}.5", "q": "1", "T": 8, "m": True}
    return f"{at or T0 + number} {json.dumps({'stream': 'x@trade', 'data': data})}\n"


def replayed(*paths: Path, **more: object) -> list[str]:
    keys = {"type": "replay", "path": list(map(str, paths)), "speed": 0, "start_after_clients": 1}
    return [f"feeds.0.{key}={json.dumps(value)}" for key, value in (keys | more).items()]


def follow(gateway: Serving, *symbols: str) -> Wire:
    wire = connected(gateway.url)
    params = {"channel": "trade", "symbol": list(symbols)}
    assert wire.ask({"method": "subscribe", "req_id": 1, "params": params})["failed"] == 0
    return wire


def told(wire: Wire, count: int) -> list[Any]:
    """The ids of trades and the notices of gaps that come next."""
    found: list[Any] = []
    for _ in range(MESSAGES_MAX):
        if len(found) == count:
            return found
        message = wire.message()
        if message.get("channel") == "trade":
            found.append(message["data"][0]["id"])
        elif message.get("type") == "gap":
            found.append(message["data"][0])
    raise AssertionError(f"only {found}")


def trades(wire: Wire, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = wire.message()
        found += [message] if message.get("channel") == "trade" else []
    return found


def logged(gateway: Serving, event: str) -> list[dict[str, Any]]:
    """Its lines of this event, once there is one."""
    gateway.says(f'"event": "{event}"')
    lines = [json.loads(line) for line in gateway.lines().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_a_venue_s_numbers_are_told_to_subscribers_and_in_the_log(
    stage: Stage, tmp_path: Path
) -> None:
    numbers = [1000, 1002, 1001, 1002, 1, 2]
    path = tmp_path / "numbers.jsonl"
    path.write_text("".join(trade(n, at=str(T0 + k)) for k, n in enumerate(numbers)))
    gateway = stage.serve(*replayed(path), "log.format='json'")
    name = {"channel": "trade", "symbol": "BTCUSDT.BINANCE"}
    with follow(gateway, "BTCUSDT.BINANCE") as wire:
        assert told(wire, 7) == [
            *("1000", {**name, "lost": 1, "reason": "feed"}, "1002", "1001"),
            *({**name, "reason": "reset"}, "1", "2"),
        ]
    until(lambda: gateway.status()["feeds"][0]["state"] == "done")
    feed = gateway.status()["feeds"][0]
    assert (feed["gaps"], feed["lost"], feed["late"]) == (1, 1, 1)
    assert (feed["duplicates"], feed["resets"]) == (1, 1)
    metrics = gateway.metrics()
    assert metrics.of("feed_late_total", feed["name"]) == 1
    assert metrics.of("feed_resets_total", feed["name"]) == 1
    (reset,) = logged(gateway, "feed.reset")
    assert (reset["symbol"], reset["number"], reset["newest"]) == ("BTCUSDT.BINANCE", 1, 1002)
    (late,) = logged(gateway, "feed.late")
    assert (late["number"], late["newest"]) == (1001, 1002)


def test_many_files_of_many_kinds_are_one_stream(stage: Stage, tmp_path: Path) -> None:
    """One plain with a mark, one zstd that was cut short, one of envelopes; by a list of globs."""
    a = "".join(trade(n) for n in range(0, 30, 3))
    (tmp_path / "a.jsonl").write_text("\ufeff" + a)
    b = "".join(trade(n, at=f"{T0 // 1000}.{n:03d}") for n in range(1, 30, 3))
    (tmp_path / "b.jsonl.zst").write_bytes(PACKED.compress(b.encode())[:-1])
    notes = [{"t": "recv", "ts": f"2024-08-08T23:54:15.{n:09d}Z", "data": trade(n).split(" ", 1)[1]}
             for n in range(2, 30, 3)]  # fmt: skip
    (tmp_path / "c.jsonl").write_text("".join(f"{json.dumps(note)}\n" for note in notes))
    paths = (tmp_path / "*.jsonl", tmp_path / "b*")
    gateway = stage.serve(*replayed(*paths), "log.format='json'")
    with follow(gateway, "BTCUSDT.BINANCE") as wire:
        found = told(wire, 25)
        assert found == [str(n) for n in range(25)]
    until(lambda: gateway.status()["feeds"][0]["state"] == "done")
    (cut,) = logged(gateway, "replay.cut")
    assert cut["path"].endswith("b.jsonl.zst")


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("clock", "17:05:33 {}\n", "line does not start with a time"),
        ("small", trade(1, at="12"), "no time in ns, us, ms or s since 1970: 12 {"),
        ("zip", "PK\3\4", "is a zip archive; a capture is plain, gzip or zstd"),
        ("*.jsonl", "", "no file matches"),
    ],
)
def test_what_can_t_be_played_is_refused_at_the_start(
    tmp_path: Path, path: str, text: str, says: str
) -> None:
    if "*" not in path:
        (tmp_path / path).write_text(text)
    sets = replayed(tmp_path / path, speed=1.0)
    program = Path(sysconfig.get_path("scripts"), "tickgate")
    command = [sys.executable, str(program), "serve", *(f"--set={one}" for one in sets)]
    free = ["--set=listen.port=0", "--set=ops.port=0"]
    done = subprocess.run([*command, *free], capture_output=True, text=True, timeout=60)
    assert done.returncode == 78, done.stderr
    assert says in done.stderr


def test_a_udp_sender_s_times_and_mark(stage: Stage) -> None:
    """Times in other units by the intake and by the decoder, which the mark leads to."""
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        with follow(gateway, "A.SIM") as wire:
            times = [T0, T0 // 10**3, T0 // 10**6, T0 // 10**9]
            for number, ts in enumerate([*times, *times]):
                mark = b"" if number % 2 else b"\xef\xbb\xbf"
                line = {"channel": "trade", "symbol": "A", "price": "1", "qty": "1", "ts": ts}
                venue.raw(mark + json.dumps(line | {"id": str(number)}).encode())
            found = [message["ts_event"] for message in trades(wire, 8)]
            assert found == [T0] * 8
            venue.raw(b'{"channel":"trade","symbol":"A","price":"1","qty":"1","ts":99999999999}')
            until(lambda: gateway.status()["feeds"][0]["refused"] == {"value": 1})


def enveloped(data: object, connection: str = "a", kind: str = "recv", **more: object) -> str:
    whole = {"t": kind, "conn": connection, "ts": 1723161255.5, **more}
    return json.dumps(whole if data is None else whole | {"data": json.dumps(data)}) + "\n"


def coinbase(number: int, channel: str, **event: object) -> str:
    at = "2026-08-09T21:05:48.5Z"
    message = {"channel": channel, "timestamp": at, "sequence_num": number, "events": [event]}
    return enveloped(message)


def bought(number: int) -> dict[str, str]:
    """A trade as Coinbase tells it: the maker sold."""
    more = {"time": "2026-08-09T21:05:42.5Z", "side": "SELL"}
    return {"product_id": "X", "trade_id": str(number), "price": "2.50", "size": "1"} | more


VENUES = {
    "coinbase": (
        "X.COINBASE",
        [
            coinbase(0, "market_trades", type="update", trades=[bought(8), bought(7)]),
            coinbase(1, "l2_data", type="snapshot", product_id="X", updates=[]),
            coinbase(2, "market_trades", type="update", trades=[bought(9)]),
        ],
        [("7", "2.50", "1", "buy"), ("8", "2.50", "1", "buy"), ("9", "2.50", "1", "buy")],
        1_786_309_542_500_000_000,
    ),
    "kraken-v1": (
        "X/USD.KRAKEN",
        [
            enveloped([0, [["2.50", "1", "1618678142.5", "b", "l", ""]], "trade", "X/USD"]),
            enveloped([1, {"as": [], "bs": []}, "book-10", "X/USD"]),
            enveloped([0, [["2.60", "1", "1618678142.5", "s", "m", ""]], "trade", "X/USD"]),
        ],
        [("", "2.50", "1", "buy"), ("", "2.60", "1", "sell")],
        1_618_678_142_500_000_000,
    ),
    "bybit": (
        "X-SPOT.BYBIT",
        [
            enveloped(None, "b", "connect", addr="wss://stream.bybit.com/v5/public/spot"),
            *(
                enveloped(
                    {
                        "topic": "publicTrade.X",
                        "data": [
                            {
                                "T": 1672304486500,
                                "s": "X",
                                "S": "Buy",
                                "p": "1",
                                "v": "2",
                                "i": "f-0",
                            }
                        ],
                    },
                    connection,
                )
                for connection in "ab"
            ),
        ],
        [("f-0", "1", "2", "buy")],
        1_672_304_486_500_000_000,
    ),
}


@pytest.mark.parametrize("format", VENUES)
def test_captures_of_other_venues_reach_clients(stage: Stage, tmp_path: Path, format: str) -> None:
    symbol, text, expected, at_ns = VENUES[format]
    path = tmp_path / "capture.jsonl.zst"
    path.write_bytes(PACKED.compress("".join(text).encode()))
    gateway = stage.serve(*replayed(path, format=format))
    with follow(gateway, symbol) as wire:
        found = trades(wire, len(expected))
    rows = [message["data"][0] for message in found]
    assert [(row["id"], row["price"], row["qty"], row["side"]) for row in rows] == expected
    assert {message["ts_event"] for message in found} == {at_ns}
    assert [message["seq"] for message in found] == [*range(1, len(expected) + 1)]
