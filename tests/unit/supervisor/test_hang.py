"""When a child is taken for hung: its silence counts, less what it waited for a CPU."""

from pathlib import Path
from typing import Any

import pytest
from support.starts import started

from gateway.exits import Exit
from gateway.supervisor.children import ChildSpec
from gateway.supervisor.schedstat import Starvation
from gateway.supervisor.supervisor import Supervisor

SECOND = 1_000_000_000


class Child:
    """A ready child with one thread, which has been silent since second 100."""

    def __init__(self, tmp_path: Path) -> None:
        spec = ChildSpec("worker", "worker-0", (), started(), stamps=lambda: [100 * SECOND])
        self.supervisor = Supervisor([spec])
        self.child: Any = self.supervisor._children[0]
        self.child.exit = object.__new__(Exit)
        self.child.state, self.child.ready_ns = "ready", SECOND
        self.child.starved = Starvation(tmp_path)
        self._file = tmp_path / "7" / "schedstat"
        self._file.parent.mkdir()

    def look(self, at_s: float, waited_s: float) -> str | None:
        self._file.write_text(f"0 {int(waited_s * SECOND)} 1\n")
        self.child.starved.look(int(at_s * SECOND))
        return self.supervisor._suspicion(self.child, int(at_s * SECOND))


@pytest.fixture
def child(tmp_path: Path) -> Child:
    return Child(tmp_path)


def test_f50_silence_is_a_hang(child: Child) -> None:
    assert [child.look(at_s, 5) for at_s in (100, 101, 101.5, 102)] == [None, None, None, "hang"]


def test_f50_who_gets_no_cpu_does_not_hang(child: Child) -> None:
    for at_s in range(100, 120):
        assert child.look(at_s, 5 + 0.95 * (at_s - 100)) is None
    assert child.look(121, 5 + 0.95 * 19) == "hang"


def test_f50_who_turns_for_ever_on_a_busy_host_hangs_all_the_same(child: Child) -> None:
    suspected = [child.look(100 + n / 2, 5 + n / 4) for n in range(9)]  # half of the CPU
    assert suspected[:7] == [None] * 7
    assert suspected[8] == "hang"
