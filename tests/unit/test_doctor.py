"""The doctor's judgements as tables, and one examination of this very host."""

import io
import os
import resource
import shlex
import socket
import sys
import time
from pathlib import Path

import msgspec
import pytest
from support import facts

from gateway import doctor
from gateway.config import assemble
from gateway.doctor import Check
from gateway.feeds.options import DelayOptions
from gateway.host import Denied
from gateway.tune import host, keep
from gateway.tune.facts import Facts
from gateway.tune.propose import Proposal, Proposals, propose

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("check", "level", "found", "cure"),
    [
        (doctor.interpreter((3, 10, 9)), "fail", "3.10.9", "3.11"),
        (doctor.interpreter((3, 14, 0)), "ok", "3.14.0", ""),
        (doctor.native(""), "ok", "loads", ""),
        (doctor.native("ImportError: no"), "fail", "ImportError: no", "make build"),
        (doctor.cpus(2, 8, 1), "ok", "2 of 8", ""),
        (doctor.cpus(2, 2, 2), "warn", "3 wanted", "cluster.workers"),
        (doctor.scheduler("6.12.1-x", granted=True), "ok", "granted", ""),
        (doctor.scheduler("6.12.1-x", granted=False), "warn", "not granted", "seccomp"),
        (doctor.scheduler("5.10.0", granted=None), "warn", "not granted", "6.12 or later"),
        (doctor.scheduler("strange", granted=None), "warn", "strange", "6.12 or later"),
        (doctor.clock("tsc"), "ok", "tsc", ""),
        (doctor.clock("hpet"), "warn", "hpet", "clocksource=tsc"),
        (doctor.clock(""), "warn", "unknown", "clocksource=tsc"),
        (doctor.run_delay("30122 70775 12"), "ok", "counted", ""),
        (doctor.run_delay("0 0 0"), "warn", "not counted", "CONFIG_SCHED_INFO"),
        (doctor.run_delay(""), "warn", "not counted", "looks like a stopped one"),
        (doctor.descriptors(1024, 20000, 0), "ok", "hard 20000", ""),
        (doctor.descriptors(1024, 1024, 0), "warn", "hard 1024", "960 clients"),
        (doctor.descriptors(64, 64, 0), "fail", "hard 64", "128 is the least"),
        (doctor.descriptors(1024, 20000, 19937), "fail", "hard 20000", "19936"),
        (doctor.descriptors(1024, 20000, 19936), "ok", "hard 20000", ""),
        (doctor.descriptors(1024, INFINITY, 10**6), "ok", "unlimited", ""),
        (doctor.backlog("4096"), "ok", "4096", ""),
        (doctor.backlog("128"), "warn", "128", "somaxconn=4096"),
        (doctor.backlog(""), "warn", "unknown", "somaxconn=4096"),
        (doctor.udp_buffer(8 << 20, needed=True), "ok", "8388608 of", ""),
        (doctor.udp_buffer(212992, needed=True), "warn", "212992 of", "rmem_max=8388608"),
        (doctor.udp_buffer(212992, needed=False), "ok", "no udp feed", ""),
        (doctor.udp_stamps(stamped=True, needed=True), "ok", "at arrival", ""),
        (doctor.udp_stamps(stamped=False, needed=True), "warn", "none", "SO_TIMESTAMPNS"),
        (doctor.udp_stamps(stamped=None, needed=True), "warn", "none", "SO_TIMESTAMPNS"),
        (doctor.udp_stamps(stamped=None, needed=False), "ok", "no udp feed", ""),
    ],
)
def test_judgements(check: Check, level: str, found: str, cure: str) -> None:
    assert check.level == level
    assert found in check.found
    assert cure in check.cure
    assert (check.cure == "") == (level == "ok")


def test_ports() -> None:
    feeds = [{"type": "udp", "port": 0}]
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        config = assemble({"feeds": feeds}, {}, [f"listen.port={port}", "ops.port=0"])
        listen, ops, feed = doctor.ports(config)
    assert (listen.level, listen.name) == ("fail", "listen")
    assert f"127.0.0.1:{port}: Address already in use" in listen.found
    assert "listen.port" in listen.cure
    assert (ops.level, feed.level, feed.name) == ("ok", "ok", "feeds.0")
    config = assemble({}, {}, ["listen.host=256.0.0.1", "listen.insecure=true", "ops.port=0"])
    assert next(iter(doctor.ports(config))).level == "fail"


def test_a_native_module_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PROBE", "import gateway._nonesuch")
    assert "No module named 'gateway._nonesuch'" in doctor.probe()[1]
    monkeypatch.setattr(doctor, "_PROBE", "import os; os.abort()")
    assert doctor.probe() == ({}, "its load ended with signal 6")
    monkeypatch.setattr(doctor, "_PROBE", "raise SystemExit(3)")
    assert doctor.probe() == ({}, "its load ended with code 3")
    monkeypatch.setattr(doctor, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor, "PROBE_TIMEOUT_S", 0.01)
    assert "does not load within" in doctor.probe()[1]


MEMORY = Denied("memfd_create", "Operation not permitted", "")
PIDFD = Denied("pidfd_open", "Operation not permitted", "a thread waits for each child instead")


@pytest.mark.parametrize(
    ("check", "level", "found", "cure"),
    [
        (
            doctor.calls([], batched=True, udp=True),
            "ok",
            "pidfd_open, sched_setaffinity are allowed",
            "",
        ),
        (doctor.calls([], batched=None, udp=True), "ok", "allowed", ""),
        (doctor.calls([], batched=False, udp=False), "ok", "allowed", ""),
        (doctor.calls([], batched=False, udp=True), "warn", "recvmmsg", "a call a datagram"),
        (doctor.calls([PIDFD], batched=True, udp=True), "warn", "pidfd_open: Op", "a thread waits"),
        (doctor.calls([MEMORY, PIDFD], batched=True, udp=True), "fail", "memfd_create", "seccomp"),
    ],
)
def test_system_calls(check: Check, level: str, found: str, cure: str) -> None:
    assert check.level == level
    assert found in check.found
    assert cure in check.cure


@pytest.mark.parametrize(
    ("check", "level", "found"),
    [
        (doctor.memory("MemFree: 1 kB\nMemAvailable:  2000000 kB\n", 10**9), "ok", "2048 MB avail"),
        (doctor.memory("MemAvailable:  900000 kB\n", 10**9), "warn", "921 MB available"),
        (doctor.memory("", 10**9), "ok", "1000 MB wanted"),
        (doctor.recordings(Path("/proc/version/x"), enabled=True), "warn", "is no directory"),
        (doctor.recordings(Path("/proc/version/x"), enabled=False), "ok", "off"),
        (doctor.recordings(Path("/tmp/none/such"), enabled=True), "ok", "/tmp/none/such"),
    ],
)
def test_room_for_memory_and_recordings(check: Check, level: str, found: str) -> None:
    assert check.level == level
    assert found in check.found
    assert (check.cure == "") == (level == "ok")


@pytest.mark.parametrize(
    ("sets", "level", "found", "cure"),
    [
        (("host=239.1.2.3", "interface=lo"), "ok", "239.1.2.3:0 is free", ""),
        (("host=239.1.2.3", "interface=no0"), "fail", "no interface no0", "feeds.0.interface says"),
        (("host=192.0.2.77",), "fail", "Cannot assign", "feeds.0.host"),
    ],
)
def test_feeds_are_bound_and_joined_as_they_will_be(
    sets: tuple[str, ...], level: str, found: str, cure: str
) -> None:
    ours = ["listen.port=0", "ops.port=0", "feeds.0.type=udp", "feeds.0.port=0"]
    config = assemble({}, {}, [*ours, *(f"feeds.0.{one}" for one in sets)])
    check = {one.name: one for one in doctor.ports(config)}["feeds.0"]
    assert check.level == level
    assert found in check.found
    assert cure in check.cure


def test_the_report_and_its_exit_code() -> None:
    out = io.StringIO()
    checks = [Check("ok", "a", "fine"), Check("warn", "b", "so so", "this")]
    assert doctor.report(checks, out) == 0
    assert out.getvalue().splitlines() == [
        "ok    a           fine",
        "warn  b           so so",
        "                  cure: this",
        "2 checks: 0 failed, 1 warnings",
    ]
    assert doctor.report([*checks, Check("fail", "c", "bad", "that")], io.StringIO()) == 1


def proposals(holds_us: int | None, *more: Proposal, refused: tuple[str, ...] = ()) -> Proposals:
    return Proposals(
        clients=50, estimate_us=1, holds_us=holds_us, proposals=more, refused=refused, notes=()
    )


PROPOSED = Proposal("slo.target_us", 5000, "because")


@pytest.mark.parametrize(
    ("check", "level", "found", "cure"),
    [
        (doctor.target(3000, proposals(3000, PROPOSED), ""), "ok", "= 3000; this", ""),
        (
            doctor.target(2999, proposals(3000, PROPOSED), ""),
            "warn",
            "holds 3000 us for 50",
            "5000",
        ),
        (doctor.target(9, proposals(10**9), ""), "warn", "1000000000 us", "no target at all"),
        (doctor.target(9, proposals(None, refused=("no CPU",)), ""), "warn", "no CPU", "tune"),
        (doctor.target(9, None, "no native"), "warn", "not compared: no native", "tune"),
    ],
)
def test_targets(check: Check, level: str, found: str, cure: str) -> None:
    assert check.level == level
    assert found in check.found
    assert cure in check.cure
    assert (check.cure == "") == (level == "ok")


def test_what_is_kept_is_compared_with(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    kept = facts.facts(host=host.host(), taken_ns=time.time_ns())
    assert keep.save(keep.path(environ), kept) == ""
    found, _ = doctor.capable(1, environ, native_why="it does not even load")
    assert found == propose(kept, workers=1)


def test_nothing_kept_and_nothing_to_measure_with() -> None:
    assert doctor.capable(1, {}, native_why="no") == (None, "the native module does not load")


def test_nothing_kept_is_measured_elsewhere(tmp_path: Path) -> None:
    environ = dict(os.environ) | {"STATE_DIRECTORY": str(tmp_path)}
    found, why = doctor.capable(1, environ)
    assert why == ""
    assert found is not None
    assert found.clients == 50
    kept = msgspec.json.decode((tmp_path / keep.NAME).read_bytes(), type=Facts)
    assert found == propose(kept, workers=1)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("print('{}')", "ended with code 0"),
        ("print('[1]')", "ended with code 0"),
        ("import sys; sys.exit('what a pity')", "what a pity"),
        ("import time; time.sleep(60)", "took more than"),
    ],
)
def test_a_measurement_that_fails_is_told(
    program: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\nexec {sys.executable} -c {shlex.quote(program)}\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    monkeypatch.setattr(doctor, "PROBE_TIMEOUT_S", 0.2 if "sleep" in program else 10.0)
    found, told = doctor.capable(1, {"STATE_DIRECTORY": str(tmp_path)})
    assert found is None
    assert why in told


def test_this_host_is_examined(tmp_path: Path) -> None:
    environ = dict(os.environ) | {"STATE_DIRECTORY": str(tmp_path)}
    checks = doctor.examine(assemble({}, {}, ["listen.port=0", "ops.port=0"]), environ)
    levels = {check.name: check.level for check in checks}
    assert levels["native"] == "ok"
    assert levels["python"] == levels["tls"] == "ok"
    assert levels["listen"] == levels["ops"] == "ok"
    found = {check.name: check.found for check in checks}
    assert "slo.target_us = 1000; this host holds" in found["target"]
    assert levels["udp stamps"] == "ok"
    assert levels["calls"] == levels["recorder"] == levels["memory"] == "ok"
    assert len(levels) == 18


@pytest.mark.parametrize(
    ("free", "level", "found"),
    [
        ("/x is no directory", "fail", "is no directory"),
        (1 << 40, "ok", "17179 MB hold back 279,620 usual records/s for 900 s"),
        (4 << 30, "warn", "4026 MB hold back 65,536 usual records/s"),
        (100 << 20, "warn", "0 MB hold back 0 usual records/s"),
    ],
)
def test_room_for_a_spool(free: str | int, level: str, found: str) -> None:
    check = doctor.spool(1, DelayOptions(of="A", venue="B"), Path("/x"), free)
    assert (check.level, check.name) == (level, "feeds.1")
    assert found in check.found
    assert bool(check.cure) == (level != "ok")


def test_a_spool_that_holds_little_is_told() -> None:
    feed = DelayOptions(of="A", venue="B", bytes_max=1 << 30)
    check = doctor.spool(1, feed, Path("/x"), 1 << 40)
    assert check.level == "warn"
    assert "feeds.1.bytes_max" in check.cure
