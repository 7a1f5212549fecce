"""Live ticks as lines of text, with their age: what `tickgate tail` shows."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from gateway.client.client import Client, Disconnected
from gateway.client.session import Event, Gap, Hello, Malformed, Offset, Reply, System, Tick

_DIM, _BOLD, _GREEN, _RED, _YELLOW, _PLAIN = (
    f"\x1b[{code}m" for code in ("2", "1", "32", "31", "33", "0")
)


async def tail(
    url: str,
    symbols: Sequence[str],
    channels: Sequence[str],
    *,
    count: int | None = None,
    out: TextIO,
    colour: bool = False,
) -> int:
    """Prints ticks to `out` and everything else to standard error until `count` ticks went by.

    The age is this client's receipt minus `ts_recv`, corrected by the offset of the two clocks
    where that is larger than the measurement's own error.

    Returns:
        0, or 1 where the gateway accepted nothing or sent this client away for good.

    Raises:
        ConnectFailed: there is no gateway at the URL.
    """
    async with Client(url) as client:
        offset = correction(await client.offset())
        accepted = False
        for channel in channels:
            for result in await client.subscribe(channel, symbols):
                accepted |= result.success
                if result.error is not None:
                    _note(f"{channel} {result.symbol}: {result.error.code}: {result.error.message}")
        if not accepted:
            return 1
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
                _note(text)
            final = isinstance(event, Disconnected) and event.retry_s is None
        return 1 if final else 0


def correction(offset: Offset) -> int:
    """Nanoseconds to add to this host's clock: 0 where the offset is within its own error."""
    return offset.offset_ns if abs(offset.offset_ns) > offset.error_ns else 0


def line(tick: Tick, offset_ns: int, *, colour: bool) -> str:
    """One tick: time of receipt by the gateway, instrument, what happened, age."""
    seconds, rest = divmod(tick.ts_recv, 1_000_000_000)
    clock = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1000:06d}"
    row = tick.data[0] if tick.data else {}
    field = {name: plain(str(value)) for name, value in row.items()}
    if tick.channel == "trade":
        side = field.get("side", "")
        what = f"{side:4} {field.get('price', ''):>12} x {field.get('qty', '')}"
        tint = {"buy": _GREEN, "sell": _RED}.get(side, "")
    else:
        bid, ask = (f"{field.get(s, '')} x {field.get(s + '_qty', '')}" for s in ("bid", "ask"))
        what, tint = f"{bid:>24} | {ask}", ""
    age_ms = (tick.ts_client + offset_ns - tick.ts_recv) / 1e6
    notes = "  snapshot" if tick.type == "snapshot" else ""
    notes += f"  skipped {tick.skipped}" if tick.skipped else ""
    name, channel = plain(tick.symbol), plain(tick.channel)
    if not colour:
        return f"{clock}  {name:<20} {channel:<5}  {what:<44} age {age_ms:9.3f} ms{notes}"
    return (
        f"{_DIM}{clock}{_PLAIN}  {_BOLD}{name:<20}{_PLAIN} {channel:<5}  {tint}{what:<44}{_PLAIN}"
        f" {_DIM}age{_PLAIN} {age_ms:9.3f} ms{_YELLOW}{notes}{_PLAIN}"
    )


def describe(event: Event | Disconnected) -> str | None:
    """Everything but a tick, in words; None for what a reader need not know."""
    match event:
        case Hello():
            return f"connected: epoch {event.epoch}, connection {event.connection_id}"
        case Disconnected(retry_s=None):
            return f"closed: {event.code} {event.reason}"
        case Disconnected():
            return f"disconnected: {event.code} {event.reason}; again in {event.retry_s:.1f} s"
        case Gap():
            found = f"seq {event.seq}, expected {event.expected}"
            return f"gap: {event.channel} {event.symbol}: {found}; subscribing again"
        case System():
            return f"{event.type}: {', '.join(map(str, event.data))}"
        case Reply(error=error, results=results):
            refused = [str(result.error) for result in results if result.error is not None]
            return f"refused: {error or ', '.join(refused)}"
        case Malformed():
            return f"malformed message: {event.reason}"
    return None


def plain(text: str) -> str:
    """The text without control characters: a terminal obeys them, whoever sent them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _note(text: str) -> None:
    print(f"tickgate: {plain(text)}", file=sys.stderr, flush=True)
