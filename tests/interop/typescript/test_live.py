"""At a real gateway: in Node by two WebSockets, and the bundle in Chromium; its worker dies."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.fleet import position
from support.serving import Serving, kill_worker, settled, until
from support.site import site
from support.typescript import CLIENT, node
from support.udp import Venue
from support.visit import Visit

SYMBOLS = ("A", "B")
# Of trades, beside quotes and the objective. Two names are recovered by a time as a pattern is.
TRADES = {"names": ["A.SIM", "B.SIM"], "pattern": ["*.SIM"], "name and pattern": ["A.SIM", "B*"]}


def publish(served: Serving, venue: Venue, numbers: range) -> None:
    """A trade and a quote of each symbol and number; they are published when it returns."""
    before = served.metrics().total("published_total")
    for first in numbers[::10]:  # ten a datagram: the feed's socket must have room for all
        for symbol in SYMBOLS:
            some = range(first, min(first + 10, numbers.stop))
            venue.trades(symbol, *some)
            venue.quotes(symbol, *some)
    want = before + 2 * len(SYMBOLS) * len(numbers)
    until(lambda: served.metrics().total("published_total") == want)


def delivered(served: Serving, last: int) -> None:
    """Waits until this number of each topic is with the clients' kernels."""

    def so_far(channel: str, symbol: str) -> bool:
        return position(served.url, channel, f"{symbol}.SIM") == last

    until(lambda: all(so_far(c, s) for c in ("trade", "bbo") for s in SYMBOLS))
    until(lambda: settled(served))


def subscribed(served: Serving, trades: list[str]) -> bool:
    return served.metrics().total("subscriptions") == len(trades) + 2


@pytest.mark.parametrize(
    ("encoding", "socket", "trades"),
    [
        ("json", "platform", "names"),
        ("sbe", "ws", "names"),
        ("json", "ws", "pattern"),
        ("sbe", "platform", "pattern"),
        ("json", "platform", "name and pattern"),
    ],
)
def test_no_number_is_missing_without_a_gap(
    package: Path, served: Serving, venue: Venue, encoding: str, socket: str, trades: str
) -> None:
    strings = TRADES[trades]
    publish(served, venue, range(10))
    command, whose = node(socket)
    command += ["build/test/live.js", served.url, encoding, whose, *strings]
    with subprocess.Popen(
        command, cwd=package, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdin is not None
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            publish(served, venue, range(10, 300))
            delivered(served, 300)
            kill_worker(served)
            publish(served, venue, range(300, 350))
            until(lambda: subscribed(served, strings))
            publish(served, venue, range(350, 600))
            delivered(served, 600)
            program.stdin.close()
            seen: dict[str, Any] = json.loads(program.stdout.readline())
            assert program.wait(60) == 0
        finally:
            program.kill()
    check(seen, strings)


def check(seen: dict[str, Any], strings: list[str]) -> None:
    """Each of 600 numbers of a topic was delivered or merged into a later one; none is missing."""
    assert set(seen["topics"]) == {f"{c} {s}.SIM" for c in ("trade", "bbo") for s in SYMBOLS}
    for name, topic in seen["topics"].items():
        assert topic["last"] == 600, name
        assert topic["first"] == 10, name
        assert topic["ticks"] + topic["skipped"] == 591, (name, topic)
        assert topic["lost"] == 0, (name, topic)
    assert seen["gaps"] == []
    assert seen["kinds"]["replay_completed"] == len(strings)
    assert seen["kinds"]["hello"] == 2
    assert seen["kinds"]["disconnected"] >= 1
    assert seen["prices"] == ["100.10"]
    assert (seen["malformed"], seen["wanted"]) == (0, len(strings) + 2)
    assert 0 <= seen["age_ms"] < 60_000
    assert seen["clock"] < 1e9


def test_the_example_of_the_readme(package: Path, served: Serving, venue: Venue) -> None:
    text = (CLIENT / "README.md").read_text()
    example = text.split("```js\n")[1].split("```")[0]
    assert len(example.splitlines()) <= 22
    example = example.replace("ws://127.0.0.1:8765/v1", served.url)
    path = package / "example.mjs"
    path.write_text('import * as ws from "ws"; globalThis.WebSocket ??= ws.WebSocket;\n' + example)
    with (
        venue.ticking("SYM001", "SYM011"),
        subprocess.Popen(
            ["node", str(path)], cwd=package, stdout=subprocess.PIPE, text=True
        ) as program,
    ):
        try:
            assert program.stdout is not None
            lines = [program.stdout.readline() for _ in range(50)]
        finally:
            program.kill()
    assert any(line.startswith("SYM011.SIM buy") and "at 100.10" in line for line in lines), lines
    assert any(line.startswith("SYM001.SIM 100.1 100.2") for line in lines), lines


# --- in a browser ---------------------------------------------------------------------------------


PAGE = """
async ([url, encoding, trades]) => {
  const { Client } = await import("/tickgate.min.js");
  const client = new Client(url, { encoding });
  window.client = client;
  window.seen = { last: {}, holes: 0, gaps: [], kinds: {} };
  const { last, gaps, kinds } = window.seen;
  await client.connect();
  await client.subscribe("trade", trades);
  await client.subscribe("bbo", "*.SIM");
  await client.subscribe("slo", "*");
  (async () => {
    for await (const event of client) {
      kinds[event.kind] = (kinds[event.kind] ?? 0) + 1;
      if (event.kind === "gap") {
        gaps.push([event.symbol, event.reason]);
        last[`trade ${event.symbol}`] = event.to_seq;
      }
      if (event.kind !== "trade" && event.kind !== "bbo") continue;
      const name = `${event.channel} ${event.symbol}`;
      const before = last[name];
      const follows = event.seq === before + 1 + event.skipped || event.seq === before;
      if (before !== undefined && !follows) window.seen.holes++;
      last[name] = event.seq;
    }
    window.seen.ended = true;
  })();
}
"""


@pytest.mark.parametrize(("encoding", "trades"), [("json", "names"), ("sbe", "pattern")])
def test_the_bundle_in_chromium(
    package: Path, served: Serving, venue: Venue, visit: Visit, encoding: str, trades: str
) -> None:
    strings = TRADES[trades]
    publish(served, venue, range(10))
    with site(package / "dist") as page:
        visit.page.goto(page)
        visit.page.evaluate(PAGE, [served.url, encoding, strings])
        publish(served, venue, range(10, 200))
        visit.until("seen.last['bbo B.SIM'] === 200 && seen.last['trade B.SIM'] === 200")
        visit.check()
        kill_worker(served)
        publish(served, venue, range(200, 220))
        until(lambda: subscribed(served, strings))
        publish(served, venue, range(220, 300))
        visit.until("seen.last['bbo B.SIM'] === 300 && seen.last['trade A.SIM'] === 300")
        seen = visit.page.evaluate("client.close(), seen")
        visit.until("seen.ended")
    assert seen["holes"] == 0
    assert seen["gaps"] == []
    assert seen["kinds"]["replay_completed"] == len(strings)
    assert seen["kinds"]["hello"] == 2
    assert "malformed" not in seen["kinds"]
    wrong = [one for one in visit.wrong if "WebSocket connection" not in one]
    assert wrong == [], "but for the connections that the browser could not make"
