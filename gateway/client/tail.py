"""Live ticks as lines of text, with their age: what `tickgate tail` shows.

Lines of ticks go to one stream and everything else to standard error: what is piped is ticks alone.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from gateway.client.book import Book
from gateway.client.client import Client
from gateway.client.events import (
    Conflation,
    Disconnected,
    Event,
    Gap,
    Hello,
    Malformed,
    Reply,
    Result,
    Retired,
    Slow,
    System,
)
from gateway.client.ticks import (
    Bbo,
    Candle,
    InstrumentData,
    InstrumentHealth,
    RawTick,
    Status,
    Tick,
    Trade,
)
from gateway.clock import Offset
from gateway.model.encoding import Encoding
from gateway.model.record import CANDLE
from gateway.text import padded, plain

_DIM, _BOLD, _GREEN, _RED, _YELLOW, _PLAIN = (
    f"\x1b[{code}m" for code in ("2", "1", "32", "31", "33", "0")
)


HEADER = f"{'received':<15} {'instrument':<15} {'what happened':<33} {'age±error':>14}"
"""Above the first tick on a terminal."""

LEGEND = (
    "age: from the gateway's receipt to ours; ±: how wrong that may be, as two clocks are compared"
)


async def tail(
    url: str,
    symbols: Sequence[str],
    channels: Sequence[str],
    *,
    interval: str | None = None,
    encoding: Encoding = "json",
    max_hz: float | None = None,
    count: int | None = None,
    out: TextIO,
    colour: bool = False,
    ca: str | None = None,
) -> int:
    """Prints ticks to `out` and everything else to standard error until `count` ticks went by.

    The age is this client's receipt minus `ts_recv`, corrected by the offset of the two clocks, and
    with the bound of its error behind it. With `max_hz` of each topic at most so many a second.

    Returns:
        0, or 1 where the gateway accepted nothing or sent this client away for good.

    Raises:
        ConnectFailed: there is no gateway at the URL.
    """
    async with Client(url, encoding=encoding, tls=ca) as client:
        offset = correction(await client.offset())
        if offset is not None and offset.offset_ns:
            ahead_ms, error_ms = (value / 1e6 for value in offset)
            note(f"the gateway's clock is ahead by {ahead_ms:.3f}±{error_ms:.3f} ms")
        params = {"interval": interval, "max_hz": max_hz}
        if not await subscribe(client, channels, symbols, params):
            return 1
        if sys.stderr.isatty():
            note(LEGEND)
            print(HEADER, file=sys.stderr, flush=True)
        await anext(client)  # the first hello: that it connected shows by the ticks
        shown = 0
        final = False
        async for event in client:
            if isinstance(event, Tick):
                out.write(line(event, offset, colour=colour) + "\n")
                out.flush()
                shown += 1
                if shown == count:
                    return 0
            elif (text := describe(event)) is not None:
                note(text)
            final = isinstance(event, Disconnected) and event.retry_s is None
        return 1 if final else 0


async def subscribe(
    client: Client, channels: Sequence[str], symbols: Sequence[str], params: dict[str, Any]
) -> bool:
    """Whether the gateway took anything of it; what a reader should know is told."""
    accepted = False
    for channel in channels:
        wanted = {n: value for n, value in params.items() if n != "interval" or channel == CANDLE}
        for result in await client.subscribe(channel, symbols, **wanted):
            accepted |= result.success
            if (text := answer(channel, result)) is not None:
                note(text)
    return accepted


def answer(channel: str, result: Result) -> str | None:
    """What a reader should know of a subscription: that it failed, or that it waits."""
    what = f"{channel} {result.symbol}"
    if result.error is not None:
        return f"{what}: {result.error.code}: {result.error.message}"
    if result.seq == 0:
        return f"{what}: nothing was published yet; waiting for it"
    if result.matched == 0:
        return f"{what}: it covers nothing yet; waiting for it"
    return None


def correction(offset: Offset | None) -> Offset | None:
    """What is added to this host's clock, and how far off it may then be; None: not known.

    Nothing is added where the offset is within its own error: so it is between programs of one
    host, whose clock is the same.
    """
    if offset is None or abs(offset.offset_ns) > offset.error_ns:
        return offset
    return Offset(0, offset.error_ns + abs(offset.offset_ns))


def line(tick: Tick, offset: Offset | None, *, colour: bool) -> str:
    """One tick in the columns of HEADER; usual prices and quantities make it 80 characters."""
    seconds, rest = divmod(tick.ts_recv, 1_000_000_000)
    clock = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1000:06d}"
    kind, what = _happened(tick)
    notes = "  snapshot" if tick.type == "snapshot" else ""
    notes += f"  skipped {tick.skipped}" if tick.skipped else ""
    parts = padded(plain(tick.symbol), 15), f"{kind:<5} {what:<27}", f"{age(tick, offset):>14}"
    if not colour:
        return " ".join((clock, *parts)) + notes
    tint = {"buy": _GREEN, "sell": _RED}.get(kind, "")
    name, happened, old = parts
    return (
        f"{_DIM}{clock}{_PLAIN} {_BOLD}{name}{_PLAIN} {tint}{happened}{_PLAIN} {old}"
        f"{_YELLOW}{notes}{_PLAIN}"
    )


def _happened(tick: Tick) -> tuple[str, str]:
    """A word for what it is, and its numbers."""
    if isinstance(tick, Trade):
        return plain(tick.side or "trade"), f"{tick.price_text:>10} x {tick.qty_text}"
    if isinstance(tick, Bbo):
        bid, ask = _side(tick.bid_text, tick.bid_qty_text), _side(tick.ask_text, tick.ask_qty_text)
        return "bbo", f"{bid} {ask}"
    if isinstance(tick, InstrumentData):
        steps = f"tick {tick.tick_text or '?'} lot {tick.lot_text or '?'}"
        assets = f"{tick.base or '?'}/{tick.quote or '?'}"
        return "is", plain(f"{assets} {steps} {tick.status}".rstrip())
    if isinstance(tick, Book):
        return "book", _best(tick)
    if isinstance(tick, Status):
        return "is", plain(f"{tick.status} {tick.reason}".rstrip())
    if isinstance(tick, InstrumentHealth):
        return "data", plain(f"{tick.state} {tick.reason}".rstrip())
    if isinstance(tick, Candle):
        prices = " ".join((tick.open_text, tick.high_text, tick.low_text, tick.close_text))
        state = "closed" if tick.closed else "running"
        notes = " revised" * tick.revised + " incomplete" * (not tick.complete)
        numbers = f"{prices} x {tick.volume_text} {tick.trades} trades"
        return plain(tick.interval), f"{_clock(tick.start)} {numbers} {state}{notes}"
    data = tick.data if isinstance(tick, RawTick) else ()
    return plain(tick.channel), plain(str(data[0] if len(data) == 1 else data))


def _clock(ns: int) -> str:
    """When an interval began, in local time."""
    return time.strftime("%H:%M:%S", time.localtime(ns // 1_000_000_000))


def _best(tick: Book) -> str:
    """The best levels of the book now, as of a quote; of a frame without a book how many it has."""
    if tick.book is None:
        return f"{len(tick.bids)} bids {len(tick.asks)} asks"
    sides = (side[0] if side else (None, None) for side in (tick.book.bids, tick.book.asks))
    return " ".join(_side(*level) for level in sides)


def _side(price: str | None, qty: str | None) -> str:
    return "none" if price is None else f"{price}x{qty}"


def age(tick: Tick, offset: Offset | None) -> str:
    """How old it was when it came, and by how much that may be wrong: `0.312±0.085ms`."""
    if offset is None:
        return f"{_ms(tick.ts_client - tick.ts_recv)}±?ms"
    return f"{_ms(tick.age_ns(offset))}±{_ms(offset.error_ns)}ms"


def _ms(duration_ns: int) -> str:
    """Milliseconds in five characters, where they are not 100,000 or more."""
    ms = duration_ns / 1e6
    return f"{ms:.{max(0, 4 - len(str(int(abs(ms)))))}f}"


def describe(event: Event) -> str | None:
    """Everything but a tick, in words; None for what a reader need not know."""
    match event:
        case Hello():
            return f"connected: epoch {event.epoch}, connection {event.connection_id}"
        case Disconnected(retry_s=None):
            return f"closed: {event.code} {event.reason}"
        case Disconnected():
            return f"disconnected: {event.code} {event.reason}; again in {event.retry_s:.1f} s"
        case Gap():
            return f"gap: {event.channel} {event.symbol}: {_missing(event)}"
        case Retired():
            return f"{event.channel} {event.symbol}: it has ended, nothing more comes of it"
        case Conflation() | Slow():
            return _less(event)
        case System():
            return f"{event.type}: {', '.join(map(str, event.data))}"
        case Reply(error=error, results=results):
            refused = [str(result.error) for result in results if result.error is not None]
            return f"refused: {error or ', '.join(refused)}"
        case Malformed():
            return f"malformed message: {event.reason}"
    return None


def _missing(gap: Gap) -> str:
    lost = "an unknown number" if gap.lost is None else str(gap.lost)
    numbers = "" if gap.from_seq is None else f", seq {gap.from_seq} to {gap.to_seq}"
    return f"{plain(gap.reason)}: {lost} lost{numbers}"


def _less(event: Conflation | Slow) -> str:
    """How much less comes, and whose doing that is."""
    if isinstance(event, Conflation):
        who = f"the gateway has much to do: class {event.class_}"
    elif event.level:
        who = f"this client is too slow ({event.age_ms} ms): level {event.level}"
    else:
        return "this client keeps up: every update again"
    if event.interval_ms is None:
        return f"{who} is paused"
    return f"{who}, {f'each {event.interval_ms} ms' if event.interval_ms else 'every update again'}"


def note(text: str) -> None:
    """Tells something that is no tick, on standard error."""
    print(f"tickgate: {plain(text)}", file=sys.stderr, flush=True)
