"""One gateway for all attacks, a bystander beside them, and what must hold after each of them."""

from collections.abc import Iterator

import pytest
from support.bystander import Bystander
from support.serving import Metrics, Serving, serving, until
from support.target import SETTINGS, balanced

_running: list[tuple[Serving, Bystander]] = []


@pytest.fixture(scope="session")
def _gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Bystander]]:
    with serving(tmp_path_factory.mktemp("fault") / "stderr", *SETTINGS) as gateway:
        bystander = Bystander(gateway.url, ["SYM*"])
        _running.append((gateway, bystander))
        yield gateway, bystander
        _running.clear()
        bystander.stop()


@pytest.fixture(scope="session")
def gateway(_gateway: tuple[Serving, Bystander]) -> Serving:
    """The gateway under attack."""
    return _gateway[0]


@pytest.fixture
def before(gateway: Serving) -> Metrics:
    """The metrics before the attack."""
    return gateway.metrics()


@pytest.fixture(autouse=True)
def _as_if_nothing_had_happened() -> Iterator[None]:
    """After each attack on the shared gateway: others get their ticks, the books balance."""
    yield
    for gateway, bystander in _running:
        bystander.goes_on()
        until(lambda gateway=gateway: balanced(gateway.metrics(), 1))  # type: ignore[misc]
        lines = gateway.lines()
        assert "Traceback" not in lines
        assert '"level": "error"' not in lines
