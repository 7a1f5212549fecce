"""What all tests share: where captures are, and that nothing skips where all is installed."""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

REQUIRE_ALL = os.environ.get("TICKGATE_REQUIRE_ALL") == "1"
DATA = Path(os.environ.get("TICKGATE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The directory of captures; a test that needs one that is absent skips by name."""
    return DATA


@pytest.fixture
def capture(data: Path) -> Callable[[str], Path]:
    """`capture("binance/trades.jsonl.gz")` is its path, or a skip that names it."""

    def find(name: str) -> Path:
        path = data / name
        if not path.exists():
            pytest.skip(f"capture {name} is absent")
        return path

    return find


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under TICKGATE_REQUIRE_ALL=1 a skip is a failure: it would hide what is not installed."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped, but TICKGATE_REQUIRE_ALL=1: {report.longrepr}"
    return report
