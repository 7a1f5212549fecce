"""What all tests share: where captures are, how long properties search, and what a skip means."""

import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest

from gateway._native import STATS_SIZE, StatsPage, UdpSocket, create_memory
from gateway.address import datagrams

FORBIDDEN = "this kernel forbids"
"""In the reason of a skip that stands whatever is required: nothing can be installed against it."""
REQUIRE_ALL = os.environ.get("TICKGATE_REQUIRE_ALL") == "1"
DATA = Path(os.environ.get("TICKGATE_DATA", Path(__file__).parents[2] / "shared" / "data"))

# A shell's background job and nohup ignore these, and each child would inherit it; a handler is not
# inherited, and the run itself goes on as it was meant to.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# One profile for all machines: no deadline, as a busy machine makes no property false, and the same
# examples each run, so that a red build is red again when it is looked at.
hypothesis.settings.register_profile(
    "bounded", max_examples=100, deadline=None, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("TICKGATE_HYPOTHESIS", "bounded"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The directory of captures; a test that needs one that is absent skips by name."""
    return DATA


@pytest.fixture(scope="session")
def capture(data: Path) -> Callable[[str], Path]:
    """`capture("binance/trades.jsonl.gz")` is its path, or a skip that names it."""

    def find(name: str) -> Path:
        path = data / name
        if not path.exists():
            pytest.skip(f"capture {name} is absent")
        return path

    return find


@pytest.fixture
def usual_priority() -> None:
    """For a test in which one process must come before another: under `nice` none does."""
    if nice := max(os.getpriority(os.PRIO_PROCESS, 0), 0):
        pytest.skip(f"runs under nice {nice}")


@pytest.fixture
def page() -> Generator[StatsPage, None, None]:
    """A process's statistics page, all zero."""
    fd = create_memory("stats", STATS_SIZE)
    page = StatsPage(fd, writable=True)
    yield page
    page.close()
    os.close(fd)


@pytest.fixture
def stamping() -> Generator[None, None, None]:
    """The kernel stamps datagrams when they come. It begins a while after the host's first socket
    asks for it; what came before bears the time at which it was read.
    """
    witness = UdpSocket(datagrams("127.0.0.1", 0))
    deadline = time.monotonic() + 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        waited_ns = 0
        while waited_ns < 1_000_000:
            assert time.monotonic() < deadline, "it never begins"
            sender.sendto(b"x", ("127.0.0.1", witness.port))
            time.sleep(0.001)
            _, (waited_ns,), _, _ = witness.receive(1000)
    yield
    witness.close()


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not REQUIRE_ALL or not report.skipped or hasattr(report, "wasxfail"):
        return
    if FORBIDDEN not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} skips, and TICKGATE_REQUIRE_ALL=1: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under TICKGATE_REQUIRE_ALL=1 a skip is a failure: it would hide what is not installed."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself."""
    report = yield
    _refuse_skip(report)
    return report
