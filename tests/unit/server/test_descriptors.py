"""How many connections a worker takes, by the descriptors that it may have."""

import resource

import pytest

from gateway.server.listener import CONNECTIONS_MAX, max_connections


@pytest.mark.parametrize(
    ("soft", "configured", "expected"),
    [
        (1024, 0, 960),
        (1024, 100, 100),
        (1024, 5000, 960),
        (1_073_741_816, 0, CONNECTIONS_MAX),
        (resource.RLIM_INFINITY, 0, CONNECTIONS_MAX),
        (resource.RLIM_INFINITY, 100, 100),
    ],
)
def test_f72_any_limit_of_descriptors_makes_a_limit_of_connections(
    soft: int, configured: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert max_connections(configured) == expected
