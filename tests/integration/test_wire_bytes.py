"""The bytes that clients get of each kind of reply, frame and notice, against those of a file.

A change of the gateway's insides may not change a byte on the wire. What differs from run to run
(stamps, names of connections and epochs) is masked digit by digit, so that its length counts.
`TICKGATE_WIRE_BYTES=write` writes the file anew, for a change of the protocol that is meant.
"""

import json
import os
import re
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import CLOSE, PING, PONG, TEXT, TIMEOUT_S, Wire, frame, request, text

KEPT = Path(__file__).with_name("wire_bytes.txt")
STAMPS = (
    rb'"(ts_event|ts_recv|ts_send|time_in|time_out|t1|t2|now|age_ms|reconnect_after_ms)":[0-9]+'
)
NAMES = rb'"(epoch|connection_id|version)":"[^"]+"'
TRADE = {"channel": "trade", "price": "64250.10", "qty": "0.015", "side": "buy"}
TRIES_MAX = 10
QUOTE = {"channel": "bbo", "bid": "1.10", "bid_qty": "2", "ask": "1.20", "ask_qty": "3"}


def masked(payload: bytes) -> str:
    """The payload with `0` for each digit of a stamp, `x` for each letter of a name made up."""

    def stamp(found: re.Match[bytes]) -> bytes:
        key, _, value = found[0].partition(b":")
        short = key.endswith(b'_ms"')
        return key + b":" + (b"0" if short else b"0" * len(value))

    def name(found: re.Match[bytes]) -> bytes:
        key, _, value = found[0].partition(b":")
        short = key == b'"version"'
        return key + b':"' + (b"x" if short else b"x" * (len(value) - 2)) + b'"'

    return re.sub(NAMES, name, re.sub(STAMPS, stamp, payload)).decode()


def shape(payload: bytes) -> str:
    """The payload with `?` for each value but what names the message."""

    def value(found: re.Match[bytes]) -> bytes:
        return found[0] if found[1] else b":?"

    values = rb'("(?:channel|type)":"[^"]*")|:("[^"]*"|[-0-9.]+|\[[0-9,]*\]|true|false|null)'
    return re.sub(values, value, payload).decode()


class Recording:
    """What came, line by line, under titles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []

    def frames(self, wire: Wire, count: int) -> None:
        """Keeps a client's next frames, but pings and heartbeats, which come when they want."""
        deadline = time.monotonic() + TIMEOUT_S
        while count:
            assert time.monotonic() < deadline, f"{count} frames more were to come"
            one = wire.frame()
            if one.opcode == PING:
                wire.send_anyway(frame(PONG, one.payload))
            if one.opcode == PING or b'"channel":"heartbeat"' in one.payload:
                continue
            assert one.fin
            count -= 1
            if one.opcode == TEXT:
                self.lines.append(masked(one.payload))
            else:
                assert one.opcode == CLOSE
                code, reason = int.from_bytes(one.payload[:2], "big"), one.payload[2:].decode()
                self.lines.append(f"close {code} {reason}")

    def first(self, wire: Wire, channel: str) -> None:
        """Keeps the shape of a channel's first message: no value of it stays the same."""
        while (payload := wire.frame().payload).find(b'"channel":"%s"' % channel.encode()) < 0:
            continue
        self.lines.append(shape(payload))

    def ask(self, wire: Wire, message: object, frames: int = 1) -> None:
        """Sends a request and keeps so many frames that answer it."""
        told = message if isinstance(message, str) else json.dumps(message)
        self.lines += ["", f"> {told[:120]}"]
        wire.send(text(message))
        self.frames(wire, frames)

    def subscribe(
        self, wire: Wire, channel: str, *symbols: str, frames: int = 1, **more: Any
    ) -> None:
        """As `ask`, a subscribe request."""
        params = {"channel": channel, "symbol": symbols, **more}
        self.ask(wire, {"method": "subscribe", "req_id": 7, "params": params}, frames)

    def scene(self, words: str) -> None:
        """What the lines that follow show."""
        self.lines += ["", f"# {words}"]

    def open(self, gateway: Serving) -> Wire:
        """A client; its hello is kept."""
        wire = Wire(gateway.url)
        wire.send(request())
        assert wire.response().status == 101
        self.lines += ["", "> the handshake"]
        self.frames(wire, 1)
        return wire


def requests(recording: Recording, stage: Stage, venue: Venue) -> None:
    recording.scene("requests")
    gateway = stage.serve(*venue.sets)
    with recording.open(gateway) as wire:
        ask, subscribe = partial(recording.ask, wire), partial(recording.subscribe, wire)
        subscribe("trade", "A.SIM", "A*", "NOPE.X", "~x", "", snapshot=False, mode="conflate")
        subscribe("bbo", "A.SIM", **{"class": 2})
        subscribe("bbo", "B.SIM", mode="lossless", **{"class": 2})
        subscribe("trade", "A.SIM", frames=1, **{"from": {"epoch": "0", "seq": 5}})
        subscribe("trade", "A.SIM", max_hz=5, mode="lossless")
        subscribe("bbo", "A.SIM", "A*", max_hz=5, max_age_ms=250)
        subscribe("nothing", "A.SIM")
        subscribe("health", "*")
        subscribe("slo", "A.SIM")
        for method in ("update", "unsubscribe"):
            ask({"method": method, "req_id": "é", "params": {"channel": "trade", "symbol": ["A*"]}})
            ask({"method": method, "params": {"channel": "trade", "symbol": ["A*", "Z.SIM"]}})
        ask({"method": "list", "req_id": 1})
        ask({"method": "stats", "req_id": 2})
        ask({"method": "ping", "req_id": 3, "params": {"t0": -5}})
        ask({"method": "auth", "req_id": 4, "params": {"token": "t"}})
        ask({"method": "fly", "req_id": 5})
    with recording.open(gateway) as wire:
        for message in ("", "[]", "{", '{"method":"ping","req_id":9,"req_id":9}', '{"req_id":1.5}'):
            recording.ask(wire, message)
        for _ in range(6):
            wire.send(text("{"))
        recording.frames(wire, 6)


def records(recording: Recording, stage: Stage, venue: Venue) -> None:
    recording.scene("records, and what is refused")
    gateway = stage.serve(*venue.sets)
    with recording.open(gateway) as wire, recording.open(gateway) as late:
        recording.subscribe(wire, "trade", "*")
        recording.subscribe(wire, "bbo", "*", mode="lossless")
        recording.subscribe(wire, "health", "*.SIM")
        inputs: list[tuple[dict[str, Any], int]] = [
            (TRADE | {"symbol": "A", "id": "1"}, 1),
            (TRADE | {"symbol": "A", "id": "2", "side": None}, 1),
            (TRADE | {"symbol": "A", "id": "9", "price": "-0.00", "qty": "1" * 38}, 1),
            (TRADE | {"symbol": "币安 人生\u00e9", "id": "/" * 80}, 1),
            (QUOTE | {"symbol": "A"}, 1),
            (QUOTE | {"symbol": "A", "bid": None, "bid_qty": None}, 1),
            (QUOTE | {"symbol": "A", "ask": None, "ask_qty": None}, 1),
            (QUOTE | {"symbol": "A", "ask_qty": "1e101"}, 2),
            (QUOTE | {"symbol": "A"}, 2),
            (TRADE | {"symbol": "A", "id": "1"}, 1),
        ]
        for record, frames in inputs:
            recording.lines += ["", f"< {json.dumps(record)[:120]}"]
            venue.send(record)
            recording.frames(wire, frames)
        recording.subscribe(late, "trade", "A.SIM", "币安 人生\u00e9.SIM", frames=3)
        recording.subscribe(late, "bbo", "*", frames=2)
        recording.subscribe(late, "health", "A.SIM", frames=2)
        recording.ask(late, {"method": "list", "params": {"channel": "trade"}})
        recording.ask(late, {"method": "stats"})
        recording.scene("a feed that begins anew")
        os.kill(gateway.pid("feed"), signal.SIGKILL)
        recording.frames(late, 1)
        until(lambda: gateway.metrics().total("feed_up") == 1)
        venue.send(TRADE | {"symbol": "A", "id": "5"})
        recording.frames(late, 1)
        recording.scene("the end")
        stage.__exit__(None, None, None)
        recording.frames(late, 2)


def limits(recording: Recording, stage: Stage, venue: Venue) -> None:
    recording.scene("limits")
    gateway = stage.serve(*venue.sets, "limits.topics_per_connection=1", "ring.topics_max=16")
    with recording.open(gateway) as wire:
        recording.subscribe(wire, "trade", "*")
        for symbol in "AB":
            venue.send(TRADE | {"symbol": symbol, "id": "1"})
            recording.frames(wire, 1)
    with recording.open(gateway) as wire:
        recording.subscribe(wire, "trade", "Z.SIM", "Y.SIM")
        for number in range(14):  # and there is no room for what it waits for
            venue.send(TRADE | {"symbol": f"C{number}", "id": "1"})
        recording.frames(wire, 1)


TRADED = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT",'
    '"t":NUMBER,"p":"0.10","q":"1","T":1723161255342,"m":true}}'
)
CAPTURE = "".join(
    f"172316125500000000{line} {TRADED.replace('NUMBER', str(number))}\n"
    for line, number in enumerate((100, 101, 105, 106))
)


def captured(recording: Recording, stage: Stage, _: Venue) -> None:
    recording.scene("a capture with a hole in the venue's own numbers")
    path = recording.folder / "capture.jsonl"
    path.write_text(CAPTURE)
    feed = {"type": "replay", "path": str(path), "venue": "BINANCE", "start_after_clients": 1}
    gateway = stage.serve(*(f"feeds.0.{key}={json.dumps(value)}" for key, value in feed.items()))
    with recording.open(gateway) as wire:
        recording.subscribe(wire, "trade", "BTCUSDT.BINANCE", frames=6)


def lapped(recording: Recording, stage: Stage, venue: Venue) -> bool:
    """Whether it came to that: a worker that is stopped for too long, on a busy host, is ended."""
    recording.scene("a worker that is lapped")
    gateway = stage.serve(*venue.sets, "ring.capacity_bytes=65536")
    worker = gateway.pid()
    try:
        lap(recording, gateway, venue)
    except (EOFError, OSError):
        if gateway.pid() == worker:
            raise
        return False
    return True


def lap(recording: Recording, gateway: Serving, venue: Venue) -> None:
    with recording.open(gateway) as wire:
        recording.subscribe(wire, "trade", "*")
        recording.subscribe(wire, "bbo", "*")
        venue.trades("A", 1)
        recording.frames(wire, 1)
        venue.quotes("A", 1)
        recording.frames(wire, 1)
        worker = gateway.pid()
        os.kill(worker, signal.SIGSTOP)
        try:
            until(lambda: "State:\tT" in Path(f"/proc/{worker}/status").read_text())
            for first in range(2, 2002, 200):
                venue.trades("A", *range(first, first + 200))
                venue.quotes("A", first)
            until(lambda: published(gateway) == 2 + 2000 + 10)
        finally:
            os.kill(worker, signal.SIGCONT)
        recording.frames(wire, 3)


def published(gateway: Serving) -> float:
    """Records that the feeds published."""
    return gateway.metrics().total("feed_records_total")


def reports(recording: Recording, stage: Stage, venue: Venue) -> None:
    recording.scene("reports, heartbeats and an end")
    gateway = stage.serve(*venue.sets)
    with recording.open(gateway) as wire:
        recording.first(wire, "heartbeat")
    for channel in ("slo", "health"):
        with recording.open(gateway) as wire:
            recording.subscribe(wire, channel, "*")
            recording.first(wire, channel)
    with recording.open(gateway) as wire:
        recording.subscribe(wire, "trade", "A.SIM", "B*", snapshot=False)
        for symbol in "AB":
            venue.send(TRADE | {"symbol": symbol, "id": "1"})
            recording.frames(wire, 1)
        for symbol in "AB":
            venue.send({"channel": "status", "symbol": symbol, "status": "delisted"})
            recording.frames(wire, 1)


def test_bytes_are_kept(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for scene in (requests, records, limits, captured, lapped, reports):
        for _ in range(TRIES_MAX):
            before = len(recording.lines)
            with Stage(tmp_path / scene.__name__) as stage, Venue() as venue:
                if scene(recording, stage, venue) is not False:
                    break
            del recording.lines[before:]
    text = "\n".join(recording.lines).lstrip() + "\n"
    if os.environ.get("TICKGATE_WIRE_BYTES") == "write":
        KEPT.write_text(text)
    assert text == KEPT.read_text()
