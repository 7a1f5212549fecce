"""The ladder of an order book: its rows, what fits a terminal, what is printed elsewhere."""

import asyncio
import io
import json
import os
import shutil
from collections.abc import Awaitable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateway._native import Book as NativeBook
from gateway._native import book_levels
from gateway.client import Book, Disconnected, OrderBook
from gateway.client.ladder import Screen, draw, ladder, tail_books
from gateway.client.tail import line
from gateway.clock import Offset

SURE = Offset(0, 85_000)
TIMEOUT_S = 60.0
BIDS = [("64250.10", "0.5"), ("64249.9", "2")]
ASKS = [("64250.20", "1.25"), ("64251.00", "0.01")]


def event(book: OrderBook | None, bids: Any = BIDS, asks: Any = ASKS, **more: Any) -> Book:
    values: dict[str, Any] = {"type": "snapshot", "symbol": "BTCUSDT.BINANCE", "seq": 7} | more
    values |= {"ts_event": 1, "ts_recv": 1, "ts_send": 1, "ts_client": 312_001}
    return Book(channel="book", **values, levels=book_levels(bids, asks), book=book)


def made(**more: Any) -> OrderBook:
    book = OrderBook("BTCUSDT.BINANCE")
    book.take(event(book, **more))
    book.ready = True
    return book


def test_a_ladder() -> None:
    assert ladder(made(), "0.312±0.085ms", 10, 80, colour=False) == [
        "BTCUSDT.BINANCE       seq 7  0.312±0.085ms",
        "  64251.00  0.01  █",
        "  64250.20  1.25  ███████████████",
        "  ── spread 0.10 ──",
        "  64250.10  0.5   ██████",
        "  64249.9   2     ████████████████████████",
    ]


def test_the_best_levels_stay() -> None:
    rows = ladder(made(), "", 1, 80, colour=False)
    assert [row.split()[0] for row in rows[1:]] == ["64250.20", "──", "64250.10"]


def test_sides_that_are_empty() -> None:
    rows = ladder(made(asks=[]), "", 1, 80, colour=False)
    assert [row.split()[0] for row in rows[1:]] == ["──", "64250.10"]
    assert "one side is empty" in rows[1]
    assert len(ladder(made(bids=[], asks=[]), "", 5, 80, colour=False)) == 2


def test_doubt_is_said() -> None:
    book = made(maybe_bad=True)
    book.ready = False
    (heading, *_) = ladder(book, "", 1, 80, colour=False)
    assert "waits for a snapshot" in heading
    assert "in doubt" in heading


def test_nothing_is_wider_than_the_terminal_or_moves_the_cursor() -> None:
    book = made(symbol="\x1b[2J")
    book.symbol = "\x1b[2J"
    rows = ladder(book, "0.312±0.085ms", 5, 12, colour=False)
    assert max(map(len, rows[1:])) <= 12
    assert "\x1b" not in "".join(rows)
    assert "\x1b[31m" in "".join(ladder(book, "", 5, 80, colour=True))


@pytest.mark.parametrize("lines", [3, 5, 10, 24, 60])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_screen_fits_its_terminal(lines: int, count: int) -> None:
    books = [(made(), "")] * count
    rows = draw(books, "news", 80, lines, colour=False)
    assert len(rows) < lines
    assert rows[-1].endswith("news")
    assert ("more do not fit" in rows[-1]) == (sum("seq" in row for row in rows) < count)


def test_a_screen_is_drawn_over_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    out = io.StringIO()
    screen = Screen(out, colour=False)
    screen.take(event(None), SURE)
    assert out.getvalue() == ""
    screen.take(event(made()), SURE)
    first = out.getvalue()
    assert first.startswith("\x1b[2J\x1b[H")
    assert "0.312±0.085ms" in first
    screen.take(Disconnected(1006, "gone\x1b", 1.0), SURE)
    second = out.getvalue().removeprefix(first)
    assert second.startswith("\x1b[HBTCUSDT.BINANCE")
    assert "gone?; again in 1.0 s" in second
    assert second.endswith("\x1b[J")


def test_a_line_of_a_book() -> None:
    shown = line(event(made()), SURE, colour=False)
    assert "BTCUSDT.BINANCE book  64250.10x0.5 64250.20x1.25" in shown
    assert "book  none 64250.20x1.25" in line(event(made(bids=[])), SURE, colour=False)
    assert "book  2 bids 2 asks" in line(event(None), SURE, colour=False)


# --- with a gateway -------------------------------------------------------------------------------


async def gateway(peer: ServerConnection) -> None:
    """Says hello, answers pings, and sends a book and two changes."""
    hello = {"version": "0", "connection_id": "c", "epoch": "e", "now": 1}
    await peer.send(json.dumps({"channel": "system", "type": "hello", "data": [hello]}))
    async for text in peer:
        asked = json.loads(text)
        reply = {"method": asked["method"], "req_id": asked["req_id"], "success": True}
        if asked["method"] == "ping":
            await peer.send(json.dumps(reply | {"t0": asked["params"]["t0"], "t1": 1, "t2": 1}))
            continue
        params = asked["params"]
        good = params["symbol"] == ["A.SIM"]
        error = {"code": "unknown_symbol", "message": f"{params.get('max_hz')} {params['depth']}"}
        result = {"symbol": params["symbol"][0], "success": good, "channel": "book", "seq": 1}
        results = [result | ({} if good else {"error": error})]
        await peer.send(json.dumps(reply | {"success": good, "results": results}))
        book = NativeBook(depth=5)
        for seq in range(1, 4):
            bids = [(str(10 + seq), "1")]
            (book.replace if seq == 1 else book.apply)(bids, [])
            head = {"channel": "book", "type": "update" if seq > 1 else "snapshot", "seq": seq}
            times = {"symbol": "A.SIM", "ts_event": 1, "ts_recv": 1, "ts_send": 1}
            row = {"bids": bids, "asks": [], "depth": 5, "checksum": book.checksum()}
            await peer.send(json.dumps(head | times | {"data": [row]}))


async def tailed(symbol: str, out: Any, **more: Any) -> int:
    async with serve(gateway, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        watched: Awaitable[int] = tail_books(url, [symbol], 5, out=out, count=3, **more)
        return await asyncio.wait_for(watched, TIMEOUT_S)


async def test_lines_where_it_is_no_terminal() -> None:
    out = io.StringIO()
    assert await tailed("A.SIM", out) == 0
    shown = [text.split()[2:4] for text in out.getvalue().splitlines()]
    assert [kind for kind, _ in shown] == ["book"] * 3
    assert shown[-1] == ["book", "13x1"]
    assert "\x1b" not in out.getvalue()


class Terminal(io.StringIO):
    """Whoever writes to it takes it for one."""

    def isatty(self) -> bool:
        return True


async def test_a_ladder_on_a_terminal() -> None:
    out = Terminal()
    assert await tailed("A.SIM", out) == 0
    last = out.getvalue().rsplit("\x1b[H", 1)[1]
    prices = [row.split()[0] for row in last.splitlines() if "█" in row]
    assert prices == ["13", "12", "11"]


@pytest.mark.parametrize(
    ("out", "rate"), [(Terminal(), "10.0"), (io.StringIO(), "None"), (Terminal(), "3")]
)
async def test_a_refusal_ends_it(out: Any, rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets ten frames a second, unless it is told otherwise."""
    max_hz = 3 if rate == "3" else None
    assert await tailed("NOPE.X", out, max_hz=max_hz) == 1
    assert f"book NOPE.X: unknown_symbol: {rate} 5" in capsys.readouterr().err
