"""A gateway that does nothing but answer."""

from collections.abc import Iterator

import pytest
from support.serving import Serving, serving


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """It has no feed, and bears many errors."""
    log = tmp_path_factory.mktemp("conformance") / "stderr"
    with serving(log, "limits.errors_per_minute=1000") as gateway:
        yield gateway
        assert "Traceback" not in gateway.lines()
