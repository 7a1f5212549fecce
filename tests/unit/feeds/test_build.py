"""From options to feeds: names, conflicts that only files show, ports."""

import asyncio
import gzip
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway._native import RingWriter, StatsPage
from gateway.errors import ConfigurationError, ResourceError
from gateway.feeds.build import build, check
from gateway.feeds.options import FeedOptions, ReplayOptions, SyntheticOptions, UdpOptions


@pytest.fixture
def writer(page: StatsPage) -> Iterator[RingWriter]:
    writer = RingWriter(1 << 16, 64, stats=page)
    yield writer
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "capture.jsonl.gz"
    body = '{"stream":"x@trade","data":{"s":"BTCUSDT","t":%d,"p":"1","q":"1","T":1,"m":true}}'
    file.write_bytes(gzip.compress(f"{10**18} {body % 1}\n{10**18 + 10**12} {body % 2}\n".encode()))
    return str(file)


async def test_names_are_unique_and_indices_in_order(
    path: str, writer: RingWriter, page: StatsPage
) -> None:
    options: list[FeedOptions] = [
        SyntheticOptions(symbols=2, venue="A"),
        ReplayOptions(path=path),
        ReplayOptions(path=path, venue="BINANCE_USDM"),
        UdpOptions(port=0, venue="B"),
    ]
    feeds = build(options, writer, page)
    names = [feed.name for feed in feeds]
    assert names[:3] == ["synthetic:A", "replay:BINANCE", "replay:BINANCE_USDM"]
    assert names[3].startswith("udp:")
    assert names[3] != "udp:0"
    assert [feed.index for feed in feeds] == [0, 1, 2, 3]
    assert [feed.instruments() for feed in feeds] == [["SYM000.A", "SYM001.A"], None, None, None]
    assert {feed.statistics().state for feed in feeds} == {"connecting"}
    tasks = [asyncio.create_task(feed.run()) for feed in feeds]
    await asyncio.sleep(0.1)
    assert {feed.statistics().state for feed in feeds} == {"up"}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_f61_two_feeds_of_one_venue(path: str) -> None:
    feeds: list[FeedOptions] = [ReplayOptions(path=path), UdpOptions(venue="BINANCE")]
    ((key, message),) = check([*feeds, UdpOptions(venue="B", port=9701)])
    assert key == "feeds.1.venue"
    assert message.startswith('found "BINANCE", which feeds.0 publishes too')


def test_f61_all_problems_at_once(tmp_path: Path, writer: RingWriter, page: StatsPage) -> None:
    absent = str(tmp_path / "absent.jsonl.gz")
    feeds: list[FeedOptions] = [
        ReplayOptions(path=absent),
        SyntheticOptions(),
        SyntheticOptions(burst_every_s=1, burst_s=2),
    ]
    with pytest.raises(ConfigurationError) as refusal:
        build(feeds, writer, page)
    text = str(refusal.value)
    assert f"feeds.0.path: {absent}: No such file" in text
    assert "feeds.2.burst_s: " in text
    assert text.count("feeds.2.venue: ") == 1


def test_f61_a_busy_port(writer: RingWriter, page: StatsPage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=rf"^feeds.0: udp 127.0.0.1:{port}: "):
            build([UdpOptions(port=port)], writer, page)
        with pytest.raises(ResourceError, match=r"^feeds.1: "):
            build([UdpOptions(port=0, venue="A"), UdpOptions(port=port)], writer, page)
