"""From options to live feeds."""

from gateway.feeds.feed import Counters, Publisher, Stats
from gateway.feeds.live.binance import Binance
from gateway.feeds.live.feed import LiveFeed
from gateway.feeds.live.kraken import Kraken
from gateway.feeds.live.venue import LiveVenue
from gateway.feeds.options import BinanceOptions, LiveOptions


def live_feed(
    name: str,
    index: int,
    options: LiveOptions,
    publisher: Publisher,
    stats: Stats,
    owners: dict[str, int],
) -> LiveFeed:
    """The feed, ready to run: it connects when it does."""
    kind = str(options.__struct_config__.tag)
    counters = Counters(name, kind, options.venue, index, stats)
    venue = _venue(options)
    if options.stale_after_s:
        venue.facts = venue.facts._replace(stall_s=options.stale_after_s)
    wanted, code = options.symbols, options.venue
    return LiveFeed(name, index, venue, code, wanted, publisher, counters, owners)


def _venue(options: LiveOptions) -> LiveVenue:
    if isinstance(options, BinanceOptions):
        return Binance(options.market, options.channels, options.url, options.rest)
    return Kraken(options.channels, options.url, options.rest)
