"""The datagram receiver."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gateway import _native
from gateway._native import UdpSocket


@pytest.fixture
def receiver() -> Iterator[UdpSocket]:
    receiver = UdpSocket("127.0.0.1", 0)
    yield receiver
    receiver.close()


def send(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, ("127.0.0.1", port))


def test_datagrams_come_whole_in_order_with_both_clocks(receiver: UdpSocket) -> None:
    sent = [b"%d" % i for i in range(600)] + [b"", b"x" * 65507]
    before = _native.realtime_ns(), _native.monotonic_ns()
    send(receiver.port, *sent)
    received: list[bytes] = []
    while len(received) < len(sent):
        datagrams, ts_recv, mono_recv = receiver.receive(1000)
        assert datagrams
        assert before[0] <= ts_recv <= _native.realtime_ns()
        assert before[1] <= mono_recv <= _native.monotonic_ns()
        received += datagrams
    assert received == sent
    assert (receiver.dropped, receiver.oversized) == (0, 0)


def test_a_timeout_is_empty(receiver: UdpSocket) -> None:
    start = time.monotonic()
    assert receiver.receive(30) == ([], 0, 0)
    assert 0.025 <= time.monotonic() - start < 5


def test_wake_ends_a_receive_of_another_thread(receiver: UdpSocket) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(receiver.receive(20_000)))
    thread.start()
    while True:  # until it is inside: only then is closing refused
        try:
            receiver.receive(0)
        except RuntimeError:
            break
    with pytest.raises(RuntimeError, match="wake"):
        receiver.close()
    receiver.wake()
    thread.join(10)
    assert results == [([], 0, 0)]


def test_a_busy_port_is_an_os_error(receiver: UdpSocket) -> None:
    with pytest.raises(OSError, match="in use"):
        UdpSocket("127.0.0.1", receiver.port)
    with pytest.raises(OSError, match=r"name|service|address"):
        UdpSocket("no.such.host.invalid", 0)


def test_the_buffer_granted_is_shown(receiver: UdpSocket) -> None:
    small = UdpSocket("127.0.0.1", 0, buffer_bytes=65536)
    assert 0 < small.buffer_granted <= receiver.buffer_granted
    small.close()


def test_datagrams_that_the_kernel_drops_are_counted() -> None:
    receiver = UdpSocket("127.0.0.1", 0, buffer_bytes=4096)
    send(receiver.port, *[b"x" * 1000] * 100)
    taken = len(receiver.receive(1000)[0])
    send(receiver.port, b"the next one tells")
    assert receiver.receive(1000)[0] == [b"the next one tells"]
    assert 0 < receiver.dropped == 100 - taken
    receiver.close()


def test_a_closed_receiver_says_so() -> None:
    receiver = UdpSocket("127.0.0.1", 0)
    receiver.close()
    receiver.close()
    with pytest.raises(ValueError, match="closed"):
        receiver.receive(0)
    with pytest.raises(ValueError, match="closed"):
        receiver.wake()
