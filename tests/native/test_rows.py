"""Rows published and read back, what is refused of them, and what the writer measures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import is_whole, trade

from gateway import _native
from gateway._native import CHANNELS, RingReader, RingWriter, StatsPage

BAD_TS = 4


def test_rows_come_back_digit_for_digit(writer: RingWriter) -> None:
    btc, brk = writer.topic("trade", "BTCUSDT.BINANCE"), writer.topic("bbo", "BRK.B.XNAS")
    reader = RingReader(writer.fd)
    rows: list[_native.Row] = [
        (btc, 1_700_000_000_000_000_001, "64250.10", "0.0150", "buy", 'a"\\ b'),
        (brk, 0, "007.50", "-0.00", "1", "999999999999999999"),
        (btc, 5, "-1.5", "0", None, ""),
    ]
    mono = _native.monotonic_ns()
    assert writer.publish(rows, 1_700_000_000_000_000_777, mono, flags=_native.FLAG_PACED) == []
    records = reader.poll()
    assert records is not None
    first, second, third = records
    assert (first["channel"], first["instrument"]) == ("trade", "BTCUSDT.BINANCE")
    assert (first["price"], first["qty"], first["side"]) == ("64250.10", "0.0150", "buy")
    assert first["id"] == 'a"\\ b'
    assert first["ts_event"] == 1_700_000_000_000_000_001
    assert (second["bid"], second["bid_qty"], second["ask"], second["ask_qty"]) == rows[1][2:]
    assert second["ts_event"] == second["ts_recv"] == 1_700_000_000_000_000_777
    assert (third["price"], third["id"]) == ("-1.5", "")
    assert not third["side"]
    assert [row["seq"] for row in records] == [1, 1, 2]
    assert [row["index"] for row in records] == [0, 0, 1]
    assert {row["flags"] for row in records} == {_native.FLAG_PACED}
    assert first["ts_publish"] == mono + int(first["ingest_ns"])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((0, 1, "x", "1", "buy", ""), "decimal"),
        ((0, 1, "1", "1e", "buy", ""), "decimal"),
        ((0, 1, "1", "1" * 39, "buy", ""), "qty: more than 38 digits: '1111"),
        ((0, 1, "1", "1", "BUY", ""), "side"),
        ((0, 1, "1", "1", "buy", "x" * 81), "id: longer than 80"),
        ((0, 1, "1", "1", "buy", "é"), "ASCII"),
        ((0, 1, "1", "1", "buy", "a\nb"), "ASCII"),
        ((0, 1, "\udc80", "1", "buy", ""), "text"),
        ((0, 1, 5, "1", "buy", ""), "text"),
        ((0, 1, "1", "1", "buy", None), "text"),
        ((1, 1, "1", "1", None, "1"), "ask: no value, but its side's other one has: null"),
        ((1, 1, None, None, "1", 5), "ask_qty: not a text"),
        ((1, 1, "1", "1", "", "1"), "decimal"),
        ((2, 1, "1", "1", "buy", ""), "topic"),
        ((-1, 1, "1", "1", "buy", ""), "topic"),
        ((1 << 70, 1, "1", "1", "buy", ""), "topic"),
        (("0", 1, "1", "1", "buy", ""), "topic"),
        ((0, -1, "1", "1", "buy", ""), "time"),
        ((0, 1 << 63, "1", "1", "buy", ""), "time"),
        ((0, 1.5, "1", "1", "buy", ""), "time"),
        ((0, 1, "1", "1", "buy"), "not a tuple of 6"),
        ([0, 1, "1", "1", "buy", ""], "not a row"),
        (None, "not a row"),
    ],
)
def test_f44_a_bad_row_is_named_and_the_others_go_on(
    writer: RingWriter, row: _native.Row, why: str
) -> None:
    topic = writer.topic("trade", "A.X")
    writer.topic("bbo", "A.X")
    reader = RingReader(writer.fd)
    refused = writer.publish([trade(topic, 1), row, trade(topic, 2)], 9, _native.monotonic_ns())
    assert [index for index, _ in refused] == [1]
    assert why in refused[0][1]
    records = reader.poll()
    assert records is not None
    assert [record["seq"] for record in records] == [1, 2]


def test_batches_of_any_length_go_whole(writer: RingWriter) -> None:
    topic = writer.topic("trade", "A.X")
    reader = RingReader(writer.fd)
    for count in (0, 1, 63, 64, 65, 200):
        rows = [trade(topic, n) for n in range(1, count + 1)]
        assert writer.publish(rows, 1, _native.monotonic_ns()) == []
        records = reader.poll() or []
        assert [row["ts_event"] for row in records] == list(range(1, count + 1))
        assert all(map(is_whole, records))


def test_stages_and_counters_of_the_writer(page: StatsPage) -> None:
    writer = RingWriter(1 << 16, 4, stats=page)
    topic, quotes = writer.topic("trade", "A.X"), writer.topic("bbo", "A.X")
    now = _native.monotonic_ns()
    rows: list[_native.Row] = [(topic, 900, "1", "1", None, ""), (quotes, 0, "1", "1", "1", "1")]
    writer.publish(rows * 50, 1000, now - 5_000_000)
    assert page.get("published", CHANNELS["trade"]) == page.get("published", CHANNELS["bbo"]) == 50
    assert page.totals("wire") == (50, 5000, 0, 0)  # those that bear the venue's time
    count, sum_ns, _, negative = page.totals("ingest")
    assert (count, negative) == (100, 0)
    assert sum_ns >= 100 * 5_000_000
    writer.publish(rows, 1000, now, record_wire=False)
    assert page.totals("wire")[0] == 50
    writer.close()


def test_f45_a_venue_s_time_in_the_future_is_counted_and_marked(page: StatsPage) -> None:
    writer = RingWriter(1 << 16, 4, stats=page)
    reader = RingReader(writer.fd)
    topic = writer.topic("trade", "A.X")
    late, early = (topic, 900, "1", "1", None, ""), (topic, 1001, "1", "1", None, "")
    writer.publish([late, early], 1000, _native.monotonic_ns(), feed=3)
    records = reader.poll()
    assert records is not None
    assert [row["flags"] for row in records] == [0, BAD_TS]
    assert records[1]["ts_event"] == 1001  # as the venue sent it
    assert page.totals("wire") == (1, 100, 0, 1)
    assert page.get("clock_anomalies", 3) == 1
    with pytest.raises(ValueError, match="feeds"):
        writer.publish([], 1, 1, feed=64)
    writer.close()


def test_rows_bear_the_arrival_of_their_own_age(page: StatsPage) -> None:
    writer = RingWriter(1 << 16, 4, stats=page)
    reader = RingReader(writer.fd)
    topic = writer.topic("trade", "A.X")
    rows = [(topic, ts_event, "1", price, None, "") for ts_event, price in ((0, "1"), (5, "x"))]
    now = _native.monotonic_ns()
    ages = [10**9, 10**8, 500, 10**10]
    refused = writer.publish([*rows, *rows[:1] * 2], 10**12, now, ages=ages)
    assert refused == [(1, "qty: not a decimal: 'x'")]
    records = reader.poll()
    assert records is not None
    good = [10**9, 500, 10**10]
    assert [row["ts_recv"] for row in records] == [10**12 - age for age in good]
    assert [row["ts_event"] for row in records] == [10**12 - age for age in good]
    waited = [int(row["ingest_ns"]) for row in records]
    assert waited[0] >= 10**9
    assert waited[1] >= 500
    assert waited[2] == 2**32 - 1  # a record says no more ...
    assert page.totals("ingest")[1] >= 11 * 10**9  # ... the stage does
    with pytest.raises(ValueError, match="1 ages of 2 rows"):
        writer.publish(rows, 1, 1, ages=[0])
    writer.close()


def raw(kind: int, cells: int, length: int | None = None) -> bytes:
    header = bytearray(64)
    header[40] = kind
    header[42:44] = cells.to_bytes(2, "little")
    return bytes(header).ljust(cells * 64 if length is None else length, b"\0")


@given(st.binary(min_size=0, max_size=600), st.integers(0, 5))
def test_bytes_of_anybody_are_rows_or_none(data: bytes, cells: int) -> None:
    data = raw(1, cells)[:64] + data
    whole = 64 <= cells * 64 <= len(data)
    if not whole:
        with pytest.raises(ValueError, match="no whole record at byte 0"):
            _native.record_rows(data)
        assert _native.record_headers(data) == b""
        return
    rows, at = _native.record_rows(data)
    assert rows
    assert cells * 64 <= at <= len(data)
    assert len(_native.record_headers(data)) == 64 * len(rows)


def test_records_of_any_length_follow_each_other() -> None:
    """What this version does not know is passed over by its length, up to the longest."""
    health = raw(CHANNELS["health"], 2)
    data = b"".join((health, raw(99, 1024), health, raw(6, 3), raw(0, 2), health, raw(1, 900)))
    rows, at = _native.record_rows(data)
    ours = [n for n, row in enumerate(rows) if row is not None]
    assert (ours, len(rows)) == ([0, 2, 5], 7)
    assert at == len(data) == 64 * (2 + 1024 + 2 + 3 + 2 + 2 + 900)
    assert len(_native.record_headers(data)) == 7 * 64
    some, at = _native.record_rows(data, 128, 2)
    assert (some, at) == (rows[1:3], 64 * (2 + 1024 + 2))
    rest, end = _native.record_rows(data[:-1], at)
    assert (rest, end) == (rows[3:6], len(data) - 64 * 900)
    for broken in (-1, end, len(data) - 2):
        with pytest.raises(ValueError, match=r"at byte"):
            _native.record_rows(data[:-1], broken)
    assert _native.record_rows(b"") == ([], 0)


@given(st.binary(min_size=64, max_size=64), st.sampled_from((1, 2)))
def test_a_payload_of_anybody_is_a_row_that_publishing_checks(payload: bytes, kind: int) -> None:
    cells = 2 + (payload[6] & 1)  # with a tail where the payload says so
    data = raw(kind, cells)
    ((row,), _) = _native.record_rows(data[:64] + payload + data[128:])
    if row is None:
        assert kind == CHANNELS["trade"]
        return
    writer = RingWriter(4096, 16)
    writer.topic("trade", "A.SIM")
    writer.publish([row[3]], 1, 1)  # type: ignore[list-item]
    writer.close()
