"""Books in the lines of the udp feed: in their place, in doubt, mended, ended."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from support.udp_feed import make, trade

from gateway._native import RingWriter, Segment
from gateway.feeds.feed import Feed

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeSocket, FakeStats

RunUntil = Callable[[Feed, Callable[[], bool]], Awaitable[None]]


def book(kind: str, levels: str = '[["1.50","2"]]', **members: int) -> bytes:
    more = "".join(f',"{key}":{value}' for key, value in members.items())
    return f'{{"channel":"book","symbol":"A","type":"{kind}","bids":{levels}{more}}}'.encode()


async def test_books_go_in_their_place_between_records(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    lines = [trade("A"), book("update"), book("snapshot", '[[1.50,"2"]]', first=5, last=6, ts=7)]
    socket.put(b"\n".join([*lines, book("update", "[]", first=7, last=7), trade("A")]))
    await run_until(feed, lambda: len(publisher.batches) == 2)
    assert [batch["ages"] for batch in publisher.batches] == [[1000], [1000]]
    (one, snapshot, bids, asks, said), (_, other, *_) = publisher.books
    assert (one, snapshot, bids, asks) == (1, True, [("1.50", "2")], [])
    assert (said["ts_event"], said["first"], said["last"], said["feed"]) == (7, 5, 6, 3)
    assert other is False
    assert feed.statistics().records == 4
    assert feed._counters.skips == {"book update before its snapshot": 1}


async def test_a_hole_or_a_bad_level_puts_a_book_in_doubt(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    socket.put(
        book("snapshot", first=1, last=6),
        book("update", first=8, last=9),
        book("snapshot", first=1, last=10),
        book("update", '[["x","1"]]', first=11, last=11),
        book("snapshot", first=1, last=12),
        book("update", "[7]", first=13, last=13),
        book("update", first=14, last=14),
    )
    publisher.book_answer = lambda message: (
        "bid 0: no" if message[2] == [("x", "1")] else (1, True, True, False)
    )
    await run_until(feed, lambda: len(publisher.books) == 8)
    # The refused one was tried; of its doubt outlet and sequence both tell.
    assert [len(one) for one in publisher.books] == [5, 2, 5, 5, 2, 2, 5, 2]
    status = feed.statistics()
    assert (status.gaps, status.decode_errors) == (1, 2)
    assert status.last_refused is not None
    assert status.last_refused.channel == "book"
    assert publisher.suspects.keys() == {0}


async def test_lost_datagrams_put_books_without_numbers_in_doubt(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    socket.put(book("snapshot"), book("snapshot", last=4).replace(b'"A"', b'"B"'))
    await run_until(feed, lambda: len(publisher.books) == 2)
    socket.dropped = 1
    feed._count_losses(socket)
    assert [one[0] for one in publisher.books if len(one) == 2] == [0]


async def test_a_book_ends_with_its_instrument(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    socket.put(book("snapshot"), b'{"channel":"status","symbol":"A","status":"delisted"}')
    await run_until(feed, lambda: bool(publisher.books) and not publisher.topics)
    assert len(publisher.books) == 1


def of(symbol: str, line: bytes) -> bytes:
    return line.replace(b'"A"', f'"{symbol}"'.encode())


async def test_made_up_names_leave_room_for_books(
    publisher: "FakePublisher",
    stats: "FakeStats",
    socket: "FakeSocket",
    run_until: RunUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.feeds.books.BOOKS_MAX", 10)
    feed = make(publisher, stats, socket)
    socket.put(*[of(f"X{n}", book("update")) for n in range(50)], book("snapshot"))
    await run_until(feed, lambda: len(publisher.books) == 1)
    assert feed._counters.skips == {"book update before its snapshot": 50}
    assert feed.statistics().decode_errors == 0
    assert list(publisher.topics) == [("book", "A.SIM")]


async def test_books_that_have_ended_leave_room_for_others(
    publisher: "FakePublisher",
    stats: "FakeStats",
    socket: "FakeSocket",
    run_until: RunUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.feeds.books.BOOKS_MAX", 10)
    feed = make(publisher, stats, socket)
    end = b'\n{"channel":"status","symbol":"A","status":"delisted"}'
    socket.put(*[of(f"X{n}", book("snapshot", last=9) + end) for n in range(30)])
    # The name's next life has numbers of its own, and waits for nothing.
    socket.put(book("snapshot", last=9) + end, book("snapshot", last=1), book("update", last=2))
    await run_until(feed, lambda: len(publisher.books) == 33)
    assert feed.statistics().decode_errors == 0
    assert feed._counters.skips == {}
    assert len(feed._lines._outlet._books._books) == 1


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        ('[["1e20","1"]]', "limit"),  # at the book's two decimals
        (f'[["0.{"0" * 62}1","1"]]', "limit"),
        ('[["1","-0"]]', "value"),
        ('[["1","1e127"]]', "limit"),
        (f'[["1{"0" * 139}","1"]]', "limit"),
        ('[["NaN","1"]]', "number"),
        ('[["\\u0663","1"]]', "number"),
        ('[["1",null]]', "shape"),
        ("[[]]", "shape"),
    ],
)
async def test_a_bad_level_is_refused_by_name_and_the_next_snapshot_mends(
    stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil, levels: str, why: str
) -> None:
    writer = RingWriter(1 << 20, 16, book_levels_max=10_000)
    segment = Segment(writer.fd)
    feed = make(writer, stats, socket)
    socket.put(book("snapshot", '[["1.25","1"]]'), book("update", levels))
    socket.put(book("update", '[["3","1"]]'), book("snapshot", '[["2.50","7"]]'))
    await run_until(feed, lambda: (segment.book(0) or (0, [], []))[1] == [("2.50", "7")])
    assert feed.statistics().refused == {why: 1}
    assert feed.statistics().refused_symbols == {"A.SIM": 1}
    assert feed._counters.skips == {"book update before its snapshot": 1}
    segment.close()
    writer.close()


@pytest.mark.parametrize(
    "line",
    [
        book("update", "[" * 3000 + "]" * 3000),
        b'{"channel":"book","symbol":7,"type":"update"}',
        b'{"channel":"boo',
        b"\xff",
    ],
)
async def test_a_line_that_cannot_be_read_puts_books_without_numbers_in_doubt(
    publisher: "FakePublisher",
    stats: "FakeStats",
    socket: "FakeSocket",
    run_until: RunUntil,
    line: bytes,
) -> None:
    """It may have been an update of any of them; one that has numbers shows it by those."""
    feed = make(publisher, stats, socket)
    socket.put(book("snapshot"), of("B", book("snapshot", last=4)), line)
    socket.put(b'{"channel":"trade","symbol":"A","price":"x"}', book("update"), book("snapshot"))
    await run_until(feed, lambda: len(publisher.books) == 4)
    assert [len(one) for one in publisher.books] == [5, 5, 2, 5]
    assert publisher.books[2][0] == 0
    assert feed._counters.skips == {"book update before its snapshot": 1}


async def test_a_datagram_that_was_cut_puts_books_without_numbers_in_doubt(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    socket.put(book("snapshot"))
    await run_until(feed, lambda: len(publisher.books) == 1)
    socket.oversized = 1
    feed._count_losses(socket)
    assert [len(one) for one in publisher.books] == [5, 2]


async def test_one_price_of_very_many_digits_is_not_the_end_of_a_book(
    stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    writer = RingWriter(1 << 20, 16, book_levels_max=10_000)
    segment = Segment(writer.fd)
    feed = make(writer, stats, socket)
    socket.put(book("snapshot", f'[["0.{"0" * 62}1","1"]]'), book("update", '[["99.5","1"]]'))
    socket.put(book("snapshot", '[["99.5","2"],["99.50","3"],["98","4"],["98","0"]]'))
    await run_until(feed, lambda: (segment.book(0) or (0, [], []))[1] == [("99.50", "3")])
    assert feed.statistics().refused == {"limit": 1}
    segment.close()
    writer.close()
