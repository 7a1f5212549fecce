"""What a child process tells its supervisor."""

import msgspec

from gateway.feeds.feed import LastRefused, Status
from gateway.feeds.options import FEEDS_MAX
from gateway.feeds.refusals import TALLIED_MAX
from gateway.model.outcomes import REFUSALS
from gateway.process import brief
from gateway.supervisor.channel import fits

WIDE = "\u5e01"  # three bytes in UTF-8
LAST = LastRefused(
    symbol=WIDE * 97,
    channel="trade",
    field="price",
    value="x" * 80,
    reason="limit",
    why="y" * 80,
    at_ns=2**62,
)
LONGEST = Status(
    name="replay:" + "V" * 16,
    type="replay",
    venue="V" * 16,
    state="failed",
    **dict.fromkeys(
        ("records", "decode_errors", "gaps", "lost", "duplicates", "late", "resets", "skipped"),
        2**62,
    ),
    reconnects=2**62,
    last_record_ns=2**62,
    message=WIDE * 400,
    refused=dict.fromkeys(REFUSALS, 2**62),
    refused_symbols={f"{n}{WIDE * 80}.SIM": 2**62 for n in range(TALLIED_MAX)},
    last_refused=LAST,
)


def test_the_status_of_as_many_feeds_as_may_be_fits_once_it_is_brief() -> None:
    feeds = [msgspec.to_builtins(LONGEST) for _ in range(FEEDS_MAX)]
    assert not fits({"type": "status", "feeds": feeds}), "or there is nothing to make brief"
    short = brief(feeds)
    assert fits({"type": "status", "feeds": short, "stalls": ["x" * 200] * 50})
    assert short[0]["state"] == "failed"
    assert short[0]["records"] == 2**62
    assert short[0]["message"] == WIDE * 100
