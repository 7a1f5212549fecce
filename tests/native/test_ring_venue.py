"""A reader of one venue, and of books that do not say what changed."""

import time

from gateway import _native
from gateway._native import RingReader, RingWriter


def test_a_reader_of_one_venue_has_nothing_of_the_others() -> None:
    with_all = RingWriter(1 << 20, 64, candles=["candle_1s"], candles_max=4, book_levels_max=1024)
    reader = RingReader(with_all.fd, venue="B")
    for number, name in enumerate(("A.A", "A.B", "B.A.B", "A.B.A", "A.AB")):
        topic = with_all.topic("trade", name)
        row = (topic, 1, "1", "1", None, f"{number}")
        assert with_all.publish([row], time.time_ns(), time.monotonic_ns() - 1000) == []
        book = with_all.topic("book", name)
        with_all.book(book, True, [("1", "1")], [], time.time_ns(), time.monotonic_ns())
    data = reader.poll_raw()
    assert data
    topics = reader.topics()
    rows, _ = _native.record_rows(data)
    read = [(*topics[row[3][0]], row[2]) for row in rows if row is not None]
    assert read == [(one, name, 0) for name in ("A.B", "B.A.B") for one in ("trade", "book")]
    assert {name for _, name in topics} == {"A.B", "B.A.B"}
    books = [found for place in range(reader.books_max) if (found := reader.book_at(place))]
    assert [topics[reader.number_of(found[0])][1] for found in books] == ["A.B", "B.A.B"]
    later, _ = _native.record_rows(data, published=True)
    pairs = [(one[1], two[1]) for one, two in zip(rows, later, strict=True) if one and two]
    assert all(received <= published for received, published in pairs)
    assert pairs[0][1] - pairs[0][0] >= 1000


def test_a_reader_names_the_books_whose_records_do_not_say_what_changed() -> None:
    writer = RingWriter(1 << 20, 64, book_levels_max=1 << 14)
    reader = RingReader(writer.fd)
    for name, levels in (("A.B", 3), ("B.B", 2000)):
        bids = [(f"{n}", "1") for n in range(1, levels + 1)]
        now_ns = time.time_ns(), time.monotonic_ns()
        writer.book(writer.topic("book", name), True, bids, [], *now_ns)
    assert reader.untold() == []
    assert reader.poll_raw()
    (place,) = reader.untold()
    found = reader.book_at(place)
    assert found is not None
    assert found[3] == 2000
    assert reader.untold() == []
