"""A replay feed over the doubles of a test."""

from gateway.feeds.feed import Counters, Publisher, Stats
from gateway.feeds.options import ReplayOptions
from gateway.feeds.replay import ReplayFeed


def replay(options: ReplayOptions, publisher: Publisher, stats: Stats) -> ReplayFeed:
    """The feed, `feeds.1`, not started."""
    name = f"replay:{options.venue}"
    counters = Counters(name, "replay", options.venue, 1, stats)
    return ReplayFeed(name, 1, options, publisher, counters, {})
