"""The load test's swarm, made and driven as tests want it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gateway._native import Swarm
from support.swarm_server import ACCEPT, SwarmServer

MS = 1_000_000
SECOND = 1_000_000_000
PATIENCE_NS = 20 * SECOND
"""Far beyond what anything here takes."""
MEASURED = {"measured": 1}


def swarm(
    server: SwarmServer,
    groups: Sequence[dict[str, int]] = (MEASURED,),
    *,
    each: int = 1,
    texts: Sequence[bytes] = (),
    **options: Any,
) -> Swarm:
    """`each` clients for every group; with texts, all send the first."""
    text = 0 if texts else -1
    clients = [[group, 0, text] for group in range(len(groups)) for _ in range(each)]
    settings: dict[str, Any] = {
        "targets": [server.target],
        "accept": ACCEPT,
        "groups": groups,
        "texts": texts,
        "clients": np.array(clients, dtype=np.int32),
        "stamp": ("tickgate", b""),
    } | options
    return Swarm(**settings)


def connect(client: Swarm, count: int) -> None:
    """Opens all, with a window that nothing falls out of."""
    now = time.time_ns()
    client.window(now - 3600 * SECOND, now + 3600 * SECOND)
    assert client.connect(PATIENCE_NS) == count, client.refusals()


def drive(client: Swarm, until: Callable[[], bool]) -> None:
    """Runs it until this is so."""
    deadline = time.monotonic_ns() + PATIENCE_NS
    while not until():
        assert time.monotonic_ns() < deadline, client.counters()
        client.run(time.time_ns() + 5 * MS)


def drive_for(client: Swarm, ns: int) -> None:
    client.run(time.time_ns() + ns)


def counter(client: Swarm, name: str, group: int = 0) -> int:
    return client.counters()[group][name]
