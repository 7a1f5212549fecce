"""Doubles for everything around a feed: where records go, where counts go, where datagrams come
from."""

import asyncio
import queue
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from gateway.feeds.feed import Feed

if TYPE_CHECKING:
    from gateway._native import Row
    from gateway.feeds.venues.message import Fields, Top


class FakePublisher:
    """Records every publish; the answers about the plane's progress are set by the test."""

    def __init__(self) -> None:
        self.topics: dict[tuple[str, str], int] = {}
        self.topics_max = 65536
        self._next = 0
        self.topic_calls = 0
        self.rows: list[Row] = []
        self.batches: list[dict[str, object]] = []
        self.gaps: list[tuple[Row, str, int]] = []
        self.books_max = 16
        self.books: list[tuple[Any, ...]] = []  # messages, and doubts, which are shorter
        self.book_answer: Callable[[tuple[Any, ...]], tuple[int, bool, bool, bool] | str] = (
            lambda message: (1, True, True, False)
        )
        self.derived: list[tuple[int, int]] = []
        self.tops: dict[int, Top] = {}
        self.heartbeats: list[tuple[int, int]] = []
        self.suspects: dict[int, str] = {}
        self.suspects_max = 65536
        self.events: list[int | tuple[int, str]] = []  # topics published, topics made suspect
        self.refuse: Callable[[Row], str | None] = lambda row: None
        self.block_s: list[float] = []
        self.behind_bytes = 0
        self.backlogged_clients = 0
        self.subscribed_clients = 0

    def topic(self, channel: str, instrument: str, *, feed: int = 0) -> int:
        self.topic_calls += 1
        symbol = instrument.rpartition(".")[0]
        if not symbol or len(symbol) > 48 or not set(symbol).isdisjoint('* "\\,'):
            raise ValueError(f"not an instrument: {instrument!r}")
        key = (channel, instrument)
        if key not in self.topics and len(self.topics) >= self.topics_max:
            raise OverflowError("topics_max")
        if key not in self.topics:
            self.topics[key] = self._next
            self._next += 1
        return self.topics[key]

    def publish(
        self,
        rows: "Sequence[Row]",
        ts_recv: int,
        mono_recv: int,
        *,
        ages: Sequence[int] | None = None,
        flags: int = 0,
        feed: int = 0,
        record_wire: bool = True,
        until_refused: bool = False,
        gap: str = "",
        lost: int = 0,
    ) -> list[tuple[int, str]]:
        if self.block_s:
            time.sleep(self.block_s.pop(0))
        refused = [(i, why) for i, row in enumerate(rows) if (why := self.refuse(row)) is not None]
        if until_refused and refused:
            rows = rows[: refused[0][0] + 1]
            refused = refused[:1]
        bad = {i for i, _ in refused}
        if gap and 0 not in bad:
            self.gaps.append((rows[0], gap, lost))
        self.rows.extend(row for i, row in enumerate(rows) if i not in bad)
        self.events.extend(row[0] for i, row in enumerate(rows) if i not in bad)
        self.batches.append(
            {
                "rows": len(rows),
                "ts_recv": ts_recv,
                "mono_recv": mono_recv,
                "ages": ages,
                "flags": flags,
                "feed": feed,
                "record_wire": record_wire,
            }
        )
        return refused

    def refusal(self, channel: str, fields: "Fields") -> str:
        return self.refuse((-1, *fields)) or ""

    def suspect(self, topic: int, reason: str, ts_recv: int, mono_recv: int) -> bool:
        if len(self.suspects) >= self.suspects_max:
            raise OverflowError("no topic of health left")
        new = topic not in self.suspects
        self.suspects[topic] = reason
        self.events.append((topic, reason))
        return new

    def book(
        self,
        topic: int,
        snapshot: bool,
        bids: Sequence[tuple[str, ...]],
        asks: Sequence[tuple[str, ...]],
        ts_recv: int,
        mono_recv: int,
        **more: object,
    ) -> tuple[int, bool, bool, bool]:
        self.books.append((topic, snapshot, list(bids), list(asks), more))
        answer = self.book_answer(self.books[-1])
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer

    def book_doubt(self, topic: int, ts_recv: int, mono_recv: int, **more: object) -> bool:
        self.books.append((topic, more))
        return True

    def book_derive(self, topic: int, bbo: int) -> None:
        self.derived.append((topic, bbo))

    def book_top(self, topic: int) -> "Top | None":
        return self.tops.get(topic)

    def differs(self, topic: int, differs: bool) -> None:
        self.events.append((topic, f"differs {differs}"))

    def heartbeat(self, feed: int, interval_ns: int) -> None:
        self.heartbeats.append((feed, interval_ns))

    def retire(self, channel: str, instrument: str) -> bool:
        topic = self.topics.pop((channel, instrument), None)
        if topic is not None:
            self.events.append((topic, "retired"))
        return topic is not None

    def behind(self) -> int:
        return self.behind_bytes

    def backlogged(self) -> int:
        return self.backlogged_clients

    def subscribed(self) -> int:
        return self.subscribed_clients

    def of(self, channel: str, instrument: str) -> "list[Row]":
        topic = self.topics[channel, instrument]
        return [row for row in self.rows if row[0] == topic]


class FakeStats:
    """A statistics page as a dictionary."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, int], int] = {}

    def add(self, name: str, index: int = 0, n: int = 1) -> None:
        self.values[name, index] = self.values.get((name, index), 0) + n

    def set(self, name: str, index: int = 0, value: int = 0) -> None:
        self.values[name, index] = value

    def get(self, name: str, index: int = 0) -> int:
        return self.values.get((name, index), 0)


class FakeSocket:
    """A datagram socket fed by the test: a batch of datagrams, or an exception to raise.

    The first datagram of a batch waited 1,000 ns, each later one 1 ns less.
    """

    port = 9700

    def __init__(self) -> None:
        self.dropped = 0
        self.oversized = 0
        self.batched = self.stamped = True
        self.stamp_anomalies = 0
        self.closed = False
        self._queue: queue.SimpleQueue[list[bytes] | OSError] = queue.SimpleQueue()

    def put(self, *datagrams: bytes) -> None:
        self._queue.put(list(datagrams))

    def fail(self, error: OSError) -> None:
        self._queue.put(error)

    def receive(self, timeout_ms: int) -> tuple[list[bytes], list[int], int, int]:
        try:
            item = self._queue.get(timeout=timeout_ms / 1000)
        except queue.Empty:
            return [], [], 0, 0
        if isinstance(item, OSError):
            raise item
        if not item:
            return [], [], 0, 0
        ages = [1000 - k for k in range(len(item))]
        return item, ages, time.time_ns(), time.monotonic_ns()

    def wake(self) -> None:
        self._queue.put([])

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
def stats() -> FakeStats:
    return FakeStats()


@pytest.fixture
def new_socket() -> Callable[[], FakeSocket]:
    return FakeSocket


@pytest.fixture
def socket() -> FakeSocket:
    return FakeSocket()


@pytest.fixture
def run_until() -> Callable[[Feed, Callable[[], bool]], Awaitable[None]]:
    """Runs a feed until a condition holds (or it ends by itself), then cancels it and waits."""

    async def run(feed: Feed, holds: Callable[[], bool]) -> None:
        task = asyncio.create_task(feed.run())
        deadline_s = time.monotonic() + 10
        while not holds() and not task.done():
            assert time.monotonic() < deadline_s, feed.statistics()
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return run
