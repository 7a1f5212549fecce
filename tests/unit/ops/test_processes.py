import os
from dataclasses import replace
from typing import Any

from support.reports import stall, worker

from gateway.latency.stalls import KINDS
from gateway.model.status import Load, Status, Vitals
from gateway.ops.objective import Watch
from gateway.ops.processes import Held, rows
from gateway.ops.sampling import Sampling

MS = 1_000_000


def test_each_process_and_the_supervisor_last(site: Any) -> None:
    page = site.pages["worker-0"]
    for name, value in {"loop_lag_ns": 2 * MS, "loop_lag_max_ns": 70 * MS}.items():
        page.set(name, 0, value)
    for generation, count in enumerate((7, 2, 1)):
        page.set("gc_pauses", generation, count)
    page.set("gc_pause_max_ns", 0, 1_500_000)
    page.set("plane_stalls", 0, 3)
    load = Load(run_delay_ms=1.5, cpu=0.25)
    site.supervision.children[0].status = Status(vitals=Vitals(load=load))
    own = Vitals(load=Load(run_delay_ms=0.1, cpu=0.01))
    subject = replace(site.subject, vitals=lambda: own)
    worker, supervisor = rows(subject)
    shown = {
        "name": "worker-0",
        "loop_lag_ms": 2.0,
        "loop_lag_max_ms": 70.0,
        "gc_pauses": 10,
        "gc_pause_max_ms": 1.5,
        "run_delay_ms": 1.5,
        "cpu": 0.25,
        "plane_stalls": 3,
    }
    assert shown.items() <= worker.items()
    assert (supervisor["name"], supervisor["pid"]) == ("supervisor", os.getpid())
    assert (supervisor["state"], supervisor["cpu"]) == ("ready", 0.01)
    assert worker.keys() == supervisor.keys()


def test_a_process_that_has_not_reported_yet(site: Any) -> None:
    worker, supervisor = rows(site.subject)
    assert worker["cpu"] == supervisor["run_delay_ms"] == 0


def test_a_drain_is_the_supervisors_state(site: Any) -> None:
    site.supervision.draining = True
    assert rows(site.subject)[-1]["state"] == "draining"


def test_what_held_whom_up_in_the_window(site: Any) -> None:
    held = Held(site.pages, window_s=10)
    assert held.words() == ""
    site.pages["worker-0"].set("stall_ns", KINDS.index("gc"), 900 * MS)
    held.look(0)
    assert held.words() == "", "before the first look is before the window"
    site.pages["worker-0"].add("stall_ns", KINDS.index("gc"), 60 * MS)
    site.pages["supervisor"].add("stall_ns", KINDS.index("process"), 300 * MS)
    held.look(1)
    assert held.words() == "supervisor: process 300 ms, worker-0: gc 60 ms"
    for now_s in range(2, 10):
        held.look(now_s)
    assert held.words() != ""
    for now_s in range(10, 12):
        held.look(now_s)
    assert held.words() == ""


def test_the_channel_has_the_supervisors_stalls_too(site: Any) -> None:
    site.supervision.children[0].status = worker(stalls=(stall(1, "loop"),))
    subject = replace(site.subject, vitals=lambda: Vitals(stalls=(stall(2, "clock"),)))
    sampling = Sampling(subject, Watch(subject))
    for second in range(2):
        sampling.take(float(second), second)
    assert [(one["process"], one["kind"]) for one in sampling.stalls()] == [
        ("worker-0", "loop"),
        ("supervisor", "clock"),
    ]


def test_a_clock_that_was_set_back_hides_nothing(site: Any) -> None:
    child = site.supervision.children[0]
    sampling = Sampling(site.subject, Watch(site.subject))
    stalls = stall(5, "loop"), stall(900, "loop")
    child.status = worker(stalls=stalls)
    sampling.take(0.0, 0)
    child.status = worker(stalls=(*stalls, stall(7, "gc"), stall(7, "loop")))
    for second in range(1, 4):
        sampling.take(float(second), second)
    assert [(one["ts"], one["kind"]) for one in sampling.stalls()] == [
        (5, "loop"),
        (7, "gc"),
        (7, "loop"),
        (900, "loop"),
    ]
