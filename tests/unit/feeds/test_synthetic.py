"""The synthetic feed: the market's sequence, the schedule's arithmetic, and the two joined."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest

from gateway.feeds.feed import Counters, Feed
from gateway.feeds.options import SyntheticOptions
from gateway.feeds.synthetic import CHUNK, Market, Schedule, SyntheticFeed

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

RunUntil = Callable[[Feed, Callable[[], bool]], Awaitable[None]]


def make(
    options: SyntheticOptions, publisher: "FakePublisher", stats: "FakeStats"
) -> SyntheticFeed:
    counters = Counters("synthetic:SIM", "synthetic", options.venue, 0, stats)
    return SyntheticFeed("synthetic:SIM", 0, options, publisher, counters)


def test_the_seed_is_the_sequence() -> None:
    one = list(islice(Market(SyntheticOptions(seed=5)).records(), 3 * CHUNK))
    assert one == list(islice(Market(SyntheticOptions(seed=5)).records(), 3 * CHUNK))
    assert one != list(islice(Market(SyntheticOptions(seed=6)).records(), 3 * CHUNK))
    assert one == list(islice(Market(SyntheticOptions(seed=5, rate=7)).records(), 3 * CHUNK))


def test_trades_hit_the_quote_before_them_and_are_numbered() -> None:
    quotes: dict[int, tuple[str, ...]] = {}
    numbers: Counter[int] = Counter()
    for is_trade, symbol, fields in islice(Market(SyntheticOptions()).records(), 50_000):
        if not is_trade:
            bid, _, ask, _ = quotes[symbol] = fields
            assert 0 < float(bid) < float(ask)
        else:
            numbers[symbol] += 1
            price, _, side, number = fields
            assert number == str(numbers[symbol])
            if symbol in quotes:
                assert price == quotes[symbol][2 if side == "buy" else 0]
    assert len(quotes) == 100


def test_prices_walk_on_their_grid_and_stay_in_range() -> None:
    records = islice(Market(SyntheticOptions(symbols=4, seed=2)).records(), 200_000)
    bids: dict[int, list[str]] = {}
    for is_trade, symbol, fields in records:
        if not is_trade:
            bids.setdefault(symbol, []).append(fields[0])
    for symbol, texts in bids.items():
        decimals = 4 if symbol == 3 else 2
        assert {len(text.partition(".")[2]) for text in texts} == {decimals}
        prices = [float(text) for text in texts]
        steps = [abs(b - a) * 10**decimals for a, b in pairwise(prices)]
        assert 0.1 < sum(steps) / len(steps) < 3
        assert max(steps) < 60
        assert len(set(texts)) > 50
        assert max(prices) <= 2.001 * 2 * min(prices)


def test_activity_falls_off_as_zipf_says() -> None:
    counts = Counter(
        s for _, s, _ in islice(Market(SyntheticOptions(symbols=50)).records(), 50_000)
    )
    assert len(counts) == 50
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.3)


@pytest.mark.parametrize(
    ("channels", "share"), [(("trade", "bbo"), 0.4), (("trade",), 1.0), (("bbo",), 0.0)]
)
def test_channels(channels: tuple[str, ...], share: float) -> None:
    options = SyntheticOptions(channels=channels, symbols=2)  # type: ignore[arg-type]
    records = list(islice(Market(options).records(), 10_000))
    trades = sum(is_trade for is_trade, _, _ in records)
    assert trades / len(records) == pytest.approx(share, abs=0.03)
    assert len({fields[0] for _, symbol, fields in records if symbol == 0}) > 10


@pytest.mark.parametrize("rate", [0.5, 3, 50, 999, 1000, 1001, 10_000, 123_456.7, 1_000_000])
def test_the_schedule_keeps_its_rate(rate: float) -> None:
    schedule = Schedule(SyntheticOptions(rate=rate))
    for slots in (1, 2, 3, 10, 1000, 86_400_000):
        assert schedule.due(slots) == pytest.approx(slots * schedule.slot_ns * 1e-9 * rate, abs=1.1)
    if rate <= 1000:
        counts = [schedule.due(k + 1) - schedule.due(k) for k in range(10_000)]
        assert set(counts) <= {0, 1, 2}
        assert counts.count(1) >= 9_990


def test_bursts_come_at_the_end_of_each_period() -> None:
    options = SyntheticOptions(rate=10_000, burst_every_s=10, burst_s=2, burst_factor=5)
    schedule = Schedule(options)

    def between(start_s: int, end_s: int) -> int:
        return schedule.due(end_s * 1000) - schedule.due(start_s * 1000)

    assert [between(s, s + 1) for s in range(12)] == [10_000] * 8 + [50_000] * 2 + [10_000] * 2
    assert between(0, 1000) == 100 * (8 * 10_000 + 2 * 50_000)


async def test_records_are_published_on_time(
    publisher: "FakePublisher", stats: "FakeStats", run_until: RunUntil
) -> None:
    feed = make(SyntheticOptions(rate=2000, symbols=20), publisher, stats)
    started_ns = time.time_ns()
    await run_until(feed, lambda: len(publisher.rows) >= 600)
    elapsed_s = (time.time_ns() - started_ns) * 1e-9
    assert 0.25 < elapsed_s < 20
    assert len(publisher.topics) == 40
    names = feed.instruments()
    assert names[19] == "SYM019.SIM"
    assert {name for _, name in publisher.topics} == set(names)
    times = [row[1] for row in publisher.rows]
    assert all(b - a > -5_000_000 for a, b in pairwise(times))
    at = 0
    for batch in publisher.batches:
        rows = publisher.rows[at : (at := at + int(str(batch["rows"])))]
        assert all(row[1] <= int(str(batch["ts_recv"])) for row in rows)
    ids = {topic: key for key, topic in publisher.topics.items()}
    made = list(islice(Market(SyntheticOptions(symbols=20)).records(), len(publisher.rows)))
    assert [(ids[row[0]][0] == "trade", row[2:]) for row in publisher.rows] == [
        (is_trade, fields) for is_trade, _, fields in made
    ]
    status = feed.statistics()
    assert (status.state, status.records) == ("up", len(publisher.rows))


async def test_a_late_wake_up_does_not_stretch_the_schedule(
    publisher: "FakePublisher", stats: "FakeStats", run_until: RunUntil
) -> None:
    feed = make(SyntheticOptions(rate=1000), publisher, stats)
    publisher.block_s = [0.0, 0.0, 0.3]
    await run_until(feed, lambda: len(publisher.rows) >= 500)
    times = [row[1] for row in publisher.rows]
    gaps_ns = [b - a for a, b in pairwise(times)]
    assert max(gaps_ns) < 50_000_000
    assert max(int(str(batch["rows"])) for batch in publisher.batches) > 200
    assert feed.statistics().gaps == 0


async def test_what_is_much_too_late_is_left_out_and_counted(
    publisher: "FakePublisher",
    stats: "FakeStats",
    run_until: RunUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.feeds.synthetic.LATE_NS_MAX", 50_000_000)
    feed = make(SyntheticOptions(rate=1000), publisher, stats)
    publisher.block_s = [0.0, 0.2]
    await run_until(feed, lambda: len(publisher.rows) >= 20)
    status = feed.statistics()
    assert status.gaps == 1
    assert status.lost >= 190
