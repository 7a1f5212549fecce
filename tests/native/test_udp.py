"""The datagram receiver, alone and with an intake that publishes what is usual."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gateway import _native
from gateway._native import CHANNELS, RingReader, RingWriter, StatsPage, UdpIntake, UdpSocket
from gateway.address import datagrams


@pytest.fixture
def receiver() -> Iterator[UdpSocket]:
    receiver = UdpSocket(datagrams("127.0.0.1", 0))
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
        datagrams, ages, ts_read, mono_read = receiver.receive(1000)
        assert datagrams
        assert len(ages) == len(datagrams)
        assert before[0] <= ts_read - max(ages) <= ts_read - min(ages) <= _native.realtime_ns()
        # An age is a difference of wall clocks, which may be slewed against the monotonic one.
        assert before[1] - 1_000_000 <= mono_read - max(ages)
        assert mono_read <= _native.monotonic_ns()
        received += datagrams
    assert received == sent
    assert (receiver.dropped, receiver.oversized) == (0, 0)
    assert (receiver.stamped, receiver.stamp_anomalies) == (True, 0)


@pytest.mark.usefixtures("stamping")
def test_the_wait_in_the_socket_is_the_age_of_a_datagram(receiver: UdpSocket) -> None:
    send(receiver.port, b"first")
    time.sleep(0.03)
    send(receiver.port, b"x" * 65507, b"second")
    datagrams, ages, _, _ = receiver.receive(1000)
    assert [len(datagram) for datagram in datagrams] == [5, 65507, 6]
    assert ages[0] >= 30_000_000
    assert ages[0] - ages[1] >= 30_000_000
    assert ages[1] >= ages[2] >= 0


def test_a_timeout_is_empty(receiver: UdpSocket) -> None:
    start = time.monotonic()
    assert receiver.receive(30) == ([], [], 0, 0)
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
    assert results == [([], [], 0, 0)]


def test_a_busy_port_is_an_os_error(receiver: UdpSocket) -> None:
    with pytest.raises(OSError, match="in use"):
        UdpSocket(datagrams("127.0.0.1", receiver.port))
    with pytest.raises(OSError, match=r"name|service|address"):
        UdpSocket(datagrams("no.such.host.invalid", 0))


def test_the_buffer_granted_is_shown(receiver: UdpSocket) -> None:
    small = UdpSocket(datagrams("127.0.0.1", 0), buffer_bytes=65536)
    assert 0 < small.buffer_granted <= receiver.buffer_granted
    small.close()


def test_datagrams_that_the_kernel_drops_are_counted() -> None:
    receiver = UdpSocket(datagrams("127.0.0.1", 0), buffer_bytes=4096)
    send(receiver.port, *[b"x" * 1000] * 100)
    taken = len(receiver.receive(1000)[0])
    send(receiver.port, b"the next one tells")
    assert receiver.receive(1000)[0] == [b"the next one tells"]
    assert 0 < receiver.dropped == 100 - taken
    receiver.close()


def test_a_closed_receiver_says_so() -> None:
    receiver = UdpSocket(datagrams("127.0.0.1", 0))
    receiver.close()
    receiver.close()
    with pytest.raises(ValueError, match="closed"):
        receiver.receive(0)
    with pytest.raises(ValueError, match="closed"):
        receiver.wake()


# --- with an intake -----------------------------------------------------------------------------

FEED = 7


def trade(symbol: str, identity: int, price: str = "1.50") -> bytes:
    return (
        b'{"channel":"trade","symbol":"%s","price":"%s","qty":"2","side":"sell","id":"%d","ts":9}'
        % (symbol.encode(), price.encode(), identity)
    )


@pytest.fixture
def writer(page: StatsPage) -> Iterator[RingWriter]:
    writer = RingWriter(1 << 16, 16, stats=page)
    yield writer
    writer.close()


@pytest.fixture
def intake(writer: RingWriter) -> UdpIntake:
    return UdpIntake(writer, feed=FEED, quiet_ns=0, interval_ns=0)


@pytest.fixture
def socket_of(intake: UdpIntake) -> Iterator[UdpSocket]:
    receiver = UdpSocket(datagrams("127.0.0.1", 0), intake=intake)
    yield receiver
    receiver.close()


def test_usual_lines_of_learned_symbols_are_published_and_the_rest_comes_back(
    writer: RingWriter, page: StatsPage, intake: UdpIntake, socket_of: UdpSocket
) -> None:
    reader = RingReader(writer.fd)
    intake.learn("trade", "A", writer.topic("trade", "A.X"))
    quote = b'{"channel":"bbo","symbol":"A","bid":"1","bid_qty":"2","ask":"3","ask_qty":"4"}'
    escaped = trade("A", 4).replace(b'"A"', rb'"\u0041"')
    send(
        socket_of.port,
        trade("A", 1) + b"\n" + trade("B", 2) + b"\n\n" + quote + b"\n" + trade("A", 3),
        escaped,
        trade("A", 5, price="1e"),
        trade("A", 6),
    )
    rest, ages, ts_read, mono_read = socket_of.receive(1000)
    assert rest == [trade("B", 2), quote]
    assert len(ages) == 2
    assert ages[0] == ages[1] >= 0  # of one datagram
    assert 0 < _native.realtime_ns() - ts_read < 10**10
    assert 0 < _native.monotonic_ns() - mono_read < 10**10
    assert page.get("feed_records", FEED) == 1
    intake.learn("bbo", "A", writer.topic("bbo", "A.X"))
    rest = socket_of.receive(1000)[0]
    while len(rest) < 2:  # two datagrams, perhaps of two batches
        rest += socket_of.receive(1000)[0]
    assert rest == [escaped, trade("A", 5, price="1e")]
    assert socket_of.receive(50) == ([], [], 0, 0)
    send(socket_of.port, quote)
    assert socket_of.receive(50) == ([], [], 0, 0)
    records = reader.poll()
    assert records is not None
    assert [record.get("id", "quote") for record in records] == ["1", "3", "6", "quote"]
    assert {record["price"] for record in records[:3]} == {"1.50"}
    assert page.get("feed_records", FEED) == 4
    assert page.get("feed_last_ns", FEED) == records[-1]["ts_recv"]
    assert page.get("published", CHANNELS["trade"]) == 3
    assert page.totals("wire")[0] == 3
    assert page.totals("ingest")[0] == 4
    reader.close()


def test_only_topics_that_the_writer_made_are_learned(
    writer: RingWriter, intake: UdpIntake
) -> None:
    topic = writer.topic("trade", "A.X")
    for channel, number in (("bbo", topic), ("trade", topic + 1), ("trade", 15)):
        with pytest.raises(ValueError, match="none of channel"):
            intake.learn(channel, "A", number)
    for symbol in ("", "A" * 97):
        with pytest.raises(ValueError, match="symbol"):
            intake.learn("trade", symbol, topic)
    with pytest.raises(ValueError, match="at most 64"):
        UdpIntake(writer, feed=64, quiet_ns=0, interval_ns=0)


def test_a_receive_holds_what_it_publishes_to(
    writer: RingWriter, page: StatsPage, intake: UdpIntake, socket_of: UdpSocket
) -> None:
    other = UdpSocket(datagrams("127.0.0.1", 0), intake=intake)
    thread = threading.Thread(target=lambda: socket_of.receive(20_000))
    thread.start()
    while True:
        try:
            other.receive(0)
        except RuntimeError:
            break
    with pytest.raises(RuntimeError, match="receiving"):
        intake.learn("trade", "A", 0)
    with pytest.raises(RuntimeError, match="publishing"):
        writer.close()
    with pytest.raises(RuntimeError, match="wake"):
        socket_of.close()
    socket_of.wake()
    thread.join(10)
    with pytest.raises(RuntimeError, match="ring writer"):
        page.close()
    writer.close()
    for use in (lambda: other.receive(0), lambda: intake.learn("trade", "A", 0)):
        with pytest.raises(ValueError, match="closed"):
            use()
    other.close()


def test_a_timeout_bounds_a_receive_of_usual_lines(
    writer: RingWriter, page: StatsPage, intake: UdpIntake, socket_of: UdpSocket
) -> None:
    intake.learn("trade", "A", writer.topic("trade", "A.X"))
    ended = threading.Event()

    def keep_sending() -> None:
        while not ended.is_set():
            send(socket_of.port, trade("A", 1))
            time.sleep(0.001)

    thread = threading.Thread(target=keep_sending)
    thread.start()
    start = time.monotonic()
    assert socket_of.receive(200) == ([], [], 0, 0)
    assert 0.19 <= time.monotonic() - start < 5
    assert page.get("feed_records", FEED) > 10
    ended.set()
    thread.join()
