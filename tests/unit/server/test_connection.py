"""What a connection keeps of a client that says nothing; what becomes of a mistake of our own."""

import errno
import gc
import logging
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from support.wire import CONT, PING, TEXT, frame, request

from gateway.dialects.tickgate import PATH
from gateway.options import LimitsOptions
from gateway.server import connection as module
from gateway.server.connection import Connection, State
from gateway.server.transport import Plain
from gateway.session.actions import Reply
from gateway.wire.events import frame_close
from gateway.wire.server_side import Endpoint


class Told:
    """Stands for listener, loop and plane: notes what is asked of it, and does nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.limits = LimitsOptions()
        self.handshake_ns = self.close_ns = 10**9
        self.plane = self.readers = self.registry = self.deadlines = self
        self.admission = SimpleNamespace(
            located=lambda *_: None, request=lambda _: None, linger=lambda: True
        )
        self.time_ns = 1
        self.endpoint = Endpoint({PATH: ["tickgate.v1.json"]}, [], self.limits)
        self.full = self.replying = False
        self.texts: list[str] = []

    def now_ns(self) -> int:
        return self.time_ns

    def credentials(self, *_: object) -> None:
        """Whoever they are; nothing of the request is kept."""

    def new_session(self, *_: object) -> tuple[SimpleNamespace, list[Reply], int]:
        def receive(text: str, **_: int) -> list[Reply]:
            self.texts.append(text)
            return [Reply(b"reply")] if self.replying else []

        return SimpleNamespace(receive=receive), [Reply(b"hello")], 0

    def add(self, *_: object, **__: object) -> int:
        """The plane takes the client."""
        return 7

    def send(self, handle: int, message: bytes, *_: object) -> int:
        """The plane takes the bytes, and there is no room for more once this many were sent."""
        self.calls.append(("send", handle, message))
        return int(self.full)

    write = send

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


def broken(monkeypatch: pytest.MonkeyPatch, state: State) -> tuple[Told, Connection]:
    """A connection that reads some bytes, and fails over them."""
    ours, theirs = socket.socketpair()
    told = Told()
    connection = Connection(told, Plain(ours), "peer", 0)  # type: ignore[arg-type]
    connection.state = state
    monkeypatch.setattr(Connection, "_work", lambda *_: 1 / 0)
    monkeypatch.setattr(module, "_log", SimpleNamespace(exception=lambda *_, **__: None))
    with theirs:
        theirs.send(b"x")
        connection.readable()
    ours.close()
    return told, connection


def test_a_mistake_of_ours_closes_with_1011(monkeypatch: pytest.MonkeyPatch) -> None:
    told, connection = broken(monkeypatch, State.OPEN)
    assert connection.close_code == 1011
    assert connection.state is State.CLOSING
    ((_, frame),) = told.named("close")
    assert frame == frame_close(1011, "internal error")


def test_a_mistake_of_ours_in_a_handshake_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told, connection = broken(monkeypatch, State.HANDSHAKE)
    assert told.named("handshake_ended") == [(connection, "closed")]
    assert connection.state is State.CLOSED
    assert connection.fd == -1


def test_a_client_that_is_not_handed_over_has_no_session(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a place among those of its user."""
    ended: list[bool] = []
    session = SimpleNamespace(end=lambda: ended.append(True))
    monkeypatch.setattr(module, "_log", SimpleNamespace(exception=lambda *_, **__: None))
    monkeypatch.setattr(told, "new_session", lambda *_: (session, [], 0), raising=False)

    def add(*_: object, **__: object) -> int:
        raise MemoryError

    monkeypatch.setattr(told, "add", add)
    ours, theirs = socket.socketpair()
    connection = Connection(told, Plain(ours), "peer", 0)  # type: ignore[arg-type]
    with theirs:
        theirs.send(request())
        connection.readable()
    assert connection.state is State.CLOSED
    assert ended == [True]
    assert told.named("handshake_ended") == [(connection, "closed")]


# --- parsers, and what an idle client takes ------------------------------------------------------

Opened = tuple[Connection, socket.socket]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def opened(told: Told) -> Iterator[Callable[[], Opened]]:
    """Makes connections that are through their handshakes, each with its client's socket."""
    sockets: list[socket.socket] = []

    def make() -> Opened:
        pair = socket.socketpair()
        sockets.extend(pair)
        connection = Connection(told, Plain(pair[0]), "peer", 0)  # type: ignore[arg-type]
        pair[1].send(request())
        connection.readable()
        assert connection.state is State.OPEN
        return connection, pair[1]

    yield make
    for sock in sockets:
        sock.close()


def say(one: Opened, data: bytes) -> None:
    one[1].send(data)
    one[0].readable()


def at_rest(one: Opened) -> bool:
    wire = one[0]._wire
    return wire is not None and wire.at_rest


def test_clients_take_turns_with_one_parser(told: Told, opened: Callable[[], Opened]) -> None:
    one, two = opened(), opened()
    spare = told.endpoint.parsers.take()
    told.endpoint.parsers.give_back(spare)
    for number, client in enumerate((one, two, one)):
        say(client, frame(TEXT, str(number).encode()))
        assert at_rest(client)
    assert told.texts == ["0", "1", "2"]
    assert told.endpoint.parsers.take() is spare


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 7])
def test_the_start_of_a_frame_stays_with_its_client(
    cut: int, told: Told, opened: Callable[[], Opened]
) -> None:
    one, two = opened(), opened()
    whole = frame(TEXT, b"one")
    say(one, whole[:cut])
    say(two, frame(TEXT, b"two"))
    assert not at_rest(one)
    assert at_rest(two)
    say(one, whole[cut:])
    assert told.texts == ["two", "one"]
    assert at_rest(one)


def test_a_fragmented_message_stays_with_its_client(
    told: Told, opened: Callable[[], Opened]
) -> None:
    one, two = opened(), opened()
    say(one, frame(TEXT, b"o", fin=False))
    say(two, frame(TEXT, b"two"))
    say(one, frame(PING, b"p") + frame(CONT, b"ne"))
    assert told.texts == ["two", "one"]
    assert told.named("send") == [(7, b"\x8a\x01p")]
    assert at_rest(one)
    assert at_rest(two)


def test_a_client_whose_pongs_fill_its_queue_gives_its_parser_back(
    told: Told, opened: Callable[[], Opened]
) -> None:
    one, two = opened(), opened()
    told.full = True
    say(one, frame(PING, b"p"))
    assert told.named("remove_reader") == [(one[0].fd,)]
    assert at_rest(one)
    one[0].resume()
    say(two, frame(TEXT, b"two"))
    assert told.named("send") == [(7, b"\x8a\x01p")]


def test_requests_wait_while_replies_fill_the_queue(
    told: Told, opened: Callable[[], Opened]
) -> None:
    one = opened()
    told.full = told.replying = True
    say(one, frame(TEXT, b"1") + frame(TEXT, b"2") + frame(PING, b"p"))
    assert told.texts == ["1"]
    one[0].resume()
    assert told.texts == ["1", "2"]
    told.full = False
    one[0].resume()
    assert told.named("send") == [(7, b"reply"), (7, b"reply"), (7, b"\x8a\x01p")]
    assert at_rest(one)


def test_the_parser_of_a_client_that_fails_is_nobodys(
    told: Told, opened: Callable[[], Opened]
) -> None:
    one, two = opened(), opened()
    say(one, frame(TEXT, b"\xff"))
    assert (one[0].close_code, one[0]._wire) == (1007, None)
    say(one, b"discarded")
    say(two, frame(TEXT, b"two"))
    assert told.texts == ["two"]


# --- since when a message is unfinished -----------------------------------------------------------

WHOLE = frame(TEXT, b"{}")
BEGUN = [
    pytest.param(WHOLE[:1], id="half a header"),
    pytest.param(WHOLE[:6], id="a header"),
    pytest.param(WHOLE[:7], id="half a payload"),
    pytest.param(frame(TEXT, b"x" * 200)[:3], id="half a length"),
    pytest.param(frame(TEXT, b"{", fin=False), id="a fragment"),
]
BEFORE = [
    pytest.param(b"", id="alone"),
    pytest.param(WHOLE, id="behind a message"),
    pytest.param(frame(TEXT, b"{}", width=8), id="behind a long length"),
    pytest.param(frame(PING), id="behind a ping"),
]


@pytest.mark.parametrize("begun", BEGUN)
@pytest.mark.parametrize("before", BEFORE)
def test_f23_what_is_begun_has_a_clock(
    before: bytes, begun: bytes, told: Told, opened: Callable[[], Opened]
) -> None:
    one = opened()
    told.time_ns = 5
    say(one, before + begun)
    assert one[0].message_ns == 5
    assert told.named("watch_message") == [(one[0],)]


@pytest.mark.parametrize("before", BEFORE)
def test_f23_what_is_finished_has_none(before: bytes, opened: Callable[[], Opened]) -> None:
    one = opened()
    say(one, WHOLE[:3])
    say(one, WHOLE[3:] + before)
    assert one[0].message_ns == 0


@pytest.mark.parametrize("whole", [WHOLE, frame(PING, b"p")])
def test_f23_each_begins_its_own_clock(
    whole: bytes, told: Told, opened: Callable[[], Opened]
) -> None:
    one = opened()
    say(one, whole[:3])
    for told.time_ns in (5, 9):
        say(one, whole[3:] + whole[:3])
        assert one[0].message_ns == told.time_ns


def test_f23_pings_between_fragments_and_dribbling_do_not_wind_it_up(
    told: Told, opened: Callable[[], Opened]
) -> None:
    one = opened()
    say(one, frame(TEXT, b"{", fin=False))
    for told.time_ns, more in enumerate((frame(PING), frame(CONT, b" ", fin=False), b"\0"), 5):
        say(one, more)
        assert one[0].message_ns == 1


def test_f23_the_clock_begins_once_we_read_on(told: Told, opened: Callable[[], Opened]) -> None:
    one = opened()
    told.full = True
    say(one, frame(PING, b"p") + WHOLE[:3])
    told.time_ns = 7
    assert one[0].reading is False
    one[0].resume()
    assert one[0].message_ns == 7


# --- a host that gives no watch ------------------------------------------------------------------


def denied(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_socket_that_cannot_be_watched_is_not_kept(told: Told) -> None:
    told.add_reader = denied  # type: ignore[attr-defined]
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(OSError, match="No space"):
        Connection(told, Plain(ours), "peer", 0)  # type: ignore[arg-type]
    assert ours.fileno() == -1


def test_a_client_that_cannot_be_read_any_more_is_let_go(
    told: Told, opened: Callable[[], Opened]
) -> None:
    one = opened()
    told.full = True
    say(one, frame(PING, b"p"))
    told.add_reader = denied  # type: ignore[attr-defined]
    one[0].resume()
    assert told.named("remove") == [(one[0],)]
    assert one[0].close_reason == "No space left on device"


def test_a_refused_request_is_forgotten(told: Told) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(told, Plain(ours), "peer", 0)  # type: ignore[arg-type]
        theirs.send(request("/nowhere"))
        connection.readable()
        assert (connection.state, connection._wire) == (State.LINGER, None)


def test_an_idle_client_takes_little(opened: Callable[[], Opened]) -> None:
    def idle(count: int) -> list[Opened]:
        clients = [opened() for _ in range(count)]
        for client in clients:
            say(client, frame(PING))
        gc.collect()
        return clients

    count = 50
    tracemalloc.start()
    first = idle(count)  # what all share is there then, and what the interpreter keeps for reuse
    before = tracemalloc.get_traced_memory()[0]
    second = idle(count)
    each = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    assert len(first) == len(second)
    assert each < 2000, (
        "with both sockets and the notes of this test; the library's request is 3.7 KB"
    )


def test_the_library_is_quiet() -> None:
    assert logging.getLogger("gateway.websockets").level == logging.ERROR
