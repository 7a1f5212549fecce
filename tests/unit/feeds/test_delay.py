"""A delayed feed, step by step: order, time, and what becomes of a spool that lost something."""

import errno
import threading
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support.late import DELAY_NS, DELAY_S, Clock, Process, Told

from gateway._native import FLAG_UNPRINTED
from gateway.feeds.delay import KEEP_S, MISSED_NS, RETRY_S, STOP_S
from gateway.feeds.spool import Keeper, Mark, Place, Spool
from gateway.recording import Chunk

if TYPE_CHECKING:
    from gateway._native import Row

FEED = 1  # GW_GAP_FEED


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(tmp_path: Path, stats: Any, clock: Clock) -> Process:
    return Process(tmp_path / "spool", stats, clock)


def again(process: Process, tmp_path: Path, stats: Any, **more: Any) -> Process:
    return Process(tmp_path / "spool", stats, process.clock, **more)


def essence(records: list[Told], channels: tuple[str, ...] = ("trade", "bbo")) -> list[Any]:
    return [(one.channel, one.symbol, one.fields) for one in records if one.channel in channels]


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "spool").glob("*.tgrec"))


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_early_lost_or_out_of_order(
    tmp_path: Path, stats: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the wall clock does, and however short a sleep turns out."""
    draw, real, step_ns = Random(seed), time.time_ns, 0
    monkeypatch.setattr(time, "time_ns", lambda: real() + step_ns)
    process = Process(tmp_path / "spool", stats, Clock(seed))
    for number in range(1, 301):
        action = draw.random()
        if action < 0.4:
            process.trade(draw.choice("ABC"), number)
        elif action < 0.6:
            process.quote(draw.choice("ABC"), number)
        elif action < 0.7:
            process.book("A", number, snapshot=number < 20 or draw.random() < 0.1)
        elif action < 0.85:
            process.keep()
        elif action < 0.9:
            process.feed.keeper.renew = True
        elif action < 0.95:
            process.feed.step()
            process.none_is_early()
        else:
            step_ns = draw.randint(-(10**13), 10**13)
    process.both()
    process.none_is_early()
    originals, late = process.told("XNAS"), process.told("LATE")
    assert essence(late) == essence(originals)
    assert all(one.gap == 0 for one in late)
    for channel in ("trade", "bbo"):
        for symbol in "ABC":
            seqs = [one.seq for one in late if (one.channel, one.symbol) == (channel, symbol)]
            assert seqs == list(range(1, len(seqs) + 1))
    assert process.levels("A", "LATE") == process.levels("A", "XNAS")
    process.stop()


def test_a_record_is_due_to_the_nanosecond(process: Process, clock: Clock) -> None:
    process.trade("A", 1)
    process.keep()
    (original,) = process.told("XNAS")
    now_ns = original.published_ns + DELAY_NS - 1
    slept: list[float] = []

    def sleep(duration_s: float) -> bool:
        nonlocal now_ns
        assert process.ids() == []
        slept.append(duration_s)
        now_ns += 1
        return True

    process.feed._now = lambda: now_ns
    process.feed._pause = sleep  # type: ignore[method-assign]
    process.release()
    assert len(slept) == 1
    assert process.ids() == [1]


def test_every_instrument_says_how_late_it_is(process: Process) -> None:
    process.trade("A", 1)
    topic = process.writer.topic("instrument", "B.XNAS")
    row: Any = (topic, 7, "0.01", None, 2, None, "X", "", False, 10, "halted", "b")
    process.writer.publish([row], time.time_ns(), time.monotonic_ns())
    process.trade("B", 2)
    process.both()
    told = {one.symbol: one.fields for one in process.told("LATE", "instrument")}
    assert told == {
        "A": (None, None, None, None, "", "", False, DELAY_S, "", ""),
        "B": ("0.01", None, 2, None, "X", "", False, DELAY_S + 10, "halted", "b"),
    }


def test_what_the_venue_missed_is_told_as_well(process: Process) -> None:
    process.trade("A", 1)
    process.trade("A", 5, "feed", 3)
    process.both()
    assert [(one.gap, one.lost) for one in process.told("LATE", "trade")] == [(0, 0), (FEED, 3)]


def test_an_instrument_ends_and_comes_back(process: Process) -> None:
    process.trade("A", 1)
    process.both()
    assert process.ids() == [1]
    process.writer.retire("trade", "A.XNAS")
    process.keep()
    process.trade("A", 2)
    process.both()
    assert process.ids() == [1, 2]
    assert [one.channel for one in process.told("LATE", "trade")] == ["trade", "", "trade"]


def test_a_process_goes_on_where_the_one_before_has_ended(
    process: Process, tmp_path: Path, stats: Any
) -> None:
    for number in range(1, 11):
        process.trade("A", number)
        process.quote("A", number)
        process.book("A", number, snapshot=number == 1)
    process.keep()
    assert process.feed.step()  # the file
    process.feed.step()  # its names
    process.release()
    for number in range(11, 21):
        process.trade("A", number)
    process.keep()
    process.stop()
    other = again(process, tmp_path, stats)
    other.trade("A", 21)
    other.quote("A", 21)
    other.book("A", 21, snapshot=True)
    other.both()
    assert process.ids() == list(range(1, 11))
    assert other.ids() == list(range(11, 22))
    trades = other.told("LATE", "trade")
    assert [int(one.fields[3]) for one in trades if one.gap] == [21]
    gaps = {(one.channel, one.gap) for one in other.told("LATE") if one.gap}
    assert gaps == {("trade", FEED), ("bbo", FEED), ("book", FEED)}
    assert [one.fields[1] for one in other.told("LATE", "bbo")] == ["10", "21"]
    assert other.levels("A", "LATE") == other.levels("A", "XNAS")


@pytest.mark.parametrize("seed", range(20))
def test_no_death_doubles_a_record_or_hides_a_loss(tmp_path: Path, stats: Any, seed: int) -> None:
    """Processes die at any moment, some with half a block on the disk."""
    draw, clock, number = Random(seed), Clock(seed), 0
    released: list[int] = []
    for life in range(4):
        process = Process(tmp_path / "spool", stats, clock)
        for _ in range(60):
            number += 1
            process.trade("A", number)
            if draw.random() < 0.3:
                process.keep()
            process.feed.keeper.renew = draw.random() < 0.1
            if draw.random() < 0.2:
                process.feed.step()
        if life == 3:
            process.both()
        process.none_is_early()
        released += whole_or_told(process, released[-1] if released else 0)
        process.die()
        if draw.random() < 0.7 and life < 3:
            tear(files(tmp_path), draw.randint(1, 200))
    assert released == sorted(set(released))
    assert released[-1] == number


def whole_or_told(process: Process, before: int) -> list[int]:
    """What was released in this life; what is missing within it was told."""
    ids = []
    for one in process.told("LATE", "trade"):
        number = int(one.fields[3])
        assert number == before + 1 or one.seq == 1 or one.gap == FEED, (number, before)
        before = number
        ids.append(number)
    return ids


def tear(paths: list[Path], count: int) -> None:
    """Takes the last bytes from the newest file."""
    if paths:
        with paths[-1].open("r+b") as file:
            file.truncate(max(paths[-1].stat().st_size - count, 0))


def test_what_may_have_been_released_is_a_gap(process: Process, tmp_path: Path, stats: Any) -> None:
    for number in range(1, 11):
        process.trade("A", number)
    process.keep()
    process.feed.spool.put_mark(Mark(Place(1, 1), 4, 6))
    process.die()
    other = again(process, tmp_path, stats)
    other.release()
    assert other.ids() == [7, 8, 9, 10]
    assert [one.gap for one in other.told("LATE", "trade")] == [FEED, 0, 0, 0]


def test_what_was_due_long_before_is_a_gap_and_its_state_stays(
    process: Process, tmp_path: Path, stats: Any, clock: Clock
) -> None:
    process.trade("A", 1)
    process.quote("A", 1)
    process.both()
    process.trade("A", 2)
    process.quote("A", 2)
    process.keep()
    process.die()
    clock.shift_ns += DELAY_NS + MISSED_NS + 10**9
    other = again(process, tmp_path, stats)
    other.trade("A", 3)
    other.quote("A", 3)
    other.both()
    assert other.ids() == [3]
    assert [one.fields[1] for one in other.told("LATE", "bbo")] == ["2", "3"]
    assert {one.gap for one in other.told("LATE") if one.channel != "instrument"} == {FEED}


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"x" * 28])
def test_without_a_mark_what_was_due_is_a_gap(
    process: Process, tmp_path: Path, stats: Any, clock: Clock, damage: bytes
) -> None:
    process.trade("A", 1)
    process.both()
    process.trade("A", 2)
    process.keep()
    process.die()
    one, two = (each.published_ns for each in process.told("XNAS", "trade"))
    clock.stop((one + two) // 2 + DELAY_NS)
    (tmp_path / "spool" / "mark").write_bytes(damage)
    other = again(process, tmp_path, stats)
    other.release()
    assert other.ids() == [2]
    assert [one.gap for one in other.told("LATE", "trade")] == [FEED]


def test_records_of_another_boot_wait_for_this_one(
    process: Process, tmp_path: Path, stats: Any, clock: Clock
) -> None:
    process.trade("A", 1)
    process.keep()
    process.die()
    clock.stop(1_000)  # MONOTONIC begins anew
    other = again(process, tmp_path, stats, boot="another")
    other.release()
    assert other.ids() == [1]
    assert DELAY_NS <= other.noting.at["1"] < 2 * DELAY_NS


@pytest.mark.parametrize("live", [False, True])
def test_a_damaged_block_is_a_gap_of_as_many_records(
    process: Process, tmp_path: Path, live: bool
) -> None:
    """Whether or not the file is being written."""
    for first in (1, 11, 21):
        for number in range(first, first + 10):
            process.trade("A", number)
        process.keep()
    if not live:
        process.feed.keeper.renew = True
        process.trade("A", 31)
        process.keep()
    path = files(tmp_path)[0]
    content = bytearray(path.read_bytes())
    second = [n for n in range(len(content)) if content[n : n + 4] == b"RING"][1]
    content[second + 30] ^= 1
    path.write_bytes(content)
    process.release()
    if live:
        assert process.feed.keeper.renew
        process.trade("A", 31)
        process.both()
    assert process.ids() == [*range(1, 11), 31]
    assert process.told("LATE", "trade")[-1][-2:] == (FEED, 20)


def test_a_full_disk_costs_what_finds_no_room(tmp_path: Path, stats: Any, clock: Clock) -> None:
    process = Process(tmp_path / "spool", stats, clock, capacity=1 << 24, bytes_max=1 << 20)
    process.trade("A", 1)
    process.quote("B", 1)
    process.both()
    rest = Random(1)
    number = 1
    topic, full = process.writer.topic("trade", "A.XNAS"), ""
    while not full:
        assert number < 100_000
        for _ in range(100):
            number += 1
            noise = f"{number}-{rest.getrandbits(288):x}"  # nothing to pack
            row: Row = (topic, 1, f"{rest.getrandbits(50)}", "1", "buy", noise)
            process.writer.publish([row], time.time_ns(), time.monotonic_ns())
        try:
            process.keep()
        except OSError as error:
            full = str(error)
    assert "bytes_max" in full
    process.quote("B", 2)
    process.release()
    process.trade("A", number + 1)
    process.both()
    late = [one for one in process.told("LATE", "trade") if one.channel]
    lost = sum(one.lost for one in late)
    assert lost > 0
    assert len(late) + lost == len(process.told("XNAS", "trade"))
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1 << 20


def test_a_ring_that_goes_by_is_a_gap_of_as_many_records(
    tmp_path: Path, stats: Any, clock: Clock
) -> None:
    process = Process(tmp_path / "spool", stats, clock, capacity=1 << 14)
    process.trade("A", 1)
    process.quote("B", 1)
    process.book("C", 1, 3, snapshot=True)
    process.both()
    for number in range(2, 300):
        process.trade("A", number)
    process.quote("B", 2)
    process.book("C", 2, 2)
    process.trade("D", 1)
    process.trade("D", 2)
    for number in range(300, 600):
        process.trade("A", number)
    process.told("XNAS")  # the test's own reader is overtaken, too
    process.both()
    process.trade("D", 3)
    process.trade("A", 600)
    process.both()
    assert [one.lost for one in process.told("LATE", "trade") if one.symbol == "D"] == [2]
    assert process.feed.keeper.lapped >= 1
    (last,) = process.told("LATE", "trade")[-1:]
    assert (last.fields[3], last.gap) == ("600", FEED)
    assert last.lost == 598
    assert process.levels("C", "LATE") == process.levels("C", "XNAS")
    quotes = process.told("LATE", "bbo")
    assert [one.fields[1] for one in quotes] == ["2"]


def test_what_a_later_process_loses_before_its_first_record_is_told(
    process: Process, tmp_path: Path, stats: Any
) -> None:
    process.trade("A", 1)
    process.keep()
    process.die()
    other = again(process, tmp_path, stats, capacity=1 << 14)
    for number in range(2, 400):
        other.trade("A", number)
    other.told("XNAS")  # the test's own reader is overtaken, too
    other.both()
    other.trade("A", 400)
    other.both()
    (last,) = other.told("LATE", "trade")[-1:]
    assert (last.fields[3], last.gap, last.lost) == ("400", FEED, 398)


def test_a_book_too_large_for_its_record(process: Process) -> None:
    process.book("A", 1, snapshot=True)
    process.keep()
    for number, levels in ((2, 2000), (4, 2500)):
        process.book("A", number, levels, snapshot=True)
        process.keep()
        process.book("A", number + 1, 5)
        process.keep()
    process.release()
    assert process.levels("A", "LATE") is not None
    assert process.levels("A", "LATE") == process.levels("A", "XNAS")
    assert all(one.gap == 0 for one in process.told("LATE", "book"))


def test_a_state_that_a_file_begins_with_is_not_early(
    process: Process, tmp_path: Path, stats: Any, clock: Clock
) -> None:
    process.book("A", 1, snapshot=True)
    process.trade("B", 1)
    process.keep()
    process.feed.keeper.renew = True
    process.book("A", 2)  # the next file's state of the book is this one's
    process.keep()
    process.feed.spool.put_mark(Mark(Place(1, 2), 0, 0))
    process.die()
    clock.stop(process.told("XNAS", "book")[-1].published_ns + DELAY_NS - 1)
    other = again(process, tmp_path, stats)
    other.feed._pause = lambda duration_s: False  # type: ignore[method-assign]
    other.release()
    assert other.told("LATE", "book") == []
    other.die()
    clock.shift_ns += 1
    third = again(process, tmp_path, stats)
    third.release()
    assert third.levels("A", "LATE") == process.levels("A", "XNAS")


def test_trades_that_no_candle_counts_stay_so(process: Process) -> None:
    topic = process.writer.topic("trade", "A.XNAS")
    for number, flags in enumerate((0, FLAG_UNPRINTED, 0)):
        row: Row = (topic, 1, "1", "1", None, f"{number}")
        process.writer.publish([row], time.time_ns(), time.monotonic_ns(), flags=flags)
    process.both()
    assert [one.flags for one in process.told("LATE", "trade")] == [0, FLAG_UNPRINTED, 0]


def test_the_status_says_how_much_is_spooled(process: Process) -> None:
    process.trade("A", 1)
    process.both()
    process.feed._counters.change("up", "XNAS, 5 s later")
    size = process.feed.spool.bytes
    message = process.feed.statistics().message
    assert message.startswith(f"XNAS, 5 s later: 1 files, {size} bytes, at most ")
    process.feed._trouble = "no room"
    assert process.feed.statistics().message.endswith("; nothing is spooled: no room")


def test_what_waits_in_the_ring_at_the_end_is_spooled(
    process: Process, tmp_path: Path, stats: Any
) -> None:
    for number in range(1, 10_001):
        process.trade("A", number)
    process.feed._stopping = True
    process.feed._keep()
    process.feed.close()
    other = again(process, tmp_path, stats)
    other.release()
    assert other.ids() == list(range(1, 10_001))


def test_a_disk_that_refuses_is_tried_again(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, slept = process.feed, []
    refused = [OSError(errno.ENOSPC, "full"), OSError(errno.ENOSPC, "full")]

    def step(_: Keeper) -> bool:
        if refused:
            raise refused.pop()
        return False

    def sleep(duration_s: float) -> bool:
        slept.append((duration_s, feed._trouble))
        feed._stopping = len(slept) == 3
        return True

    monkeypatch.setattr(Keeper, "step", step)
    feed._pause = sleep  # type: ignore[method-assign]
    feed._keep()
    assert slept == [(RETRY_S, "full"), (RETRY_S, "full"), (KEEP_S, "")]


def test_a_disk_that_cannot_be_read_is_a_gap(process: Process) -> None:
    def refuse(_: int) -> Chunk:
        raise OSError(errno.EIO, "broken")

    for number in (1, 2):
        process.trade("A", number)
        process.keep()
    for _ in ("FILE", "TOPC", "RING"):
        process.feed.step()
    process.feed._reel._chunks = map(refuse, [0])
    process.release()
    assert process.feed.keeper.renew
    process.trade("A", 3)
    process.both()
    assert process.ids() == [1, 3]
    assert process.told("LATE", "trade")[-1].lost == 1


def test_a_mark_that_cannot_be_written_stops_nothing(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Spool, "put_mark", refuse)
    process.trade("A", 1)
    process.both()
    assert process.ids() == [1]


def test_a_disk_that_does_not_answer_holds_nobody_up(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.die()
    answer = threading.Event()
    monkeypatch.setattr(Keeper, "step", lambda _: answer.wait(60))
    feed = process.feed
    working = threading.Thread(target=feed._work)
    working.start()
    try:
        time.sleep(0.2)
        feed._stopping = True
        working.join(10 * STOP_S)
        assert not working.is_alive()
    finally:
        answer.set()


def test_a_spool_has_one_gateway(process: Process, tmp_path: Path, stats: Any) -> None:
    with pytest.raises(AssertionError, match="another gateway uses it"):
        again(process, tmp_path, stats)


def test_files_go_once_all_of_them_was_released(process: Process, tmp_path: Path) -> None:
    for number in range(1, 6):
        process.trade("A", number)
        process.keep()
        process.feed.keeper.renew = True
    process.keep()
    assert len(files(tmp_path)) >= 5
    process.release()
    assert len(files(tmp_path)) == 1
    assert process.ids() == [1, 2, 3, 4, 5]
