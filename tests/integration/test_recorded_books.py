"""Books, quotes and status of a whole gateway, recorded and played again: clients get the same."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from support.fleet import Client
from support.serving import settled, until
from support.stage import Stage
from support.udp import Venue

from gateway._native import Book
from gateway.recorder.books import ROUND_S
from gateway.recording import Reader

SECONDS = 3.0
NAMES = ("A", "B", "C")
DEPTHS = (0, 5)
PERIOD_S = 0.01


class Feed(NamedTuple):
    """What happens at the venue: books that move, one of which loses a message now and then."""

    venue: Venue

    def begin(self) -> None:
        for name in NAMES:
            self.venue.send(snapshot(name, 1))
            self.venue.send({"channel": "status", "symbol": name, "status": "trading"})
        quote: dict[str, Any] = {"channel": "bbo", "symbol": "C", "bid": "1.10", "bid_qty": "7"}
        self.venue.send(quote | {"ask": None, "ask_qty": None})

    def go_on(self, stop: threading.Event) -> None:
        draw, number = Random(1), 1
        while not stop.wait(PERIOD_S):
            number += 1
            for name in ("A", "B"):
                if name == "B" and number % 100 == 50:
                    continue  # a hole: it is in doubt from the next one on
                if name == "B" and number % 100 == 90:
                    self.venue.send(snapshot(name, number))
                    continue
                line: dict[str, Any] = {"channel": "book", "symbol": name, "type": "update"}
                line |= {"first": number, "last": number, "bids": [], "asks": []}
                for key, sign in (("bids", -1), ("asks", 1)):
                    price = f"{100 + sign * draw.randint(1, 20)}.50"
                    qty = "0" if draw.random() < 0.2 else f"{draw.randint(1, 9999)}.10"
                    line[key] = [[price, qty], [f"{100 + sign * 30}.50", f"{number}.25"]]
                self.venue.send(line)


def snapshot(name: str, number: int) -> dict[str, Any]:
    levels = {
        key: [[f"{100 + sign * n}.50", f"{n}.75"] for n in range(1, 21)]
        for key, sign in (("bids", -1), ("asks", 1))
    }
    line = {"channel": "book", "symbol": name, "type": "snapshot"}
    return line | {"first": number, "last": number} | levels


class Audience:
    """What clients make of their frames: by symbol and depth, then by number and doubt."""

    def __init__(self, client: Client) -> None:
        self.books: dict[tuple[str, int], Book] = {}
        self.seen: dict[tuple[str, int], dict[tuple[str, bool], tuple[Any, ...]]] = {}
        self.others: dict[tuple[str, str], list[Any]] = {}
        self._client = client

    def take(self, over: threading.Event) -> None:
        """Takes until it is over, and then all that has come."""
        for message in self._messages(over):
            if message.get("type") not in ("snapshot", "update"):
                continue
            if message["channel"] == "book":
                self._book(message)
            else:
                key = message["channel"], message["symbol"]
                self.others.setdefault(key, []).append(message["data"][0])

    def _messages(self, over: threading.Event) -> Iterator[dict[str, Any]]:
        while not over.is_set():
            self._client.socket.settimeout(0.2)
            with suppress(TimeoutError):
                self._client.read()
            yield from map(json.loads, self._client.take())

    def _book(self, message: dict[str, Any]) -> None:
        (data,) = message["data"]
        key = message["symbol"], data["depth"]
        book = self.books.setdefault(key, Book(depth=data["depth"]))
        change = book.replace if message["type"] == "snapshot" else book.apply
        sides = [[(price, qty) for price, qty in data[side]] for side in ("bids", "asks")]
        change(sides[0], sides[1], seq=message["seq"])
        assert data["checksum"] == book.checksum(data["depth"])
        if "last_id" in data:
            # A doubt bears the number that the book had before it, and may be merged with its end.
            self.seen.setdefault(key, {})[data["last_id"], "maybe_bad" in data] = (
                data["checksum"],
                book.levels("bid"),
                book.levels("ask"),
            )


def test_clients_get_the_same_books_again(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "books.tgrec"
    with Venue() as venue:
        first = serve_and_record(stage, venue, path)
    with path.open("rb") as file:
        reader = Reader(file)
        kinds = [chunk.kind for chunk in reader]
    assert reader.problem == ""
    assert kinds.index(b"LAST") < kinds.index(b"RING")
    assert kinds.index(b"BOOK") < kinds.index(b"RING")
    played = stage.serve(
        f"feeds.0.path={json.dumps(str(path))}",
        'feeds.0.type="replay"',
        'feeds.0.format="ring"',
        'feeds.0.venue="SIM"',
        "feeds.0.start_after_clients=2",
    )
    second = listen(stage)
    with taking(second):
        until(lambda: played.status()["feeds"][0]["state"] in ("done", "failed"))
        until(lambda: settled(played))
        time.sleep(1.0)  # what is written by now comes meanwhile
    (feed,) = played.status()["feeds"]
    assert (feed["state"], feed["decode_errors"]) == ("done", 0), feed["message"]
    compared = 0
    for depth, one, other in zip(DEPTHS, first, second, strict=True):
        for name in ("A.SIM", "B.SIM"):
            seen, again = one.seen[name, depth], other.seen[name, depth]
            both = seen.keys() & again.keys()
            # How many both had is the host's doing: what one merged, the other may not have.
            assert both
            doubts, came = ({int(last) for last, bad in some if bad} for some in (seen, again))
            end = max(int(last) for last, _ in again)
            within = {number for number in doubts if first_of(again) < number < end}
            assert came >= within or came & within, "each may be merged, all are not"
            assert bool(doubts) == (name == "B")
            compared += len(both)
            assert [seen[last] for last in both] == [again[last] for last in both]
        # The book that did not change is there as it was, and so is all else that is a state.
        assert [*other.seen["C.SIM", depth].values()] == [*one.seen["C.SIM", depth].values()]
        assert len(other.seen["C.SIM", depth]) == 1
    assert compared > 50
    assert second[0].others["bbo", "C.SIM"] == first[0].others["bbo", "C.SIM"]
    assert second[0].others["status", "C.SIM"] == first[0].others["status", "C.SIM"]


@contextmanager
def taking(audiences: list[Audience]) -> Iterator[None]:
    """Each takes on a thread of its own, until the context ends."""
    over = threading.Event()
    threads = [threading.Thread(target=one.take, args=(over,)) for one in audiences]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def first_of(seen: dict[tuple[str, bool], tuple[Any, ...]]) -> int:
    """The number of the state that a recording begins with, which may be in doubt by itself."""
    return min(int(last) for last, _ in seen)


def listen(stage: Stage) -> list[Audience]:
    """One client of each depth."""
    audiences = []
    for depth in DEPTHS:
        client = stage.connect()
        client.subscribe("book", "*", depth=depth)
        client.subscribe("bbo", "*")
        client.subscribe("status", "*")
        audiences.append(Audience(client))
    return audiences


def serve_and_record(stage: Stage, venue: Venue, path: Path) -> list[Audience]:
    gateway = stage.serve(*venue.sets)
    audiences, stop = listen(stage), threading.Event()
    feed = Feed(venue)
    feed.begin()
    thread = threading.Thread(target=feed.go_on, args=(stop,))
    thread.start()
    try:
        with taking(audiences):
            time.sleep(2 * ROUND_S + SECONDS)
            words = "record", "--output", str(path), "--seconds", str(SECONDS), "--ops", gateway.ops
            done = subprocess.run(
                [sys.executable, "-P", "-m", "gateway.cli", *words],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert gateway.status()["recorder"]["books_bytes"] > 0
    finally:
        stop.set()
        thread.join()
    return audiences
