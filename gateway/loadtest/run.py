"""One run of a scenario: servers, clients and source are started, followed, and gone again.

Everything that measures waits for everything else: the clients connect, the source gets ready, and
only when all are does a moment in the near future become the run's origin, the same for all.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from msgspec.structs import replace as replace_job

from gateway.errors import TickgateError
from gateway.loadtest import clock as clocks
from gateway.loadtest import endpoint as endpoints
from gateway.loadtest import merge
from gateway.loadtest.assemble import Run, Sent, assemble
from gateway.loadtest.children import Child, Children
from gateway.loadtest.endpoint import Headers
from gateway.loadtest.interchange import Interval
from gateway.loadtest.link import Go, Job, Opened
from gateway.loadtest.merge import Merged
from gateway.loadtest.peer import NATS_SUBJECTS
from gateway.loadtest.processes import is_local
from gateway.loadtest.profiles import Int64s, Plan, plan
from gateway.loadtest.progress import View
from gateway.loadtest.result import Clock, Environment, Result
from gateway.loadtest.scenario import Scenario
from gateway.loadtest.source import SourceJob, SourceReport
from gateway.loadtest.target import Target, existing, gateways, programs
from gateway.loadtest.watch import Watch
from gateway.model.encoding import SUBPROTOCOL_PREFIX

LEAD_NS = 300_000_000
"""From the order to go to the origin: everybody has read the order by then."""
OPEN_S = 60.0
"""All clients have this long to connect: the fleet of the largest scenario takes a few seconds."""
READY_S = 15.0
"""An interpreter that has not said a word by then never will."""

Stamp = tuple[str, bytes | int]
TICKGATE: Stamp = ("tickgate", b"")
LINE: Stamp = ("after", b'"ts":')
"""Where a tick of the `udp` feed has its time."""


@dataclass(frozen=True)
class Settings:
    """How a scenario is run: what the command line says beside it.

    Attributes:
        stamp: where a data frame has its time, in the native swarm's words.
        headers: of the upgrade request, beside those of the protocol.
        feed: where a server that runs already takes ticks; None: nobody sends any to it.
        pid: the root of that server's processes; None: whoever listens at the URL.
        server_cpus: where servers that are started run; empty: anywhere.
        client_cpus: where clients and source run.
        transport: how ticks get to the server.
    """

    stamp: Stamp = TICKGATE
    headers: Headers = ()
    feed: tuple[str, int] | None = None
    pid: int | None = None
    server_cpus: Collection[int] = ()
    client_cpus: Collection[int] = ()
    transport: Literal["udp", "nats"] = "udp"


@dataclass(frozen=True)
class Program:
    """A server that repeats the lines of ticks as they come.

    Attributes:
        name: what it is called.
        command: starts it, given `--port` and `--udp-port` as well.
        path: of its WebSocket URL.
        transport: how ticks get to it.
    """

    name: str
    command: Sequence[str]
    path: str = "/"
    transport: Literal["udp", "nats"] = "udp"


class Interrupted(TickgateError):
    """Ctrl-C before there was anything to show."""


@dataclass(frozen=True)
class Outcome:
    """What a run brought.

    Attributes:
        result: what was found.
        whole: it is of the whole window; not so after a Ctrl-C.
        intervals: the ages, second by second.
        start_ns: CLOCK_REALTIME of the window's start.
    """

    result: Result
    whole: bool
    intervals: list[Interval]
    start_ns: int


def run(scenario: Scenario, settings: Settings, view: View, environment: Environment) -> Outcome:
    """Runs it once. Nothing that was started is left when this returns or raises.

    Returns:
        What it brought, not yet judged.

    Raises:
        TickgateError: the server can't be reached, or a process failed; the text says which.
    """
    try:
        with Children() as children:
            if scenario.url:
                feed = settings.feed if scenario.source.via == "udp" else None
                binary = scenario.encoding != "json"
                target = existing(scenario.url, feed=feed, pid=settings.pid)
                endpoints.probe(
                    target.endpoints[0],
                    _upgrades(target, scenario, settings, endpoints.key())[0],
                    # A server that chooses none sends text, which would pass for binary here.
                    subprotocol=_subprotocol(scenario, settings) if binary else "",
                )
            else:
                view.note("starting the gateway")
                target = gateways(children, scenario, cpus=settings.server_cpus)
            return measure(children, target, scenario, settings, view, environment)
    except KeyboardInterrupt:
        raise Interrupted("interrupted before anything was measured") from None


def run_program(
    program: Program,
    scenario: Scenario,
    settings: Settings,
    view: View,
    environment: Environment,
) -> Outcome:
    """As `run`, with another server than our gateway: it gets the same load."""
    try:
        with Children() as children:
            view.note(f"starting {program.name}")
            target = programs(
                children,
                program.name,
                program.command,
                path=program.path,
                cpus=settings.server_cpus,
            )
            settings = replace(settings, stamp=LINE, transport=program.transport)
            return measure(children, target, scenario, settings, view, environment)
    except KeyboardInterrupt:
        raise Interrupted("interrupted before anything was measured") from None


def measure(
    children: Children,
    target: Target,
    scenario: Scenario,
    settings: Settings,
    view: View,
    environment: Environment,
) -> Outcome:
    """As `run`, against servers that are there."""
    for address in scenario.sources:
        if not is_local(address):
            raise TickgateError(f"sources: {address} is no address of this host")
    if scenario.sources and (v6 := [e.url for e in target.endpoints if ":" in e.address]):
        raise TickgateError(f"sources: these are IPv4 addresses, and {v6[0]} is IPv6")
    clock = related(target, settings)
    view.note(f"opening {scenario.clients} clients at {target.endpoints[0].url}")
    swarms, audiences = _swarms(children, target, scenario, settings, clock)
    sources = [_source(children, feed, scenario, settings) for feed in target.feeds]
    open_ns = _opened(children, [*swarms, *sources], view, open_s(scenario))
    go = moments_of(scenario, time.time_ns() + LEAD_NS)
    watch = Watch(children, swarms, sources, go, target=target, view=view, scenario=scenario)
    watch.follow()
    merged = merge.merge(watch.finals)
    doubtful = list(doubts(scenario, settings, target, merged, watch.sent))
    for doubt in doubtful:
        view.say(doubt)
    result = assemble(
        Run(
            scenario=scenario,
            url=target.endpoints[0].url,
            start_ns=go.start_ns,
            window_s=(watch.end_ns - go.start_ns) / 1e9,
            sequenced=settings.stamp == TICKGATE,
            open_s=open_ns / 1e9,
            audiences=audiences,
            merged=merged,
            sent=Sent.told(watch.sent) if watch.sent else None,
            usage=watch.usage,
            clock=clock,
            points=watch.timeline.points(),
            environment=environment,
            apart=not target.endpoints[0].local,
            doubts=doubtful,
            ladder=watch.ladder.result,
        )
    )
    whole = watch.end_ns == go.end_ns
    return Outcome(result, whole, watch.timeline.intervals(), go.start_ns)


def moments_of(scenario: Scenario, at_ns: int) -> Go:
    """The moments of a run that begins at `at_ns`."""
    start_ns = at_ns + round(scenario.warmup_s * 1e9)
    end_ns = start_ns + round(scenario.duration_s * 1e9)
    after_s = max(scenario.grace_s, scenario.cooldown_s)
    return Go(at_ns, start_ns, end_ns, end_ns + round(after_s * 1e9))


def open_s(scenario: Scenario) -> float:
    """How long clients may take to connect: as many a second as are wanted need their time."""
    rate = scenario.connect_rate // scenario.processes * scenario.processes
    return OPEN_S + (scenario.clients / rate if rate else 0.0)


def related(target: Target, settings: Settings) -> Clock:
    """How the clock that stamps and ours are related.

    On this host there is one; ticks of our own source are stamped here wherever the server is.
    Else pings tell.
    """
    first = target.endpoints[0]
    if first.local or target.feeds:
        return Clock()
    if settings.stamp == TICKGATE:
        offset = clocks.measure(first.url, settings.headers)
        if offset is not None:
            return Clock(offset_ns=offset.offset_ns, error_ns=offset.error_ns, method="ping")
    return Clock(method="none")


def _swarms(
    children: Children,
    target: Target,
    scenario: Scenario,
    settings: Settings,
    clock: Clock,
) -> tuple[list[Child], list[Int64s]]:
    """Starts the processes of clients, and says who should get what in all of them."""
    key = endpoints.key()
    hash_key = secrets.token_bytes(16)  # one for all: their samples of ticks are merged
    targets = [
        (each.address, each.port, request)
        for each, request in zip(
            target.endpoints, _upgrades(target, scenario, settings, key), strict=True
        )
    ]
    swarms: list[Child] = []
    audiences: list[Int64s] = []
    for number in range(scenario.processes):
        mine = plan(scenario, targets=len(targets), share=(number, scenario.processes))
        own = mine.audiences
        audiences = [a + b for a, b in zip(audiences, own, strict=True)] if audiences else own
        name = "swarm" if scenario.processes == 1 else f"swarm-{number}"
        argv = [sys.executable, "-P", "-m", "gateway.loadtest.swarm_process"]
        child = children.start(name, argv, cpus=settings.client_cpus)
        accept = endpoints.accept(key)
        hosts = [each.tls_host for each in target.endpoints]
        job = _job(mine, targets, accept, hash_key, scenario, settings, clock)
        child.tell(replace_job(job, tls_hosts=hosts if any(hosts) else []))
        swarms.append(child)
    return swarms, audiences


def _subprotocol(scenario: Scenario, settings: Settings) -> str:
    """Empty: other servers have none of ours."""
    return SUBPROTOCOL_PREFIX + scenario.encoding if settings.stamp == TICKGATE else ""


def _upgrades(target: Target, scenario: Scenario, settings: Settings, key: bytes) -> list[bytes]:
    """The upgrade request of each endpoint."""
    subprotocol = _subprotocol(scenario, settings)
    return [
        endpoints.upgrade(each, key, subprotocol=subprotocol, headers=settings.headers)
        for each in target.endpoints
    ]


def _job(
    plan: Plan,
    targets: list[tuple[str, int, bytes]],
    accept: bytes,
    hash_key: bytes,
    scenario: Scenario,
    settings: Settings,
    clock: Clock,
) -> Job:
    return Job(
        targets=targets,
        accept=accept,
        groups=plan.groups,
        texts=plan.texts,
        clients=plan.clients.tobytes(),
        stamp_kind=settings.stamp[0],
        stamp_arg=settings.stamp[1],
        sources=scenario.sources,
        connect_rate=scenario.connect_rate // scenario.processes,
        clock_offset_ns=clock.offset_ns,
        hash_key=hash_key,
        open_timeout_ns=round(open_s(scenario) * 1e9),
    )


def _source(
    children: Children, feed: tuple[str, int], scenario: Scenario, settings: Settings
) -> Child:
    argv = [sys.executable, "-P", "-m", "gateway.loadtest.source"]
    child = children.start("source", argv, cpus=settings.client_cpus, talks="lines")
    child.tell(
        SourceJob(
            host=feed[0],
            port=feed[1],
            transport=settings.transport,
            subject_prefix=NATS_SUBJECTS if settings.transport == "nats" else "",
            source=scenario.source,
            warmup_s=scenario.warmup_s,
            duration_s=scenario.duration_s,
            cooldown_s=scenario.cooldown_s,
        )
    )
    return child


def _opened(children: Children, waiting: Sequence[Child], view: View, connecting_s: float) -> int:
    """Waits until all are ready; the longest time that one took to connect its clients, in ns.

    Raises:
        ChildFailed: one fails, or does not get ready.
    """
    missing, longest_ns, opened = list(waiting), 0, 0
    refusals: dict[str, int] = {}
    deadline = time.monotonic() + connecting_s + READY_S
    while missing:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise missing[0].failure(f"was not ready within {connecting_s + READY_S:g} s")
        for child, message in children.messages(left_s):
            if not isinstance(message, Opened):
                raise child.failure(f"said {type(message).__name__} before the start")
            missing.remove(child)
            opened += message.clients
            for why, count in message.refusals.items():
                refusals[why] = refusals.get(why, 0) + count
            longest_ns = max(longest_ns, message.took_ns)
    if not opened:
        raise TickgateError(f"no client could connect: {_shown(refusals)}")
    if refusals:
        view.say(f"only {opened} clients could connect: {_shown(refusals)}")
    return longest_ns


def _shown(refusals: Mapping[str, int]) -> str:
    reasons = (f"{why} ({count} times)" for why, count in sorted(refusals.items()))
    return ", ".join(reasons) or "nobody answered in time"


def doubts(
    scenario: Scenario,
    settings: Settings,
    target: Target,
    merged: Merged,
    reports: Sequence[SourceReport],
) -> Iterator[str]:
    """What went wrong on the way, and would else show as figures that nobody understands."""
    every = range(len(scenario.groups))
    unstamped = merged.total("unstamped", every)
    if unstamped and scenario.encoding != "json":
        yield f"{unstamped:,} messages in {scenario.encoding} could not be read"
    elif unstamped and not merged.total("delivered", every):
        kind, argument = settings.stamp
        shown = argument.decode() if isinstance(argument, bytes) else str(argument)
        where = f"{kind}:{shown}" if shown else kind
        yield f"{unstamped:,} messages had no stamp of the kind --stamp {where}"
    for n in every:
        group = scenario.groups[n]
        # Who unsubscribes from all that the group might have is refused what he has not.
        refused = 0 if group.resubscribe_every_s else merged.total("errors", [n])
        if refused:
            yield f"{group.name}: the server refused something in {refused:,} replies"
    failed = sum(report.errors for report in reports)
    if failed:
        feeds = ", ".join(f"{host}:{port}" for host, port in target.feeds)
        yield f"{failed:,} sends of ticks failed: does a udp feed listen at {feeds}?"
