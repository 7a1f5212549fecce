"""Feeds: where records come from. `build` makes them from options; each runs on its own thread."""

from gateway.feeds.build import build
from gateway.feeds.feed import Feed
from gateway.feeds.options import venues

__all__ = ["Feed", "build", "venues"]
