"""The publisher feed over a real socket: programs that come, are lost, come again, or misbehave."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.serving import until

from gateway.address import unix_listener
from gateway.feeds import publisher as module
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.lines import CHANNELS_SAID
from gateway.feeds.options import InstrumentOptions, PublisherOptions
from gateway.feeds.publisher import PROGRAMS_MAX, REMEMBERED_MAX, PublisherFeed
from gateway.publish import Publisher, PublisherError

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats


class Site:
    """A feed that runs on a loop of its own."""

    def __init__(self, path: Path, ring: "FakePublisher", stats: "FakeStats") -> None:
        self.path = str(path)
        self.ring = ring
        options = PublisherOptions(unix=self.path, instruments=(InstrumentOptions(symbol="Z"),))
        counters = Counters("publisher:SIM", "publisher", "SIM", 3, stats)
        owners: dict[str, int] = {}
        topics = {name: Topics(name, "SIM", 3, ring, owners) for name in CHANNELS_SAID}
        listener = unix_listener(self.path, 0o660)
        self.feed = PublisherFeed("publisher:SIM", 3, options, ring, counters, topics, listener)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._task = self._loop.create_task(self.feed.run())
        self._loop.run_until_complete(asyncio.wait([self._task]))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def ids(self) -> list[str]:
        """Of trades."""
        topic = self.ring.topics.get(("trade", "A.SIM"))
        return [str(row[5]) for row in self.ring.rows if row[0] == topic]

    def state(self) -> str:
        return self.feed.statistics().state


@pytest.fixture
def site(publisher: "FakePublisher", stats: "FakeStats", tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "feed.sock", publisher, stats)
    yield site
    site.stop()


class Raw:
    """A program without a library."""

    def __init__(self, site: Site, name: str = "raw", stream: str = "a", next: int = 1) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(site.path)
        self.lines = self.sock.makefile("rb")
        if name:
            hello = {"channel": "hello", "publisher": name, "stream": stream, "next": next}
            self.say(json.dumps(hello).encode())

    def say(self, *lines: bytes) -> None:
        self.sock.sendall(b"".join(line + b"\n" for line in lines))

    def hear(self, good: Callable[[dict[str, Any]], bool] = lambda said: True) -> dict[str, Any]:
        while line := self.lines.readline():
            said: dict[str, Any] = json.loads(line)
            if good(said):
                return said
        raise AssertionError("it was closed")

    def taken(self, number: int) -> dict[str, Any]:
        return self.hear(lambda said: said.get("taken", -1) >= number)

    def close(self) -> None:
        self.lines.close()
        self.sock.close()


def trade(number: int, price: str = "100.10") -> bytes:
    said = {"channel": "trade", "symbol": "A", "price": price, "qty": "1", "id": str(number)}
    return json.dumps(said).encode()


def test_everything_is_published_in_order_and_acknowledged(site: Site) -> None:
    until(lambda: site.state() == "connecting")
    with Publisher(site.path, "desk") as publisher:
        for number in range(2000):
            publisher.trade("A", "100.10", "1", side="buy", id=str(number))
        publisher.bbo("A", "1", "2", None, None, ts=5)
        publisher.book("B", "snapshot", [("1.5", "2")], [("1.6", "3")], first=1, last=2)
        publisher.heartbeat(1000)
        publisher.flush()
        assert publisher.unacknowledged == publisher.refused == 0
        assert site.ids == [str(number) for number in range(2000)]
        assert site.ring.rows[-1] == (site.ring.topics["bbo", "A.SIM"], 5, "1", "2", None, None)
        assert len(site.ring.books) == 1
        assert site.ring.heartbeats == [(3, 1_000_000_000)]
        assert site.state() == "up"
    until(lambda: site.state() == "down")
    assert "the last one was desk" in site.feed.statistics().message


def test_what_the_configuration_says_of_instruments_is_told(site: Site) -> None:
    until(lambda: ("instrument", "Z.SIM") in site.ring.topics)


def test_lines_that_are_refused_are_said_to_be(site: Site) -> None:
    site.ring.refuse = lambda row: "no number" if "1e" in row else None
    raw = Raw(site)
    raw.say(trade(1), trade(2, price="1e"), b"no line of ours", b"", trade(3))
    said = raw.taken(5)
    assert (said["taken"], said["refused"]) == (5, 2)
    assert said["last_refused"]["why"]
    assert site.ids == ["1", "3"]
    assert site.feed.statistics().decode_errors == 2
    raw.close()


def test_a_program_that_comes_again_loses_nothing_and_doubles_nothing(site: Site) -> None:
    first = Raw(site)
    first.say(*(trade(n) for n in range(1, 11)))
    first.taken(10)
    first.close()
    again = Raw(site, next=6)  # it had no word of more than five
    again.say(*(trade(n) for n in range(6, 16)))
    assert again.taken(15)["taken"] == 15
    assert site.ids == [str(n) for n in range(1, 16)]
    assert site.feed.statistics().gaps == 0
    again.close()
    third = Raw(site, next=20)
    third.say(trade(20))
    third.taken(20)
    assert (site.feed.statistics().gaps, site.feed.statistics().lost) == (1, 4)
    third.close()


def test_another_run_of_a_program_counts_anew(site: Site) -> None:
    first = Raw(site, stream="a")
    first.say(trade(1), trade(2))
    first.taken(2)
    first.close()
    second = Raw(site, stream="b")
    second.say(trade(3))
    assert second.taken(1)["taken"] == 1
    assert site.ids == ["1", "2", "3"]
    assert site.feed.statistics().gaps == 0
    second.close()


def test_a_name_is_one_program_s(site: Site) -> None:
    first = Raw(site)
    first.taken(0)
    second = Raw(site)
    assert first.hear(lambda said: "error" in said)["error"] == "another program came as raw"
    second.say(trade(1))
    second.taken(1)
    first.close()
    assert site.state() == "up"
    second.close()


def test_a_program_that_is_none_is_told_why(site: Site) -> None:
    raw = Raw(site, name="")
    raw.say(b"GET / HTTP/1.1")
    assert "no hello" in raw.hear()["error"]
    assert raw.lines.readline() == b""
    raw.close()
    wrong = Publisher(site.path, "a b")
    wrong.heartbeat(1)
    with pytest.raises(PublisherError, match="publisher"):
        wrong.flush()
    with pytest.raises(PublisherError, match="publisher"):
        wrong.heartbeat(1)


def test_one_that_says_nothing_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELLO_TIMEOUT_S", 0.05)
    raw = Raw(site, name="")
    assert raw.hear()["error"] == "no hello within 0 s"
    raw.close()


def test_no_more_programs_than_may_be(site: Site) -> None:
    programs = [Raw(site, name=f"p{n}") for n in range(PROGRAMS_MAX)]
    for one in programs:
        one.taken(0)
    late = Raw(site, name="")
    assert f"{PROGRAMS_MAX} programs" in late.hear()["error"]
    programs[0].say(trade(1))
    programs[0].taken(1)
    for one in [late, *programs]:
        one.close()
    until(lambda: site.state() == "down")


def test_programs_without_end_are_forgotten_in_the_end(site: Site) -> None:
    here = Raw(site, name="here")
    here.taken(0)
    for number in range(REMEMBERED_MAX + 20):
        one = Raw(site, name=f"p{number}")
        one.taken(0)
        one.close()
    assert len(site.feed._taken) == REMEMBERED_MAX
    assert "here" in site.feed._taken
    here.close()


def test_a_flood_holds_up_nobody(site: Site) -> None:
    flood, other = Raw(site, name="flood"), Raw(site, name="other")
    other.taken(0)
    stop = threading.Event()

    def pour() -> None:
        with suppress(OSError):
            while not stop.is_set():
                flood.sock.sendall(b"\n" * 4096 + b"x\n" * 4096)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        for number in range(1, 21):
            other.say(trade(number))
            other.taken(number)
    finally:
        stop.set()
        flood.sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert site.ids == [str(number) for number in range(1, 21)]
    flood.close()
    other.close()


def test_one_that_reads_nothing_is_told_the_newest(site: Site) -> None:
    raw = Raw(site)
    for number in range(1, 3001):
        raw.say(trade(number))
        if number % 100 == 0:
            time.sleep(0.001)
    raw.say(b"")
    assert raw.taken(3001)["taken"] == 3001
    raw.close()


def test_a_gateway_that_comes_late_or_again(
    publisher: "FakePublisher", stats: "FakeStats", tmp_path: Path
) -> None:
    path = tmp_path / "feed.sock"
    program = Publisher(str(path), "desk", kept_bytes=1 << 20)
    program.trade("A", "1", "1", id="0")
    with pytest.raises(TimeoutError, match="1 lines"):
        program.flush(0.05)
    numbers = iter(range(1, 10_000))
    for _ in range(3):
        site = Site(path, publisher, stats)
        for _ in range(500):
            program.trade("A", "1", "1", id=str(next(numbers)))
        program.flush()
        for _ in range(50):  # what is on its way as the feed ends comes again
            program.trade("A", "1", "1", id=str(next(numbers)))
        site.stop()
    last = Site(path, publisher, stats)
    program.flush()
    seen = [int(one) for one in last.ids]
    assert sorted(set(seen)) == list(range(next(numbers)))
    assert program.reconnects >= 3
    program.close()
    last.stop()


def test_who_gives_more_than_is_kept_waits(tmp_path: Path) -> None:
    listener = unix_listener(str(tmp_path / "s"), 0o600)
    listener.setblocking(True)
    program = Publisher(str(tmp_path / "s"), "desk", kept_bytes=1000)
    for _ in range(10):
        program.line(b"x" * 99)
    taken = threading.Thread(target=program.line, args=(b"x",))
    taken.start()
    peer, _ = listener.accept()
    taken.join(0.2)
    assert taken.is_alive()
    peer.sendall(b'{"taken":5,"refused":0}\n')
    taken.join(10)
    assert not taken.is_alive()
    assert program.unacknowledged == 6
    with pytest.raises(ValueError, match="end inside"):
        program.line(b"a\nb")
    program.close()
    peer.close()
    listener.close()
