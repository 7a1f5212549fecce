"""One gateway for all attacks, a bystander beside them, and what must hold after each of them."""

from collections.abc import Iterator

import pytest
from support.bystander import Bystander
from support.serving import Metrics, Serving, free_udp_port, serving, until

HANDSHAKE_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 1.0
MESSAGE_TIMEOUT_S = 1.0
MESSAGE_BYTES_MAX = 16384
FRAGMENTS_MAX = 64
CONTROL_FRAMES_PER_S = 100

UDP_PORT = free_udp_port()

_running: list[tuple[Serving, Bystander]] = []


@pytest.fixture(scope="session")
def _gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Bystander]]:
    log = tmp_path_factory.mktemp("fault") / "stderr"
    settings = (
        'feeds.0.type="synthetic"',
        "feeds.0.symbols=10",
        "feeds.0.rate=400",
        'feeds.1.type="udp"',
        'feeds.1.venue="UDP"',
        f"feeds.1.port={UDP_PORT}",
        'log.level="debug"',
        'log.format="json"',
        f"limits.handshake_timeout_s={HANDSHAKE_TIMEOUT_S}",
        f"limits.close_timeout_s={CLOSE_TIMEOUT_S}",
        f"limits.message_timeout_s={MESSAGE_TIMEOUT_S}",
        f"limits.message_bytes={MESSAGE_BYTES_MAX}",
        f"limits.fragments_max={FRAGMENTS_MAX}",
        f"limits.control_frames_per_s={CONTROL_FRAMES_PER_S}",
        "limits.heartbeat_ms=200",
    )
    with serving(log, *settings) as gateway:
        bystander = Bystander(gateway.url, ["SYM00*"])
        _running.append((gateway, bystander))
        yield gateway, bystander
        _running.clear()
        bystander.stop()


@pytest.fixture(scope="session")
def gateway(_gateway: tuple[Serving, Bystander]) -> Serving:
    """The gateway under attack."""
    return _gateway[0]


@pytest.fixture(scope="session")
def bystander(_gateway: tuple[Serving, Bystander]) -> Bystander:
    """A client that subscribed before."""
    return _gateway[1]


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
        assert "Traceback" not in gateway.lines()
        until(lambda gateway=gateway: balanced(gateway.metrics(), 1))  # type: ignore[misc]


def balanced(metrics: Metrics, connections: int) -> bool:
    """Whether each accepted connection ended in exactly one way (invariant I6)."""
    return (
        metrics.of("connections") == connections
        and metrics.of("accepted_total") == metrics.total("handshakes_total")
        and metrics.of("handshakes_total", "ok") == metrics.total("closes_total") + connections
    )
