"""Feeds over the real ring, the real statistics page and a real socket."""

import asyncio
import gzip
import json
import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway._native import STATS_SIZE, RingReader, RingWriter, StatsPage, UdpSocket, create_memory
from gateway.address import datagrams
from gateway.feeds.build import build
from gateway.feeds.feed import Counters, Feed
from gateway.feeds.lines import Lines
from gateway.feeds.options import FeedOptions, ReplayOptions, SyntheticOptions, UdpOptions
from gateway.feeds.udp import UdpFeed

Record = dict[str, int | str]
STOP_S = 20.0
"""Every wait of a feed is interrupted, or bounded by less."""


@pytest.fixture
def writer(page: StatsPage) -> Iterator[RingWriter]:
    writer = RingWriter(1 << 25, 1024, stats=page)
    yield writer
    writer.close()


async def read(reader: RingReader, count: int, feeds: list[Feed]) -> list[Record]:
    """Runs the feeds until so many records of markets are in the ring (or 60 s), then stops them.

    What they say of instruments comes on top.
    """
    tasks = [asyncio.create_task(feed.run()) for feed in feeds]
    found: list[Record] = []
    deadline_s = time.monotonic() + 60
    while count > 0 and time.monotonic() < deadline_s:
        await asyncio.sleep(0.005)
        while batch := reader.poll():
            found.extend(batch)
            count -= sum(record["channel"] != "instrument" for record in batch)
    for task in tasks:
        task.cancel()
    async with asyncio.timeout(STOP_S):
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def test_f45_udp_to_the_ring(writer: RingWriter, page: StatsPage) -> None:
    reader = RingReader(writer.fd, from_start=True)
    (feed,) = build([UdpOptions(port=0)], writer, page)
    port = int(feed.name.removeprefix("udp:"))
    future = time.time_ns() + 3600 * 10**9
    lines = [
        f'{{"channel":"trade","symbol":"SYM001","price":"64250.10","qty":"0.015","side":"buy",'
        f'"id":"{k}","ts":{future if k == 50 else 0}}}'
        for k in range(100)
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for k, line in enumerate(lines):
            bad = "\n" + lines[0].replace("64250.10", "1e") if k % 10 == 0 else ""
            sender.sendto((line + bad).encode(), ("127.0.0.1", port))
    found = await read(reader, 120, [feed])
    health = [record["state"] for record in found if record["channel"] == "health"]
    assert health == ["suspect", "ok"] * 10, "one run each"
    found = [record for record in found if record["channel"] == "trade"]
    assert [record["id"] for record in found] == [str(k) for k in range(100)]
    assert {record["price"] for record in found} == {"64250.10"}
    status = feed.statistics()
    assert (status.records, status.decode_errors, status.lost) == (100, 10, 0)
    assert page.get("feed_records") == 100
    assert page.get("feed_decode_errors") == 10
    # A time in the future is counted on its own, and passed on as it came.
    assert page.get("clock_anomalies") == 1
    assert found[50]["ts_event"] == future
    reader.close()


def a_line(rng: random.Random) -> bytes:
    """A line as venues send it, in one of its many forms, or one that nobody should."""
    symbol = rng.choice(["A", "B", "C", "SYM001", "BRK.B", "a b", "", "*", "Z" * 49, "\u00e9"])
    decimal = rng.choice(
        ["1", "64250.10", "-0.0", "007.5", "1e5", "1e", "", "12345678901234567890", "9" * 39]
    )
    ts = rng.choice([0, 5, time.time_ns(), time.time_ns() + 10**12, 2**63 - 1, 2**63, -1, 1.5])
    fields: dict[str, object] = {"channel": "trade", "symbol": symbol, "price": "1.5", "qty": "2"}
    if rng.random() < 0.4:
        fields = {"channel": "bbo", "symbol": symbol}
        fields |= {"bid": "1", "bid_qty": "2", "ask": "1.01", "ask_qty": "-3"}
    else:
        fields |= {"id": rng.choice(["7", "x" * 40, "x" * 80, "x" * 81, "\t", "~"])}
        fields |= {"side": rng.choice(["buy", "sell", None, "", "BUY"])}
    fields["ts"] = ts
    # Most lines stay good: one member is damaged, left out, doubled, or added, if any.
    name = rng.choice(list(fields))
    kind = rng.randrange(12)
    if kind == 0:
        fields[name] = rng.choice([decimal, None, 7, 0.25, 1.9e-07, {}])
    elif kind == 1:
        del fields[name]
    elif kind == 2:
        fields["new"] = rng.choice([decimal, 1, [1, {"a": "}"}]])
    if rng.random() < 0.6:
        fields |= {"symbol": rng.choice("ABC"), "ts": rng.choice([0, 5, time.time_ns()])}
        fields |= {key: value for key, value in (("id", "9"), ("side", "buy")) if key in fields}
    items = list(fields.items())
    rng.shuffle(items)
    if kind == 3:
        items.append((name, fields.get(name)))
    comma, colon = rng.choice([(",", ":"), (", ", ": "), ("\t,\r", " :")])
    form = rng.random() < 0.5
    parts = [f'"{key}"{colon}{json.dumps(value, ensure_ascii=form)}' for key, value in items]
    line = "{" + comma.join(parts) + "}" + rng.choice(["", "\r", " "])
    return (line[: rng.randrange(len(line))] if kind == 4 else line).encode()


async def send_lines(rng: random.Random, ports: tuple[int, ...]) -> None:
    """The same datagrams to each port: single ones on a quiet line, and batches of them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for round_number in range(300):
            for _ in range(rng.randrange(1, 20)):
                lines = [a_line(rng) for _ in range(rng.choice([1, 1, 1, 2, 5]))]
                datagram = rng.choice([b"\n", b"\n\n", b"\n \r\n"]).join(lines)
                for port in ports:
                    sender.sendto(datagram, ("127.0.0.1", port))
            await asyncio.sleep(rng.choice([0, 0.002]) if round_number % 10 else 0.02)
    await asyncio.sleep(0.2)


async def until(holds: Callable[[], bool]) -> None:
    """Waits for it, at most a minute."""
    deadline_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.001)


def without_clocks(record: Record) -> Record:
    """What does not depend on when it was received."""
    given = record["ts_event"] != record["ts_recv"]
    clocks = {"ts_recv", "ts_publish", "ingest_ns", "ts_event"}
    rest = {key: value for key, value in record.items() if key not in clocks}
    return rest | {"ts_event": record["ts_event"] if given else 0}


class NoIntake:
    """Leaves every line to Python."""

    def learn(self, channel: str, symbol: str, topic: int) -> None: ...

    def forget(self, channel: str, symbol: str) -> None: ...


async def test_f44_an_intake_publishes_what_python_would(
    writer: RingWriter, page: StatsPage
) -> None:
    """The same datagrams to a feed with an intake and to one without: the same records in the same
    order, the same counts."""
    pages = page, StatsPage(create_memory("stats", STATS_SIZE), writable=True)
    writers = writer, RingWriter(1 << 25, 1024, stats=pages[1])
    (feed,) = build([UdpOptions(port=0)], writer, page)
    plain = UdpSocket(datagrams("127.0.0.1", 0))
    counters = Counters("plain", "udp", "SIM", 0, pages[1])
    feeds = (
        feed,
        UdpFeed(
            *("plain", 0, UdpOptions(), writers[1], counters, {}),
            *(NoIntake(), plain, lambda: plain),
        ),
    )
    readers = [RingReader(one.fd) for one in writers]
    tasks = [asyncio.create_task(one.run()) for one in feeds]
    await send_lines(random.Random(7), (int(feed.name.removeprefix("udp:")), plain.port))

    def counts() -> list[tuple[int, int]]:
        return [(one.statistics().records, one.statistics().decode_errors) for one in feeds]

    await until(lambda: len(set(counts())) == 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    (records, decode_errors), _ = counts()
    found = [
        [without_clocks(record) for record in reader.poll(1 << 16) or []] for reader in readers
    ]
    assert found[0] == found[1]
    health = sum(record["channel"] == "health" for record in found[0])
    assert len(found[0]) - health == records > 3000
    assert health > 300
    assert decode_errors > 500
    for name in ("published", "feed_records", "feed_decode_errors", "feed_lost", "clock_anomalies"):
        assert pages[0].read()[name] == pages[1].read()[name], name
    assert pages[0].totals("wire")[0] == pages[1].totals("wire")[0]
    assert pages[0].totals("ingest")[0] == pages[1].totals("ingest")[0] == records
    for reader in readers:
        reader.close()
    writers[1].close()
    pages[1].close()


async def test_usual_lines_need_no_python(
    writer: RingWriter, page: StatsPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    publish = Lines.publish

    def observed(
        self: Lines, datagrams: list[bytes], ages: list[int], ts_read: int, mono_read: int
    ) -> None:
        asked.append(len(datagrams))
        publish(self, datagrams, ages, ts_read, mono_read)

    monkeypatch.setattr(Lines, "publish", observed)
    reader = RingReader(writer.fd)
    (feed,) = build([UdpOptions(port=0)], writer, page)
    port = int(feed.name.removeprefix("udp:"))
    task = asyncio.create_task(feed.run())
    found: list[Record] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for k in range(200):
            line = f'{{"channel":"trade","symbol":"A","price":"1","qty":"2","id":"{k}"}}'
            sender.sendto(line.encode(), ("127.0.0.1", port))
            await until(lambda k=k: feed.statistics().records > k)  # type: ignore[misc]
            found += reader.poll() or []
            assert len(found) == feed.statistics().records == k + 1
    assert feed.statistics().last_record_ns == found[-1]["ts_recv"]
    assert [record["id"] for record in found] == [str(k) for k in range(200)]
    assert asked == [1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    reader.close()


@pytest.mark.usefixtures("stamping")
async def test_f45_what_waits_in_the_socket_is_ours(writer: RingWriter, page: StatsPage) -> None:
    """Datagrams that came before the feed had its turn: stamped when they came, the wait counted,
    whichever way their lines go. What is sent while it runs has no such wait."""
    wait_ns = 50_000_000
    reader = RingReader(writer.fd, from_start=True)
    (feed,) = build([UdpOptions(port=0)], writer, page)
    address = "127.0.0.1", int(feed.name.removeprefix("udp:"))
    usual = b'{"channel":"trade","symbol":"A","price":"1","qty":"2","id":"%d","ts":%d}'
    unusual = usual.replace(b'"A"', rb'"\u0041"')
    sent_ns = time.time_ns()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for k, line in enumerate([usual, usual, unusual, usual]):
            sender.sendto(line % (k, sent_ns), address)
        came_ns = time.time_ns()
        await asyncio.sleep(wait_ns / 1e9)
        task = asyncio.create_task(feed.run())
        await until(lambda: feed.statistics().records == 4)
        later_ns = time.time_ns()
        sender.sendto(usual % (4, sent_ns), address)
        await until(lambda: feed.statistics().records == 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    found = reader.poll()
    assert found is not None
    assert [record["id"] for record in found] == ["0", "1", "2", "3", "4"]
    stamps = [int(record["ts_recv"]) for record in found]
    assert sent_ns <= stamps[0] <= stamps[1] <= stamps[2] <= stamps[3] <= came_ns
    assert all(int(record["ingest_ns"]) >= wait_ns for record in found[:4])
    assert stamps[4] >= later_ns
    assert int(found[4]["ts_publish"]) - int(found[4]["ingest_ns"]) > int(found[3]["ts_publish"])
    assert page.totals("wire")[:2] == (5, sum(stamp - sent_ns for stamp in stamps))
    assert page.totals("ingest")[1] >= 4 * wait_ns
    assert page.get("stamp_anomalies") == 0
    reader.close()


async def test_feeds_of_all_types_share_one_ring(
    writer: RingWriter, page: StatsPage, tmp_path: Path
) -> None:
    path = tmp_path / "capture.jsonl.gz"
    path.write_bytes(
        gzip.compress(
            "".join(
                f'{k} {{"stream":"x@trade","data":{{"s":"BTCUSDT","t":{k},"p":"1.{k:03d}","q":"1",'
                f'"T":1,"m":true}}}}\n'
                for k in range(1000)
            ).encode()
        )
    )
    reader = RingReader(writer.fd, from_start=True)
    options: list[FeedOptions] = [
        ReplayOptions(path=str(path), speed=0),
        ReplayOptions(path=str(path), speed=0, venue="OTHER"),
        SyntheticOptions(rate=5000, symbols=5),
        UdpOptions(port=0, venue="UDP"),
    ]
    found = await read(reader, 3000, build(options, writer, page))
    for venue in ("BINANCE", "OTHER"):
        of_venue = [record for record in found if record["instrument"] == f"BTCUSDT.{venue}"]
        records = [record for record in of_venue if record["channel"] == "trade"]
        assert [record["price"] for record in records] == [f"1.{k:03d}" for k in range(1000)]
        assert [record["seq"] for record in records] == list(range(1, 1001))
    assert sum(str(record["instrument"]).endswith(".SIM") for record in found) >= 1000
    assert sum(page.read()["feed_records"]) == sum(page.read()["published"])
    reader.close()


@pytest.mark.parametrize("name", ["spot_btcusdt_20240808", "usdm_btcusdt_20240808"])
async def test_a_capture_keeps_its_digits_through_the_ring(
    name: str, capture: Callable[[str], Path], writer: RingWriter, page: StatsPage
) -> None:
    path = capture(f"binance/{name}.jsonl.gz")
    text = gzip.decompress(path.read_bytes()).decode()
    trades = re.findall(r'"t":(\d+),"p":"([^"]+)","q":"([^"]+)"', text)
    quotes = re.findall(r'"b":"([^"]+)","B":"([^"]+)","a":"([^"]+)","A":"([^"]+)"', text)
    reader = RingReader(writer.fd, from_start=True)
    (feed,) = build([ReplayOptions(path=str(path), speed=0)], writer, page)
    found = await read(reader, len(trades) + len(quotes), [feed])
    got = [(r["id"], r["price"], r["qty"]) for r in found if r["channel"] == "trade"]
    assert got == trades
    fields = ("bid", "bid_qty", "ask", "ask_qty")
    assert [tuple(r[f] for f in fields) for r in found if r["channel"] == "bbo"] == quotes
    assert feed.statistics().decode_errors == 0
    assert page.totals("wire") == (0, 0, 0, 0)
    reader.close()
