"""How many of the clients' sockets the loop reads in one iteration, and in which order."""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from gateway.model.outcomes import ACCEPT_ERRORS
from gateway.options import LimitsOptions
from gateway.server import listener as module
from gateway.server.listener import Listener
from gateway.server.readers import READS_PER_TURN, Readers
from gateway.wire.server_side import Endpoint

CLIENTS = 2 * READS_PER_TURN + 22


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(CLIENTS)]
    yield made
    for pair in made:
        for sock in pair:
            sock.close()


class Calls:
    """A reader that calls this."""

    costly = False

    def __init__(self, readable: Callable[[], None]) -> None:
        self.readable = readable


Pairs = list[tuple[socket.socket, socket.socket]]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_thousand_dead_sockets_are_read_some_in_each_iteration(pairs: Pairs, loop: str) -> None:
    read: list[int] = []  # since the last iteration began
    most = Counter[int]()

    def end(readers: Readers, fd: int) -> None:
        read.append(fd)
        readers.remove_reader(fd)

    async def run() -> None:
        readers = Readers()
        for ours, theirs in pairs:
            readers.add_reader(ours.fileno(), Calls(partial(end, readers, ours.fileno())))
            theirs.close()
        readers.start(asyncio.get_running_loop())
        while sum(most.elements()) < CLIENTS:
            await asyncio.sleep(0)
            most[len(read)] += 1
            read.clear()

    new = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=new) as runner:
        runner.run(asyncio.wait_for(run(), 10))
    assert max(most) == READS_PER_TURN
    assert most[CLIENTS - 2 * READS_PER_TURN] == 1


def test_whoever_sends_much_waits_behind_the_others(pairs: Pairs) -> None:
    readers, read = Readers(), Counter[int]()
    for ours, theirs in pairs:
        theirs.send(b"never read, so always more")
        readers.add_reader(ours.fileno(), Calls(partial(read.update, [ours.fileno()])))
    for _ in range(CLIENTS):
        readers.turn()
    assert sum(read.values()) == CLIENTS * READS_PER_TURN
    assert set(read.values()) == {READS_PER_TURN}


def test_one_that_ends_another_of_the_same_iteration(pairs: Pairs) -> None:
    readers, left = Readers(), {ours.fileno() for ours, _ in pairs[:10]}
    read: list[int] = []

    def end_the_others(fd: int) -> None:
        read.append(fd)
        for other in left:
            readers.remove_reader(other)
        left.clear()

    for ours, theirs in pairs[:10]:
        theirs.send(b"x")
        readers.add_reader(ours.fileno(), Calls(partial(end_the_others, ours.fileno())))
    readers.turn()
    assert len(read) == 1


def test_without_a_watch_for_its_socket_nobody_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[object] = []
    theirs, ours = socket.socketpair()
    waiting: list[Any] = [(ours, "")]
    listener: Any = Listener.__new__(Listener)
    listening: Any = SimpleNamespace(accept=waiting.pop, fileno=lambda: 0)
    listener._door = None
    listener._stats = SimpleNamespace(add=lambda *what: counted.append(what))
    listener.loop = SimpleNamespace(remove_reader=lambda _: None, call_later=lambda *_: None)
    listener.limits, listener.now_ns, listener.accepting = LimitsOptions(), lambda: 1, True
    listener.deadlines, listener.registry = SimpleNamespace(handshake_ns=1), {}
    listener.endpoint, listener._proxy_protocol = Endpoint({}, [], listener.limits), False

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_log", SimpleNamespace(error=lambda *_, **__: None))
    listener.readers = SimpleNamespace(add_reader=no_space)
    listener._accept(listening)
    assert not listener.accepting
    assert counted == [("accept_errors", ACCEPT_ERRORS.index("other"))]
    assert ours.fileno() == -1
    theirs.close()


def test_a_report_that_cannot_be_published_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    published: list[tuple[str, bytes]] = []

    def publish(channel: str, text: bytes) -> None:
        if len(text) > 4:
            raise ValueError(f"a text of {len(text)} bytes")
        published.append((channel, text))

    listener: Any = Listener.__new__(Listener)
    listener.plane = SimpleNamespace(publish=publish)
    listener.report("slo", "short")
    listener.report("slo", "text")
    (record,) = caplog.records
    assert (record.levelname, record.message) == ("ERROR", "report.failed")
    assert record.__dict__["fields"] == {"channel": "slo", "error": "a text of 5 bytes"}
    assert published == [("slo", b"text")]
