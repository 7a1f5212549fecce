"""The audit's lines: what they say, how they are rotated, what becomes of them on a full disk."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.audit import audit as module
from gateway.audit.audit import QUEUE_EVENTS_MAX, REFUSALS_PER_S, SYMBOLS_MAX, Audit, older_files
from gateway.options import AuditOptions

SECOND_NS = 1_000_000_000


@dataclass
class Client:
    """Stands for a connection."""

    name: str = "c-1"
    peer: str = "192.0.2.1"
    user: str = "ann"


class Counts(Counter[str]):
    """A statistics page."""

    def __call__(self, name: str, _: int, number: int) -> None:
        self[name] += number


def lines(directory: Path, process: str = "worker-0") -> list[dict[str, Any]]:
    files = [*older_files(directory, process), directory / f"{process}.jsonl"]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def made(tmp_path: Path, counts: Counts | None = None, **options: Any) -> Audit:
    given = AuditOptions(path=str(tmp_path / "audit"), **options)
    return Audit("worker-0", given, count=Counts() if counts is None else counts)


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_event_is_a_line_and_nothing_more_is_said(tmp_path: Path) -> None:
    counts = Counts()
    audit, client = made(tmp_path, counts), Client()
    audit.connect(client, "/v1")
    audit.auth(client, "token", "ok")
    audit.subscribe(client, [("trade", "A.X"), ("bbo", "*.X"), ("trade", "B.X")])
    audit.refusal(client, "origin")
    audit.grant(
        "given", "ann", "X", professional=True, display=False, delayed=False, since_ns=1, until_ns=2
    )
    audit.end(client, 1000, "normal")
    audit.close()
    audit.connect(client, "/v1")  # nothing is said any more
    found = lines(tmp_path / "audit")
    who = {"id": "c-1", "address": "192.0.2.1", "user": "ann"}
    terms = {"professional": True, "display": False, "delayed": False}
    assert [one.pop("process") for one in found] == ["worker-0"] * 8
    stamps = [one.pop("ts") for one in found]
    assert stamps == sorted(stamps)
    assert abs(stamps[0] - time.time_ns()) < 60 * SECOND_NS
    assert found == [
        {"event": "start"},
        {"event": "connect", **who, "path": "/v1"},
        {"event": "auth", **who, "method": "token", "result": "ok"},
        {
            "event": "subscribe",
            **who,
            "symbols": {"trade": ["A.X", "B.X"], "bbo": ["*.X"]},
            "count": 3,
        },
        {"event": "refusal", **who, "result": "origin", "more": 0},
        {
            "event": "grant",
            "change": "given",
            "user": "ann",
            "product": "X",
            **terms,
            "from": 1,
            "to": 2,
        },
        {"event": "close", **who, "code": 1000, "reason": "normal"},
        {"event": "stop"},
    ]
    assert counts == {"audit_lines": 8}
    assert (tmp_path / "audit" / "worker-0.jsonl").stat().st_mode & 0o027 == 0


def test_without_a_path_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    audit = Audit("worker-0")
    audit.connect(Client(), "/v1")
    audit.refusal(Client(), "origin")
    audit.end(Client(), 1000, "normal")
    audit.reconfigure(AuditOptions())
    audit.close()
    assert not audit.on
    assert list(tmp_path.iterdir()) == []


def test_values_are_cut_and_forge_no_line(tmp_path: Path) -> None:
    audit = made(tmp_path)
    audit.connect(Client(user='x\n{"event":"admin"}' + "y" * 1000), "/v1")
    audit.subscribe(Client(), [("trade", f"{number}.X") for number in range(SYMBOLS_MAX + 5)])
    audit.close()
    _, connect, subscribe, _ = lines(tmp_path / "audit")
    assert len(connect["user"]) == 256
    assert (len(subscribe["symbols"]["trade"]), subscribe["count"]) == (1000, SYMBOLS_MAX + 5)


def test_files_are_rotated_by_size_and_so_many_kept(tmp_path: Path) -> None:
    audit = made(tmp_path, max_bytes=1 << 16, keep=2)
    directory = tmp_path / "audit"
    for number in range(3000):
        audit.note("event", number=number, padding="x" * 100)
        if number % 200 == 0:
            wait(lambda: audit._queue.empty())
    audit.close()
    older = older_files(directory, "worker-0")
    assert len(older) == 2
    assert all(file.stat().st_size <= 1 << 16 for file in directory.iterdir())
    numbers = [one["number"] for one in lines(directory) if one["event"] == "event"]
    assert numbers == list(range(numbers[0], 3000)), "the newest, without a hole"
    assert len(numbers) > 500


def test_a_reload_moves_the_size(tmp_path: Path) -> None:
    audit = made(tmp_path)
    audit.reconfigure(AuditOptions(path="elsewhere", max_bytes=1 << 16, keep=7))
    assert (audit._file.max_bytes, audit._file.keep) == (1 << 16, 7)
    audit.close()


def test_lines_of_an_earlier_process_stay_and_a_torn_one_is_ended(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    directory.mkdir()
    (directory / "worker-0.jsonl").write_text('{"event":"a"}\n{"event":"to')
    made(tmp_path).close()
    text = (directory / "worker-0.jsonl").read_text().splitlines()
    assert text[:2] == ['{"event":"a"}', '{"event":"to']
    assert [json.loads(line)["event"] for line in text[2:]] == ["start", "stop"]


class Disk:
    """A disk that is full when a test says so; it may take half of a write before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.write = os.write
        monkeypatch.setattr("os.write", self._write)
        monkeypatch.setattr(module, "RETRY_S", 0.01)

    def _write(self, fd: int, data: bytes) -> int:
        if self.room is None:
            return self.write(fd, data)
        part = data[: self.room]
        if not part:
            raise OSError(28, "No space left on device")
        self.room -= len(part)
        return self.write(fd, part)


def test_f56_a_full_disk_loses_lines_that_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def note(event: str, **_: object) -> None:
        told.append(event)

    monkeypatch.setattr(module, "_log", SimpleNamespace(error=note, info=note))
    disk, counts = Disk(monkeypatch), Counts()
    audit = made(tmp_path, counts)
    wait(lambda: counts["audit_lines"] == 1)
    disk.room = 30
    for number in range(1, 11):
        audit.note("gone", number=number)
        wait(partial(lambda lost: counts["audit_lost"] == lost, number))
    disk.room = None
    audit.note("back")
    audit.close()
    text = (tmp_path / "audit" / "worker-0.jsonl").read_text().splitlines()
    assert len(text[1]) == 30, "the torn line has an end"
    found = [json.loads(line) for line in (text[0], *text[2:])]
    assert [one["event"] for one in found] == ["start", "lost", "back", "stop"]
    assert found[1]["count"] == 10
    assert counts == {"audit_lines": 4, "audit_lost": 10}
    assert told == ["audit.failed", "audit.lost", "audit.resumed"]


def test_of_a_write_that_fails_in_the_middle_the_whole_lines_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_log", SimpleNamespace(error=lambda *_, **__: None))
    disk, counts = Disk(monkeypatch), Counts()
    audit = made(tmp_path, counts)
    wait(lambda: counts["audit_lines"] == 1)
    notes = [module.Note(1, "event", {"number": number}) for number in range(5)]
    size = len(audit._file._line(notes[0]))
    disk.room = 2 * size + 9
    done, error = audit._file.write(notes)
    assert (done, error and error.errno) == (2, 28)
    disk.room = 2 * size + 9
    monkeypatch.setattr(audit, "_batch", iter([(notes, True)]).__next__)
    audit._run()
    assert counts == {"audit_lines": 3, "audit_lost": 3}


def test_a_full_queue_costs_lines_and_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_log", SimpleNamespace(error=lambda *_, **__: None))
    counts, hold, held = Counts(), [True], []
    write = os.write

    def slow(fd: int, data: bytes) -> int:
        held.append(fd)
        while hold[0]:
            time.sleep(0.001)
        return write(fd, data)

    monkeypatch.setattr("os.write", slow)
    audit = made(tmp_path, counts)
    wait(lambda: held)
    begun = time.perf_counter()
    for _ in range(QUEUE_EVENTS_MAX + 100):
        audit.note("event")
    assert time.perf_counter() - begun < 5
    assert counts["audit_lost"] == 100
    hold[0] = False
    wait(lambda: audit._queue.empty())
    audit.close()
    found = lines(tmp_path / "audit")
    assert sum(one["count"] for one in found if one["event"] == "lost") == 100
    assert sum(one["event"] == "event" for one in found) == QUEUE_EVENTS_MAX


def test_refusals_do_not_turn_the_files_over(tmp_path: Path) -> None:
    now_ns = [SECOND_NS]
    options = AuditOptions(path=str(tmp_path / "audit"))
    audit = Audit("worker-0", options, real_ns=lambda: now_ns[0])
    for _ in range(REFUSALS_PER_S + 7):
        audit.refusal(Client(), "origin")
    now_ns[0] += SECOND_NS
    audit.refusal(Client(), "origin")
    audit.refusal(Client(), "origin")
    audit.close()
    found = [one for one in lines(tmp_path / "audit") if one["event"] == "refusal"]
    assert [one["more"] for one in found] == [0] * REFUSALS_PER_S + [7, 0]
