"""The programs of others' codecs and a client of JSON at one gateway: both get the same."""

import json
import subprocess
from typing import Any

import pytest
from support.serving import Serving, until
from support.udp import Venue
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

ROUNDS = 300
SYMBOLS = ("A", "BRK.B", "币 安")
NUMBERS = ("0", "-0.00", "-0.015", "64250.10", "9" * 38, "0." + "0" * 126 + "7", "1e20")


def publish(venue: Venue) -> int:
    """Sends records of all sorts; how many. One that can't be read is among them."""
    count = 0
    for number in range(ROUNDS):
        for symbol in SYMBOLS:
            venue.trades(symbol, number)
            venue.quotes(symbol, number)
            count += 2
    head = {"symbol": SYMBOLS[0], "side": None, "id": '"\\~'}
    for text in NUMBERS:
        venue.send({"channel": "trade", "price": text, "qty": text} | head)
        venue.send({"channel": "bbo", "symbol": SYMBOLS[1], "bid": text, "bid_qty": "1"})
        count += 2
    venue.send({"channel": "bbo", "symbol": SYMBOLS[0]})
    venue.send({"channel": "trade", "symbol": SYMBOLS[0], "price": "x"})
    venue.trades(SYMBOLS[2], ROUNDS)
    return count + 2


def subscribe(client: ClientConnection) -> None:
    for channel in ("trade", "bbo"):
        params = {"channel": channel, "symbol": ["*"], "mode": "lossless"}
        client.send(json.dumps({"method": "subscribe", "params": params}))


def is_data(message: dict[str, Any]) -> bool:
    """Whether binary clients get it as a frame of their own, and all get the same."""
    if message.get("channel") in ("trade", "bbo"):
        return True
    return message.get("channel") == "system" and message["type"] != "hello"


def same(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what belongs to one delivery or one encoding."""
    found = [{"skipped": 0} | {k: v for k, v in one.items() if k != "ts_send"} for one in messages]
    return [one for one in found if is_data(one)]


@pytest.mark.parametrize("language", ["java", "cpp"])
def test_a_live_stream(
    served: Serving, venue: Venue, language: str, request: pytest.FixtureRequest
) -> None:
    command: list[str] = request.getfixturevalue(language)
    records = ROUNDS * 2 * len(SYMBOLS) + 2 * len(NUMBERS) + 2
    with (
        connect(served.url, subprotocols=[Subprotocol("tickgate.v1.json")]) as client,
        subprocess.Popen(
            [*command, served.url, str(records)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as program,
    ):
        try:
            subscribe(client)
            until(lambda: served.metrics().total("subscriptions") == 4)
            assert publish(venue) == records
            out, problem = program.communicate(timeout=60)
        finally:
            program.kill()
        assert program.returncode == 0, problem.decode()[-3000:]
        told: list[dict[str, Any]] = []
        while sum(one.get("channel") in ("trade", "bbo") for one in told) < records:
            told.append(json.loads(client.recv(timeout=90)))
    theirs = same([json.loads(line) for line in out.decode().splitlines()])
    assert len(theirs) == len(same(told)) == records + 1
    assert theirs == same(told)
