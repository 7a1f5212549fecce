import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway._native import CHANNELS, STATS_SIZE, StatsPage, create_memory
from gateway.config import Config
from gateway.feeds.options import SyntheticOptions, UdpOptions
from gateway.latency import statistics
from gateway.model.status import Status
from gateway.ops.subject import Subject
from gateway.options import SloOptions, TenantOptions


@dataclass
class FakeChild:
    role: str = "worker"
    name: str = "worker-0"
    pid: int = 1
    state: str = "ready"
    tripped: bool = False
    restarts: dict[str, int] = field(default_factory=dict)
    last_reason: str = ""
    status: Status = field(default_factory=Status)


@dataclass
class FakeSupervision:
    draining: bool = False
    epoch: str = "abcd1234"
    children: list[FakeChild] = field(default_factory=lambda: [FakeChild()])
    problems: list[str] = field(default_factory=list)


@dataclass
class Site:
    """Real pages, a made-up supervisor."""

    pages: dict[str, StatsPage]
    supervision: FakeSupervision
    subject: Subject
    told: list[tuple[str, str, str]]
    """What was sent to children: name, channel, text."""


@pytest.fixture
def site() -> Iterator[Site]:
    fds = [create_memory(f"test-{n}", STATS_SIZE) for n in range(3)]
    names = ("supervisor", "worker-0", "worker-1")
    pages = {n: StatsPage(fd, writable=True) for n, fd in zip(names, fds, strict=True)}
    supervision = FakeSupervision()
    told: list[tuple[str, str, str]] = []
    subject = Subject(
        version="1.2.3",
        config=Config(
            tenants=(TenantOptions(name="desk-a"),),
            slo=SloOptions(target_us=1500),
            feeds=(SyntheticOptions(venue="SIM"), UdpOptions(venue="UDP")),
        ),
        channels=CHANNELS,
        pages=pages,
        read=lambda: {name: statistics.read(page) for name, page in pages.items()},
        sample=statistics.Sampler([*pages.values()], [("handshakes", 6)]).sample,
        supervision=lambda: supervision,
        tell=lambda *words: told.append(words),
        client_url="ws://127.0.0.1:8765/v1",
    )
    yield Site(pages, supervision, subject, told)
    for page in pages.values():
        page.close()
    for fd in fds:
        os.close(fd)
