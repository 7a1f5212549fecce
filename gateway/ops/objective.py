"""The watch over the objectives: one look a second, and the same truth for all who ask.

/metrics, /statusz and the `slo` channel show the reports of the last look. Only the supervisor can
read every process's page, so the looking is done here, once; a worker is sent the finished message
while it says that it has subscribers, and none otherwise.
"""

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gateway import log
from gateway.latency import control
from gateway.latency.classes import Monitors, Reports
from gateway.latency.control import Control, Together
from gateway.latency.slo import INTERVAL_S, STATES, Objective, Report
from gateway.ops.figures import figures
from gateway.ops.processes import Held
from gateway.ops.subject import Subject

if TYPE_CHECKING:
    from gateway.latency.histogram import Histogram
    from gateway.latency.window import Samples
    from gateway.options import SloOptions

EARLY_S = INTERVAL_S / 8
"""The caller's rounds are a fraction of the interval: the round that comes nearest is taken."""
HDR_CHARACTERS_MAX = 16 << 10
"""Of the histogram in a message, which has to fit a client's control queue: a distribution that is
broader than this is told with fewer digits."""
TRANSITIONS_MAX = 100
"""Kept of the last: with five objectives and their holds, those of ten bad minutes at least."""
GATEWAY = "gateway"
"""Whose transitions of state they are, where those of the ladder name a worker."""
CHANNEL = "slo"
"""The status channel on which clients are told."""

_log = log.get("slo")


class Look(NamedTuple):
    """What one look found; `since_ns` is REALTIME of the state's beginning, the same each time.

    `report` is the headline's, `classes` are those of each class.
    """

    report: Report
    since_ns: int
    classes: tuple[Report, ...] = ()
    controls: tuple[Control, ...] = ()

    @property
    def together(self) -> Together:
        """All workers' controllers as one."""
        return control.together(self.controls)


class Watch:
    """Looks, judges, tells. Owned by the supervisor's loop; `look` may be read on any thread.

    Attributes:
        transitions: the last of the headline's state and of each class's, oldest first, as the
            history of the `ops` channel has them; `class` is None for the headline.
        samples: what the last look was of, cumulative; None before the first.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._monitors = Monitors(*_objectives(subject.config.slo), time.monotonic())
        headline, classes = self._monitors.reports
        self._look = Look(headline, time.time_ns(), classes)
        self._looked_s = float("-inf")
        self._held = Held(subject.pages, subject.config.slo.window_s)
        self.transitions: deque[dict[str, Any]] = deque(maxlen=TRANSITIONS_MAX)
        self.samples: Samples | None = None

    @property
    def look(self) -> Look:
        """The last one."""
        return self._look

    def reconfigure(self) -> None:
        """Judges by what the configuration says now, from the next look on."""
        self._monitors.reconfigure(*_objectives(self._subject.config.slo))

    def sample(self, now_s: float) -> bool:
        """Looks if it is time to: call it several times a second. `now_s` is MONOTONIC.

        Returns:
            Whether it did.
        """
        if now_s - self._looked_s < INTERVAL_S - EARLY_S:
            return False
        self._looked_s = now_s
        self._held.look(now_s)
        before = self._look
        controls = tuple(self._controls())
        floor_ns = control.together(controls).floor_ns
        self.samples = self._subject.sample()
        reports = self._monitors.tick(now_s, self.samples, floor_ns=floor_ns)
        now_ns = time.time_ns()
        self._note(now_ns, before, reports)
        changed = reports.headline.state != before.report.state
        since_ns = now_ns if changed else before.since_ns
        self._look = Look(reports.headline, since_ns, reports.classes, controls)
        self._tell()
        return True

    def _controls(self) -> Iterator[Control]:
        now_ns = time.monotonic_ns()
        for child in self._subject.supervision().children:
            if child.role == "worker" and child.name in self._subject.pages:
                yield control.read(child.name, self._subject.pages[child.name], now_ns)

    def _note(self, now_ns: int, before: Look, reports: Reports) -> None:
        """One line and one entry for each state that is another than before."""
        pairs = zip((before.report, *before.classes), reports.all, strict=True)
        for (was, now), number in zip(pairs, (None, *range(len(reports.classes))), strict=True):
            if was.state == now.state:
                continue
            step, step_was = STATES.index(now.state), STATES.index(was.state)
            say = _log.warning if step > step_was else _log.info
            # What was late was late; but it may be nobody's load.
            held = self._held.words() if step > step_was else ""
            words = _words(was, now) | ({"held_up": held} if held else {})
            if number is None:
                say("slo.state", **words)
            else:
                say("slo.class_state", **{"class": number}, **words)
            entry = {"ts": now_ns, "worker": GATEWAY, "kind": "state", "class": number}
            whose = "" if number is None else f"class {number}: "
            why = whose + reason(now) + (f"; held up: {held}" if held else "")
            entry |= {"step": step, "was": step_was, "reason": why}
            self.transitions.append(entry)

    def _tell(self) -> None:
        workers = self._subject.followers(CHANNEL)
        if not workers:
            return
        text = message(self._look, time.time_ns())
        for name in workers:
            # One lost to a full buffer is made good by the next.
            self._subject.tell(name, CHANNEL, text)


def _objectives(slo: "SloOptions") -> tuple[Objective, int]:
    """The headline's, and the target of screens."""
    objective = Objective(slo.stage, slo.percentile, slo.target_us, slo.window_s)
    # Left at its default it gives way to a target that is longer; set, it has been checked.
    return objective, max(slo.display_target_us, slo.target_us)


def message(look: Look, ts_send: int) -> str:
    """The `slo` channel's message."""
    data = summary(look) | {"hdr": _hdr(look.report.sample.histogram)}
    body = {"channel": "slo", "type": "update", "ts_send": ts_send, "data": [data]}
    return orjson.dumps(body).decode()


def summary(look: Look) -> dict[str, Any]:
    """What clients and /statusz see alike, of the window."""
    report, together = look.report, look.together
    percentile = report.objective.percentile
    whole = int(percentile)
    return {
        "stage": report.objective.stage,
        "percentile": whole if whole == percentile else percentile,
        **_figures(report),
        "window_s": round(report.window_s, 3),
        "since": look.since_ns,
        "action": together.action,
        "step": together.step,
        "intervals_ms": control.intervals_ms(together.intervals_ns),
        "classes": [
            {"class": number, **_figures(each)} for number, each in enumerate(look.classes)
        ],
    }


def _figures(report: Report) -> dict[str, Any]:
    """What the headline and the classes have alike."""
    return {
        "target_us": report.objective.target_us,
        **figures(report.sample.histogram),
        "conflated": report.sample.conflated,
        "dropped": report.sample.dropped,
        "bad": report.bad,
        "state": report.state,
        "budget_remaining": round(report.budget_remaining, 6),
    }


def _hdr(histogram: "Histogram") -> str:
    text = histogram.to_hdr_v2()
    for digits in (2, 1):
        if len(text) <= HDR_CHARACTERS_MAX:
            break
        text = histogram.to_hdr_v2(digits)
    return text


def reason(report: Report) -> str:
    """Why the state is what it is, in words."""
    if report.state == "infeasible":
        return f"the largest fan-out takes {report.floor_ns / 1000:,.0f} of {_target(report)}"
    percentile = report.objective.percentile
    reached_us = report.percentile_us(percentile)
    if reached_us is None:
        return f"{f'{report.bad:,} lost, ' if report.bad else ''}nothing delivered"
    late = f"{report.bad:,} of {report.good + report.bad:,} late or lost"
    return f"p{percentile:g} {reached_us:,.0f} of {_target(report)}, {late}"


def _target(report: Report) -> str:
    target_us = report.objective.target_us
    return "no target" if target_us is None else f"{target_us:,} us"


def _words(before: Report, report: Report) -> dict[str, Any]:
    objective = report.objective
    return {
        "state": report.state,
        "was": before.state,
        "was_for_s": round(report.at_s - before.since_s, 1),
        "reached_us": report.percentile_us(objective.percentile),
        "target_us": objective.target_us,
        "count": report.good + report.bad,
        "bad": report.bad,
    }
