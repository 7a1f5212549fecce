"""The workers' latency controllers in /metrics, and what held the processes up."""

import math
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import Metric

from gateway.latency.stalls import KINDS
from gateway.latency.statistics import CLASSES, PAUSED_NS, Statistics
from gateway.ops.families import Rows, counters, gauges

# name in the exposition -> (array in the page, so many of it are one, help)
_BY_WORKER = {
    "ladder_step": ("ladder_step", 1, "Steps of the ladder taken; 0: nothing is degraded."),
    "infeasible": ("infeasible", 1, "1 while the largest fan-out alone takes too long."),
    "ring_age_seconds": ("ring_age_ns", 1e9, "Of the oldest record not taken from the ring."),
    "plane_busy_ratio": ("plane_busy_ppm", 1e6, "Share of a CPU that the plane uses."),
    "delivery_cost_seconds": ("delivery_cost_ns", 1e9, "CPU time of one delivery."),
    "fan_out_seconds": ("fan_out_ns", 1e9, "One record to the largest audience of a topic."),
    "ladder_highest": ("ladder_highest", 1, "1 while no further step would help."),
    "delivered_per_second": ("delivered_per_s", 1, "Deliveries that the plane makes."),
    "sweep_seconds": ("sweep_ns", 1e9, "From taking records to the last of their writes."),
    "sweep_clients": ("sweep_clients", 1, "Clients that such a sweep writes to."),
    "write_fixed_seconds": ("write_fixed_ns", 1e9, "What a write costs whatever it carries."),
    "write_each_seconds": ("write_each_ps", 1e12, "What each delivery adds to its write."),
}
_TOTALS_BY_WORKER = {
    "plane_stalls": ("plane_stalls", 1, "Times that the plane stood still."),
    "plane_stall_seconds": ("plane_stall_ns", 1e9, "How long the plane stood still."),
}
_TOTALS_BY_PROCESS = {
    "gc_pause_seconds": ("gc_pause_ns", 1e9, "Spent in garbage collections."),
    "run_delay_seconds": ("run_delay_ns", 1e9, "Runnable without having a CPU."),
    "cpu_seconds": ("cpu_ns", 1e9, "CPU time used."),
}
_GENERATIONS = 3


def controllers(
    each: Mapping[str, Statistics], workers: Sequence[str], now_ns: int
) -> Iterator[Metric]:
    """What each worker's controller sees and does; `now_ns` is MONOTONIC."""
    pages = {name: each[name].counters for name in workers}
    for metric, (array, unit, text) in _BY_WORKER.items():
        rows: Rows = [((name,), page[array][0] / unit) for name, page in pages.items()]
        yield gauges(f"tickgate_{metric}", text, ["worker"], rows)
    for metric, (array, unit, text) in _TOTALS_BY_WORKER.items():
        rows = [((name,), page[array][0] / unit) for name, page in pages.items()]
        yield counters(f"tickgate_{metric}", text, ["worker"], rows)
    text = "How long overload has lasted; 0: there is none."
    since = {name: page["overload_since_ns"][0] for name, page in pages.items()}
    rows = [((name,), max(now_ns - ns, 0) / 1e9 if ns else 0.0) for name, ns in since.items()]
    yield gauges("tickgate_overload_seconds", text, ["worker"], rows)
    text = "Updates of the class wait for so long and are merged; +Inf while it is paused."
    rows = [
        ((name, str(number)), math.inf if ns == PAUSED_NS else ns / 1e9)
        for name, page in pages.items()
        for number, ns in enumerate(page["conflation_interval_ns"])
    ]
    yield gauges("tickgate_conflation_interval_seconds", text, ["worker", "class"], rows)
    text = "Steps taken: up degrades further, down takes a step back."
    rows = [
        ((name, direction), page[f"ladder_{direction}"][0])
        for name, page in pages.items()
        for direction in ("up", "down")
    ]
    yield counters("tickgate_ladder_transitions", text, ["worker", "direction"], rows)
    text = "Clients by level: 0 live, 1 every 20 ms, 2 every 100 ms, 3 when the socket drains."
    rows = [
        ((name, str(level)), count)
        for name, page in pages.items()
        for level, count in enumerate(page["levels"])
    ]
    yield gauges("tickgate_client_levels", text, ["worker", "level"], rows)


def classes(merged: Statistics) -> Iterator[Metric]:
    """What is counted by class and by level, of all workers together."""
    for metric, text in (
        ("class_conflated", "Updates of the class that a newer one replaced."),
        ("class_dropped", "Updates of the class that were lost: lapped, slow, a new epoch."),
    ):
        yield counters(f"tickgate_{metric}", text, ["class"], _by_class(merged, metric))
    text = "Topics attached to connections in the class."
    yield gauges("tickgate_class_links", text, ["class"], _by_class(merged, "class_links"))
    text = "Changes of clients' levels: down is for the worse."
    rows = [((way,), merged.total(f"level_{way}")) for way in ("down", "up")]
    yield counters("tickgate_client_level_transitions", text, ["direction"], rows)


def _by_class(merged: Statistics, array: str) -> Rows:
    return [((str(number),), merged.counters[array][number]) for number in range(CLASSES)]


def pauses(each: Mapping[str, Statistics]) -> Iterator[Metric]:
    """What kept each process from its work."""
    pages = {name: one.counters for name, one in each.items()}
    for metric, (array, unit, text) in _TOTALS_BY_PROCESS.items():
        rows: Rows = [((name,), page[array][0] / unit) for name, page in pages.items()]
        yield counters(f"tickgate_{metric}", text, ["process"], rows)
    text = "Longest garbage collection of the last seconds."
    rows = [((name,), page["gc_pause_max_ns"][0] / 1e9) for name, page in pages.items()]
    yield gauges("tickgate_gc_pause_max_seconds", text, ["process"], rows)
    rows = [
        ((name, str(generation)), page["gc_pauses"][generation])
        for name, page in pages.items()
        for generation in range(_GENERATIONS)
    ]
    text = "Garbage collections."
    yield counters("tickgate_gc_pauses", text, ["process", "generation"], rows)
    for metric, array, unit, text in (
        ("stalls", "stalls", 1.0, "Times that a process was held up, by what held it."),
        ("stall_seconds", "stall_ns", 1e9, "How long a process was held up, by what held it."),
    ):
        rows = [
            ((name, kind), page[array][place] / unit)
            for name, page in pages.items()
            for place, kind in enumerate(KINDS)
        ]
        yield counters(f"tickgate_{metric}", text, ["process", "kind"], rows)
