"""What a replay tells of a venue's numbers, where the row that would tell it is refused."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.feeds.feed import Counters
from gateway.feeds.options import ReplayOptions
from gateway.feeds.replay import ReplayFeed

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

NS = 1_723_161_255_000_000_000


@pytest.mark.parametrize(
    ("numbers", "refused", "told"),
    [
        ([1, 5, 6], {5}, [(6, "feed", 3)]),
        ([1, 5, 6, 7], {5, 6}, [(7, "feed", 3)]),
        ([1, 5, 9], {5}, [(9, "feed", 6)]),
        ([100, 1, 2], {1}, [(2, "reset", 0)]),
        ([100, 1, 5], {1}, [(5, "reset", 3)]),
        ([100, 110, 1], {110}, [(1, "reset", 0)]),
        ([1, 5], {5}, []),
    ],
)
async def test_the_next_row_of_the_topic_tells_it(
    tmp_path: Path,
    publisher: "FakePublisher",
    stats: "FakeStats",
    numbers: list[int],
    refused: set[int],
    told: list[tuple[int, str, int]],
) -> None:
    rest = {"e": "trade", "s": "A", "p": "1", "q": "1", "T": 1_723_161_255_000, "m": True}
    path = tmp_path / "capture"
    path.write_text("".join(f"{NS} {json.dumps(rest | {'t': n})}\n" for n in numbers))
    publisher.refuse = lambda row: "price: not a decimal" if int(row[5] or 0) in refused else None
    options = ReplayOptions(path=str(path), speed=0)
    counters = Counters("replay:BINANCE", "replay", options.venue, 1, stats)
    await ReplayFeed("replay:BINANCE", 1, options, publisher, counters, {}).run()
    assert [(int(row[5] or 0), gap, lost) for row, gap, lost in publisher.gaps] == told
