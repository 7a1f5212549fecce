"""The gateway as the recorder sees it: given by `app.py`, read and never changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from gateway.recorder.observe import ChildStatistics

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.latency.slo import Report
    from gateway.model.status import Vitals

TOLD_OF_FEEDS: Final = (
    *("type", "venue", "symbols", "rate", "channels", "format", "speed", "loop"),
    *("burst_every_s", "burst_s", "burst_factor"),
)
"""Of a feed's options, what a recording may hold: no path, address or whatever is added later."""


class Supervision(Protocol):
    """The supervisor's snapshot."""

    @property
    def children(self) -> Sequence[ChildStatistics]: ...


class Look(Protocol):
    """What is known of the objective: of the headline, and of each class."""

    @property
    def report(self) -> "Report": ...
    @property
    def classes(self) -> "Sequence[Report]": ...


@dataclass(frozen=True)
class Source:
    """The gateway as the recorder sees it.

    Attributes:
        gateway: the program's version.
        config: what of the configuration bears on latency, now (`Header.config`).
        look: the last at the objective.
        supervision: a snapshot of the supervisor, now.
        vitals: of the supervisor itself, as its children send theirs.
        segment: a new descriptor of the ring in use, or -1.
    """

    gateway: str
    config: Callable[[], dict[str, Any]]
    look: "Callable[[], Look]"
    supervision: Callable[[], Supervision]
    vitals: "Callable[[], Vitals]"
    segment: Callable[[], int]


def told(config: "Config") -> dict[str, Any]:
    """What of the configuration goes into a recording: what bears on latency, and no secret."""
    sections = (config.slo, config.ring, config.plane, config.cluster, config.limits)
    names = ("slo", "ring", "plane", "cluster", "limits")
    feeds = [msgspec.to_builtins(feed) for feed in config.feeds]
    return {
        **{name: msgspec.to_builtins(one) for name, one in zip(names, sections, strict=True)},
        "feeds": [{key: feed[key] for key in TOLD_OF_FEEDS if key in feed} for feed in feeds],
    }
