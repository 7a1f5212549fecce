"""What is put under load: gateways that the load test starts itself, or a server that runs already.

A gateway that is started here has ports of its own choosing, but for the `udp` feed's, which must
be known before: one that was free a moment ago.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.loadtest.children import Child, Children
from gateway.loadtest.endpoint import BadUrl, Endpoint, parse
from gateway.loadtest.ports import free_port, free_tcp_port, free_udp_port
from gateway.loadtest.processes import family, listeners
from gateway.loadtest.profiles import VENUE
from gateway.loadtest.scenario import Scenario, Source

START_S = 60.0
"""A gateway that is not ready by then never will be: on an idle machine it takes a second."""
POLL_S = 0.02

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Target:
    """A server under load.

    Attributes:
        endpoints: where clients connect.
        feeds: host and port of each udp feed; () where nobody sends ticks to it.
        roots: whose process trees are the server; () where those are not ours to see.
        ops: `http://HOST:PORT` of each gateway's ops listener; () of other servers.
    """

    endpoints: tuple[Endpoint, ...]
    feeds: tuple[tuple[str, int], ...] = ()
    roots: tuple[int, ...] = ()
    ops: tuple[str, ...] = ()


def existing(url: str, *, feed: tuple[str, int] | None = None, pid: int | None = None) -> Target:
    """A server that runs already.

    Its processes are those that listen at the URL's port, if that is on this host and they are
    ours to see, or those below `pid`.

    Raises:
        TickgateError: the URL is wrong, or there is no such process.
    """
    endpoint = parse(url)
    if pid is not None and not family(pid):
        raise BadUrl(f"--pid: there is no process {pid}")
    roots: tuple[int, ...] = (pid,) if pid is not None else ()
    if endpoint.local and pid is None:
        roots = tuple(listeners(endpoint.address, endpoint.port))
    return Target((endpoint,), (feed,) if feed else (), _topmost(roots))


def gateways(children: Children, scenario: Scenario, *, cpus: Collection[int] = ()) -> Target:
    """Starts as many gateways as the scenario wants and waits until they are ready.

    Raises:
        ChildFailed: one has ended, with what it said, or is not ready in time.
    """
    started: list[tuple[Child, tuple[tuple[str, int], ...]]] = []
    for number in range(scenario.gateways):
        sets, feeds = settings(scenario, recordings=children.directory())
        name = "gateway" if scenario.gateways == 1 else f"gateway-{number}"
        argv = [sys.executable, "-P", "-m", "gateway.cli", "serve"]
        argv += [word for one in sets for word in ("--set", one)]
        started.append((children.start(name, argv, cpus=cpus, talks="not"), feeds))
    urls = [_wait(child, children, ready_urls) for child, _ in started]
    return Target(
        tuple(parse(client) for client, _ in urls),
        tuple(feed for _, feeds in started for feed in feeds),
        tuple(child.pid for child, _ in started),
        tuple(ops for _, ops in urls),
    )


def programs(
    children: Children,
    name: str,
    command: Sequence[str],
    *,
    path: str = "/",
    cpus: Collection[int] = (),
) -> Target:
    """Starts a server that takes `--port P --udp-port U` and says `ready`.

    Raises:
        ChildFailed: it has ended, with what it said, or is not ready in time.
    """
    # Where a program publishes to a broker the second one is of TCP: it has to be free for both.
    port, udp_port = free_tcp_port(), free_port()
    argv = [*command, "--port", str(port), "--udp-port", str(udp_port)]
    child = children.start(name, argv, cpus=cpus, talks="not")
    _wait(child, children, lambda said: said if "ready" in said.split() else None)
    endpoint = parse(f"ws://127.0.0.1:{port}{path}")
    return Target((endpoint,), (("127.0.0.1", udp_port),), (child.pid,))


def settings(
    scenario: Scenario, *, recordings: str = ""
) -> tuple[list[str], tuple[tuple[str, int], ...]]:
    """What a gateway for the scenario is set to, and where its udp feed will listen.

    A load test that misses the objective is recorded, as any other; `recordings` is where, so that
    it does not push those out that somebody wants to keep.
    """
    source = scenario.source
    sets = [*scenario.settings, "listen.host=127.0.0.1", "listen.port=0", "ops.port=0"]
    sets += ['log.format="json"', 'log.level="info"']
    if recordings and "recorder" not in scenario.gateway:
        sets.append(f"recorder.directory={json.dumps(recordings)}")
    given = scenario.gateway.get("feeds", ())
    at = f"feeds.{len(given)}"
    if source.via == "udp":
        port = free_udp_port()
        sets += [f'{at}.type="udp"', f"{at}.port={port}", f'{at}.venue="{VENUE}"']
        return sets, (("127.0.0.1", port),)
    if source.via == "embedded":
        sets += [f"{at}.{name}={value}" for name, value in embedded(source).items()]
    return sets, ()


def embedded(source: Source) -> dict[str, str]:
    """The gateway's own synthetic feed, as TOML literals; its bursts follow the source's."""
    feed = {
        "type": '"synthetic"',
        "venue": f'"{VENUE}"',
        "symbols": str(source.symbols),
        "rate": repr(source.rate),
        "seed": str(source.seed),
        "channels": json.dumps(source.channels),
    }
    if source.shape == "burst":
        feed["burst_every_s"] = repr(source.burst_every_s)
        feed["burst_s"] = repr(source.burst_s)
        feed["burst_factor"] = repr(source.burst_rate / source.rate)
    return feed


def _wait(child: Child, children: Children, found: Callable[[str], _Found | None]) -> _Found:
    """Waits until what the server said has what is to be found."""
    deadline = time.monotonic() + START_S
    while (text := found(child.said())) is None:
        if time.monotonic() > deadline:
            raise child.failure(f"was not ready within {START_S:g} s")
        children.wait(POLL_S)
    return text


def ready_urls(log: str) -> tuple[str, str] | None:
    """The URLs of clients and of ops in a gateway's JSON log once all its processes are ready.

    That line comes when `/readyz` first answers 200.
    """
    for line in log[: log.rfind("\n") + 1].splitlines():
        if "serve.ready" in line:
            fields = json.loads(line)
            return str(fields["client"]), str(fields["ops"]).rstrip("/")
    return None


def _topmost(pids: Sequence[int]) -> tuple[int, ...]:
    """Without those that descend from another one: a process tree counts once."""
    below = {pid: set(family(pid)) - {pid} for pid in pids}
    return tuple(pid for pid in pids if not any(pid in below[other] for other in pids))
