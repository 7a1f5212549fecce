"""Rows 45 and 62: clocks that jump, and pauses of our own."""

import asyncio
import os
import signal
import time

import pytest
from support.bystander import Bystander
from support.serving import Metrics, Serving, until
from support.target import STRICT_VENUE
from support.wire import connected, subscribe

from gateway._native import STATS_SIZE, StatsPage, create_memory
from gateway.supervisor.watchdog import Watchdog

HOUR_NS = 3_600_000_000_000
PAUSE_S = 0.3


def latency(metrics: Metrics, stage: str) -> tuple[float, float]:
    """Count and sum of a stage's histogram, in seconds."""
    name = "stage_latency_seconds"
    return metrics.of(f"{name}_count", stage), metrics.of(f"{name}_sum", stage)


@pytest.mark.parametrize(
    ("ts", "anomalies"),
    [
        pytest.param(lambda now: now + HOUR_NS, 1, id="an hour ahead"),
        pytest.param(lambda now: 2**63 - 1, 1, id="the last nanosecond"),
        pytest.param(lambda now: now - HOUR_NS, 0, id="an hour behind"),
        pytest.param(lambda now: 1, 0, id="1970"),
    ],
)
def test_f45_event_times_that_jump(strict: Serving, ts: object, anomalies: int) -> None:
    assert callable(ts)
    with connected(strict.url) as wire:
        wire.send(subscribe(["CLOCK.UDP"], snapshot=False))
        assert wire.reply()["success"]
        before = strict.metrics()
        ts_event = ts(time.time_ns())
        record = {"channel": "trade", "symbol": "CLOCK", "price": "1", "qty": "1", "ts": ts_event}
        STRICT_VENUE.send(record)
        while (message := wire.message())["channel"] != "trade":
            continue
        assert message["ts_event"] == ts_event  # the venue's, unshifted
        assert abs(message["ts_recv"] - time.time_ns()) < HOUR_NS // 2
        assert message["ts_send"] >= message["ts_recv"]
    until(lambda: latency(strict.metrics(), "total")[0] == latency(before, "total")[0] + 1)
    now = strict.metrics()
    assert now.total("clock_anomalies_total") - before.total("clock_anomalies_total") == anomalies
    # The latency that counts is of our own monotonic clock; a time ahead is no latency of zero.
    assert latency(now, "total")[1] - latency(before, "total")[1] < 60
    assert latency(now, "wire")[0] - latency(before, "wire")[0] == 1 - anomalies


def test_f45_no_time_at_all(strict: Serving) -> None:
    with connected(strict.url) as wire:
        wire.send(subscribe(["CLOCK.UDP"], snapshot=False))
        assert wire.reply()["success"]
        STRICT_VENUE.send(
            {"channel": "trade", "symbol": "CLOCK", "price": "1", "qty": "1", "ts": 0}
        )
        while (message := wire.message())["channel"] != "trade":
            continue
        assert message["ts_event"] == message["ts_recv"]


def test_f62_a_pause_of_a_worker_shows_and_is_no_clients_fault(
    gateway: Serving, bystander: Bystander, before: Metrics
) -> None:
    worker = gateway.pid()
    os.kill(worker, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    os.kill(worker, signal.SIGCONT)
    until(lambda: gateway.metrics().of("loop_lag_seconds") >= PAUSE_S - 0.1)
    assert gateway.metrics().of("process_loop_lag_max_seconds", "worker-0") >= PAUSE_S - 0.1
    bystander.goes_on(100)  # all of what came in the pause, without a hole
    now = gateway.metrics()
    assert now.of("closes_total", "4008") == before.of("closes_total", "4008")
    assert now.total("dropped_total") == before.total("dropped_total")
    assert now.of("child_restarts_total", "worker", "hang") == 0


async def test_f62_a_blocking_callback_of_50_ms_is_seen() -> None:
    fd = create_memory("stats", STATS_SIZE)
    stats = StatsPage(fd, writable=True)
    with Watchdog(stats):
        await asyncio.sleep(0.12)
        time.sleep(0.1)  # noqa: ASYNC251 (the fault): two stamps apart, so 50 ms at least
        await asyncio.sleep(0.12)
        assert stats.get("loop_lag_ns") >= 50_000_000
        assert stats.get("loop_lag_max_ns") >= 50_000_000
    stats.close()
    os.close(fd)
