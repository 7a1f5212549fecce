"""What a supervisor is told of its children, and what it tells of them. Values alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.backoff import Backoff
from gateway.model.status import Status
from gateway.supervisor.messages import Start

State = Literal["starting", "ready", "waiting", "draining", "stopped"]
Reason = Literal["exit", "signal", "hang", "start"]


@dataclass(frozen=True)
class Policy:
    """When to restart, when to give up hope, how long to wait. Seconds, but for counts."""

    backoff_first_s: float = 0.1
    backoff_most_s: float = 5.0
    healthy_s: float = 30.0
    restarts_max: int = 10
    restarts_window_s: float = 60.0
    tripped_s: float = 10.0
    start_s: float = 30.0
    hang_s: float = 1.5
    """Found within 2 s, the time of the watch's round included."""
    watch_s: float = 0.5
    stall_s: float = 0.5
    """A gap of the supervisor's own loop beyond which the stamps' ages prove nothing."""
    drain_s: float = 10.0

    def backoff(self) -> Backoff:
        """Of one child: no wait is shorter than half of what it might be."""
        return Backoff(self.backoff_first_s, self.backoff_most_s, least=0.5)


@dataclass(frozen=True)
class ChildSpec:
    """How to start and watch one child.

    Attributes:
        role: the kind of process, a label in metrics.
        name: unique name.
        argv: command line; the control descriptor's number is appended.
        first: first message on the control channel; at later starts with the configuration that
            `reconfigure` was given last.
        fds: descriptors inherited under their numbers.
        rank: children are stopped highest rank first.
        stamps: MONOTONIC ns of each of the child's signs of life; called about ten times a second.
        died: called after each death, before the restart: puts shared memory in order.
        takes_segments: whether it is sent the segments that others offer.
    """

    role: str
    name: str
    argv: Sequence[str]
    first: Start
    fds: tuple[int, ...] = ()
    rank: int = 0
    stamps: Callable[[], Sequence[int]] = tuple
    died: Callable[[], None] = lambda: None
    takes_segments: bool = False


@dataclass(frozen=True)
class ChildStatistics:
    """One child as the supervisor sees it; `restarts` by reason, `status` as it reported last."""

    role: str
    name: str
    pid: int
    state: State
    tripped: bool
    restarts: dict[str, int]
    last_reason: str
    status: Status


@dataclass(frozen=True)
class Statistics:
    """A snapshot of the supervisor."""

    draining: bool
    epoch: str
    children: tuple[ChildStatistics, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the whole is not ready, in words; empty when it is."""
        words = ["draining"] if self.draining else []
        for child in self.children:
            if child.tripped:
                words.append(f"{child.name} keeps dying ({child.last_reason})")
            elif child.state != "ready":
                words.append(f"{child.name} is {child.state}")
        return tuple(words)
