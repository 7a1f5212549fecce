"""The replay feed: captures made here, and the real ones where they are."""

import asyncio
import gzip
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.replaying import replay

from gateway._native import FLAG_PACED
from gateway.feeds.capture import symbols
from gateway.feeds.feed import Feed
from gateway.feeds.options import ReplayOptions
from gateway.feeds.replay import BEHIND_BYTES_MAX
from gateway.feeds.teller import BATCH_ROWS_MAX
from gateway.feeds.venues.table import VENUES

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

RunUntil = Callable[[Feed, Callable[[], bool]], Awaitable[None]]
T0 = 1723161254_000_000_000


def trade(number: int, at_ns: int = T0, symbol: str = "BTCUSDT") -> str:
    return (
        f'{at_ns} {{"stream":"x@trade","data":{{"e":"trade","E":9,"s":"{symbol}","t":{number},'
        f'"p":"{number}.10","q":"0.0{number}","T":8,"m":true}}}}'
    )


def ticker(update: int, at_ns: int = T0) -> str:
    return (
        f'{at_ns} {{"stream":"x@bookTicker","data":{{"u":{update},"s":"BTCUSDT","b":"1.0","B":"2",'
        f'"a":"1.10","A":"{update}"}}}}'
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Sequence[str]], str]:
    def write(text: Sequence[str]) -> str:
        path = tmp_path / "capture.jsonl.gz"
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in text).encode()))
        return str(path)

    return write


async def test_rows_counts_and_state(
    write: Callable[[Sequence[str]], str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    depth = f'{T0} {{"stream":"x@depth","data":{{"b":[]}}}}'
    path = write([depth, trade(7), ticker(3), f'{T0} {{"lastUpdateId":1}}', trade(8)])
    feed = replay(ReplayOptions(path=path, speed=0), publisher, stats)
    await feed.run()
    assert publisher.of("trade", "BTCUSDT.BINANCE") == [
        (0, 8_000_000, "7.10", "0.07", "sell", "7"),
        (0, 8_000_000, "8.10", "0.08", "sell", "8"),
    ]
    assert publisher.of("bbo", "BTCUSDT.BINANCE") == [(1, 0, "1.0", "2", "1.10", "3")]
    (batch,) = publisher.batches
    assert (batch["flags"], batch["feed"], batch["record_wire"]) == (FLAG_PACED, 1, False)
    status = feed.statistics()
    assert (status.state, status.records, status.skipped) == ("done", 3, 2)
    assert (status.decode_errors, status.gaps, status.duplicates) == (0, 0, 0)
    assert stats.values["feed_records", 1] == 3
    assert stats.values["feed_up", 1] == 0


async def test_f44_bad_lines_are_counted_and_skipped(
    write: Callable[[Sequence[str]], str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    bad = [
        "-",
        "x",
        "12",
        f"{T0} {{",
        f"-{trade(9)}",
        trade(9)[:-2],
        trade(9, symbol="a b"),
        "9" * 30,
    ]
    text = [trade(1), *bad, "", trade(2)]
    feed = replay(ReplayOptions(path=write(text), speed=0), publisher, stats)
    await feed.run()
    assert [row[5] for row in publisher.rows] == ["1", "2"]
    status = feed.statistics()
    assert (status.state, status.decode_errors) == ("done", len(bad))
    assert status.skipped == 1  # the blank line


async def test_f44_rows_that_the_ring_refuses_are_counted(
    write: Callable[[Sequence[str]], str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    publisher.refuse = lambda row: "digits" if row[5] == "2" else None
    feed = replay(
        ReplayOptions(path=write([trade(k) for k in (1, 2, 3)]), speed=0), publisher, stats
    )
    await feed.run()
    status = feed.statistics()
    assert (status.records, status.decode_errors) == (2, 1)
    assert status.message == (
        "played 2 trade; refused 1 value; the last: BTCUSDT.BINANCE trade: digits"
    )


async def test_names_of_messages_that_are_refused_are_not_made_known(
    write: Callable[[Sequence[str]], str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    publisher.refuse = lambda row: "price: not a decimal" if row[2] == "5.10" else None
    made_up = [trade(5, symbol=f"M{k}") for k in range(50)]
    feed = replay(ReplayOptions(path=write([*made_up, trade(1)]), speed=0), publisher, stats)
    await feed.run()
    assert {name for _, name in publisher.topics} == {"BTCUSDT.BINANCE"}
    assert not publisher.suspects
    assert feed.statistics().refused == {"number": 50}


async def test_f42_holes_duplicates_and_late_records(
    write: Callable[[Sequence[str]], str],
    publisher: "FakePublisher",
    stats: "FakeStats",
    caplog: pytest.LogCaptureFixture,
) -> None:
    numbers = [1, 2, 2, 5, 3, 6, 100, 101]
    text = [*(trade(n) for n in numbers), *(ticker(n) for n in (10, 500, 500, 20, 501))]
    feed = replay(ReplayOptions(path=write(text), speed=0), publisher, stats)
    await feed.run()
    trades = publisher.of("trade", "BTCUSDT.BINANCE")
    assert [row[5] for row in trades] == ["1", "2", "5", "3", "6", "100", "101"]
    assert [row[5] for row in publisher.of("bbo", "BTCUSDT.BINANCE")] == ["10", "500", "501"]
    status = feed.statistics()
    assert (status.gaps, status.lost, status.duplicates, status.late) == (2, 2 + 93, 2, 2)
    assert [(row[5], *told) for row, *told in publisher.gaps] == [
        ("5", "feed", 2),
        ("100", "feed", 93),
    ]
    assert (stats.values["feed_gaps", 1], stats.values["feed_lost", 1]) == (2, 95)
    assert stats.values["feed_duplicates", 1] == stats.values["feed_late", 1] == 2
    assert status.message == (
        "played 7 trade, 3 bbo; skipped 2 duplicate, 1 late; of the venue's numbers 2 late, 95 lost"
    )
    (hole,) = (vars(one)["fields"] for one in caplog.records if one.message == "feed.gap")
    assert (hole["symbol"], hole["number"], hole["newest"]) == ("BTCUSDT.BINANCE", 5, 2)


async def test_the_original_pace_scaled(
    write: Callable[[Sequence[str]], str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    text = [trade(k, T0 + k * 100_000_000) for k in range(5)]
    feed = replay(ReplayOptions(path=write(text), speed=4.0), publisher, stats)
    publisher.behind_bytes = 10**9  # A live pace never waits for the plane.
    await asyncio.wait_for(feed.run(), 5)
    stamps = [int(str(batch["mono_recv"])) for batch in publisher.batches]
    assert [batch["flags"] for batch in publisher.batches] == [0] * 5
    steps_ms = [(b - a) / 1e6 for a, b in itertools.pairwise(stamps)]
    assert 90 < sum(steps_ms) < 1000, steps_ms


async def test_full_speed_waits_for_the_plane_and_for_lossless_queues(
    write: Callable[[Sequence[str]], str],
    publisher: "FakePublisher",
    stats: "FakeStats",
) -> None:
    path = write([trade(k) for k in range(3 * BATCH_ROWS_MAX)])
    feed = replay(ReplayOptions(path=path, speed=0), publisher, stats)
    publisher.behind_bytes = BEHIND_BYTES_MAX + 1
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.1)
    assert len(publisher.rows) == BATCH_ROWS_MAX
    publisher.backlogged_clients = 1
    publisher.behind_bytes = BEHIND_BYTES_MAX
    await asyncio.sleep(0.1)
    assert len(publisher.rows) <= 2 * BATCH_ROWS_MAX
    publisher.backlogged_clients = 0
    await asyncio.wait_for(task, 5)
    assert len(publisher.of("trade", "BTCUSDT.BINANCE")) == 3 * BATCH_ROWS_MAX


async def test_topics_are_known_before_the_hold_ends(
    write: Callable[[Sequence[str]], str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    path = write([trade(1)])
    feed = replay(ReplayOptions(path=path, speed=0, start_after_clients=2), publisher, stats)
    publisher.subscribed_clients = 1
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.1)
    assert not publisher.rows
    assert set(publisher.topics) == {("trade", "BTCUSDT.BINANCE"), ("bbo", "BTCUSDT.BINANCE")}
    status = feed.statistics()
    assert (status.state, status.message) == ("up", "waits for 2 subscribed connections")
    publisher.subscribed_clients = 2
    await asyncio.wait_for(task, 5)
    assert len(publisher.rows) == 1


async def test_loop_begins_again_without_gaps_until_stopped(
    write: Callable[[Sequence[str]], str],
    publisher: "FakePublisher",
    stats: "FakeStats",
    run_until: RunUntil,
) -> None:
    feed = replay(
        ReplayOptions(path=write([trade(5), trade(6)]), speed=0, loop=True), publisher, stats
    )
    await run_until(feed, lambda: len(publisher.rows) >= 10)
    assert [row[5] for row in publisher.rows[:4]] == ["5", "6", "5", "6"]
    status = feed.statistics()
    assert (status.state, status.gaps, status.duplicates) == ("up", 0, 0)


async def test_a_loop_over_nothing_ends(
    write: Callable[[Sequence[str]], str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    path = write(["nothing"])
    feed = replay(ReplayOptions(path=path, speed=0, loop=True), publisher, stats)
    await asyncio.wait_for(feed.run(), 5)
    assert feed.statistics().state == "failed"
    assert path in feed.statistics().message


def cut_short(path: str) -> str:
    file = Path(path)
    file.write_bytes(file.read_bytes()[:-2000])
    return path


async def test_f44_a_capture_cut_short_is_played_as_far_as_it_goes_and_told(
    write: Callable[[Sequence[str]], str],
    publisher: "FakePublisher",
    stats: "FakeStats",
    run_until: RunUntil,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = cut_short(write([trade(k) for k in range(5000)]))
    feed = replay(ReplayOptions(path=path, speed=0, loop=True), publisher, stats)
    await run_until(feed, lambda: len(publisher.rows) > 10_000)
    assert 1000 < len({row[5] for row in publisher.rows}) < 5000
    (told,) = [one for one in caplog.records if one.message == "replay.cut"]
    fields = vars(told)["fields"]
    assert (fields["path"], fields["feed"]) == (path, "replay:BINANCE")
    assert 1000 < fields["lines"] < 5000
    feed = replay(ReplayOptions(path=path, speed=0), publisher, stats)
    await feed.run()
    status = feed.statistics()
    assert status.state == "done"
    assert status.message.endswith(f"; {path} was cut short")


@pytest.mark.parametrize("hold", [0, 1])
async def test_a_stop_is_prompt(
    write: Callable[[Sequence[str]], str],
    publisher: "FakePublisher",
    stats: "FakeStats",
    hold: int,
) -> None:
    path = write([trade(1), trade(2, T0 + 3600 * 10**9)])
    feed = replay(ReplayOptions(path=path, start_after_clients=hold), publisher, stats)
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.1)
    before_s = time.monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert time.monotonic() - before_s < 20
    assert len(publisher.rows) == 1 - hold


async def test_a_capture_that_is_gone_by_the_start(
    tmp_path: Path, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    path = str(tmp_path / "gone.jsonl.gz")
    feed = replay(ReplayOptions(path=path), publisher, stats)
    await feed.run()
    status = feed.statistics()
    assert status.state == "failed"
    assert status.message == f"{path}: No such file or directory; played nothing"


CAPTURES = [
    ("binance/spot_btcusdt_20240808.jsonl.gz", 9757, 28040, 3450, 2, ("0.01", "0.00001", 2, 5)),
    ("binance/usdm_btcusdt_20240808.jsonl.gz", 21313, 66089, 6548, 4, ("0.1", "0.001", 1, 3)),
]


@pytest.mark.parametrize(("name", "trades", "quotes", "books", "old", "steps"), CAPTURES)
async def test_real_captures_digit_for_digit(
    name: str,
    trades: int,
    quotes: int,
    books: int,
    old: int,
    steps: tuple[str, str, int, int],
    capture: Callable[[str], Path],
    publisher: "FakePublisher",
    stats: "FakeStats",
) -> None:
    path = capture(name)
    feed = replay(ReplayOptions(path=str(path), speed=0), publisher, stats)
    await feed.run()
    status = feed.statistics()
    shown: list[Any] = [*publisher.of("instrument", "BTCUSDT.BINANCE")]
    assert shown[-1][2:8] == (*steps, "BTC", "USDT"), "as the venue's own reference data has it"
    assert len(shown) <= 3
    records = trades + quotes + books + len(shown)
    assert (status.state, status.records, status.skipped) == ("done", records, old)
    assert len(publisher.books) == books
    assert (status.decode_errors, status.gaps, status.duplicates) == (0, 0, 0)
    # The oracle is another reader altogether: a search in the text.
    text = gzip.decompress(path.read_bytes()).decode()
    found = re.findall(r'"t":(\d+),"p":"([^"]+)","q":"([^"]+)"(?=.*?"m":(true|false))', text)
    expected = [(p, q, "sell" if maker == "true" else "buy", t) for t, p, q, maker in found]
    rows = publisher.of("trade", "BTCUSDT.BINANCE")
    assert [row[2:] for row in rows] == expected
    assert len(rows) == trades
    found = re.findall(r'"b":"([^"]+)","B":"([^"]+)","a":"([^"]+)","A":"([^"]+)"', text)
    rows = publisher.of("bbo", "BTCUSDT.BINANCE")
    assert [row[2:] for row in rows] == found
    assert len(rows) == quotes
    assert symbols([str(path)], VENUES["binance"]) == ["BTCUSDT"]
