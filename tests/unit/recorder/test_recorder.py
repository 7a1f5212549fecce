"""The recorder over pages, a ring and a state that the test makes; its files are read back."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.reports import slow, step, worker

from gateway._native import (
    CLASS_STAGES,
    STAGES,
    STATS_SIZE,
    RingWriter,
    StatsPage,
    book_state,
    create_memory,
)
from gateway.latency.slo import Objective, Report
from gateway.model.status import Status, Vitals
from gateway.options import RecorderOptions
from gateway.recorder import recorder as module
from gateway.recorder.evidence import Evidence, load
from gateway.recorder.observe import Observer
from gateway.recorder.recorder import Recorder
from gateway.recorder.source import Source
from gateway.recorder.trigger import Trigger
from gateway.recording import Reader

POST_ROLL_NS = 200_000_000


class Gateway:
    """What a recorder looks at."""

    def __init__(self) -> None:
        fd = create_memory("test", STATS_SIZE)
        self.page = StatsPage(fd, writable=True)
        os.close(fd)
        self.ring = RingWriter(1 << 20, 16)
        self.ring.topic("trade", "A.SIM")
        self.state: Any = "ok"
        self.child = SimpleNamespace(name="worker-0", pid=os.getpid(), status=Status())

    def source(self) -> Source:
        look = SimpleNamespace(report=None, classes=[Report(Objective(target_us=None), 0.0)])

        def report() -> Any:
            look.report = Report(Objective(), 0.0, state=self.state)
            return look

        return Source(
            gateway="test",
            config=lambda: {"feeds": []},
            look=report,
            supervision=lambda: SimpleNamespace(children=[self.child]),
            vitals=Vitals,
            segment=lambda: os.dup(self.ring.fd),
        )

    def recorder(self, **options: Any) -> Recorder:
        observer = Observer({"worker-0": self.page}, (*STAGES[:-1], *CLASS_STAGES))
        return Recorder(RecorderOptions(**options), self.source(), observer)

    def publish(self, count: int) -> None:
        rows = [(0, n, "1.10", "2", "buy", str(n)) for n in range(count)]
        self.ring.publish(rows, 1, time.monotonic_ns())


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(module, "SAMPLE_INTERVAL_NS", 10_000_000)
    monkeypatch.setattr(module, "SECOND_NS", 50_000_000)
    monkeypatch.setattr(module, "Trigger", partial(Trigger, post_roll_ns=POST_ROLL_NS))
    one = Gateway()
    yield one
    one.ring.close()
    one.page.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def read(path: str | Path) -> Evidence:
    with open(path, "rb") as file:
        return load(file)


async def test_a_breach_becomes_a_file_with_what_was_before_it(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.child.status = worker(slowest=(slow(),), ladder=(step(1),))
    recorder = gateway.recorder(directory=str(tmp_path / "here"))
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(0.1)
    gateway.publish(100)
    gateway.page.record("total_1", 5_000_000, 10)
    gateway.page.set("clients_blocked", 0, 3)
    gateway.state = "breached"
    await until(lambda: recorder.statistics().written)
    await ended(task)
    statistics = recorder.statistics()
    assert os.listdir(tmp_path / "here") == [Path(statistics.last).name]
    found = read(statistics.last)
    assert (found.problem, found.header.reason, found.header.gateway) == ("", "breached", "test")
    assert found.header.epoch == gateway.ring.epoch
    assert found.header.targets_us == [None]
    assert found.arrivals.records == 100
    assert found.steps[0].before.mono_ns < found.header.trigger_ns
    assert found.header.trigger_ns + POST_ROLL_NS <= found.header.until_ns
    assert found.steps[-1].after.pages["worker-0"]["clients_blocked"] == [3]
    assert {turn.thread.name for turn in found.steps[-1].threads()} >= {"main"}
    assert sum(sum(s.stages["total_1"].counts) for s in found.seconds if s.stages) == 10
    assert [entry["step"] for _, _, entry in found.said("ladder")] == [1], "told once"
    assert len(found.said("slowest")) > 1, "told each second"


async def test_it_says_at_its_start_where_it_writes(
    gateway: Gateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for enabled in (True, False):
        recorder = gateway.recorder(directory=str(tmp_path / "here"), enabled=enabled)
        assert len(caplog.records) == (not enabled), "before it runs, it may yet not start"
        task = asyncio.create_task(recorder.run())
        await asyncio.sleep(0)
        await ended(task)
    ready, off = caplog.records
    assert ready.getMessage() == "recorder.ready"
    assert ready.__dict__["fields"]["directory"] == str(tmp_path / "here")
    assert off.getMessage() == "recorder.off"


async def test_too_soon_after_it_there_is_none(gateway: Gateway, tmp_path: Path) -> None:
    recorder = gateway.recorder(directory=str(tmp_path))
    task = asyncio.create_task(recorder.run())
    gateway.state = "breached"
    await until(lambda: recorder.statistics().written)
    for state in ("ok", "breached"):
        gateway.state = state
        await asyncio.sleep(0.1)
    await until(lambda: recorder.statistics().suppressed)
    await ended(task)
    assert len(os.listdir(tmp_path)) == 1


async def test_a_directory_that_is_not_to_be_had_is_counted_and_no_crash(
    gateway: Gateway, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = gateway.recorder(directory=str(tmp_path / "file"))
    task = asyncio.create_task(recorder.run())
    descriptors = len(os.listdir("/proc/self/fd"))
    gateway.state = "breached"
    await until(lambda: recorder.statistics().failed)
    assert not task.done()
    statistics = recorder.statistics()
    assert (statistics.written, statistics.last) == (0, "")
    assert "file" in statistics.error
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 5, "its threads' files, no segment"
    await ended(task)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("a bug")])
async def test_a_full_disk_leaves_nothing_behind(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> int:
        raise error

    monkeypatch.setattr(module, "write", full)
    recorder = gateway.recorder(directory=str(tmp_path))
    task = asyncio.create_task(recorder.run())
    gateway.state = "breached"
    await until(lambda: recorder.statistics().failed)
    await ended(task)
    assert os.listdir(tmp_path) == []
    assert str(error) in recorder.statistics().error


async def test_books_are_kept_and_a_file_begins_with_them(
    gateway: Gateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "ROUND_S", 0.05)
    gateway.ring = RingWriter(1 << 20, 16, book_levels_max=1000)
    topic = gateway.ring.topic("book", "A.SIM")
    gateway.ring.book(topic, True, [("1", "2")], [], 1, time.monotonic_ns())
    recorder = gateway.recorder(directory=str(tmp_path))
    failing = [OSError("no segment")]
    segment = recorder._source.segment
    monkeypatch.setattr(
        recorder,
        "_source",
        replace(recorder._source, segment=lambda: _raise(failing.pop()) if failing else segment()),
    )
    task = asyncio.create_task(recorder.run())
    await until(lambda: recorder.statistics().books_bytes)
    assert "books.failed" in caplog.text, "a round that fails is not the last"
    gateway.state = "breached"
    await until(lambda: recorder.statistics().written)
    await ended(task)
    (state,) = books_of(recorder.statistics().last)
    assert book_state(state)[-1] == 1


def books_of(path: str) -> list[bytes]:
    with open(path, "rb") as file:
        return [payload for kind, payload in Reader(file) if kind == b"BOOK"]


def _raise(error: Exception) -> int:
    raise error


async def test_switched_off_it_looks_and_writes_nothing(gateway: Gateway, tmp_path: Path) -> None:
    recorder = gateway.recorder(directory=str(tmp_path), enabled=False)
    task = asyncio.create_task(recorder.run())
    gateway.state = "breached"
    await until(lambda: recorder.statistics().box_bytes > 5000)
    await ended(task)
    assert os.listdir(tmp_path) == []
    excerpt = recorder.excerpt("request", 0, 10)
    os.close(excerpt.segment_fd)
    assert excerpt.samples


async def test_a_look_that_fails_is_not_the_last(
    gateway: Gateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = gateway.recorder(directory=str(tmp_path))
    task = asyncio.create_task(recorder.run())
    gateway.child.status = None
    await until(lambda: "look.failed" in caplog.text)
    gateway.child.status = Status()
    before = recorder.statistics().box_bytes
    await until(lambda: recorder.statistics().box_bytes > before + 3000)
    await ended(task)
