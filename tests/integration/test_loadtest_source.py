"""The source of ticks as a process, alone and with a real gateway."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.serving import serving, until

from gateway._native import UdpSocket
from gateway.address import datagrams
from gateway.loadtest.ports import free_udp_port
from gateway.loadtest.scenario import Source
from gateway.loadtest.schedule import Schedule, intended
from gateway.loadtest.source import SourceJob, SourceReport

TIMEOUT_S = 60.0


@contextmanager
def source_process() -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-P", "-m", "gateway.loadtest.source"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def say(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def reported(process: subprocess.Popen[bytes]) -> SourceReport:
    report = msgspec.json.decode(hear(process), type=SourceReport)
    process.wait(TIMEOUT_S)
    return report


@pytest.fixture
def receiver() -> Iterator[UdpSocket]:
    receiver = UdpSocket(datagrams("127.0.0.1", 0))
    yield receiver
    receiver.close()


def records(receiver: UdpSocket) -> list[dict[str, Any]]:
    """All that has been received by now."""
    found: list[dict[str, Any]] = []
    while datagrams := receiver.receive(0)[0]:
        found += parsed(datagrams)
    return found


def parsed(datagrams: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for datagram in datagrams for line in datagram.split(b"\n")]


def test_a_whole_schedule_is_sent_and_reported(receiver: UdpSocket) -> None:
    source = Source(channels=["trade", "bbo"], symbols=5, rate=4000.0, popularity="zipf")
    job = SourceJob(port=receiver.port, source=source, warmup_s=0.25, duration_s=0.5)
    with source_process() as process:
        say(process, msgspec.json.encode(job))
        assert hear(process) == b"ready\n"
        start_ns = time.time_ns() + 20_000_000
        say(process, b"%d" % start_ns)
        report = reported(process)
        assert process.returncode == 0
    schedule = Schedule(source, warmup_s=0.25, duration_s=0.5)
    expected = intended(schedule, *schedule.window_ns)
    assert report.intended == {name: counts.tolist() for name, counts in expected.items()}
    assert report.sent == report.lateness.count == 2000
    assert (report.complete, report.failed, report.errors) == (True, "", 0)
    assert 0 < report.lateness.mean_ns <= report.lateness.max_ns
    assert report.cpu_ns > 0
    # And that is what came: every tick at its own time, those of the warm-up first.
    found = records(receiver)
    due_ns = np.concatenate([chunk.due_ns for chunk in schedule.chunks()]) + start_ns
    assert [record["ts"] for record in found] == due_ns.tolist()
    assert {record["symbol"] for record in found} == {f"SYM{k:03d}" for k in range(5)}


def test_what_is_sent_in_the_cool_down_is_not_of_the_report(receiver: UdpSocket) -> None:
    source = Source(rate=2000.0, symbols=2)
    job = SourceJob(port=receiver.port, source=source, warmup_s=0.1, duration_s=0.3, cooldown_s=0.4)
    with source_process() as process:
        say(process, msgspec.json.encode(job))
        assert hear(process) == b"ready\n"
        say(process, b"%d" % (time.time_ns() + 20_000_000))
        report = reported(process)
        assert process.returncode == 0
    assert sum(report.intended["trade"]) == report.sent == report.lateness.count == 600
    assert len(records(receiver)) == 1600


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_report_of_what_it_did(
    receiver: UdpSocket, end: signal.Signals
) -> None:
    job = SourceJob(
        port=receiver.port,
        source=Source(rate=1000.0, symbols=3),
        symbols=["AAA", "BBB", "CCC"],
        warmup_s=0.0,
        duration_s=3600.0,
        start_ns=time.time_ns(),
    )
    with source_process() as process:
        say(process, msgspec.json.encode(job))
        assert hear(process) == b"ready\n"
        found: list[dict[str, Any]] = []
        while len(found) < 100:
            datagrams = receiver.receive(1000)[0]
            assert datagrams
            found += parsed(datagrams)
        process.send_signal(end)
        report = reported(process)
        assert process.returncode == 0
    found += records(receiver)
    sent = {name: counts for name, counts in report.intended.items() if any(counts)}
    assert not report.complete
    assert report.sent == len(found) >= 100
    assert sent == {
        "trade": [sum(record["symbol"] == name for record in found) for name in job.symbols]
    }


def test_it_can_be_ended_before_the_start(receiver: UdpSocket) -> None:
    job = SourceJob(port=receiver.port, warmup_s=0, duration_s=1)
    with source_process() as process:
        say(process, msgspec.json.encode(job))
        assert hear(process) == b"ready\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_a_server_that_is_lost_is_in_the_report() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, source_process() as process:
        job = SourceJob(
            port=listener.getsockname()[1],
            transport="nats",
            source=Source(rate=1000.0),
            warmup_s=0,
            duration_s=60,
            start_ns=time.time_ns(),
        )
        say(process, msgspec.json.encode(job))
        listener.settimeout(TIMEOUT_S)
        with listener.accept()[0] as peer:
            peer.sendall(b"INFO {}\r\nPONG\r\n")
            assert hear(process) == b"ready\n"
        report = reported(process)
        assert process.returncode == 1
    assert "the NATS server is lost" in report.failed
    assert not report.complete


_PARENT = """
import subprocess, sys
words = [sys.executable, "-P", "-m", "gateway.loadtest.source"]
child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdin.write(sys.stdin.buffer.read())
child.stdin.flush()
child.stdout.readline()
print(child.pid)
"""


def test_it_does_not_outlive_who_asked(receiver: UdpSocket) -> None:
    source = Source(rate=1000.0)
    job = SourceJob(
        port=receiver.port, source=source, warmup_s=0, duration_s=60, start_ns=time.time_ns()
    )
    parent = [sys.executable, "-c", _PARENT]
    asked = subprocess.run(
        parent,
        input=msgspec.json.encode(job) + b"\n",
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    until(lambda: not runs(int(asked.stdout)), TIMEOUT_S)


def runs(pid: int) -> bool:
    """Whether there is such a process; one that has ended, but was not waited for, has no words."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def test_a_job_that_is_wrong_is_refused_with_the_reason(receiver: UdpSocket) -> None:
    job = {"port": receiver.port, "warmup_s": 0, "duration_s": 1}
    wrong: list[tuple[dict[str, Any] | None, str]] = [
        (None, "input ended"),
        ({"warmup_s": 0, "duration_s": 1}, "port"),
        (job | {"nonsense": 1}, "nonsense"),
        (job | {"source": {"rate": -1}}, "source.rate"),
        (job | {"symbols": ["A", "B"]}, "2 symbols; source.symbols is 1"),
        (job | {"batch_bytes_max": 0}, "batch_bytes_max"),
        (job | {"source": {"shape": "capture", "capture": "/absent"}}, "/absent"),
    ]
    for document, said in wrong:
        with source_process() as process:
            text = b"" if document is None else json.dumps(document).encode()
            out, err = process.communicate(text, TIMEOUT_S)
            assert (process.returncode, out) == (2, b"")
            assert said in err.decode()
            assert "Traceback" not in err.decode()


def test_nothing_is_lost_on_the_way_into_a_gateway(tmp_path: Path) -> None:
    port = free_udp_port()
    sets = ("feeds.0.type=udp", f"feeds.0.port={port}", "feeds.0.venue=SIM")
    source = Source(channels=["trade", "bbo"], symbols=100, rate=10_000.0)
    job = SourceJob(port=port, source=source, warmup_s=0.0, duration_s=0.5)
    with serving(tmp_path / "log", *sets) as gateway, source_process() as process:
        say(process, msgspec.json.encode(job))
        assert hear(process) == b"ready\n"
        say(process, b"%d" % time.time_ns())
        report = reported(process)
        assert report.sent == 5000
        until(lambda: gateway.metrics().total("published_total") == 5000)
        for channel in ("trade", "bbo"):
            published = gateway.metrics().of("published_total", channel)
            assert published == sum(report.intended[channel]) == 2500
