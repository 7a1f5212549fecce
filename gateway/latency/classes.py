"""The objective of each class of subscriptions, and the headline that clients are promised. Pure.

    class              judged by            and the controller
    0  trades          the target           never degrades it
    1  top of book     the target           conflates it last, at no more than half the target
    2  lowered         the screens' target  conflates it first
    3  bulk            nothing              pauses it before it conflates anything

The headline is classes 0 and 1 together: their histograms are added and judged once more, since no
percentile of two can be made of theirs. What the controller may degrade for their sake is no part
of it, or holding the promise would break it. Clients that were turned away or cut off count in the
headline alone: of which class they would have been is not known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from gateway.latency.histogram import Histogram
from gateway.latency.slo import Monitor, Objective, Report
from gateway.latency.window import Sample, Samples

HEADLINE: Final = (0, 1)
"""The classes that the promise is about."""


class Reports(NamedTuple):
    """What one look found: of the headline, and of each class by its number."""

    headline: Report
    classes: tuple[Report, ...]

    @property
    def all(self) -> tuple[Report, ...]:
        """The headline, then each class."""
        return (self.headline, *self.classes)


def class_objectives(headline: Objective, display_target_us: int) -> tuple[Objective, ...]:
    """What shall hold for each class."""
    screens = replace(headline, target_us=display_target_us)
    return (headline, headline, screens, replace(headline, target_us=None))


class Monitors:
    """Watches the headline and every class.

    Args:
        objective: the headline's.
        display_target_us: class 2's target.
        now_s: MONOTONIC, as are all times here.
    """

    def __init__(self, objective: Objective, display_target_us: int, now_s: float) -> None:
        self._headline = Monitor(objective, now_s)
        self._classes = [
            Monitor(each, now_s) for each in class_objectives(objective, display_target_us)
        ]
        self._parts: tuple[Histogram, ...] = ()
        self._merged = Histogram.empty()

    def reconfigure(self, objective: Objective, display_target_us: int) -> None:
        """Other objectives of the same window, from the next look on."""
        self._headline.reconfigure(objective)
        each = class_objectives(objective, display_target_us)
        for monitor, one in zip(self._classes, each, strict=True):
            monitor.reconfigure(one)

    @property
    def reports(self) -> Reports:
        """The last look's."""
        return Reports(self._headline.report, tuple(each.report for each in self._classes))

    def tick(self, now_s: float, samples: Samples, *, floor_ns: float = 0.0) -> Reports:
        """Takes the cumulative counts of now, as `Monitor.tick`.

        Raises:
            ValueError: a count went down.
        """
        self._headline.tick(now_s, self._together(samples), floor_ns=floor_ns)
        for monitor, sample in zip(self._classes, samples.classes, strict=True):
            monitor.tick(now_s, sample, floor_ns=floor_ns)
        return self.reports

    def _together(self, samples: Samples) -> Sample:
        chosen = [samples.classes[number] for number in HEADLINE]
        parts = tuple(each.histogram for each in chosen)
        if parts != self._parts:  # the same ones, that is: nothing was delivered
            self._parts, self._merged = parts, Histogram.merged(parts)
        return Sample(
            self._merged,
            sum(each.conflated for each in chosen),
            sum(each.dropped for each in chosen),
            samples.shed,
        )
