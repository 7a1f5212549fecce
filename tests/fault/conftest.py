"""One gateway for all attacks, a bystander beside them, and what must hold after each of them."""

import re
from collections.abc import Iterator

import pytest
from support.bystander import Bystander
from support.serving import Metrics, Serving, serving, until
from support.target import (
    SETTINGS,
    SMALL_SETTINGS,
    STRICT_SETTINGS,
    STRICT_TOPICS,
    STRICT_VENUE,
    balanced,
)

_running: dict[str, tuple[Serving, Bystander | None]] = {}


@pytest.fixture(scope="session")
def _gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Bystander]]:
    with serving(tmp_path_factory.mktemp("fault") / "stderr", *SETTINGS) as gateway:
        bystander = Bystander(gateway.url, ["SYM*"])
        _running["gateway"] = gateway, bystander
        yield gateway, bystander
        del _running["gateway"]
        bystander.stop()


@pytest.fixture(scope="session")
def gateway(_gateway: tuple[Serving, Bystander]) -> Serving:
    """The gateway under attack."""
    return _gateway[0]


@pytest.fixture(scope="session")
def bystander(_gateway: tuple[Serving, Bystander]) -> Bystander:
    """One who subscribed before the attacks."""
    return _gateway[1]


@pytest.fixture
def before(gateway: Serving) -> Metrics:
    """The metrics before the attack."""
    return gateway.metrics()


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A gateway with small limits, and no feed but STRICT_VENUE."""
    yield from _serve(tmp_path_factory, "strict", STRICT_SETTINGS)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A gateway with little room and little patience."""
    yield from _serve(tmp_path_factory, "small", SMALL_SETTINGS)


def _serve(
    factory: pytest.TempPathFactory, name: str, settings: tuple[str, ...]
) -> Iterator[Serving]:
    with serving(factory.mktemp(name) / "stderr", *settings) as gateway:
        _running[name] = gateway, None
        yield gateway
        del _running[name]


@pytest.fixture(scope="session")
def many_topics(strict: Serving) -> int:
    """How many topics the strict gateway knows: more than one client may have."""
    count = STRICT_TOPICS * 2
    for number in range(count):
        STRICT_VENUE.trades(f"MANY{number:02}", 1)
    until(lambda: strict.metrics().of("published_total", "trade") >= count)
    return count


@pytest.fixture(autouse=True)
def _as_if_nothing_had_happened(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each attack: others get their ticks, the books balance, nothing is in the log."""
    yield
    for name in _running.keys() & set(request.fixturenames):
        gateway, bystander = _running[name]
        if bystander is not None:
            bystander.goes_on()
        clients = int(bystander is not None)
        until(lambda g=gateway, n=clients: balanced(g.metrics(), n))  # type: ignore[misc]
        lines = gateway.lines()
        assert "Traceback" not in lines
        errors = re.findall(r'^.*"level": "error".*|^\S+ error .*', lines, re.MULTILINE)
        assert all("accept.failed" in line for line in errors), errors
