"""The small parts of live feeds: paces, words, what is followed, snapshots that are wanted, the
venue's URLs, proxies and REST."""

import asyncio
import base64
import queue
import ssl
import time
from collections.abc import AsyncIterator

import pytest
from support.standin.binance import BinanceStandIn

from gateway.feeds.live.binance import Binance
from gateway.feeds.live.book_requests import BookRequests
from gateway.feeds.live.following import Following
from gateway.feeds.live.pace import Pace
from gateway.feeds.live.rest import Answer, Rest
from gateway.feeds.live.socket import NotOpened, open_socket
from gateway.feeds.live.words import wait_s, words
from gateway.feeds.venues.message import Instrument


def test_a_pace() -> None:
    pace = Pace(2.0, burst=2)
    assert [pace.take(10.0) for _ in range(3)] == [True, True, False]
    assert not pace.take(10.4)
    assert pace.take(10.5)
    assert [pace.take(99.0) for _ in range(3)] == [True, True, False], "no more than the burst"
    pace.not_before_s = 200.0
    assert not pace.take(199.0)
    assert pace.take(200.0)


@pytest.mark.parametrize(
    ("status", "asked", "seconds"),
    [
        (503, ("7",), 7.0),
        (503, (), 0.0),
        (429, (), 60.0),
        (418, (), 120.0),
        (418, ("0",), 120.0),
        (418, ("999999999",), 259_200.0),
        (503, ("nonsense",), 0.0),
        (503, ("1", "2"), 0.0),
        (503, ("Thu, 01 Jan 1970 00:20:00 GMT",), 200.0),
        (503, ("Thu, 01 Jan 1970 00:10:00 GMT",), 0.0),
    ],
)
def test_when_to_come_back(status: int, asked: tuple[str, ...], seconds: float) -> None:
    assert wait_s(status, asked, 1000.0) == seconds


def test_words_of_other_statuses() -> None:
    assert words(400, "bad") == "the venue refuses it (HTTP 400: bad)"
    assert words(599) == "the venue fails (HTTP 599)"


def listed(symbol: str, status: str = "trading", tick: str = "1") -> Instrument:
    return Instrument(symbol, "A", "B", tick, "1", 0, 0, status)  # type: ignore[arg-type]


def test_what_is_followed() -> None:
    following = Following(("AX", "B*", "NOPE"))
    change = following.take([listed("AX"), listed("BX"), listed("CX"), listed("BY", "delisted")])
    assert change.begun == ["AX", "BX"]
    assert [one.symbol for one in change.told] == ["AX", "BX"] == [*following.symbols]
    assert change.unknown == ["NOPE"]
    change = following.take([listed("AX", "halted"), listed("BX", tick="2")])
    assert [one.symbol for one in change.told] == ["AX", "BX"]
    assert [one.symbol for one in change.statuses] == ["AX"]
    assert not change.begun
    change = following.take([listed("AX", "halted"), listed("BX", "delisted")])
    assert change.ended == ["BX"]
    assert [one.symbol for one in change.statuses] == ["BX"]
    change = following.take([listed("BX")])
    assert (change.begun, change.ended, change.unknown) == (["BX"], ["AX"], ["AX", "NOPE"])


def test_names_without_a_list() -> None:
    following = Following(("AX", "B*"))
    assert following.names() == ["AX"]
    assert following.names() == []
    change = following.take([listed("BX")])
    assert (change.begun, change.ended) == (["BX"], ["AX"])


def test_books_are_asked_for_once_updates_wait_and_later_again() -> None:
    waiting = {"A"}
    books = BookRequests(Pace(10.0, burst=2), waiting.__contains__)
    for symbol in "ABC":
        books.want(symbol)
    assert [*books.due(0.0, 9)] == ["A"]
    assert [*books.due(1.0, 9)] == [], "it is asked for"
    waiting |= {"B", "C"}
    assert [*books.due(1.0, 1)] == ["B"]
    books.answered("A", 1.0)
    books.answered("B", 1.0, wait_s=30.0)
    assert [*books.due(30.0, 9)] == [], "the venue wants all to wait"
    assert sorted(books.due(32.0, 9)) == ["A", "C"]
    for symbol in "ABC":
        books.have(symbol)
    assert len(books) == 0


def test_binances_urls() -> None:
    spot = Binance("spot", ("trade", "bbo", "book"))
    assert spot.url() == "wss://stream.binance.com:9443/stream"
    assert spot.streams("BTCUSDT") == ("btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms")
    assert spot.reference().endswith("/api/v3/exchangeInfo?showPermissionSets=false")
    assert spot.snapshot("币安人生USDT").endswith(
        "/api/v3/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=1000"
    )
    usdm = Binance("usdm", ("trade",), url="ws://x/", rest="http://y/")
    assert usdm.url() == "ws://x/stream"
    assert usdm.reference() == "http://y/fapi/v1/exchangeInfo"
    assert usdm.book_stream("A") == ""
    assert Binance("usdm", ()).url() == "wss://fstream.binance.com/public/stream"
    assert usdm.refused(400, b'{"code":-1121,"msg":"Invalid symbol."}') == "Invalid symbol. (-1121)"
    assert usdm.refused(502, b"<html>") == ""


# --- ways there -----------------------------------------------------------------------------------


@pytest.fixture
async def stand_in() -> AsyncIterator[BinanceStandIn]:
    one = BinanceStandIn("AAAUSDT")
    async with one.running():
        yield one


class Proxy:
    """A proxy of HTTP that knows one word."""

    def __init__(self, status: bytes = b"200 OK") -> None:
        self.status = status
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 " + self.status + b"\r\n\r\n")
        host, port = head.split()[1].decode().split(":")
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("status", [b"200 OK", b"407 Proxy Authentication Required"])
async def test_a_proxy_that_the_environment_names(
    status: bytes, stand_in: BinanceStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(status)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    url = f"ws://127.0.0.1:{stand_in.port}/stream"
    context = ssl.create_default_context()
    if status.startswith(b"2"):
        sock = await open_socket(url, lambda messages: None, context)
        assert len(stand_in.open) == 1
        sock.close("enough")
    else:
        with pytest.raises(NotOpened, match=r"the proxy refuses it: HTTP/1\.1 407"):
            await open_socket(url, lambda messages: None, context)
    assert proxy.asked == [b"CONNECT 127.0.0.1:%d HTTP/1.1" % stand_in.port]
    server.close()
    await asyncio.sleep(0.05)


async def test_a_proxy_that_is_none_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "nothing://user:secret@x")
    monkeypatch.setenv("no_proxy", "")
    context = ssl.create_default_context()
    with pytest.raises(NotOpened, match="the proxy that the environment names is none") as caught:
        await open_socket("ws://127.0.0.1:1/", lambda messages: None, context)
    assert "secret" not in str(caught.value)


async def test_rest_through_a_proxy_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://user:a%2Fb@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    answers: queue.Queue[Answer] = queue.Queue()
    rest = Rest("t", lambda call: call(), ssl.create_default_context())
    assert rest.get("http://venue.example/x", answers.put)
    answer = await asyncio.to_thread(answers.get, timeout=10)
    await asyncio.to_thread(rest.close)
    server.close()
    assert (answer.status, answer.body) == (200, b"OK")
    assert heads[0].startswith(b"GET http://venue.example/x HTTP/1.1\r\n")
    assert b"Basic " + base64.b64encode(b"user:a/b") in heads[0]


async def _leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_what_is_no_venue_at_all() -> None:
    server = await asyncio.start_server(_leave, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    context = ssl.create_default_context()
    with pytest.raises(NotOpened, match="no WebSocket there"):
        await open_socket(f"ws://127.0.0.1:{port}/", lambda messages: None, context)
    server.close()
    with pytest.raises(NotOpened, match="no connection"):
        await open_socket(f"ws://127.0.0.1:{port}/", lambda messages: None, context)
    with pytest.raises(NotOpened, match="http://x"):
        await open_socket("http://x", lambda messages: None, context)


async def test_rest_answers_errors_and_its_end(stand_in: BinanceStandIn) -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    root = f"http://127.0.0.1:{stand_in.port}"
    rest = Rest("t", lambda call: call(), ssl.create_default_context())

    async def asked(url: str) -> Answer:
        assert rest.get(url, answers.put)
        return await asyncio.to_thread(answers.get, timeout=10)

    good = await asked(f"{root}/api/v3/depth?symbol=AAAUSDT")
    assert good.status == 200
    assert b"lastUpdateId" in good.body
    stand_in.faults.rest, stand_in.faults.retry_after = 429, "9"
    refused = await asked(f"{root}/api/v3/depth?symbol=AAAUSDT")
    assert (refused.status, refused.wait_s) == (429, 9.0)
    nobody = await asked("http://127.0.0.1:1/")
    assert nobody.status == 0
    assert b"refused" in nobody.body
    stand_in.faults.slow_s = 30.0
    stand_in.asked.clear()
    assert rest.get(f"{root}/x", answers.put)
    async with asyncio.timeout(10):
        await stand_in.asked.wait()
    began_s = time.monotonic()
    await asyncio.to_thread(rest.close)
    assert time.monotonic() - began_s < 1.5, "a venue that does not answer is not waited for"
    assert answers.empty()
