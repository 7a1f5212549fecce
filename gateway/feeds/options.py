"""What the configuration file may say of a feed: one struct per `type`, told apart by that key.

`problems` holds the rules that span keys or feeds; everything else is in the types. Nothing here
opens a file or a socket.
"""

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.address import host_problem, is_multicast
from gateway.model.record import CANDLES, HEALTH
from gateway.model.topic import ClosedList, split_instrument
from gateway.options import Port

FEEDS_MAX = 64
"""Feeds of one gateway: the length of the feed arrays in the statistics page."""

_HTTP: Final = ("http", "https")

SPOOL_RECORD_BYTES = 64
"""Of a usual record in a spool, packed; `docs/delay.md` has what was measured."""
SPOOL_SPARE_S = 60
"""A file goes when all of it was released."""

Venue = Annotated[str, Meta(pattern="^[A-Z0-9_]{1,16}$")]
Channel = Literal["trade", "bbo", "book", "instrument"]
LiveChannel = Literal["trade", "bbo", "book"]
Symbol = Annotated[str, Meta(min_length=1, max_length=96)]
Path = Annotated[str, Meta(min_length=1)]
Asset = Annotated[str, Meta(pattern="^[!-~]{0,16}$")]
Step = Annotated[str, Meta(pattern=r"^(|[0-9]{1,18}|[0-9]{1,9}\.[0-9]{1,9}|0\.[0-9]{1,17})$")]
"""At most 18 digits."""
Format = Literal["binance", "kraken", "kraken-v1", "coinbase", "bybit", "ring"]

Quotes = Literal["auto", "venue", "derived"]
"""Where `bbo` comes from: the venue's quotes, the best levels of the feed's books, or these where
the venue sends none."""

VENUE_OF: Final[dict[Format, str]] = {
    "binance": "BINANCE",
    "kraken": "KRAKEN",
    "kraken-v1": "KRAKEN",
    "coinbase": "COINBASE",
    "bybit": "BYBIT",
    "ring": "BINANCE",
}
"""What a replay publishes under unless it is told."""


Market = Literal["spot", "usdm", "coinm"]
LIVE_VENUE_OF: Final[dict[Market, str]] = {
    "spot": "BINANCE",
    "usdm": "BINANCE_USDM",
    "coinm": "BINANCE_COINM",
}
"""What a live market is published under unless the feed is told."""


class _FeedTable(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"
):
    """Base of the feed tables: unknown keys are errors."""

    stale_after_s: Annotated[float, Meta(ge=0, le=604_800)] = 0
    """Silence after which the feed counts as stale; 0: by its own pace, at least 10 s."""


class SyntheticOptions(_FeedTable, frozen=True, tag="synthetic"):
    """A seeded random market. `rate` counts records a second, all symbols and channels together."""

    venue: Venue = "SIM"
    symbols: Annotated[int, Meta(ge=1, le=30_000)] = 100
    rate: Annotated[float, Meta(gt=0, le=1_000_000)] = 10_000
    seed: Annotated[int, Meta(ge=0)] = 1
    channels: Annotated[tuple[Channel, ...], Meta(min_length=1)] = ("trade", "bbo")
    """With `book`, each quote also changes a book, beside `rate`."""
    burst_every_s: Annotated[float, Meta(ge=0, le=86_400)] = 0
    """Seconds from the end of one burst to the end of the next; 0 is no bursts."""
    burst_s: Annotated[float, Meta(gt=0, le=86_400)] = 1.0
    burst_factor: Annotated[float, Meta(ge=1, le=1000)] = 10.0


class InstrumentOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What there is to know of an instrument of which the venue tells nothing."""

    symbol: Annotated[str, Meta(min_length=1)]
    """Without its venue."""
    base: Asset = ""
    quote: Asset = ""
    tick: Step = ""
    lot: Step = ""
    """The smallest steps of price and quantity."""


Instruments = Annotated[tuple[InstrumentOptions, ...], Meta(max_length=30_000)]


class ReplayOptions(_FeedTable, frozen=True, tag="replay"):
    """A file played again. `speed` 1 is its own pace, 0 as fast as the clients take it.

    The formats: those of captures (VENUE_OF), whose records are published under `venue`; `ring`, a
    flight recording, of which the instruments of `venue` are published under their own names.
    """

    path: Path | Annotated[tuple[Path, ...], Meta(min_length=1)]
    """Of captures also a list, or a glob: one stream, merged by the time of receipt."""
    format: Format = "binance"
    venue: Annotated[str, Meta(pattern="^[A-Z0-9_]{0,16}$")] = ""
    """Empty: VENUE_OF the format."""
    speed: Annotated[float, Meta(ge=0, le=1000)] = 1.0
    loop: bool = False
    start_after_clients: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    bbo: Quotes = "auto"
    """Of a recording it has none to say: that has what was published."""
    instruments: Instruments = ()
    """Nor have these."""

    def __post_init__(self) -> None:
        if not self.venue:
            msgspec.structs.force_setattr(self, "venue", VENUE_OF[self.format])


class UdpOptions(_FeedTable, frozen=True, tag="udp"):
    """Newline-separated JSON records in datagrams from other programs.

    Of a multicast `host` the group is joined, on `interface` (a name or an IPv4 address of it) or
    where the routes say.
    """

    host: str = "127.0.0.1"
    port: Port = 9700
    venue: Venue = "SIM"
    interface: str = ""
    bbo: Literal["venue", "derived"] = "venue"
    """`derived`: quotes are made of the lines of books; lines of quotes are left out."""
    instruments: Instruments = ()


class PublisherOptions(_FeedTable, frozen=True, tag="publisher"):
    """The same lines from programs of this host over a Unix socket, acknowledged."""

    unix: Annotated[str, Meta(min_length=1, max_length=107)]
    unix_mode: Annotated[str, Meta(pattern="^0[0-7]{3}$")] = "0660"
    venue: Venue = "SIM"
    bbo: Literal["venue", "derived"] = "venue"
    """As of `udp`."""
    instruments: Instruments = ()


class DelayOptions(_FeedTable, frozen=True, tag="delay"):
    """Another feed's venue, released later. What waits is on disk: `rate` says how much."""

    of: Venue
    venue: Venue
    delay_s: Annotated[int, Meta(ge=1, le=604_800)] = 900
    directory: str = ""
    """Of the spool; empty: `spool/` in the state directory."""
    bytes_max: Annotated[int, Meta(ge=1 << 20, le=1 << 50)] = 16 << 30
    """Of its files together; what finds no room is missing."""

    def rate(self, room: int) -> float:
        """Usual records a second that so many bytes of disk hold back long enough."""
        return room / ((self.delay_s + SPOOL_SPARE_S) * SPOOL_RECORD_BYTES)


class LiveOptions(_FeedTable, frozen=True, kw_only=True):
    """A venue, live. `symbols` are names, or patterns with `*` of those that it lists."""

    symbols: Annotated[tuple[Symbol, ...], Meta(min_length=1, max_length=10_000)]
    channels: Annotated[tuple[LiveChannel, ...], Meta(min_length=1)] = ("trade", "bbo", "book")
    """Reference data and status come beside them."""
    venue: Annotated[str, Meta(pattern="^[A-Z0-9_]{0,16}$")] = ""
    url: str = ""
    rest: str = ""
    """Of another place that speaks the same: a test network, a stand-in."""


class KrakenOptions(LiveOptions, frozen=True, kw_only=True, tag="kraken"):
    """Kraken, by its WebSocket API v2."""

    def __post_init__(self) -> None:
        if not self.venue:
            msgspec.structs.force_setattr(self, "venue", "KRAKEN")


class BinanceOptions(LiveOptions, frozen=True, kw_only=True, tag="binance"):
    """A market of Binance's; its venue is BINANCE, BINANCE_USDM or BINANCE_COINM where not told."""

    market: Market = "spot"

    def __post_init__(self) -> None:
        if not self.venue:
            msgspec.structs.force_setattr(self, "venue", LIVE_VENUE_OF[self.market])


FeedOptions = (
    SyntheticOptions
    | ReplayOptions
    | UdpOptions
    | PublisherOptions
    | DelayOptions
    | BinanceOptions
    | KrakenOptions
)


def is_live(options: FeedOptions) -> bool:
    """Whether such a feed speaks to a venue over the Internet."""
    return isinstance(options, LiveOptions)


def instruments(options: FeedOptions) -> list[str] | None:
    """The closed list of instruments that such a feed can ever publish, or None: open."""
    if isinstance(options, SyntheticOptions):
        return [f"SYM{number:03d}.{options.venue}" for number in range(options.symbols)]
    return None


def venues(feeds: Sequence[FeedOptions]) -> dict[str, ClosedList | None]:
    """Every venue; of one whose feeds all publish closed lists of instruments, what they will."""
    found: dict[str, ClosedList | None] = {}
    for feed in feeds:
        more, before = _closed_list(feed), found.get(feed.venue, dict[str, frozenset[str]]())
        if more is None or before is None:
            found[feed.venue] = None
        else:
            none = frozenset[str]()
            found[feed.venue] = {
                channel: before.get(channel, none) | more.get(channel, none)
                for channel in (*before, *more)
            }
    return found


def _closed_list(feed: FeedOptions) -> ClosedList | None:
    if not isinstance(feed, SyntheticOptions):
        return None
    channels = [*feed.channels, HEALTH]
    if "trade" in feed.channels:
        channels += (channel.key for channel in CANDLES.values())
    return dict.fromkeys(channels, frozenset(instruments(feed) or ()))


def problems(feeds: Sequence[FeedOptions]) -> list[tuple[str, str]]:
    """(key, message) of everything that contradicts: within one feed, then between feeds."""
    found = []
    if len(feeds) > FEEDS_MAX:
        found.append(("feeds", f"{len(feeds)} feeds; at most {FEEDS_MAX}"))
    for index, feed in enumerate(feeds):
        if (
            isinstance(feed, SyntheticOptions)
            and feed.burst_every_s
            and feed.burst_s >= feed.burst_every_s
        ):
            message = f"{feed.burst_s} is not shorter than burst_every_s = {feed.burst_every_s}"
            found.append((f"feeds.{index}.burst_s", message))
        if isinstance(feed, SyntheticOptions) and {"book", "bbo"} & {*feed.channels} == {"book"}:
            message = 'found "book" without "bbo"; books are made around quotes'
            found.append((f"feeds.{index}.channels", message))
        elif isinstance(feed, SyntheticOptions) and {*feed.channels} == {"instrument"}:
            message = 'found "instrument" alone; a market has "trade", "bbo" or both'
            found.append((f"feeds.{index}.channels", message))
        if isinstance(feed, UdpOptions) and (wrong := host_problem(feed.host)):
            found.append((f"feeds.{index}.host", f'found "{feed.host}"; {wrong}'))
        if isinstance(feed, UdpOptions) and feed.interface and not is_multicast(feed.host):
            message = f'found "{feed.interface}"; it is of use with a multicast host alone, '
            message += f'and feeds.{index}.host is "{feed.host}"'
            found.append((f"feeds.{index}.interface", message))
        found += ((f"feeds.{index}.{key}", message) for key, message in _told(feed))
        found += ((f"feeds.{index}.{key}", message) for key, message in _of(feed, feeds))
        clashes: dict[str, str] = {}
        for before in range(index):
            for key, message in _conflicts(before, feeds[before], feed):
                clashes.setdefault(f"feeds.{index}.{key}", message)
        found.extend(clashes.items())
    return found


def _told(feed: FeedOptions) -> Iterator[tuple[str, str]]:
    """What is wrong with what is said of a feed's instruments."""
    if isinstance(feed, LiveOptions):
        yield from _live(feed)
        return
    if isinstance(feed, SyntheticOptions | DelayOptions):
        return
    if isinstance(feed, ReplayOptions) and feed.format == "ring" and feed.instruments:
        yield "instruments", "found some; a recording has what was published of its own"
    symbols: set[str] = set()
    good = [isinstance(one, InstrumentOptions) for one in feed.instruments]  # else it is told
    for number, one in compress(enumerate(feed.instruments), good):
        try:
            split_instrument(f"{one.symbol}.{feed.venue}")
        except ValueError as error:
            yield f"instruments.{number}.symbol", str(error)
        if one.symbol in symbols:
            yield f"instruments.{number}.symbol", f'found "{one.symbol}" again; expected each once'
        symbols.add(one.symbol)


def _live(feed: LiveOptions) -> Iterator[tuple[str, str]]:
    """What is wrong with what a live feed follows, and where."""
    seen: set[str] = set()
    for number, symbol in enumerate(feed.symbols):
        try:
            split_instrument(f"{symbol.replace('*', 'X')}.{feed.venue}")
        except ValueError as error:
            yield f"symbols.{number}", str(error)
        if symbol in seen:
            yield f"symbols.{number}", f'found "{symbol}" again; expected each once'
        seen.add(symbol)
    for key, url, schemes in (("url", feed.url, ("ws", "wss")), ("rest", feed.rest, _HTTP)):
        if url and not _goes_to(url, schemes):
            yield key, f'found "{url}"; expected {schemes[0]}:// or {schemes[1]}:// and a host'


def _goes_to(url: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        return False


def _of(feed: FeedOptions, feeds: Sequence[FeedOptions]) -> Iterator[tuple[str, str]]:
    """What is wrong with the venue that a feed delays."""
    if not isinstance(feed, DelayOptions):
        return
    if feed.of not in {one.venue for one in feeds if not isinstance(one, DelayOptions)}:
        yield "of", f'found "{feed.of}"; expected the venue of another feed, one that is not late'


def _conflicts(index: int, one: FeedOptions, other: FeedOptions) -> list[tuple[str, str]]:
    """Why `other` cannot stand beside `one`, the feed of that index.

    What a feed will publish is known of few kinds, so that two of one venue are refused even where
    their instruments might differ: better at the start than a symbol refused at 09:30.
    """
    found = []
    if one.venue == other.venue:
        message = (
            f'found "{other.venue}", which feeds.{index} publishes too; two feeds '
            "may not publish the same instrument: give each a venue of its own"
        )
        found.append(("venue", message))
    if (
        isinstance(one, UdpOptions)
        and isinstance(other, UdpOptions)
        and one.port
        and (one.host, one.port, one.interface) == (other.host, other.port, other.interface)
    ):
        found.append(("port", f"{other.port} is taken by another udp feed (feeds.{index})"))
    if (
        isinstance(one, PublisherOptions)
        and isinstance(other, PublisherOptions)
        and one.unix == other.unix
    ):
        found.append(("unix", f'found "{other.unix}", where feeds.{index} listens'))
    return found
