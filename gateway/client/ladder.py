"""Live order books as ladders of prices: what `tickgate tail book` shows.

On a terminal each change is drawn over the one before; what else happens stands below. Elsewhere
each frame is a line, and everything else goes to standard error: what is piped is books alone.
"""

import shutil
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, TextIO

from gateway.client.book import Book, Level, OrderBook
from gateway.client.client import Client
from gateway.client.events import Disconnected, Event
from gateway.client.tail import age, correction, describe, line, note, subscribe
from gateway.clock import Offset
from gateway.model.encoding import Encoding
from gateway.model.record import BOOK
from gateway.text import padded, plain

SCREEN_HZ: Final = 10.0
"""More than this nobody reads; of a pipe all comes that the gateway has."""
_BAR_COLUMNS: Final = 24
_NAME_COLUMNS: Final = 20
_HOME, _CLEAR, _LINE_END, _BELOW = "\x1b[H", "\x1b[2J", "\x1b[K\n", "\x1b[J"
_DIM, _BOLD, _GREEN, _RED, _PLAIN = (f"\x1b[{code}m" for code in ("2", "1", "32", "31", "0"))


async def tail_books(
    url: str,
    symbols: Sequence[str],
    depth: int,
    *,
    encoding: Encoding = "json",
    max_hz: float | None = None,
    count: int | None = None,
    out: TextIO,
    colour: bool = False,
    ca: str | None = None,
) -> int:
    """Shows books until `count` frames went by: drawn on a terminal, else a line for each frame.

    Returns:
        0, or 1 where the gateway accepted nothing or sent this client away for good.

    Raises:
        ConnectFailed: there is no gateway at the URL.
    """
    drawn = out.isatty()
    rate = max_hz if max_hz is not None or not drawn else SCREEN_HZ
    screen = Screen(out, colour=colour) if drawn else None
    async with Client(url, encoding=encoding, tls=ca) as client:
        offset = correction(await client.offset())
        if not await subscribe(client, [BOOK], symbols, {"depth": depth, "max_hz": rate}):
            return 1
        await anext(client)  # the first hello
        frames = 0
        final = False
        async for event in client:
            if isinstance(event, Book):
                frames += 1
            _show(event, offset, screen, out, colour=colour)
            if frames == count:
                return 0
            final = isinstance(event, Disconnected) and event.retry_s is None
        return 1 if final else 0


def _show(
    event: Event, offset: Offset | None, screen: "Screen | None", out: TextIO, *, colour: bool
) -> None:
    if screen is not None:
        screen.take(event, offset)
    elif isinstance(event, Book):
        out.write(line(event, offset, colour=colour) + "\n")
        out.flush()
    elif (text := describe(event)) is not None:
        note(text)


class Screen:
    """A terminal with the books that came, in the order of their names, and the last news."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._shown: dict[str, tuple[OrderBook, str]] = {}
        self._note = ""
        self._cleared = False

    def take(self, event: Event, offset: Offset | None) -> None:
        """Draws what an event changes."""
        if isinstance(event, Book):
            if event.book is None:
                return
            self._shown[event.symbol] = event.book, age(event, offset)
        elif (text := describe(event)) is not None:
            self._note = plain(text)
        else:
            return
        size = shutil.get_terminal_size()
        books = [self._shown[symbol] for symbol in sorted(self._shown)]
        rows = draw(books, self._note, size.columns, size.lines, colour=self._colour)
        start = _HOME if self._cleared else _CLEAR + _HOME
        self._cleared = True
        self._out.write(start + "".join(row + _LINE_END for row in rows) + _BELOW)
        self._out.flush()


def draw(
    books: Sequence[tuple[OrderBook, str]], note: str, columns: int, lines: int, *, colour: bool
) -> list[str]:
    """The rows of a screen: each book with as many levels a side as there is room for.

    Args:
        books: each with the age of its newest frame.
        note: a line below them.
        columns: of the terminal.
        lines: likewise.
        colour: whether it has any.
    """
    room = lines - 2  # the note, and where the cursor stands
    fitting = min(len(books), max(1, room // 4))
    rows: list[str] = []
    for book, old in books[:fitting]:
        levels = max(1, (room // fitting - 2) // 2)
        rows += ladder(book, old, levels, columns, colour=colour)
    if fitting < len(books):
        note = f"{len(books) - fitting} more do not fit. {note}"
    return [*rows[: max(room, 1)], note[:columns]]


def ladder(book: OrderBook, old: str, levels: int, columns: int, *, colour: bool) -> list[str]:
    """One book: a heading, asks down to the best, bids from the best on."""
    bids, asks = book.bids[:levels], book.asks[:levels]
    prices, qtys = (_aligned(one[i] for one in (*asks, *bids)) for i in range(2))
    most = max((level.qty for level in (*bids, *asks)), default=Decimal(1))
    rows = [_heading(book, old, columns, colour=colour)]
    for index, level in enumerate((*asks, *bids)):
        bar = "█" * max(1, int(level.qty / most * _BAR_COLUMNS)) if most else ""
        text = f"  {prices[index]}  {qtys[index]}  {bar}"[:columns]
        tint = _RED if index < len(asks) else _GREEN
        rows.append(f"{tint}{text}{_PLAIN}" if colour else text)
    asked = rows[1 : len(asks) + 1][::-1]
    return [rows[0], *asked, _middle(bids, asks, columns, colour=colour), *rows[len(asks) + 1 :]]


def _heading(book: OrderBook, old: str, columns: int, *, colour: bool) -> str:
    state = "" if book.ready else "  waits for a snapshot"
    state += "  in doubt" if book.maybe_bad else ""
    name = padded(plain(book.symbol), _NAME_COLUMNS)
    text = f"  seq {book.seq}  {old}{state}"[: max(0, columns - _NAME_COLUMNS)]
    return f"{_BOLD}{name}{_PLAIN}{_DIM}{text}{_PLAIN}" if colour else name + text


def _middle(bids: list[Level], asks: list[Level], columns: int, *, colour: bool) -> str:
    spread = f"spread {asks[0].price - bids[0].price:f}" if bids and asks else "one side is empty"
    text = f"  ── {spread} ──"[:columns]
    return f"{_DIM}{text}{_PLAIN}" if colour else text


def _aligned(texts: Iterable[str]) -> list[str]:
    """Numbers as wide as the widest, their points below each other."""
    parts = [text.partition(".") for text in texts]
    before = max((len(whole) for whole, _, _ in parts), default=0)
    behind = max((len(point + rest) for _, point, rest in parts), default=0)
    return [f"{whole:>{before}}{point + rest:<{behind}}" for whole, point, rest in parts]
