"""Looks at every process from outside: its statistics page, its threads, what it last reported.

No process is asked anything, so a look says as much of one that hangs.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import to_builtins

from gateway.latency.news import News
from gateway.recorder.threads import Threads, host
from gateway.recording import Counts, Sample, Second, trimmed

if TYPE_CHECKING:
    from gateway.latency.slo import Report
    from gateway.model.status import Status

ARRAYS: Final = (
    # feeds
    *("published", "feed_up", "feed_gaps", "feed_lost", "feed_records", "feed_last_ns"),
    *("feed_decode_errors", "clock_anomalies", "stamp_anomalies"),
    # the data plane
    *("routed", "delivered", "conflated", "dropped_lapped", "dropped_slow", "dropped_epoch"),
    *("pending", "sends", "sends_short", "links", "clients", "clients_blocked", "records_taken"),
    *("ring_lag_records", "ring_lapped", "wakeups", "epochs", "plane_alive_ns"),
    *("class_conflated", "class_dropped", "class_links"),
    *("ladder_step", "conflation_interval_ns", "overload_since_ns", "infeasible", "levels"),
    *("ladder_up", "ladder_down", "level_up", "level_down", "ring_age_ns", "plane_busy_ppm"),
    *("delivery_cost_ns", "write_cost_ns", "audience_max", "fan_out_ns", "delivered_per_s"),
    *("ladder_highest", "sweep_ns", "sweep_clients", "write_fixed_ns", "write_each_ps"),
    *("plane_stalls", "plane_stall_ns"),
    # the loops
    *("connections", "subscriptions", "accepted", "closes", "accept_errors", "loop_lag_ns"),
    *("loop_alive_ns", "gc_pauses", "gc_pause_ns", "gc_pause_max_ns", "stalls", "stall_ns"),
    *("run_delay_ns", "cpu_ns"),
)
"""Of each page: what a diagnosis may need. What clients ask for is left out."""

NEWS: Final = ("ladder", "stalls")
"""Of the lists that are kept, the histories: each entry (it has a `ts`) is kept once."""
UNTOLD: Final = ("message",)
"""Of a feed: may name a file or an address of the configuration."""
SAID_MAX = 100
"""Entries of one list."""


class Page(Protocol):
    """A process's statistics page; `_native.StatsPage` is one."""

    def read(self) -> dict[str, tuple[int, ...]]: ...
    def counts(self, stage: str) -> npt.NDArray[np.uint64]: ...
    def totals(self, stage: str) -> tuple[int, int, int, int]: ...


class ChildStatistics(Protocol):
    """A child process as the supervisor sees it."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def status(self) -> "Status": ...


class Observer:
    """Takes samples and seconds; `stages` names the histograms of a page."""

    def __init__(
        self, pages: Mapping[str, Page], stages: Sequence[str], threads: Threads | None = None
    ) -> None:
        self._pages = pages
        self._stages = stages
        self._threads = threads or Threads()
        self._before: dict[tuple[str, str], tuple[int, npt.NDArray[np.uint64]]] = {}
        self._news = News()
        self._second_ns = 0

    def sample(
        self, mono_ns: int, real_ns: int, late_ns: int, pids: Mapping[str, int], *, whole: bool
    ) -> Sample:
        """Gauges, counters and threads, now; with the host's where it is `whole`."""
        pages = {}
        for name, page in self._pages.items():
            arrays = page.read()
            pages[name] = trimmed({name: arrays[name] for name in ARRAYS if name in arrays})
        return Sample(
            mono_ns=mono_ns,
            real_ns=real_ns,
            late_ns=late_ns,
            pages=pages,
            threads=self._threads.read(pids, mono_ns),
            host=host() if whole else {},
        )

    def second(self, mono_ns: int, report: "Report", statuses: "Mapping[str, Status]") -> Second:
        """Histograms and reports since the one before; the first is empty, and only begins."""
        first = self._second_ns == 0
        span_ns = 0 if first else mono_ns - self._second_ns
        self._second_ns = mono_ns
        stages = {}
        for stage in self._stages:
            if (gained := self._gained(stage)) is not None and not first:
                places = np.flatnonzero(gained)
                stages[stage] = Counts(places.tolist(), gained[places].tolist())
        return Second(
            mono_ns=mono_ns,
            span_ns=span_ns,
            state=report.state,
            p99_us=report.percentile_us(99),
            events=report.good + report.bad,
            bad=report.bad,
            stages=stages,
            said={
                name: said
                for name, status in statuses.items()
                if (said := self._said(name, status))
            },
        )

    def close(self) -> None:
        """Closes what is held open."""
        self._threads.close()

    def _gained(self, stage: str) -> npt.NDArray[np.uint64] | None:
        """The stage's counts of all processes since the time before; None where there are none."""
        gained: npt.NDArray[np.uint64] | None = None
        for name, page in self._pages.items():
            total = page.totals(stage)[0]
            before = self._before.get((name, stage))
            if total == (before[0] if before is not None else 0):
                continue
            counts = page.counts(stage)
            self._before[name, stage] = total, counts
            part = counts if before is None else counts - before[1]
            gained = part if gained is None else gained + part
        return gained

    def _said(self, process: str, status: "Status") -> dict[str, list[Any]]:
        said = {}
        for name, entries in _lists(status).items():
            if name in NEWS:
                entries = self._news.of((process, name), entries)
            if name == "feeds":
                entries = [{k: v for k, v in one.items() if k not in UNTOLD} for one in entries]
            if entries:
                said[name] = entries[-SAID_MAX:]
        return said


def _lists(status: "Status") -> dict[str, list[Any]]:
    """Those of a process's status that are kept, as a recording has them."""
    worker = status.worker
    lists: dict[str, list[Any]] = to_builtins(
        {
            "slowest": [] if worker is None else list(worker.slowest),
            "ladder": [] if worker is None else list(worker.ladder),
            "stalls": list(status.vitals.stalls),
            "feeds": list(status.feeds),
        }
    )
    return lists
