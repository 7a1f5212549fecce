"""The doctor's judgements as tables, and one examination of this very host."""

import io
import resource
import socket

import pytest

from gateway import doctor
from gateway.config import assemble
from gateway.doctor import Check

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
        (doctor.descriptors(1024, 20000, 19937), "fail", "hard 20000", "19936"),
        (doctor.descriptors(1024, 20000, 19936), "ok", "hard 20000", ""),
        (doctor.descriptors(1024, INFINITY, 10**6), "ok", "unlimited", ""),
        (doctor.backlog("4096"), "ok", "4096", ""),
        (doctor.backlog("128"), "warn", "128", "somaxconn=4096"),
        (doctor.backlog(""), "warn", "unknown", "somaxconn=4096"),
        (doctor.udp_buffer(8 << 20, needed=True), "ok", "8388608 of", ""),
        (doctor.udp_buffer(212992, needed=True), "warn", "212992 of", "rmem_max=8388608"),
        (doctor.udp_buffer(212992, needed=False), "ok", "no udp feed", ""),
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
    config = assemble({}, {}, ["listen.host=256.0.0.1", "ops.port=0"])
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


def test_this_host_is_examined() -> None:
    checks = doctor.examine(assemble({}, {}, ["listen.port=0", "ops.port=0"]))
    levels = {check.name: check.level for check in checks}
    assert levels["native"] == "ok"
    assert levels["python"] == "ok"
    assert levels["listen"] == levels["ops"] == "ok"
    assert len(levels) == 11
