"""Clients that come and go while ticks flow: nothing of them is left.

Ten seconds as it stands; `TICKGATE_CHURN_S=86400` makes a day of it.
"""

import os
import signal
import time
from pathlib import Path

from support.fleet import Client
from support.serving import Serving, descriptors, resident_bytes, serving, until
from support.target import balanced
from support.udp import Venue

CHURN_S = float(os.environ.get("TICKGATE_CHURN_S", "10"))
PER_S = 100
RELOAD_S = 2.0
STAYING = 20
GROWTH_BYTES_MAX = 6 << 20  # of a process, in all that time: allocators keep some

SMALL = ("ring.capacity_bytes=4194304", "plane.log_bytes=8388608", "memory.populate=start")


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def holds(pid: int) -> tuple[int, int]:
    """Descriptors and threads of a process."""
    return descriptors(pid), threads(pid)


def at_rest(pid: int) -> tuple[int, int]:
    """The least of some looks: requests that are just ending hold some, too."""
    looks = []
    for _ in range(20):
        looks.append(holds(pid))
        time.sleep(0.05)
    return min(one for one, _ in looks), min(one for _, one in looks)


def within(now: tuple[int, int], before: tuple[int, int]) -> bool:
    return now[0] <= before[0] and now[1] <= before[1]


def churn(gateway: Serving, seconds: float) -> int:
    """Clients that stay for a moment, some of which leave without a word; how many."""
    begun, count, reloaded = time.monotonic(), 0, 0.0
    while (now := time.monotonic() - begun) < seconds:
        with Client(gateway.url) as client:
            client.subscribe(("trade", "bbo")[count % 2], ("*.SIM", "A.SIM", "B*")[count % 3])
            if count % 5:
                client.socket.shutdown(1)
        count += 1
        if now - reloaded > RELOAD_S:
            os.kill(gateway.process.pid, signal.SIGHUP)
            reloaded = now
        time.sleep(max(0.0, count / PER_S - now))
    return count


def test_f65_churn_leaves_nothing(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text("")
    with (
        Venue() as venue,
        serving(tmp_path / "log", *SMALL, *venue.sets, config=config) as gateway,
        venue.ticking("A", "B", "C"),
    ):
        pids = [gateway.process.pid, gateway.pid(), gateway.pid("feed")]
        staying = [Client(gateway.url) for _ in range(STAYING)]
        for client in staying:
            client.subscribe("bbo", "A.SIM")
        churn(gateway, CHURN_S / 4)  # what is taken once is taken then
        until(lambda: balanced(gateway.metrics(), STAYING))
        before = [at_rest(pid) for pid in pids]
        resident = [resident_bytes(pid) for pid in pids]
        assert churn(gateway, CHURN_S) > CHURN_S * PER_S / 4
        until(lambda: balanced(gateway.metrics(), STAYING))
        assert [gateway.process.pid, gateway.pid(), gateway.pid("feed")] == pids
        until(
            lambda: all(within(holds(pid), least) for pid, least in zip(pids, before, strict=True))
        )
        grown = [now - then for now, then in zip(map(resident_bytes, pids), resident, strict=True)]
        assert max(grown) < GROWTH_BYTES_MAX, grown
        until(lambda: gateway.metrics().of("attached_topics") == STAYING)
        for client in staying:
            client.close()
        assert "Traceback" not in gateway.lines()
