"""`tickgate bench peers`: our gateway beside other servers, the same load on the same machine.

Servers are measured in turn, round after round (A B C A B C), so that what drifts on the machine
meets all of them. What each costs is held against the floor, a bare loop of send(), of the same
round; over rounds the median counts, of ratios and of everything else. Every server gets the same
ticks of the same source, and as many clients of the same swarm ask it for them. What a client gets
is counted in ticks: NATS and centrifuge put several into one WebSocket message when they come fast.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from gateway.errors import TickgateError
from gateway.loadtest import units
from gateway.loadtest.peer import PEERS, Absent, Ready, prepare
from gateway.loadtest.result import Environment, Result
from gateway.loadtest.run import Interrupted
from gateway.loadtest.scenario import Group, Scenario, Source

SCHEMA: Final = 1
FLOOR: Final = "floor"
GATEWAY: Final = "gateway"
NAMES: Final = (FLOOR, GATEWAY, *PEERS)
"""In the order in which they take their turns."""


class UnknownPeer(TickgateError):
    """A name that none of the servers has."""

    exit_code = 2


class Setting(Struct, frozen=True):
    """A load: how many clients get how many ticks a second."""

    name: str
    clients: int
    rate: float


SETTINGS: Final = (Setting("fanout", 1000, 50.0), Setting("throughput", 100, 20_000.0))


class Figures(Struct, frozen=True, kw_only=True):
    """What one server did in one round, or the median of its rounds.

    Attributes:
        cpu_us: CPU time of all its processes for each tick that a client got.
        floor_ratio: the same over the floor's of the same round; None: no floor was measured.
        p50_us: age of ticks at the clients; None: they got none of the window's.
        p99_us: the same.
        reach: ticks that clients got, of those that they should have got.
        per_s: ticks that clients got, a second.
        rss_mb: resident memory, the most that was seen.
        pss_mb: the same by PSS; None: the kernel does not tell.
        closed: connections that the server ended.
        valid: the clients were not the bottleneck.
    """

    cpu_us: float | None
    floor_ratio: float | None = None
    p50_us: float | None
    p99_us: float | None
    reach: float | None
    per_s: float
    rss_mb: float | None
    pss_mb: float | None = None
    closed: int
    valid: bool


class PeerResult(Struct, frozen=True, kw_only=True):
    """One server under one load.

    Attributes:
        rounds: what it did in each; None where it failed, and `errors` says how.
        median: over the rounds in which it ran.
    """

    name: str
    version: str
    rounds: list[Figures | None]
    errors: list[str]
    median: Figures | None


class SettingResult(Struct, frozen=True, kw_only=True):
    """All servers under one load, in the order of `NAMES`."""

    setting: Setting
    peers: list[PeerResult]


class PeersResult(Struct, frozen=True, kw_only=True):
    """A whole comparison; `skipped` are those that can't run here, with the reason."""

    schema: int = SCHEMA
    started: str
    warmup_s: float
    duration_s: float
    rounds: int
    settings: list[SettingResult]
    skipped: dict[str, str] = field(default_factory=dict)
    environment: Environment

    @property
    def complete(self) -> bool:
        """Whether every server had all its turns: nobody interrupted."""
        return all(len(peer.rounds) == self.rounds for one in self.settings for peer in one.peers)

    def to_json(self) -> bytes:
        """Indented JSON with a newline at its end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


Measure = Callable[[str, Ready | None, Scenario], Result]
"""Starts a server, puts it under a scenario's load and ends it. Given are its name, how it is
started (None: it is ours) and the load. Raises TickgateError where that can't be done."""


def run_peers(
    directory: Path,
    names: Sequence[str],
    *,
    measure: Measure,
    environment: Environment,
    settings: Sequence[Setting] = SETTINGS,
    warmup_s: float = 2.0,
    duration_s: float = 6.0,
    rounds: int = 3,
    say: Callable[[str], None] = lambda line: None,
) -> PeersResult:
    """Measures the servers in turn, the floor with them; a Ctrl-C ends it with what there is.

    Args:
        directory: `bench/peers`.
        names: of `NAMES`; none is all of them.
        measure: how one is measured.
        environment: of this machine, before the load.
        settings: the loads.
        warmup_s: before the window of each measurement.
        duration_s: its window.
        rounds: how often each has its turn.
        say: told what happens, line by line.

    Raises:
        UnknownPeer: there is no such server.
        Interrupted: in the first turn.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise UnknownPeer(f"no such peer: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    chosen = [name for name in NAMES if not names or name in names or name == FLOOR]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    turns: list[dict[str, list[Result | TickgateError]]] = [{} for _ in settings]
    with tempfile.TemporaryDirectory(prefix="tickgate-peers-") as built:
        ready, skipped = _prepared(directory, chosen, Path(built), say)
        try:
            for setting, taken in zip(settings, turns, strict=True):
                for number, name in product(range(1, rounds + 1), ready):
                    load = scenario(setting, name, warmup_s=warmup_s, duration_s=duration_s)
                    try:
                        found: Result | TickgateError = measure(name, ready[name], load)
                    except Interrupted:
                        raise
                    except TickgateError as error:
                        found = error
                    taken.setdefault(name, []).append(found)
                    say(f"{setting.name} {number}/{rounds} {name}: {_said(found)}")
        except Interrupted:
            if not any(turns):
                raise
            say("interrupted: this is what there was")
    versions = {name: how.version for name, how in ready.items() if how is not None}
    versions[GATEWAY] = f"tickgate {environment.tickgate}"
    return PeersResult(
        started=started,
        warmup_s=warmup_s,
        duration_s=duration_s,
        rounds=rounds,
        settings=[
            SettingResult(setting=setting, peers=compared(taken, versions))
            for setting, taken in zip(settings, turns, strict=True)
        ],
        skipped=skipped,
        environment=environment,
    )


def scenario(setting: Setting, name: str, *, warmup_s: float, duration_s: float) -> Scenario:
    """The load for one server: one symbol, to all clients."""
    subscribe = PEERS[name].subscribe if name in PEERS else ""
    return Scenario(
        name=f"{setting.name}-{name}",
        warmup_s=warmup_s,
        duration_s=duration_s,
        source=Source(rate=setting.rate),
        groups=[Group(name="all", clients=setting.clients, subscribe=subscribe)],
    )


def compared(
    turns: dict[str, list[Result | TickgateError]], versions: dict[str, str]
) -> list[PeerResult]:
    """What each did, round by round, and the medians."""
    floors = [
        one.server.cpu_us_per_delivery if isinstance(one, Result) and one.server else None
        for one in turns.get(FLOOR, ())
    ]
    found = []
    for name, results in turns.items():
        rounds = [
            _figures(one, floors[n] if n < len(floors) else None)
            if isinstance(one, Result)
            else None
            for n, one in enumerate(results)
        ]
        found.append(
            PeerResult(
                name=name,
                version=versions.get(name, ""),
                rounds=rounds,
                errors=[str(one) for one in results if isinstance(one, TickgateError)],
                median=_median([one for one in rounds if one is not None]),
            )
        )
    return found


def _prepared(
    directory: Path, names: Sequence[str], into: Path, say: Callable[[str], None]
) -> tuple[dict[str, Ready | None], dict[str, str]]:
    ready: dict[str, Ready | None] = {}
    skipped = {}
    for name in names:
        found = prepare(PEERS[name], directory, into) if name in PEERS else None
        if isinstance(found, Absent):
            skipped[name] = found.reason
            say(f"without {name}: {found.reason}")
        else:
            ready[name] = found
    return ready, skipped


def _figures(result: Result, floor_us: float | None) -> Figures:
    server = result.server
    cpu_us = server.cpu_us_per_delivery if server else None
    # Of what all clients should have got, whichever words they asked with.
    due = result.source.intended * result.clients if result.source else 0
    return Figures(
        cpu_us=cpu_us,
        floor_ratio=cpu_us / floor_us if cpu_us is not None and floor_us else None,
        p50_us=result.latency.p50_us if result.latency.count else None,
        p99_us=result.latency.p99_us if result.latency.count else None,
        reach=result.delivered / due if due else None,
        per_s=result.latency.per_s,
        rss_mb=server.rss_mb_max if server else None,
        pss_mb=server.pss_mb_max if server else None,
        closed=result.connections.closed,
        valid=result.valid,
    )


def _median(rounds: Sequence[Figures]) -> Figures | None:
    """Of each figure alone, of the rounds that have it; connections closed are summed."""
    if not rounds:
        return None

    def of(name: str) -> float | None:
        values = [value for one in rounds if (value := getattr(one, name)) is not None]
        return statistics.median(values) if values else None

    return Figures(
        cpu_us=of("cpu_us"),
        floor_ratio=of("floor_ratio"),
        p50_us=of("p50_us"),
        p99_us=of("p99_us"),
        reach=of("reach"),
        per_s=statistics.median(one.per_s for one in rounds),
        rss_mb=of("rss_mb"),
        pss_mb=of("pss_mb"),
        closed=sum(one.closed for one in rounds),
        valid=all(one.valid for one in rounds),
    )


def _said(turn: Result | TickgateError) -> str:
    if isinstance(turn, TickgateError):
        return f"failed: {turn}"
    cost = turn.server.cpu_us_per_delivery if turn.server else None
    shown = "no CPU to be seen" if cost is None else f"{cost:.3f} µs of CPU a tick and client"
    return f"{shown}, {units.rate(turn.latency.per_s)}"
