"""bench/bystander.py and the process that disturbs: who comes last, whose CPU is whose, when it
says what."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import bystander
import bystander_processes
import disturb
import pytest

AUTOGROUP = Path("/proc/self/autogroup")
STAT = "cpu  9 9 9 9 9 9 9 9 0 0\n" + "".join(
    f"cpu{cpu} " + " ".join(str(1000 * cpu + 100 + k) for k in range(10)) + "\n" for cpu in range(2)
)


def _in_session_of_its_own(code: str) -> str:
    """Runs Python code that may import `disturb`; what it printed."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(bystander_processes.HERE)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel shares no CPU between sessions")
def test_who_disturbs_comes_last_among_the_sessions_too() -> None:
    said = _in_session_of_its_own(
        "import os, disturb; disturb.come_last();"
        f"print(os.getpriority(os.PRIO_PROCESS, 0), open('{AUTOGROUP}').read())"
    )
    priority, _, session = said.partition(" ")
    assert int(priority) == disturb.NICE
    assert session.split()[-1] == str(disturb.NICE)  # /autogroup-N nice 19


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel shares no CPU between sessions")
def test_a_session_of_others_keeps_its_priority() -> None:
    said = _in_session_of_its_own(
        "import os, subprocess, sys;"
        "subprocess.run([sys.executable, '-c', 'import disturb; disturb.come_last()'], check=True);"
        f"print(open('{AUTOGROUP}').read())"
    )
    assert said.split()[-1] == "0"


class _Gateway:
    """Answers each upgrade and each subscription, and sends nothing more unless it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.recv(4096)
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            client.recv(4096)
            client.sendall(b'{"method":"subscribe","success":true,"failed":0,"results":[{}]}')
            self.clients.append(client)

    def close(self) -> None:
        self._listener.close()
        for client in self.clients:
            client.close()


@pytest.fixture
def gateway() -> Iterator[_Gateway]:
    one = _Gateway()
    yield one
    one.close()


def test_irq_time_counts_as_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: STAT)
    ticks = sum(1100 + k for k in (0, 1, 2, 5, 6, 7))  # all but idle, iowait and guests
    assert bystander.busy_s([1])[1] == ticks / os.sysconf("SC_CLK_TCK")


def test_those_who_caught_up_are_replaced(gateway: _Gateway) -> None:
    own = bystander_processes.Gateway(child=None, url=gateway.url, ops="", udp_port=0)  # type: ignore[arg-type]
    with bystander_processes.disturber("catchup", own, 3, 1000, []) as helper:
        assert os.getsid(helper.pid) == helper.pid  # else its priority would not count
        helper.order("prepare")
        assert len(gateway.clients) == 3  # nobody has been used
        helper.order("begin")
        helper.order("end")
        helper.order("prepare")
        assert len(gateway.clients) == 6


def test_as_many_watch_as_do_not_stop() -> None:
    one = bystander.scenarios(1000, stopped=200, rate=1990)["catchup"]
    assert one.connections == 200
    assert [group["clients"] for group in one.load["groups"]] == [50]
    assert one.load["source"]["rate"] == 1990
