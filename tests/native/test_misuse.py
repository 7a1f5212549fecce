"""What is closed, read-only, not made or of somebody else raises, and names what was wrong.

Each of these ended the interpreter once, or could have: the objects hold raw memory.
"""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from support.planes import added, close
from support.serving import until

from gateway._native import (
    NOTICES,
    RECORD_SIZE_USUAL,
    STATS_SIZE,
    Floor,
    Plane,
    RingReader,
    RingWriter,
    Segment,
    StatsPage,
    Swarm,
    TickSource,
    UdpIntake,
    UdpSocket,
)
from gateway.address import datagrams
from gateway.codec.formats import JSON, Programs, programs

FORMATS = [programs(JSON)]
Memory = Callable[[int], int]


@pytest.fixture
def plane(counted: StatsPage) -> Iterator[Plane]:
    """A plane that counts in a page of its own."""
    made = Plane(formats=FORMATS, stats=counted, clients_max=4)
    yield made
    made.stop()


def own_page() -> tuple[StatsPage, int]:
    fd = os.memfd_create("stats")
    os.ftruncate(fd, STATS_SIZE)
    return StatsPage(fd, writable=True), fd


def check_each(error: type[Exception], words: str, calls: list[Callable[[], object]]) -> None:
    for call in calls:
        with pytest.raises(error, match=words):
            call()


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("closed", "words"), [(True, "closed"), (False, "read-only")])
def test_a_page_that_nobody_can_count_in_is_refused(
    memory: Memory, closed: bool, words: str
) -> None:
    page = StatsPage(memory(STATS_SIZE), writable=closed)
    if closed:
        page.close()
    check_each(
        ValueError,
        words,
        [
            lambda: Plane(formats=FORMATS, stats=page),
            lambda: RingWriter(4096, 8, stats=page),
            lambda: page.add("sends"),
            lambda: page.set("sends"),
            lambda: page.record("total", 1),
        ],
    )


def test_a_page_stays_while_a_plane_counts_in_it() -> None:
    page, fd = own_page()
    plane = Plane(formats=FORMATS, stats=page)
    plane.start()
    with pytest.raises(RuntimeError, match="counts in this page"):
        page.close()
    plane.stop()
    with pytest.raises(RuntimeError, match="counts in this page"):
        page.close()
    del plane
    page.close()
    os.close(fd)


def test_the_collector_takes_a_planes_page_after_the_plane() -> None:
    for _ in range(8):
        page, fd = own_page()
        circle: list[object] = []
        circle.append(Plane(formats=FORMATS, stats=page, soon=circle.append))
        circle[0].start()  # type: ignore[attr-defined]
        del circle, page
        gc.collect()
        os.close(fd)


def test_a_plane_that_could_not_be_made_holds_no_page() -> None:
    page, fd = own_page()
    bad: list[Programs] = [
        ({("trade", "update"): b"no program"}, {}),
        ({("candle", "update"): b""}, {}),
        ({("trade", "other"): b""}, {}),
        ({}, {0: b"no program"}),
        ({}, {99: b""}),
    ]
    check_each(
        ValueError,
        "template of",
        [partial(Plane, formats=[form], stats=page) for form in bad],
    )
    check_each(
        ValueError,
        "0 formats|9 formats",
        [partial(Plane, formats=FORMATS * n, stats=page) for n in (0, 9)],
    )
    with pytest.raises(OSError, match="Invalid argument"):  # a channel without its snapshot
        Plane(formats=[({("trade", "update"): FORMATS[0][0]["trade", "update"]}, {})], stats=page)
    with pytest.raises(TypeError):
        Plane(formats=[({("trade", "update"): "text"}, {})], stats=page)  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="wait_index -1"):
        Plane(formats=FORMATS, stats=page, wait_fd=fd, wait_index=-1)
    page.close()
    os.close(fd)


@pytest.mark.parametrize(
    ("target_ns", "late_ppm", "words"),
    [
        (0, 10_000, "target_ns 0"),
        (-1, 10_000, "target_ns -1"),
        (1 << 43, 10_000, "target_ns"),
        (1000, 0, "late_ppm 0"),
        (1000, 1_000_001, "late_ppm 1000001"),
    ],
)
def test_an_objective_that_cannot_be(target_ns: int, late_ppm: int, words: str) -> None:
    page, fd = own_page()
    plane = Plane(formats=FORMATS, stats=page, target_ns=1000)
    with pytest.raises(ValueError, match=words):
        plane.objective(target_ns, late_ppm)
    plane.objective((1 << 43) - 1, 1_000_000)
    del plane
    page.close()
    os.close(fd)


# --- handles --------------------------------------------------------------------------------------


def handle_calls(plane: Plane, handle: int) -> list[Callable[[], object]]:
    return [
        lambda: plane.send(handle, b"x"),
        lambda: plane.write(handle, b"x"),
        lambda: plane.notice(handle, 0),
        lambda: plane.subscribe(
            handle, b"x", (), [(1, "trade", "A.B", False, False, False, 0, 0, 0)]
        ),
        lambda: plane.unsubscribe(handle, b"x", (), [1]),
        lambda: plane.query(handle, 1),
        lambda: plane.close(handle, b"x"),
        lambda: plane.remove(handle),
        lambda: plane.pending(handle),
        lambda: plane.sent_ns(handle),
    ]


def test_no_more_events_are_taken_than_asked_for(plane: Plane) -> None:
    clients = [added(plane) for _ in range(4)]
    plane.start()
    for handle, _ in clients:
        plane.remove(handle)
    plane.stop()  # after the commands before it: all are told
    taken = [len(plane.events(3)) for _ in range(3)]
    for _, pair in clients:
        close(pair)
    assert taken == [3, 1, 0]


def test_handles_that_are_not_a_planes_own_are_refused(plane: Plane) -> None:
    page, fd = own_page()
    other = Plane(formats=FORMATS, stats=page, clients_max=4)
    handle, pair = added(plane)
    foreign, theirs = added(other)
    assert handle & 0xFFFFFFFF == foreign & 0xFFFFFFFF  # the same slot
    for wrong in (
        foreign,
        0,
        1,
        3,
        4,
        0xFFFFFFFF,
        handle | 0xFFFFFFFF,
        handle ^ 1 << 32,
        2**64 - 1,
    ):
        check_each(ValueError, f"handle {wrong:#x} is of no client", handle_calls(plane, wrong))
    assert plane.sent_ns(handle) >= 0
    other.stop()
    close(pair + theirs)
    os.close(fd)


def test_a_handle_is_gone_when_its_slot_is_somebody_elses(plane: Plane) -> None:
    plane.start()
    old, pair = added(plane)
    plane.remove(old)
    until(plane.events, 10)
    new, again = added(plane)
    assert new & 0xFFFFFFFF == old & 0xFFFFFFFF
    check_each(ValueError, f"handle {old:#x} is of no client", handle_calls(plane, old))
    assert plane.write(new, b"\x89\x00") == 0
    plane.stop()
    close(pair + again)


def test_an_add_that_is_refused_costs_no_slot(plane: Plane) -> None:
    for _ in range(9):
        with pytest.raises(ValueError, match="out of bounds"):
            plane.add(0, b"", b"", [(0, 0, 0)])
    clients = [added(plane) for _ in range(4)]
    assert len({handle for handle, _ in clients}) == 4
    with pytest.raises(OverflowError, match="clients_max"):
        plane.add(0, b"", b"")
    plane.stop()
    for _, pair in clients:
        close(pair)


def test_a_slot_lies_inside_its_message(plane: Plane) -> None:
    handle, pair = added(plane)
    for offset in (-1, 5, 2**32):
        with pytest.raises(ValueError, match=f"slot at {offset} of a message of 4 bytes"):
            plane.send(handle, b"abcd", [(offset, 0, 0)])
    with pytest.raises(ValueError, match="out of bounds"):
        plane.send(handle, b"abcd", [(4, 0, 0)])  # inside, and no room for what is to come
    plane.stop()
    close(pair)


def test_a_format_that_there_is_not_is_refused(plane: Plane) -> None:
    for number in (1, 99, 2**32 - 1):
        with pytest.raises(ValueError, match="out of bounds"):
            plane.add(0, b"", b"", format=number)
    plane.stop()


def test_a_notice_that_there_is_not_is_refused(plane: Plane) -> None:
    handle, pair = added(plane)
    for number, numbers in ((-1, ()), (NOTICES, ()), (0, (0,) * 6)):
        with pytest.raises(ValueError, match=f"notice {number} of {len(numbers)} numbers"):
            plane.notice(handle, number, numbers)
    with pytest.raises(OverflowError):
        plane.notice(handle, 0, (2**64,))
    plane.stop()
    close(pair)


# --- what was closed, or never made ---------------------------------------------------------------


def bare(kind: type[Any]) -> Any:
    """An object whose `__init__` never ran, or failed."""
    new: Callable[[type[Any]], Any] = kind.__new__  # type: ignore[assignment]
    return new(kind)


def test_objects_that_were_never_made_say_so(memory: Memory) -> None:
    page, plane, floor = bare(StatsPage), bare(Plane), bare(Floor)
    source, swarm, intake = bare(TickSource), bare(Swarm), bare(UdpIntake)
    writer, segment, reader, udp = (
        bare(kind) for kind in (RingWriter, Segment, RingReader, UdpSocket)
    )
    check_each(
        ValueError,
        "not initialised|closed",
        [
            *[
                lambda name=name: getattr(plane, name)()
                for name in ("start", "stop", "events", "wake")
            ],
            lambda: plane.events_fd,
            lambda: plane.attach(memory(4096)),
            lambda: plane.add(0, b"", b""),
            *handle_calls(plane, 0),
            *[lambda name=name: getattr(floor, name)() for name in ("run", "stop", "counters")],
            *[lambda name=name: getattr(source, name)() for name in ("stop", "counts", "counters")],
            *[
                lambda name=name: getattr(swarm, name)()
                for name in ("stop", "counters", "load", "refusals", "ticks")
            ],
            lambda: swarm.counts("age", 0),
            lambda: intake.learn("trade", "A", 0),
            lambda: writer.topic("trade", "A.B"),
            lambda: writer.publish([], 0, 0),
            lambda: writer.epoch,
            lambda: segment.find("trade", "A.B"),
            lambda: segment.match("trade", "*"),
            lambda: segment.last_seq(0),
            lambda: len(segment),
            segment.topics,
            *[lambda name=name: getattr(reader, name)() for name in ("poll", "poll_raw", "topics")],
            lambda: reader.rewind(1),
            lambda: reader.epoch,
            lambda: udp.receive(0),
            lambda: udp.buffer_granted,
            udp.wake,
            lambda: page.get("sends"),
            lambda: page.totals("total"),
            page.read,
        ],
    )
    for thing in (page, source, swarm, writer, segment, reader, udp):
        thing.close()


def test_a_closed_ring_says_so_to_all_who_use_it() -> None:
    writer = RingWriter(4096, 8)
    topic = writer.topic("trade", "A.B")
    segment, reader = Segment(writer.fd), RingReader(writer.fd)
    intake = UdpIntake(writer, feed=0, quiet_ns=0, interval_ns=0)
    udp = UdpSocket(datagrams("127.0.0.1", 0), intake=intake)
    assert segment.find("trade", "A.B") == topic
    for thing in (writer, segment, reader):
        thing.close()
    check_each(
        ValueError,
        "closed",
        [
            lambda: writer.topic("trade", "A.B"),
            lambda: writer.publish([], 0, 0),
            lambda: writer.epoch,
            lambda: segment.find("trade", "A.B"),
            lambda: segment.last_seq(topic),
            reader.poll,
            reader.poll_raw,
            reader.topics,
            lambda: intake.learn("trade", "A", topic),
            lambda: udp.receive(0),
            lambda: UdpIntake(writer, feed=0, quiet_ns=0, interval_ns=0),
        ],
    )
    assert (writer.behind(), writer.backlogged(), writer.subscribed()) == (0, 0, 0)
    with pytest.raises(RuntimeError, match="already initialised"):
        writer.__init__(4096, 8)  # the intake still points into it
    with pytest.raises(ValueError, match="unknown channel 'candle'"):
        intake_of_an_open_ring("candle")
    udp.close()
    check_each(ValueError, "closed", [udp.wake, lambda: udp.receive(0), lambda: udp.buffer_granted])


def intake_of_an_open_ring(channel: str) -> None:
    writer = RingWriter(4096, 8)
    try:
        UdpIntake(writer, feed=0, quiet_ns=0, interval_ns=0).learn(channel, "A", 0)
    finally:
        writer.close()


def test_a_ring_that_could_not_be_made_is_closed(memory: Memory) -> None:
    page, fd = own_page()
    makers: list[Callable[[RingWriter], None]] = [
        lambda ring: ring.__init__(5000, 8, stats=page),
        lambda ring: ring.__init__(4096, 8, stats=page, wait_fd=memory(1), event_fds=[0]),
    ]
    for make in makers:
        ring: RingWriter = bare(RingWriter)
        with pytest.raises(ValueError, match=r"a power of two|fewer than"):
            make(ring)
        check_each(ValueError, "closed", [lambda ring=ring: ring.topic("trade", "A.B")])  # type: ignore[misc]
        assert ring.fd == -1
    page.close()  # nobody holds it
    os.close(fd)


@pytest.mark.parametrize("limit", [0, (1 << 20) + 1, 2**63, (1 << 64) // RECORD_SIZE_USUAL + 1])
def test_a_poll_without_a_sensible_limit_is_refused(limit: int) -> None:
    writer = RingWriter(4096, 8)
    reader = RingReader(writer.fd)
    for poll in (reader.poll, reader.poll_raw):
        with pytest.raises(ValueError, match=f"limit {limit}"):
            poll(limit)
    reader.close()
    writer.close()


def test_a_source_or_a_floor_that_could_not_be_made_does_nothing() -> None:
    source: TickSource = bare(TickSource)
    with pytest.raises(ValueError, match="a source needs symbols"):
        source.__init__("127.0.0.1", 9, symbols=["A B"])
    rows = np.ones(1, np.int64), np.zeros(1, np.int32), np.ones(1, np.uint8)
    with pytest.raises(ValueError, match="closed"):
        source.send(*rows)
    floor: Floor = bare(Floor)
    with pytest.raises(OSError, match=r"not a socket|non-socket|Bad file"):
        floor.__init__(0, [])
    with pytest.raises(ValueError, match="not initialised"):
        floor.run()


def swarm(**options: Any) -> Swarm:
    return Swarm(
        targets=[("127.0.0.1", 1, b"GET")],
        accept=b"",
        groups=[{"measured": 1}],
        texts=[],
        clients=np.array([[0, 0, -1]], np.int32),
        stamp=("tickgate", b""),
        **options,
    )


def test_a_swarms_key_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="hash_key: 15 bytes"):
        swarm(hash_key=bytes(15))


def test_a_closed_swarm_is_closed_to_all_threads() -> None:
    one = swarm()
    driver = threading.Thread(target=one.run, args=[2**62])
    driver.start()
    deadline = time.monotonic() + 10
    while one.load()["turns"] == 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    with pytest.raises(RuntimeError, match="let it return"):
        one.close()
    one.stop()
    driver.join(10)
    one.close()
    check_each(
        ValueError,
        "swarm is closed",
        [
            one.stop,
            one.counters,
            one.load,
            one.ticks,
            lambda: one.run(0),
            lambda: one.connect(0),
            lambda: one.totals("age", 0),
        ],
    )
