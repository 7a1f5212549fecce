"""The Autobahn test suite's cases, always: against the server's side and the client's without a
socket, however the bytes are cut, and against a worker that echoes, over sockets, plain and TLS.

`autobahn.py` beside it runs the suite itself.
"""

import ssl
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pytest
from support.autobahn import CASES, CHOPS, LOADS, Case, Heard, Load, Pong, fragments, sliced
from support.certificates import Authority
from support.echo import MESSAGE_BYTES_MAX, PATH, echo_process
from support.from_server import unmasked
from support.sans import Sans, cut, endpoint, pongs
from support.sans_client import SansClient
from support.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, Wire, close, frame, request

from gateway.options import LimitsOptions
from gateway.wire.client_side import ClientLimits
from gateway.wire.events import Answer, Control, End

LIMITS = LimitsOptions(message_bytes=MESSAGE_BYTES_MAX, fragments_max=1 << 20)
BYTEWISE_MAX = 2000
"""Streams of up to so many bytes are cut at each, longer ones into pieces of `CHOP`."""
CHOP = 997
WAYS = ("at once", "by frames", "by bytes")

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
each_way = pytest.mark.parametrize("way", WAYS)


def pieces(frames: Sequence[bytes], way: str) -> list[bytes]:
    """What comes in one read each."""
    if way == "by frames":
        return list(frames)
    whole = b"".join(frames)
    if way == "at once":
        return [whole]
    return cut(whole, range(0, len(whole), 1 if len(whole) <= BYTEWISE_MAX else CHOP))


# --- the server's side ----------------------------------------------------------------------------


def heard(client: Sans) -> Iterable[Heard]:
    for event in client.events:
        if isinstance(event, Answer):
            yield from map(Pong, pongs(event))
        elif not isinstance(event, Control | End):
            assert isinstance(event, str | bytes)
            yield event


@each_case
@each_way
def test_the_server_s_side(case: Case, way: str) -> None:
    client = Sans(endpoint(LIMITS, binary=True)).open().send(*pieces(case.frames, way))
    assert list(heard(client)) == list(case.heard)
    code, reason = client.closed
    assert code == case.code, reason
    if case.code:
        end = client.events[-1]
        assert isinstance(end, End)
        assert end.failed is not case.goodbye
    else:
        assert client.side.at_rest


# --- the client's side ----------------------------------------------------------------------------


@each_case
@each_way
def test_the_client_s_side(case: Case, way: str) -> None:
    """The same frames from a server; of pings in one read the last one is answered."""
    client = SansClient(limits=ClientLimits(MESSAGE_BYTES_MAX, LIMITS.fragments_max)).open()
    client.get(*pieces([unmasked(one) for one in case.frames], way))
    assert client.messages == [one for one in case.heard if not isinstance(one, Pong)]
    answered = [one.payload for one in case.heard if isinstance(one, Pong)]
    if way == "at once":
        answered = answered[-1:]
    assert client.pongs == answered
    assert client.closed == case.code
    if client.end is not None:
        assert client.end.failed is not case.goodbye


# --- a worker, over sockets -----------------------------------------------------------------------


class Echo(NamedTuple):
    """One, and what its clients need."""

    url: str
    tls: ssl.SSLContext | None

    def wire(self) -> Wire:
        """A new connection."""
        return Wire(self.url, tls=self.tls)


@pytest.fixture(scope="module", params=["plain", "tls"])
def echo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Echo]:
    if request.param == "plain":
        with echo_process() as url:
            yield Echo(url, None)
        return
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    with echo_process(*authority.sign("echo", "IP:127.0.0.1")) as url:
        assert url.startswith("wss://")
        yield Echo(url, authority.client())


@pytest.fixture
def wire(echo: Echo) -> Iterator[Wire]:
    """A client of it, past its handshake."""
    with echo.wire() as wire:
        wire.send(request(PATH))
        assert wire.response().status == 101
        yield wire


def said(one: Heard) -> Frame:
    """What is heard as the frame that it is."""
    if isinstance(one, str):
        return Frame(True, TEXT, one.encode())
    return Frame(True, PONG, one.payload) if isinstance(one, Pong) else Frame(True, BINARY, one)


@each_case
def test_an_echo_over_a_socket(wire: Wire, case: Case) -> None:
    chop = CHOPS.get(case.number)
    whole = b"".join(case.frames)
    for piece in case.frames if chop is None else sliced(whole, chop):
        wire.send_anyway(piece)
    for one in case.heard:
        assert wire.frame() == said(one)
    if not case.code:
        wire.send(frame(PING, b"still here"), close(1000))
        assert wire.frame() == Frame(True, PONG, b"still here")
    last = wire.frame()
    assert last.opcode == CLOSE
    code = int.from_bytes(last.payload[:2], "big") if last.payload else 1005
    assert code == (case.code or 1000)
    assert wire.ended() == b""


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.number)
def test_large_and_many_messages(wire: Wire, load: Load) -> None:
    payload = (b"BAsd7&jh23" if load.opcode == TEXT else b"\x00\xfe\xba") * (load.size // 3 + 1)
    payload = payload[: load.size]
    sent = b"".join(fragments(sliced(payload, load.fragment) or [b""], load.opcode))
    for _ in range(load.times):
        for piece in sliced(sent, load.chop):
            wire.send(piece)
        assert wire.frame() == Frame(True, load.opcode, payload)


@pytest.mark.parametrize(
    "offer", ["permessage-deflate", "permessage-deflate; client_max_window_bits"]
)
def test_compression_is_declined(echo: Echo, offer: str) -> None:
    """Sections 12 and 13 are unimplemented: one frame is the same for all clients."""
    with echo.wire() as wire:
        wire.send(request(PATH, more=[("Sec-WebSocket-Extensions", offer)]))
        response = wire.response()
        assert response.status == 101
        assert "sec-websocket-extensions" not in response.headers


def test_numbers_are_distinct() -> None:
    numbers = [case.number for case in CASES] + [load.number for load in LOADS]
    assert len({*numbers}) == len(numbers)


def test_all_of_the_suite_s_cases_are_there() -> None:
    """301 of sections 1 to 7, 9 and 10; those of section 6 come in fragments as well."""
    cases = [case for case in CASES if "fragments" not in case.number]
    assert len(cases) + len(LOADS) == 301
