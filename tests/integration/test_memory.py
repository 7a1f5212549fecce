"""What a gateway at rest holds: pages of ring and log, and what each process has loaded."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Serving, serving

from gateway._native import RingWriter
from gateway.config import assemble
from gateway.loadtest.ports import free_udp_port
from gateway.loadtest.processes import family, proportional_bytes
from gateway.memory import estimate

MB = 1_000_000
MIB = 1 << 20
BUFFER_MIB = 64


@pytest.fixture(scope="module")
def udp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With a feed that gets nothing."""
    feed = ('feeds.0.type="udp"', 'feeds.0.venue="SIM"', f"feeds.0.port={free_udp_port()}")
    with serving(tmp_path_factory.mktemp("udp") / "log", *feed) as gateway:
        yield gateway


def loaded(pid: int, name: str) -> bool:
    """Whether a shared object with this in its path is mapped."""
    return name in Path(f"/proc/{pid}/maps").read_text()


def ring_bytes(gateway: Serving) -> int:
    """Memory that the segment takes, of whatever size it is."""
    for entry in sorted(Path(f"/proc/{gateway.pid('feed')}/fd").iterdir()):
        if "tickgate-ring" in os.readlink(entry):
            return entry.stat().st_blocks * 512
    raise AssertionError("the feed process has no ring")


def own_bytes(gateway: Serving) -> int:
    """Anonymous memory of the worker, its frame log included."""
    text = Path(f"/proc/{gateway.pid('worker-0')}/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("what", ["numpy", "/_ssl.", "libssl", "libcrypto", "uvloop", "orjson"])
def test_a_feed_process_loads_nothing_that_it_does_not_use(udp: Serving, what: str) -> None:
    assert loaded(udp.process.pid, what) or what == "uvloop", "the name is that of the file"
    assert not loaded(udp.pid("feed"), what)


@pytest.mark.parametrize("what", ["numpy", "orjson", "zstandard"])
def test_a_worker_loads_nothing_that_it_does_not_use(udp: Serving, what: str) -> None:
    assert loaded(udp.process.pid, what) or what == "zstandard", "the name is that of the file"
    assert not loaded(udp.pid("worker-0"), what)
    assert loaded(udp.pid("worker-0"), "uvloop")


def test_at_rest_ring_and_log_take_little(tmp_path: Path) -> None:
    sets = (f"ring.capacity_bytes={BUFFER_MIB * MIB}", f"plane.log_bytes={BUFFER_MIB * MIB}")
    with serving(tmp_path / "log", *sets) as gateway:
        assert 0 < ring_bytes(gateway) <= 2 * MIB
        assert own_bytes(gateway) < BUFFER_MIB * MIB


def test_all_of_it_at_the_start_where_that_is_asked_for(tmp_path: Path) -> None:
    sets = (f"ring.capacity_bytes={BUFFER_MIB * MIB}", f"plane.log_bytes={BUFFER_MIB * MIB}")
    with serving(tmp_path / "log", *sets, 'memory.populate="start"') as gateway:
        assert ring_bytes(gateway) > BUFFER_MIB * MIB
        assert own_bytes(gateway) > BUFFER_MIB * MIB


def test_a_gateway_at_rest_takes_less_than_150_mb(udp: Serving) -> None:
    memory = proportional_bytes(family(udp.process.pid))
    assert memory is not None
    assert 30 * MB < memory < 150 * MB


def test_what_config_check_says_is_what_it_takes(tmp_path: Path) -> None:
    # Books take pages as they come, whatever else is populated at the start.
    sets = (
        *("memory.populate=start", "cluster.workers=2"),
        *("ring.capacity_bytes=33554432", "ring.book_levels_max=0"),
    )
    wanted = sum(part.bytes for part in estimate(assemble({}, {}, sets)))
    with serving(tmp_path / "log", *sets) as gateway:
        taken = proportional_bytes(family(gateway.process.pid))
    assert taken is not None
    # The programs' share is less where other processes have the same files loaded.
    assert 0.7 * wanted < taken < 1.05 * wanted


def test_the_estimate_knows_the_segments_size() -> None:
    for capacity, topics in ((1 << 20, 1024), (1 << 22, 65_536)):
        writer = RingWriter(capacity, topics)
        sets = (f"ring.capacity_bytes={capacity}", f"ring.topics_max={topics}")
        parts = {part.name: part.bytes for part in estimate(assemble({}, {}, sets))}
        size = os.fstat(writer.fd).st_size
        writer.close()
        assert 0 <= size - parts["ring"] <= 3 * os.sysconf("SC_PAGE_SIZE")
