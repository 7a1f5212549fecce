"""A watchdog on a loop of its own: real collections and timers, and no time asserted from above."""

import asyncio
import gc
import time
from collections.abc import Iterator

import pytest
from support.soon import until

from gateway._native import StatsPage
from gateway.latency.stalls import KINDS, RECENT_MAX
from gateway.model.status import Load
from gateway.supervisor import watchdog as watchdog_module
from gateway.supervisor.watchdog import BRACKET_NS, Collections, Longest, Watchdog

PAUSE_S = 0.08
HOUR_NS = 3_600_000_000_000
WINDOW_NS = 5_000_000_000


class Slow:
    """Makes the collection that finds it take its time."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        time.sleep(PAUSE_S)


@pytest.fixture
def only_ours() -> Iterator[None]:
    """No collection but those that a test asks for."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def collect_slowly() -> None:
    Slow()
    gc.collect()


def counted(page: StatsPage, kind: str) -> tuple[int, int]:
    index = KINDS.index(kind)
    return page.get("stalls", index), page.get("stall_ns", index)


@pytest.mark.usefixtures("only_ours")
async def test_a_collection_is_named_and_counted(page: StatsPage) -> None:
    with Watchdog(page, interval_s=0.02) as watchdog:
        watchdog.ready()
        collect_slowly()
        await until(lambda: watchdog.report().stalls)
        (row,) = [row for row in watchdog.report().stalls if row.kind == "gc"]
        assert row.ms >= PAUSE_S * 1000
        assert abs(row.ts - time.time_ns()) < 60e9
        count, total_ns = counted(page, "gc")
        assert (count, total_ns >= PAUSE_S * 1e9) == (1, True)
        await until(lambda: page.get("gc_pauses", 2))
        assert page.get("gc_pauses", 2) == 1
        assert page.get("gc_pause_ns") >= page.get("gc_pause_max_ns") >= PAUSE_S * 1e9


@pytest.mark.usefixtures("only_ours")
async def test_a_start_is_not_judged_but_stamped(page: StatsPage) -> None:
    with Watchdog(page, interval_s=0.02) as watchdog:
        collect_slowly()
        await until(lambda: page.get("loop_alive_ns"))
        assert page.get("loop_lag_max_ns") >= 50_000_000
        watchdog.ready()
        before = page.get("loop_alive_ns")
        await until(lambda: page.get("loop_alive_ns") > before)
        assert counted(page, "gc") == (0, 0)
        assert not [row for row in watchdog.report().stalls if row.kind == "gc"]


async def test_one_line_a_second_and_kind_and_the_newest_rows(
    page: StatsPage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "gateway.watchdog")
    with Watchdog(page) as watchdog:
        for number in range(RECENT_MAX + 10):
            watchdog.note("plane", number, "it stood still")
        watchdog.note("clock", -5_000_000, "set back")
    rows = watchdog.report().stalls
    assert len(rows) == RECENT_MAX
    assert (rows[-1].kind, rows[-1].ms) == ("clock", -5.0)
    assert counted(page, "plane")[0] == RECENT_MAX + 10
    assert counted(page, "clock") == (1, 5_000_000), "a sum of signed steps would hide them"
    shown = [record.__dict__["fields"]["kind"] for record in caplog.records]
    assert 1 <= shown.count("plane") < RECENT_MAX
    assert shown.count("clock") == 1


async def test_load_is_of_the_last_second_and_counters_outlive_a_restart(page: StatsPage) -> None:
    page.set("cpu_ns", 0, 7_000_000_000)
    page.set("log_dropped", 0, 3)
    with Watchdog(page, interval_s=0.02, dropped_logs=lambda: 2) as watchdog:
        assert watchdog.report().load == Load()
        await until(lambda: watchdog.report().load.cpu)
        assert page.get("log_dropped") == 5
        assert page.get("cpu_ns") > 7_000_000_000


async def test_a_watchdog_that_stopped_leaves_nothing_behind(page: StatsPage) -> None:
    hooks = len(gc.callbacks)
    watchdog = Watchdog(page, interval_s=0.01, host=True)
    assert len(gc.callbacks) == hooks + 1
    await until(lambda: page.get("loop_alive_ns"))
    watchdog.stop()
    assert len(gc.callbacks) == hooks
    last = page.get("loop_alive_ns")
    await asyncio.sleep(0.05)
    assert page.get("loop_alive_ns") == last


@pytest.mark.parametrize("step_ns", [-HOUR_NS, HOUR_NS])
async def test_f46_the_host_s_clock_is_set(
    page: StatsPage, monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    took_ns = set_ns = 0

    def clocks() -> tuple[int, int, int, int]:
        now_ns = time.monotonic_ns()
        return took_ns, now_ns, now_ns, now_ns + set_ns

    async def some_turns() -> None:
        after_ns = time.monotonic_ns() + 20_000_000
        await until(lambda: page.get("loop_alive_ns") > after_ns)

    monkeypatch.setattr(watchdog_module, "_clocks", clocks)
    with Watchdog(page, interval_s=0.01, host=True) as watchdog:
        took_ns, set_ns = BRACKET_NS + 1, step_ns
        await some_turns()
        assert counted(page, "clock") == (0, 0), "not of one moment"
        took_ns = 0
        await some_turns()
        assert counted(page, "clock") == (1, HOUR_NS)
        (row,) = [row for row in watchdog.report().stalls if row.kind == "clock"]
        assert row.ms == step_ns / 1e6


def test_a_collection_that_hooked_it_in_is_not_counted() -> None:
    collections = Collections()
    collections("stop", {"generation": 2})
    assert (collections.pauses, collections.total_ns) == ([0, 0, 0], 0)


def test_the_longest_is_forgotten_after_two_windows() -> None:
    longest = Longest()
    assert longest.take(1, 100) == 100
    assert longest.take(2, 5) == 100
    assert longest.take(WINDOW_NS + 2, 7) == 100, "of the window before"
    assert longest.take(2 * WINDOW_NS + 3, 1) == 7
    assert longest.take(3 * WINDOW_NS + 4, 0) == 1
