"""One run from its start to its end: the processes' progress, the server's CPU, what all found."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gateway.loadtest.assemble import Usage
from gateway.loadtest.children import Child, Children
from gateway.loadtest.ladder import Ladder
from gateway.loadtest.link import Final, Go, Message, Progress, Stop, moments
from gateway.loadtest.processes import Meter
from gateway.loadtest.progress import View
from gateway.loadtest.scenario import Scenario
from gateway.loadtest.source import SourceReport
from gateway.loadtest.target import Target
from gateway.loadtest.timeline import Timeline

FINAL_S = 15.0
"""Within this after the end every process has told what it found: a few megabytes at the most."""


class Watch:
    """Follows a run.

    Args:
        children: all that was started.
        swarms: of them, those that drive clients.
        sources: of them, those that send ticks.
        go: the moments of the run, which begins with this object.
        target: the server.
        view: where progress is shown.
        scenario: what is run.
    """

    def __init__(
        self,
        children: Children,
        swarms: Sequence[Child],
        sources: Sequence[Child],
        go: Go,
        *,
        target: Target,
        view: View,
        scenario: Scenario,
    ) -> None:
        self._children = children
        self._waiting = [*swarms, *sources]
        self._go = go
        self._view = view
        self._clients = scenario.clients
        names = [group.name for group in scenario.groups]
        self.timeline = Timeline(go, len(swarms), names)
        self._meter = Meter(target.roots)
        self.ladder = Ladder(target.ops if scenario.cooldown_s else (), go)
        self._resident_bytes = 0
        self._proportional_bytes: int | None = None
        self._looks: list[tuple[int, int]] = []  # (MONOTONIC ns, CPU ns) within the window
        self._stopping = False
        self.end_ns = go.end_ns
        self.finals: list[Final] = []
        self.sent: list[SourceReport] = []
        for child in self._waiting:
            child.tell(go)

    def follow(self) -> None:
        """To the end of the run, or until Ctrl-C: then what there is is asked for.

        Raises:
            ChildFailed: a process has ended or can't go on.
            KeyboardInterrupt: before the window began: there is nothing.
        """
        try:
            for tick, moment in enumerate(moments(self._go)):
                while (left_ns := moment - time.time_ns()) > 0:
                    self._listen(left_ns / 1e9)
                self._look(tick, moment)
        except KeyboardInterrupt:
            now = time.time_ns()
            if now <= self._go.start_ns:
                raise
            self.end_ns = min(now, self._go.end_ns)
            self._stopping = True
            for child in self._waiting:
                child.tell(Stop())
        self._collect()

    @property
    def usage(self) -> Usage | None:
        """Of the server in the window; None where nobody could look."""
        if len(self._looks) < 2 or not self._meter.pids:
            return None
        (first_ns, before), (last_ns, after) = self._looks[0], self._looks[-1]
        return Usage(
            cpu_ns=after - before,
            wall_ns=last_ns - first_ns,
            resident_bytes=self._resident_bytes,
            resident_bytes_max=self._meter.resident_bytes_max,
            proportional_bytes=self._proportional_bytes,
            proportional_bytes_max=self._meter.proportional_bytes_max,
            pids=self._meter.pids,
        )

    def _look(self, tick: int, moment: int) -> None:
        at_ns, used_ns = time.monotonic_ns(), self._meter.read()
        self.timeline.cpu(tick, used_ns)
        self.ladder.look(moment)
        if self._go.start_ns <= moment <= self._go.end_ns:
            self._looks.append((at_ns, used_ns))
            self._resident_bytes = self._meter.resident_bytes
            self._proportional_bytes = self._meter.proportional_bytes

    def _listen(self, timeout_s: float) -> None:
        for child, message in self._children.messages(timeout_s):
            self._take(child, message)

    def _take(self, child: Child, message: Message | SourceReport) -> None:
        if isinstance(message, Progress):
            snapshot = self.timeline.add(message)
            if snapshot is not None:
                self._view.show(snapshot, self._clients)
            return
        if isinstance(message, SourceReport) and not message.complete and not self._stopping:
            raise child.failure("was stopped before its end")
        if isinstance(message, Final):
            self.finals.append(message)
        elif isinstance(message, SourceReport):
            self.sent.append(message)
        else:
            raise child.failure(f"said {type(message).__name__} in the middle of the run")
        self._waiting.remove(child)
        self._children.stop(child)

    def _collect(self) -> None:
        deadline = time.monotonic() + FINAL_S
        while self._waiting:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise self._waiting[0].failure(f"has not told its results within {FINAL_S:g} s")
            self._listen(left_s)
