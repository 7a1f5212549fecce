"""Results of load tests that nobody ran, for tests of what reads them."""

from functools import cache, lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from gateway._native import HDR_COUNTS, HDR_MAX_NS
from gateway.latency.histogram import Histogram
from gateway.loadtest.result import (
    ClientLoad,
    Clock,
    Connections,
    Environment,
    Floor,
    GroupResult,
    Latency,
    Point,
    Result,
    ServerResult,
    SourceResult,
)

_DURATION_S = 6.0
_RATE = 20_000.0  # deliveries a second


def histogram_of(values_ns: npt.ArrayLike) -> Histogram:
    """The histogram of some durations in nanoseconds, each counted once."""
    values = np.clip(np.asarray(values_ns, dtype=np.int64), 0, HDR_MAX_NS)
    bits = np.frexp(values.astype(np.float64))[1]  # exact below 2^53, as all are
    bucket = np.maximum(bits - 11, 0)
    counts = np.bincount((bucket << 10) + (values >> bucket), minlength=HDR_COUNTS)
    return Histogram(counts.astype(np.uint64), int(values.sum()))


@lru_cache(64)  # of 0.4 MB each; none ever changes
def durations(median_us: float, *, seed: int = 1, count: int = 120_000) -> Histogram:
    """Log-normal durations around a median: the long tail that latencies have."""
    rng = np.random.default_rng(seed)
    return histogram_of(rng.lognormal(np.log(median_us * 1e3), 0.5, count))


@cache
def sample_latency(median_us: float, *, seed: int = 1) -> Latency:
    """The figures of `durations`."""
    return Latency.of(durations(median_us, seed=seed), _RATE)


def stepped(first_us: float, count: int = 1000) -> Latency:
    """A p50 of this, a p90 of 1 µs more, and so on: none can be taken for another one."""
    return Latency(
        p50_us=first_us,
        p90_us=first_us + 1,
        p99_us=first_us + 2,
        p999_us=first_us + 3,
        max_us=first_us + 4,
        mean_us=first_us,
        count=count,
        per_s=count / _DURATION_S,
    )


def sample_timeline(median_us: float, *, seed: int = 1) -> list[Point]:
    """A point a second whose figures waver a little, with one second that was worse."""
    rng = np.random.default_rng(seed)
    points = []
    for second in range(int(_DURATION_S)):
        factor = float(rng.uniform(0.95, 1.05)) * (2.0 if second == 3 else 1.0)
        points.append(
            Point(
                t_s=float(second),
                per_s=round(_RATE * float(rng.uniform(0.98, 1.02)), 1),
                p50_us=median_us * factor,
                p99_us=3.2 * median_us * factor,
                max_us=8 * median_us * factor,
                gaps=0,
                conflated=40 if second == 3 else 0,
                server_cpu=0.17 * factor,
            )
        )
    return points


def sample_environment(**changed: Any) -> Environment:
    """A machine."""
    machine = Environment(
        cpu="Example CPU @ 3.00GHz",
        cores=2,
        kernel="Linux 6.1.0",
        os="Debian GNU/Linux 12 (bookworm)",
        python="CPython 3.11.2",
        tickgate="0.1.0",
        commit="0123456789ab",
        libraries={"numpy": "2.3.0", "uvloop": "0.23.0"},
        machine_load=0.4,
        clocksource="tsc",
    )
    return msgspec.structs.replace(machine, **changed)


def sample_groups() -> dict[str, GroupResult]:
    """Two that are measured and one that is load only."""
    return {
        "trade": GroupResult(
            clients=60,
            open=60,
            delivered=72_000,
            per_s=12_000.0,
            reach=1.0,
            gaps=0,
            conflated=0,
            duplicates=0,
            latency=sample_latency(300, seed=2),
            arrival=sample_latency(250, seed=2),
        ),
        "bbo": GroupResult(
            clients=40,
            open=40,
            delivered=48_000,
            per_s=8_000.0,
            reach=0.9991,
            gaps=0,
            conflated=40,
            duplicates=0,
            latency=sample_latency(420, seed=3),
            arrival=sample_latency(350, seed=3),
        ),
        "churn": GroupResult(
            clients=20, open=19, delivered=900, measured=False, reconnects=75, conflated=0
        ),
    }


def sample_result(*, median_us: float = 350.0, seed: int = 1, **changed: Any) -> Result:
    """One run with every part measured: p99 about 3.2 times the median, nothing wrong.

    `median_us` scales the latencies, `seed` varies them as two runs would differ, and further
    arguments replace fields of the result.
    """
    age, arrival = durations(median_us, seed=seed), durations(0.9 * median_us, seed=seed)
    own = durations(0.1 * median_us, seed=seed + 1)
    late = Latency.of(durations(20, seed=seed, count=1200), 200.0)
    result = Result(
        name="sample",
        started="2026-11-21T10:00:00Z",
        duration_s=_DURATION_S,
        url="ws://127.0.0.1:8765/v1",
        clients=120,
        scenario={"name": "sample", "source": {"rate": 200.0}},
        latency=Latency.of(age, _RATE),
        arrival=Latency.of(arrival, _RATE),
        own=Latency.of(own, _RATE),
        stages={
            name: sample_latency(part * median_us, seed=seed)
            for name, part in (("wire", 0.1), ("server", 0.5), ("delivery", 0.4))
        }
        | {"handshake": sample_latency(2000, seed=seed)},
        skew=Latency.of(durations(median_us, seed=seed + 2, count=300), 50.0),
        reach=0.99967,
        expected=120_040,
        delivered=120_000,
        gaps=0,
        gap_events=0,
        conflated=40,
        duplicates=0,
        groups=sample_groups(),
        connections=Connections(opened=195, reconnects=75, open_s=0.21),
        source=SourceResult(intended=1200, sent=1200, late=late, achieved_per_s=200.0),
        server=ServerResult(
            cpu_s=1.02,
            cpu_us_per_delivery=8.5,
            rss_mb=61.0,
            rss_mb_max=64.5,
            pss_mb=51.0,
            pss_mb_max=54.5,
            pids=[4001, 4002],
        ),
        floor=Floor(cpu_us_per_delivery=8.0),
        client=ClientLoad(processes=1, busy=0.41, run_delay=0.02, turn_max_us=900.0),
        clock=Clock(),
        timeline=sample_timeline(median_us, seed=seed),
        histogram=age.to_hdr_v2(),
        histograms={"arrival": arrival.to_hdr_v2(), "own": own.to_hdr_v2()},
        environment=sample_environment(),
    )
    return msgspec.structs.replace(result, **changed)
