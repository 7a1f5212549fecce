"""The udp feed over a scripted socket, whose intake leaves it everything: rows, counts, what the
intake is taught, reconnection, stop."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from support.udp_feed import make, trade

from gateway.feeds.feed import REFUSED_SYMBOLS_MAX, Feed

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeSocket, FakeStats

RunUntil = Callable[[Feed, Callable[[], bool]], Awaitable[None]]


async def test_rows_of_both_channels_in_one_publish(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    quote = b'{"channel":"bbo","symbol":"SYM001","bid":"1","bid_qty":"2","ask":"3","ask_qty":"4"}'
    socket.put(trade() + b"\n" + quote, trade("A", side="null"))
    await run_until(feed, lambda: bool(publisher.batches))
    assert publisher.topics == {
        ("trade", "SYM001.SIM"): 0,
        ("bbo", "SYM001.SIM"): 1,
        ("trade", "A.SIM"): 2,
    }
    assert publisher.rows == [
        (0, 5, "64250.10", "0.015", "buy", "7"),
        (1, 0, "1", "2", "3", "4"),
        (2, 5, "64250.10", "0.015", None, "7"),
    ]
    (batch,) = publisher.batches
    assert (batch["feed"], batch["flags"], batch["record_wire"]) == (3, 0, True)
    assert batch["ages"] == [1000, 1000, 999]  # of their datagrams
    last_ns = int(str(batch["ts_recv"])) - 999
    status = feed.statistics()
    assert (status.name, status.type, status.venue) == ("udp:9700", "udp", "SIM")
    assert (status.state, status.records, status.last_record_ns) == ("up", 3, last_ns)
    assert stats.values["feed_records", 3] == 3
    assert stats.values["feed_last_ns", 3] == last_ns
    assert stats.values["feed_up", 3] == 1
    assert socket.closed


async def test_each_symbol_is_asked_for_once(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    socket.put(*[trade() for _ in range(50)], *[trade("a b") for _ in range(50)])
    await run_until(make(publisher, stats, socket), lambda: bool(publisher.batches))
    assert publisher.topic_calls == 2


async def test_the_intake_learns_each_good_symbol_once(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    learned: list[tuple[str, str, int]] = []
    quote = b'{"channel":"bbo","symbol":"A","bid":"1","bid_qty":"2","ask":"3","ask_qty":"4"}'
    socket.put(trade("A"), quote, trade("a b*"), trade("A"), quote, trade("OTHER"))
    socket.put(trade("B"), trade("A"))
    feed = make(publisher, stats, socket, owners={"OTHER.SIM": 1}, learned=learned)
    await run_until(feed, lambda: len(learned) == 3)
    assert learned == [("trade", "A", 0), ("bbo", "A", 1), ("trade", "B", 2)]


async def test_records_that_the_intake_published_are_the_feed_s_too(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    stats.values["feed_records", 3] = 1000  # of the process before
    feed = make(publisher, stats, socket)
    socket.put(trade())
    await run_until(feed, lambda: bool(publisher.batches))
    stats.add("feed_records", 3, 5)
    stats.set("feed_last_ns", 3, 7)
    status = feed.statistics()
    assert (status.records, status.last_record_ns) == (6, 7)


async def test_f44_bad_lines_symbols_and_decimals_are_counted_and_skipped(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    publisher.refuse = lambda row: "price: not a decimal: '1e5'" if row[2] == "1e5" else None
    bad = [b"not json", trade("*"), trade(price='"1e5"'), trade(price="true"), trade("x" * 1000)]
    for line in bad:
        socket.put(trade() + b"\n" + line + b"\n" + trade())
    await run_until(feed, lambda: len(publisher.rows) >= 2 * len(bad))
    status = feed.statistics()
    assert (status.state, status.records, status.decode_errors) == ("up", 10, 5)
    assert stats.values["feed_decode_errors", 3] == 5
    assert status.message == ""
    assert isinstance(status.refused, dict)
    assert status.refused == {"line": 1, "name": 2, "number": 1, "shape": 0} | status.refused
    assert status.last_refused is not None
    assert (status.last_refused.symbol, status.last_refused.field) == ("x" * 80 + ".SIM", "symbol")


async def test_f44_a_flood_of_bad_symbols_is_remembered_within_bounds(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    for k in range(0, 3 * REFUSED_SYMBOLS_MAX, 64):
        socket.put(*[trade(f"{n} *") for n in range(k, k + 64)])
    socket.put(trade())
    await run_until(feed, lambda: bool(publisher.rows))
    assert feed.statistics().decode_errors == 3 * REFUSED_SYMBOLS_MAX
    assert len(feed._lines._trades) == REFUSED_SYMBOLS_MAX + 1


async def test_topics_max_refuses_new_symbols_alone(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket)
    publisher.topics_max = 1
    socket.put(trade("A"), trade("B"), trade("A"))
    await run_until(feed, lambda: len(publisher.rows) == 2)
    status = feed.statistics()
    assert (status.records, status.decode_errors) == (2, 1)
    assert status.refused == {"topics": 1}
    assert status.last_refused is not None
    assert "ring.topics_max" in status.last_refused.why


async def test_another_feeds_instrument_is_refused(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    feed = make(publisher, stats, socket, owners={"A.SIM": 0})
    socket.put(trade("A"), trade("B"))
    await run_until(feed, lambda: bool(publisher.batches))
    status = feed.statistics()
    assert (status.records, status.decode_errors) == (1, 1)
    assert status.refused == {"owner": 1}
    assert status.last_refused is not None
    assert status.last_refused.why == "'A.SIM' is published by feeds.0"


async def test_f45_event_times_pass_unshifted_whatever_the_sender_s_clock_does(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    future, last = time.time_ns() + 3600 * 10**9, 2**63 - 1
    times = [future, 1, future, 0, last]
    socket.put(*[trade(ts=str(ts)) for ts in times], trade(ts="-1"), trade(ts=str(last + 1)))
    feed = make(publisher, stats, socket)
    await run_until(feed, lambda: bool(publisher.batches))
    assert [row[1] for row in publisher.rows] == times
    assert feed.statistics().decode_errors == 2
    (batch,) = publisher.batches
    assert abs(time.time_ns() - int(str(batch["ts_recv"]))) < 10**10
    assert abs(time.monotonic_ns() - int(str(batch["mono_recv"]))) < 10**10


async def test_f42_kernel_drops_are_gaps(
    publisher: "FakePublisher",
    stats: "FakeStats",
    socket: "FakeSocket",
    run_until: RunUntil,
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed = make(publisher, stats, socket)
    socket.dropped, socket.oversized = 5, 1
    socket.put(trade())
    await run_until(feed, lambda: bool(publisher.batches))
    status = feed.statistics()
    assert (status.gaps, status.lost, status.decode_errors) == (1, 5, 1)
    assert (stats.values["feed_gaps", 3], stats.values["feed_lost", 3]) == (1, 5)
    (lost,) = (vars(one)["fields"] for one in caplog.records if one.message == "feed.lost")
    assert lost == {"feed": "udp:9700", "count": 5}


async def test_f41_a_broken_socket_is_replaced_after_a_while(
    publisher: "FakePublisher",
    stats: "FakeStats",
    new_socket: "Callable[[], FakeSocket]",
    run_until: RunUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.feeds.udp.BACKOFF_CAP_S", 0.001)
    first, second = new_socket(), new_socket()
    answers: list[Any] = [OSError("busy"), second]

    def reopen() -> "FakeSocket":
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer  # type: ignore[no-any-return]

    feed = make(publisher, stats, first, reopen)
    first.put(trade("A"))
    first.fail(OSError(100, "Network is down"))
    second.put(trade("B"))
    await run_until(feed, lambda: len(publisher.rows) == 2)
    status = feed.statistics()
    assert (status.state, status.reconnects) == ("up", 1)
    assert first.closed
    assert stats.values["feed_reconnects", 3] == 1


async def test_rows_that_are_refused_take_no_age_from_others(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    socket.put(b"x", trade("*"), trade("A"), b"\n", trade("B"))
    await run_until(make(publisher, stats, socket), lambda: bool(publisher.batches))
    assert [row[0] for row in publisher.rows] == [0, 1]
    assert publisher.batches[0]["ages"] == [998, 996]


async def test_f45_stamps_that_were_not_believed_are_counted_over_all_sockets(
    publisher: "FakePublisher",
    stats: "FakeStats",
    new_socket: "Callable[[], FakeSocket]",
    run_until: RunUntil,
) -> None:
    first, second = new_socket(), new_socket()
    first.stamp_anomalies, second.stamp_anomalies = 3, 2
    first.put(trade())
    first.fail(OSError("gone"))
    second.put(trade())
    feed = make(publisher, stats, first, reopen=lambda: second)
    await run_until(feed, lambda: len(publisher.batches) == 2)
    assert stats.values["stamp_anomalies", 3] == 5
    assert feed.statistics().decode_errors == 0  # the records are good


@pytest.mark.parametrize(("fact", "told"), [("stamped", "unstamped"), ("batched", "unbatched")])
async def test_what_a_host_does_not_do_is_told_once(
    publisher: "FakePublisher",
    stats: "FakeStats",
    new_socket: "Callable[[], FakeSocket]",
    run_until: RunUntil,
    caplog: pytest.LogCaptureFixture,
    fact: str,
    told: str,
) -> None:
    first, second = new_socket(), new_socket()
    for one in (first, second):
        setattr(one, fact, False)
    first.put(trade())
    first.fail(OSError("gone"))
    second.put(trade())
    feed = make(publisher, stats, first, reopen=lambda: second)
    await run_until(feed, lambda: len(publisher.batches) == 2)
    (line,) = [one for one in caplog.records if one.message == f"feed.{told}"]
    assert vars(line)["fields"]["feed"] == "udp:9700"
    assert feed.statistics().records == 2


@pytest.mark.threat("T2")
async def test_f44_a_bug_becomes_a_state_and_not_an_exception(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket"
) -> None:
    def bug(row: object) -> str | None:
        raise ZeroDivisionError("bug")

    publisher.refuse = bug
    feed = make(publisher, stats, socket)
    socket.put(trade())
    await asyncio.wait_for(feed.run(), 5)
    status = feed.statistics()
    assert (status.state, status.message) == ("failed", "ZeroDivisionError: bug")
    assert socket.closed
    assert stats.values["feed_up", 3] == 0


async def test_a_stop_is_prompt(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket"
) -> None:
    task = asyncio.create_task(make(publisher, stats, socket).run())
    await asyncio.sleep(0.05)
    before_s = time.monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert time.monotonic() - before_s < 20
    assert socket.closed
    assert "udp:9700" not in {thread.name for thread in threading.enumerate()}


async def test_a_delisted_instrument_ends_behind_its_last_record(
    publisher: "FakePublisher", stats: "FakeStats", socket: "FakeSocket", run_until: RunUntil
) -> None:
    learned: list[tuple[str, str, int]] = []
    owners: dict[str, int] = {}
    quote = b'{"channel":"bbo","symbol":"A","bid":"1","bid_qty":"2","ask":"3","ask_qty":"4"}'
    ends = b'{"channel":"status","symbol":"A","status":"delisted"}'
    halted = b'{"channel":"status","symbol":"A","status":"halted","reason":"news"}'
    wrong = b'{"channel":"status","symbol":"A","status":"asleep"}'
    unknown = b'{"channel":"status","symbol":"Z","status":"delisted"}'
    lines = (trade("A"), quote, halted, wrong, ends, unknown, trade("B"), trade("A"))
    socket.put(b"\n".join(lines))
    feed = make(publisher, stats, socket, learned=learned, owners=owners)
    await run_until(feed, lambda: len(publisher.rows) == 6)
    retired = [(0, "retired"), (1, "retired"), (2, "retired")]
    why = "status status: Invalid enum value 'asleep' - at `$.status`"
    assert publisher.events == [0, 1, 2, (2, why), 2, *retired, 3, 4]
    assert [[*row[2:]] for row in publisher.rows[2:4]] == [["halted", "news"], ["delisted", ""]]
    assert learned == [("trade", "B", 3), ("trade", "A", 4)]
    assert owners == {"B.SIM": 3, "A.SIM": 3}
    status = feed.statistics()
    assert status.refused == {"shape": 1}
    assert status.last_refused is not None
    assert (status.last_refused.field, status.last_refused.value) == ("status", "asleep")
    assert status.skipped == 1
