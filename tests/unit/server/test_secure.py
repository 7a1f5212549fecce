"""The handshake of TLS as a transport has it: nothing before a whole ClientHello, bounded, told."""

import os
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from support.certificates import Authority

from gateway._native import TLS_HELLO_MAX, TlsConnection, tls_hello
from gateway.model.outcomes import TLS_HANDSHAKES
from gateway.options import TlsOptions
from gateway.server import secure as module
from gateway.server.admission import Budget
from gateway.server.readers import READS_PER_TURN, SIGNATURES_PER_TURN, Readers
from gateway.server.secure import (
    CONNECTION_BYTES,
    HANDSHAKE_BYTES,
    Door,
    Secure,
    identities,
    reload,
)
from gateway.server.transport import peer_of


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def options(authority: Authority) -> TlsOptions:
    cert, key = authority.sign("server", "DNS:localhost")
    return TlsOptions(cert=cert, key=key)


class Rig:
    """A door, and what it counted."""

    def __init__(self, options: TlsOptions, handshakes_max: int = 100) -> None:
        self.counts: Counter[str] = Counter()
        self.memory = Budget(1 << 30)
        self.door = Door(options, "listen", -1, handshakes_max, self.memory, self._count)

    def _count(self, result: str) -> None:
        assert result in TLS_HANDSHAKES
        self.counts[result] += 1


_fars: "list[Far]" = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    """Closes what a test has left open."""
    yield
    while _fars:
        _fars.pop().close()


class Far:
    """A client of Python's, and the transport that it came by."""

    def __init__(self, rig: Rig, context: ssl.SSLContext, address: str = "") -> None:
        ours, self.socket = socket.socketpair()
        self.transport = Secure(ours, rig.door, address)
        self.socket.setblocking(False)
        _fars.append(self)
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_hostname="localhost")

    def step(self) -> bytes | None:
        """One of each side; what the transport received."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.flush()
        received = self.transport.receive()
        self.take()
        return received

    def flush(self) -> None:
        if said := self.goes.read():
            self.socket.send(said)

    def take(self) -> None:
        with suppress(BlockingIOError):
            self.came.write(self.socket.recv(1 << 17))

    def shake(self) -> None:
        for _ in range(4):
            assert self.step() is None
        assert not self.transport.costly

    def close(self) -> None:
        self.transport.close()
        self.socket.close()


@pytest.fixture
def far(options: TlsOptions, authority: Authority) -> Far:
    return Far(Rig(options), authority.client())


def test_a_request_comes_through_and_an_answer_ends_it(
    options: TlsOptions, authority: Authority
) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        rig = Rig(options)
        far = Far(rig, authority.client(version=version))
        assert far.transport.costly
        far.shake()
        assert rig.counts == {"ok": 1}
        assert rig.door.unfinished == 0
        far.tls.write(b"GET / HTTP/1.1\r\n\r\n")
        far.flush()
        assert far.transport.receive() == b"GET / HTTP/1.1\r\n\r\n"
        far.transport.answer(b"x" * 20_000)
        far.take()
        got = far.tls.read(30_000)
        while len(got) < 20_000:
            got += far.tls.read(30_000)
        assert got == b"x" * 20_000
        assert far.tls.read(1) == b""  # close_notify
        far.close()
        assert rig.counts == {"ok": 1}


def test_nothing_is_made_of_a_hello_that_is_not_whole(far: Far) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        far.tls.do_handshake()
    hello = far.goes.read()
    for n in range(len(hello) - 1):
        far.socket.send(hello[n : n + 1])
        assert far.transport.receive() is None
        assert far.transport._tls is None
    far.socket.send(hello[-1:])
    far.transport.receive()
    assert far.transport._tls is not None


def garbage() -> list[bytes]:
    message = bytes([1, 0, 0x3F, 0]) + bytes(TLS_HELLO_MAX)
    long = b"".join(b"\x16\x03\x01\x00\x01" + bytes([one]) for one in message)
    alert = b"\x15\x03\x01\x00\x02"
    return [b"GET / HTTP/1.1\r\n", bytes(100), b"\x16\x03\x01\x00\x00", alert, long[:17_000]]


@pytest.mark.parametrize("first", garbage(), ids=lambda first: repr(first[:8]))
def test_what_is_no_hello_ends_it_at_once(
    first: bytes, options: TlsOptions, authority: Authority
) -> None:
    rig = Rig(options)
    far = Far(rig, authority.client())
    far.socket.send(first)
    with pytest.raises(OSError, match="no ClientHello"):
        far.transport.receive()
    assert far.transport._tls is None
    far.close()
    assert rig.counts == {"hello": 1}


def test_unfinished_handshakes_are_bounded(options: TlsOptions, authority: Authority) -> None:
    rig = Rig(options, 3)
    fars = [Far(rig, authority.client()) for _ in range(4)]
    for far in fars[:3]:
        far.step()
    assert rig.door.unfinished == 3
    with pytest.raises(OSError, match="too many unfinished TLS handshakes"):
        fars[3].step()
    assert rig.counts == {"shed": 1}
    fars[0].close()  # its place is another's
    assert rig.counts == {"shed": 1, "closed": 1}
    again = Far(rig, authority.client())
    again.shake()
    assert rig.door.unfinished == 2
    for far in (*fars[1:], again):
        far.close()
    assert rig.door.unfinished == 0


def test_an_address_leaves_room_for_others(options: TlsOptions, authority: Authority) -> None:
    rig = Rig(options, 10)
    fars: list[Far] = []
    had = []
    for address in ("a", "b", "c", "d", "e"):
        for count in range(11):  # noqa: B007
            fars.append(Far(rig, authority.client(), address))
            try:
                fars[-1].step()
            except OSError:
                break
        had.append(count)
    assert had == [5, 3, 1, 1, 0]
    for far in fars:
        far.close()
    assert rig.door.unfinished == 0
    again = Far(rig, authority.client(), "a")
    again.step()
    again.close()


def test_a_hello_may_come_in_any_records(options: TlsOptions, authority: Authority) -> None:
    """None of it is left over: no descriptor would tell of that."""
    far = Far(Rig(options), authority.client())
    with pytest.raises(ssl.SSLWantReadError):
        far.tls.do_handshake()
    hello = far.goes.read()
    far.socket.send(b"".join(hello[:3] + b"\x00\x01" + bytes([one]) for one in hello[5:]))
    assert far.transport.receive() is None
    far.take()
    far.shake()


def test_who_has_not_finished_in_time_is_told_nothing(far: Far, options: TlsOptions) -> None:
    far.step()
    with pytest.raises(OSError, match="no TLS yet"):
        far.transport.answer(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    with pytest.raises(AttributeError):
        _ = far.transport._door.count  # type: ignore[union-attr]


def test_outcomes_of_handshakes(options: TlsOptions, authority: Authority) -> None:
    rig = Rig(options)
    late = Far(rig, authority.client())
    late.step()
    with pytest.raises(OSError, match="no TLS yet"):
        late.transport.answer(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    gone = Far(rig, authority.client())
    gone.step()
    gone.socket.close()
    with pytest.raises(ConnectionResetError):
        gone.transport.receive()
    old = authority.client()
    old.set_ciphers("ECDHE+AES:!AESGCM:!CHACHA20")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    other = Far(rig, old)
    with pytest.raises(OSError, match="no shared cipher"):
        other.step()
    other.take()
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):  # it was told
        other.tls.do_handshake()
    for far in (late, gone, other):
        far.close()
    assert rig.counts == {"timeout": 1, "closed": 1, "failed": 1}


def test_who_the_client_is(options: TlsOptions, authority: Authority) -> None:
    asked = TlsOptions(cert=options.cert, key=options.key, client_ca=authority.cert)
    identity = authority.sign("desk", "DNS:desk-7", "URI:spiffe://bank/desk-7", "IP:10.0.0.7")
    rig = Rig(asked)
    far = Far(rig, authority.client(*identity))
    assert not far.transport.peer_names
    far.shake()
    names = ("desk-7", "uri:spiffe://bank/desk-7", "ip:10.0.0.7")
    assert far.transport.peer_names == names
    nobody = Far(rig, authority.client())
    with pytest.raises(OSError, match="did not return a certificate"):
        nobody.shake()
    far.close()
    nobody.close()
    assert rig.counts == {"ok": 1, "certificate": 1}
    assert far.transport.peer_names == names


def test_a_host_is_taken_for_nothing_else() -> None:
    told = ("dns:desk-7", "email:a@b.c", "dns:uri:spiffe://bank/boss", "dns:::1", "ip:10.0.0.7")
    assert identities(told) == ("desk-7", "email:a@b.c", "ip:10.0.0.7")


def test_what_is_held_is_charged_until_the_plane_has_it(
    options: TlsOptions, authority: Authority
) -> None:
    rig = Rig(options)
    far = Far(rig, authority.client())
    with pytest.raises(ssl.SSLWantReadError):
        far.tls.do_handshake()
    hello = far.goes.read()
    for n in range(1, len(hello)):
        far.socket.send(hello[n - 1 : n])
        assert far.transport.receive() is None
        assert rig.memory.used == n
    far.socket.send(hello[-1:])
    assert far.transport.receive() is None
    assert rig.memory.used == HANDSHAKE_BYTES
    far.take()
    far.shake()
    assert rig.memory.used == CONNECTION_BYTES
    plane: Any = SimpleNamespace(add=lambda *_, **__: 1)
    far.transport.hand_over(plane, b"", None, 0)
    assert rig.memory.used == 0
    gone = Far(rig, authority.client())
    assert gone.step() is None
    assert rig.memory.used == HANDSHAKE_BYTES
    gone.close()
    assert rig.memory.used == 0


@pytest.mark.parametrize("room", [100, HANDSHAKE_BYTES - 1])
def test_beyond_the_memory_of_all_it_is_closed(
    room: int, options: TlsOptions, authority: Authority
) -> None:
    rig = Rig(options)
    rig.memory.limit = room
    far = Far(rig, authority.client())
    with pytest.raises(OSError, match="unfinished"):
        far.step()
    far.take()
    assert not far.came.read()  # without a word
    far.close()
    assert rig.counts == {"shed": 1}
    assert rig.memory.used == 0
    assert rig.door.unfinished == 0


def test_of_this_host_it_is_the_user() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours, "") == f"unix:{os.getuid()}"
    assert peer_of(ours, ("10.0.0.1", 5)) == "10.0.0.1"


def test_the_plane_is_asked_once_for_each_record(far: Far) -> None:
    far.shake()
    asked: list[int] = []
    added: dict[str, Any] = {}

    def add(fd: int, *_: object, tls: TlsConnection, **__: object) -> int:
        added.update(fd=fd, tls=tls)
        return 7

    plane: Any = SimpleNamespace(add=add, read=asked.append)
    readers = Readers()
    reader: Any = SimpleNamespace(costly=False, readable=lambda: None)
    far.transport.watch(readers, reader)
    assert far.transport.hand_over(plane, b"101", None, 0) == 7
    assert added["fd"] == far.transport.fd
    assert not readers._readers  # the loop reads it no more
    far.transport.watch(readers, reader)  # one record is asked for already
    assert asked == []
    far.transport.told()
    far.transport.unwatch(readers)
    far.transport.watch(readers, reader)
    far.transport.watch(readers, reader)
    assert asked == [7]


def test_a_reload_is_for_handshakes_from_then_on(
    options: TlsOptions, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, Any]] = []
    note = lambda name, **fields: said.append((name, fields))  # noqa: E731
    monkeypatch.setattr(module, "_log", SimpleNamespace(info=note, error=note, warning=note))
    rig = Rig(options)
    before = Far(rig, authority.client())
    before.step()
    cert, key = authority.sign("another", "DNS:localhost")
    reload(rig.door, TlsOptions(cert=cert, key=key), 5)
    assert rig.door.handshakes_max == 5
    before.shake()
    after = Far(rig, authority.client())
    after.shake()
    shown = [str(far.tls.getpeercert()) for far in (before, after)]
    assert "'server'" in shown[0]
    assert "'another'" in shown[1]
    kept = rig.door.context
    reload(rig.door, TlsOptions(cert=cert, key="/no"), 5)
    assert rig.door.context is kept
    reload(None, TlsOptions(), 5)
    assert [name for name, _ in said] == ["tls.reloaded", "tls.not_reloaded"]
    before.close()
    after.close()


def test_few_signatures_are_made_in_an_iteration() -> None:
    pairs = [socket.socketpair() for _ in range(READS_PER_TURN)]
    readers = Readers()
    read: Counter[bool] = Counter()
    for n, (ours, theirs) in enumerate(pairs):
        costly = n % 2 == 0
        reader: Any = SimpleNamespace(costly=costly)
        reader.readable = lambda costly=costly, ours=ours: read.update([costly]) or ours.recv(9)
        readers.add_reader(ours.fileno(), reader)
        theirs.send(b"x")
    readers.turn()
    assert read == {True: SIGNATURES_PER_TURN, False: READS_PER_TURN // 2}
    for _ in range(READS_PER_TURN // 2 // SIGNATURES_PER_TURN - 1):
        readers.turn()
    assert read == {True: READS_PER_TURN // 2, False: READS_PER_TURN // 2}
    for pair in pairs:
        for one in pair:
            one.close()


def test_hello_says_what_it_needs() -> None:
    assert tls_hello(b"") == 0
    assert tls_hello(b"\x16\x03") == 0
    assert tls_hello(b"\x17") < 0
