from pathlib import Path

import pytest

from gateway.supervisor import schedstat
from gateway.supervisor.schedstat import ProcessRunDelay, Starvation, Stolen, ThreadTimes

TICK_NS = 10_000_000


def thread(tasks: Path, number: int, delay_ns: int) -> None:
    (tasks / str(number)).mkdir(exist_ok=True)
    (tasks / str(number) / "schedstat").write_text(f"123 {delay_ns} 4\n")


def test_a_process_has_what_its_threads_have_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(schedstat, "TASKS", tmp_path)
    delays = ProcessRunDelay()
    thread(tmp_path, 1, 100)
    thread(tmp_path, 2, 20)
    assert delays.read() == 120
    thread(tmp_path, 1, 150)
    assert delays.read() == 170
    (tmp_path / "2" / "schedstat").unlink()
    assert delays.read() == 170, "one that ended keeps what it had"
    thread(tmp_path, 2, 5)
    assert delays.read() == 175, "another got its number"
    thread(tmp_path, 1, 40)
    assert delays.read() == 215, "and so at once"


def test_of_another_process_the_thread_that_waited_longest_counts(tmp_path: Path) -> None:
    starved = Starvation(tmp_path)
    assert starved.since_ns(0) == 0
    thread(tmp_path, 1, 1000)
    thread(tmp_path, 2, 20)
    starved.look(10)
    assert starved.since_ns(0) == 0, "what was before the first look is not known"
    thread(tmp_path, 1, 1100)
    thread(tmp_path, 2, 320)
    starved.look(20)
    thread(tmp_path, 3, 10_000)  # a new thread
    thread(tmp_path, 1, 1150)
    starved.look(30)
    assert [starved.since_ns(then) for then in (0, 10, 19, 20, 29, 30)] == [
        350,
        350,
        350,
        50,
        50,
        0,
    ]
    assert Starvation(tmp_path / "gone").since_ns(0) == 0
    Starvation(tmp_path / "gone").look(1)


def test_of_what_the_host_takes_the_worst_cpu_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def host(*stolen: int) -> None:
        cpus = [f"cpu{n} 1 2 3 4 5 6 7 {ticks} 0 0\n" for n, ticks in enumerate(stolen)]
        (tmp_path / "stat").write_text(f"cpu 0 0 0 0 0 0 0 999 0 0\n{''.join(cpus)}intr 1 2\n")

    monkeypatch.setattr(schedstat, "STAT", tmp_path / "stat")
    host(100, 200)
    stolen = Stolen()
    assert stolen.read() == 0
    host(103, 201)
    assert stolen.read() == 3 * TICK_NS
    host(103, 206)
    assert stolen.read() == 8 * TICK_NS
    host(103)
    assert stolen.read() == 8 * TICK_NS, "CPUs that go or come are no theft"
    host(104)
    assert stolen.read() == 9 * TICK_NS


def test_this_kernel_says_it_too() -> None:
    times, delays = ThreadTimes(), ProcessRunDelay()
    used_ns, delay_ns = times.read()
    sum(range(1_000_000))
    used_later_ns, delay_later_ns = times.read()
    assert 0 < used_ns <= used_later_ns
    assert 0 <= delay_ns <= delay_later_ns <= delays.read()
    times.close()
    times.close()
    assert Stolen().read() >= 0


def test_a_kernel_that_does_not_say_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("THREAD", "STAT"):
        monkeypatch.setattr(schedstat, name, tmp_path / "absent")
    monkeypatch.setattr(schedstat, "TASKS", tmp_path)
    (tmp_path / "1").mkdir()
    assert (ProcessRunDelay().read(), Stolen().read()) == (0, 0)
    times = ThreadTimes()
    used_ns, delay_ns = times.read()
    assert (used_ns > 0, delay_ns) == (True, 0)
    times.close()
