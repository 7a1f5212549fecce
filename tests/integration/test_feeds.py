"""Feeds over the real ring, the real statistics page and a real socket."""

import asyncio
import gzip
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway._native import STATS_SIZE, RingReader, RingWriter, StatsPage, create_memory
from gateway.feeds.build import build
from gateway.feeds.feed import Feed
from gateway.feeds.options import FeedOptions, ReplayOptions, SyntheticOptions, UdpOptions

Record = dict[str, int | str]


@pytest.fixture
def page() -> Iterator[StatsPage]:
    page = StatsPage(create_memory("stats", STATS_SIZE), writable=True)
    yield page
    page.close()


@pytest.fixture
def writer(page: StatsPage) -> Iterator[RingWriter]:
    writer = RingWriter(1 << 25, 1024, stats=page)
    yield writer
    writer.close()


async def read(reader: RingReader, count: int, feeds: list[Feed]) -> list[Record]:
    """Runs the feeds until so many records are in the ring (or 20 s), then stops them."""
    tasks = [asyncio.create_task(feed.run()) for feed in feeds]
    found: list[Record] = []
    deadline_s = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline_s:
        await asyncio.sleep(0.005)
        while batch := reader.poll():
            found.extend(batch)
    before_s = time.monotonic()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert time.monotonic() - before_s < 0.5
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
            bad = "\n" + lines[0].replace("64250.10", "1e5") if k % 10 == 0 else ""
            sender.sendto((line + bad).encode(), ("127.0.0.1", port))
    found = await read(reader, 100, [feed])
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
        records = [record for record in found if record["instrument"] == f"BTCUSDT.{venue}"]
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
