"""What the latency controller of each worker does, read from the pages that the data planes write.

The controllers act alone, each in its worker; nothing here steers them. `Action` puts in one word
what a client may notice: nothing, bulk work that waits, or updates that are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from gateway.latency.statistics import CLASSES, PAUSED_NS

Action = Literal["none", "pause", "conflate"]
ACTIONS: Final[tuple[Action, ...]] = ("none", "pause", "conflate")
"""From little to much; an action's place is its number in metrics."""
LEVELS: Final = 4
"""Of one connection."""
BULK: Final = CLASSES - 1
"""The class that is paused before any other is touched."""

GAUGES: Final = (
    "class_links",
    "ladder_step",
    "ladder_highest",
    "conflation_interval_ns",
    "overload_since_ns",
    "infeasible",
    "levels",
    "ring_age_ns",
    "plane_busy_ppm",
    "delivery_cost_ns",
    "write_cost_ns",
    "audience_max",
    "fan_out_ns",
    "delivered_per_s",
    "sweep_ns",
    "sweep_clients",
    "write_fixed_ns",
    "write_each_ps",
)
"""Arrays of the page that say how it is now: nothing of them is true of a worker that has died."""


class Page(Protocol):
    """A process's statistics page; `_native.StatsPage` is one."""

    def get(self, name: str, index: int = 0) -> int: ...


@dataclass(frozen=True, slots=True)
class Control:
    """One worker's controller at one moment. Never changes once made.

    Attributes:
        worker: whose.
        step: how many steps of the ladder are taken; 0 degrades nothing.
        intervals_ns: conflation interval of each class; 0 none, `PAUSED_NS` while it waits.
        overload_s: how long overload has lasted; None where there is none.
        infeasible: whether the controller has given up, since the largest fan-out is too long.
        busy: share of one CPU that the plane's thread has used lately.
        highest: whether no further step would help: all that can be degraded is.
        delivered_per_s: deliveries that it makes.
        sweep_ns: from taking a batch of records to the last of its writes, as a delivery sees it.
        sweep_clients: how many clients such a sweep writes to.
        write_fixed_ns: what a write costs before it carries anything.
        write_each_ns: what each delivery in it adds.
        delivery_cost_ns: what a delivery costs at present, with its part of the write.
        fan_out_ns: how long one record takes to reach all subscribers of the largest audience.
        audience_max: how many those are.
        ring_age_ns: of the oldest record not taken from the ring.
        class_links: topics attached to connections, by class.
        levels: clients by what their slowness costs them, from live to a snapshot now and then.
    """

    worker: str
    step: int = 0
    intervals_ns: tuple[int, ...] = (0,) * CLASSES
    overload_s: float | None = None
    infeasible: bool = False
    busy: float = 0.0
    highest: bool = False
    delivered_per_s: int = 0
    sweep_ns: int = 0
    sweep_clients: int = 0
    write_fixed_ns: int = 0
    write_each_ns: float = 0.0
    delivery_cost_ns: int = 0
    fan_out_ns: int = 0
    audience_max: int = 0
    ring_age_ns: int = 0
    class_links: tuple[int, ...] = (0,) * CLASSES
    levels: tuple[int, ...] = (0,) * LEVELS

    def row(self) -> dict[str, Any]:
        """As in /statusz."""
        overload_s = self.overload_s
        return {
            "worker": self.worker,
            "step": self.step,
            "intervals_ms": intervals_ms(self.intervals_ns),
            "infeasible": self.infeasible,
            "overload_s": None if overload_s is None else round(overload_s, 3),
            "busy": self.busy,
            "highest": self.highest,
            "delivered_per_s": self.delivered_per_s,
            "sweep_us": self.sweep_ns / 1000,
            "sweep_clients": self.sweep_clients,
            "write_fixed_ns": self.write_fixed_ns,
            "write_each_ns": self.write_each_ns,
            "delivery_cost_ns": self.delivery_cost_ns,
            "fan_out_us": self.fan_out_ns / 1000,
            "audience_max": self.audience_max,
            "ring_age_us": self.ring_age_ns / 1000,
            "class_links": list(self.class_links),
            "levels": list(self.levels),
        }


def read(worker: str, page: Page, now_ns: int) -> Control:
    """The worker's controller, by its page; `now_ns` is MONOTONIC."""
    since_ns = page.get("overload_since_ns")
    return Control(
        worker=worker,
        step=page.get("ladder_step"),
        intervals_ns=_array(page, "conflation_interval_ns", CLASSES),
        overload_s=max(now_ns - since_ns, 0) / 1e9 if since_ns else None,
        infeasible=bool(page.get("infeasible")),
        busy=page.get("plane_busy_ppm") / 1e6,
        highest=bool(page.get("ladder_highest")),
        delivered_per_s=page.get("delivered_per_s"),
        sweep_ns=page.get("sweep_ns"),
        sweep_clients=page.get("sweep_clients"),
        write_fixed_ns=page.get("write_fixed_ns"),
        write_each_ns=page.get("write_each_ps") / 1000,
        delivery_cost_ns=page.get("delivery_cost_ns"),
        fan_out_ns=page.get("fan_out_ns"),
        audience_max=page.get("audience_max"),
        ring_age_ns=page.get("ring_age_ns"),
        class_links=_array(page, "class_links", CLASSES),
        levels=_array(page, "levels", LEVELS),
    )


def _array(page: Page, name: str, length: int) -> tuple[int, ...]:
    return tuple(page.get(name, index) for index in range(length))


@dataclass(frozen=True, slots=True)
class Together:
    """All workers' controllers as one: of everything the worst, since no client knows its worker.

    Attributes:
        step: the highest.
        intervals_ns: the longest of each class.
        floor_ns: the longest fan-out: no percentile of a whole audience can be below it.
    """

    step: int = 0
    intervals_ns: tuple[int, ...] = (0,) * CLASSES
    floor_ns: int = 0

    @property
    def action(self) -> Action:
        """What is done to clients for the objective's sake."""
        if not any(self.intervals_ns):
            return "none"
        others = self.intervals_ns[:BULK]
        paused = self.intervals_ns[BULK] == PAUSED_NS and not any(others)
        return "pause" if paused else "conflate"


def together(controls: Iterable[Control]) -> Together:
    """The worst of all; nothing is done where there is no worker."""
    every: Sequence[Control] = [*controls]
    if not every:
        return Together()
    return Together(
        step=max(each.step for each in every),
        intervals_ns=tuple(map(max, zip(*(each.intervals_ns for each in every), strict=True))),
        floor_ns=max(each.fan_out_ns for each in every),
    )


def intervals_ms(intervals_ns: Iterable[int]) -> list[float | None]:
    """As messages have them: None where the class is paused."""
    return [None if ns == PAUSED_NS else _plain(ns / 1e6) for ns in intervals_ns]


def _plain(value: float) -> float:
    return int(value) if value.is_integer() else value
