"""What the kernel says of processes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.serving import until

from gateway.loadtest import processes
from gateway.loadtest.processes import Meter, cpu_ns, family, is_local, listeners, listening

SPIN = (
    "import sys; print(flush=True)\nwhile True: sys.stdin.readline() or sys.exit(); sum(range({}))"
)


@contextmanager
def child(code: str) -> Iterator[subprocess.Popen[str]]:
    """Python that runs this, and has said a line."""
    words = [sys.executable, "-ESc", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def work(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_cpu_time_is_known_to_less_than_a_tick() -> None:
    before = cpu_ns(os.getpid())
    own = time.process_time_ns()
    after = cpu_ns(os.getpid())
    assert before is not None
    assert after is not None
    assert before <= own <= after
    assert after % 10_000_000 or before % 10_000_000


def test_a_process_that_is_gone_has_no_cpu_time_and_no_family() -> None:
    with child("print()") as process:
        process.wait()
    assert cpu_ns(process.pid) is None
    assert family(process.pid) == []


def test_a_family_goes_down_to_grandchildren_of_any_thread() -> None:
    code = (
        "import subprocess, sys, threading\n"
        'inner = \'import subprocess, sys; p = subprocess.Popen([sys.executable, "-ESc",'
        ' "input()"]); print(p.pid, flush=True); p.wait()\'\n'
        "def run():\n"
        "    p = subprocess.Popen([sys.executable, '-ESc', inner], stdout=subprocess.PIPE)\n"
        "    print(p.pid, int(p.stdout.readline()), flush=True)\n"
        "    p.wait()\n"
        "print(flush=True)\n"
        "threading.Thread(target=run).start()"
    )
    with child(code) as process:
        assert process.stdout is not None
        first, second = map(int, process.stdout.readline().split())
        assert family(process.pid) == [process.pid, first, second]
        assert family(process.pid, without=(first,)) == [process.pid]
        process.communicate("\n")


def test_shared_memory_counts_once() -> None:
    one = processes.resident_bytes([os.getpid()])
    assert one > 1 << 20
    assert processes.resident_bytes([os.getpid()] * 2) < 2 * one
    assert processes.resident_bytes([]) == 0


def test_pss_of_processes_adds_up() -> None:
    with child("x = bytearray(range(250)) * 200_000; print(flush=True); input()") as process:
        alone = processes.proportional_bytes([process.pid])
        assert alone is not None
        assert 50_000_000 < alone < 80_000_000
        both = processes.proportional_bytes([process.pid, os.getpid()])
        assert both is not None
        assert both > alone
    assert processes.proportional_bytes([process.pid]) == 0, "it has ended"
    assert processes.proportional_bytes([]) == 0


def test_memory_that_several_map_is_shared_out() -> None:
    """A page of two processes is half a page of each: together they count it once."""
    code = (
        "import mmap, os\n"
        "memory = mmap.mmap(-1, 60_000_000)\n"
        "memory.write(bytes(60_000_000))\n"
        "told, tell = os.pipe()\n"
        "pid = os.fork()\n"
        "sum(memory[i] for i in range(0, 60_000_000, 4096))\n"
        "print(os.read(told, 1), flush=True) if pid else os.write(tell, b'x')\n"
        "input()"
    )
    with child(code) as process:
        pids = family(process.pid)
        assert len(pids) == 2
        together = processes.proportional_bytes(pids)
        assert together is not None
        assert 60_000_000 < together < 90_000_000
        assert process.stdin is not None
        process.stdin.close()


def test_a_process_that_shows_no_pss_makes_all_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert processes.proportional_bytes([os.getpid()]) is None
    monkeypatch.setattr(Path, "read_text", lambda path: "Rss: 1 kB\n")
    assert processes.proportional_bytes([os.getpid()]) is None


# --- the meter ------------------------------------------------------------------------------------


def test_the_meter_counts_from_its_making() -> None:
    with child(SPIN.format(1_000_000)) as process:
        work(process)
        until(lambda: (cpu_ns(process.pid) or 0) > 5_000_000)
        already = cpu_ns(process.pid) or 0
        meter = Meter([process.pid])
        assert meter.pids == [process.pid]
        work(process)
        until(lambda: meter.read() > 1_000_000)
        assert meter.read() <= (cpu_ns(process.pid) or 0) - already
        assert meter.resident_bytes_max >= meter.resident_bytes > 1 << 20
        assert meter.proportional_bytes is not None
        assert meter.proportional_bytes_max is not None
        assert meter.proportional_bytes_max >= meter.proportional_bytes > 1 << 20


def test_the_meter_keeps_what_an_ended_process_used() -> None:
    with child(SPIN.format(1_000_000)) as process:
        meter = Meter([process.pid])
        work(process)
        until(lambda: meter.read() > 1_000_000)
        used = meter.read()
        process.kill()
        process.wait()
    assert meter.read() >= used
    assert meter.resident_bytes == 0
    assert meter.resident_bytes_max > 0


def test_the_meter_leaves_its_own_process_out() -> None:
    assert Meter([os.getpid()]).pids == []
    assert os.getpid() not in Meter([os.getppid()]).pids


# --- listeners ------------------------------------------------------------------------------------


def test_who_listens_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listeners("127.0.0.1", port) == [os.getpid()]
        assert listeners("127.0.0.2", port) == []
    assert listeners("127.0.0.1", port) == []


def test_who_listens_everywhere_is_found() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert listeners("127.0.0.9", server.getsockname()[1]) == [os.getpid()]


# As proc_net(5): the address in the host's byte order, state 0A is LISTEN, 01 ESTABLISHED.
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
ROW = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000  1000        0 {} 1 0"


@pytest.mark.skipif(sys.byteorder != "little", reason="addresses are written for this order")
@pytest.mark.parametrize(
    ("local", "state", "found"),
    [
        ("0100007F:223D", "0A", True),
        ("00000000:223D", "0A", True),
        ("00000000000000000000000000000000:223D", "0A", True),
        ("0000000000000000FFFF00000100007F:223D", "0A", True),
        ("0100007F:223D", "01", False),
        ("0100007F:223E", "0A", False),
        ("0200007F:223D", "0A", False),
        ("0000000000000000FFFF00000200007F:223D", "0A", False),
    ],
)
def test_rows_of_the_kernel_s_table(local: str, state: str, found: bool) -> None:
    table = f"{HEAD}\n{ROW.format(local, state, 4711)}\n"
    assert listening(table, "127.0.0.1", 0x223D) == ({"4711"} if found else set())


@pytest.mark.skipif(sys.byteorder != "little", reason="addresses are written for this order")
@pytest.mark.parametrize(
    ("local", "found"),
    [
        ("00000000000000000000000001000000:223D", True),
        ("00000000000000000000000000000000:223D", True),
        ("00000000000000000000000002000000:223D", False),
        ("00000000:223D", False),
        ("0000000000000000FFFF00000100007F:223D", False),
    ],
)
def test_rows_of_the_kernel_s_table_for_ipv6(local: str, found: bool) -> None:
    table = f"{HEAD}\n{ROW.format(local, '0A', 4711)}\n"
    assert listening(table, "::1", 0x223D) == ({"4711"} if found else set())


def test_local_addresses() -> None:
    assert not is_local("2001:db8::1")  # for documentation: nobody's
    assert is_local("127.0.0.1")
    assert is_local("127.7.7.7")
    assert not is_local("192.0.2.1")  # TEST-NET-1: nobody's
